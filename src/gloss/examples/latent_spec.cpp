#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/base/quantity.h"
#include "gloss/base/random.h"
#include "gloss/examples/examples.h"

namespace gloss::examples {
namespace {

constexpr std::string_view kForms = "write 0-99,512 or random:300 or all or file:LIST.csv";

[[noreturn]] void fail_spec(std::string_view text, std::string_view what) {
  throw Error(ErrorKind::usage, fmt::format("latents '{}'", text), what, kForms);
}

std::optional<std::uint32_t> read_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::uint32_t read_latent(std::string_view spec, std::string_view text) {
  const auto at = static_cast<std::size_t>(text.data() - spec.data());
  const std::optional<std::uint32_t> value = read_number(text);
  if (!value) fail_spec(spec, fmt::format("character {}: '{}' is not a latent's number", at + 1, text));
  return *value;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

/// Lines "hookpoint,latent"; the first may be a heading. A hookpoint's name may hold commas, a number does not.
std::vector<std::pair<std::string, std::uint32_t>> read_list(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  std::string_view rest(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::vector<std::pair<std::string, std::uint32_t>> listed;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || (number == 1 && line == "hookpoint,latent")) continue;
    const std::size_t comma = line.rfind(',');
    const std::optional<std::uint32_t> latent =
        comma == std::string_view::npos ? std::nullopt : read_number(trimmed(line.substr(comma + 1)));
    if (!latent)
      fail_input(fmt::format("{}: line {}", path.string(), number),
                 fmt::format("'{}' is not hookpoint,latent", line.substr(0, 60)), "for example: layers.5,1234");
    listed.emplace_back(std::string(trimmed(line.substr(0, comma))), *latent);
  }
  return listed;
}

}  // namespace

LatentSpec LatentSpec::parse(std::string_view spec) {
  constexpr std::string_view kRandom = "random:";
  constexpr std::string_view kFile = "file:";
  LatentSpec result;
  result.text_ = spec;
  if (spec == "all") {
    result.all_ = true;
  } else if (spec.starts_with(kRandom)) {
    result.random_ = parse_quantity(spec.substr(kRandom.size()), "--latents random:");
    if (result.random_ == 0) fail_spec(spec, "asks for no latents");
  } else if (spec.starts_with(kFile)) {
    result.listed_ = read_list(std::filesystem::path(spec.substr(kFile.size())));
  } else {
    for (std::size_t begin = 0; begin <= spec.size();) {
      const std::size_t end = std::min(spec.find(',', begin), spec.size());
      const std::string_view part = spec.substr(begin, end - begin);
      const std::size_t dash = std::min(part.find('-'), part.size());
      const std::uint32_t first = read_latent(spec, part.substr(0, dash));
      const std::uint32_t last = dash == part.size() ? first : read_latent(spec, part.substr(dash + 1));
      if (first > last) fail_spec(spec, fmt::format("character {}: {}-{} runs backwards", begin + 1, first, last));
      result.ranges_.push_back({first, last});
      begin = end + 1;
    }
  }
  return result;
}

std::vector<LatentId> LatentSpec::select(std::string_view hookpoint, std::uint32_t latent_count, std::uint64_t seed,
                                         const std::vector<bool>& eligible) const {
  if (random_ > 0 && eligible.size() != latent_count) throw std::logic_error("eligible must say so of every latent");
  const auto check = [&](std::uint32_t f) {
    if (f >= latent_count) fail_spec(text_, fmt::format("latent {}: {} has {}", f, hookpoint, latent_count));
  };
  std::vector<std::uint32_t> chosen;
  if (all_) {
    chosen.resize(latent_count);
    std::iota(chosen.begin(), chosen.end(), 0U);
  }
  for (const Range& range : ranges_) {
    check(range.last);
    for (std::uint32_t f = range.first; f <= range.last; ++f) chosen.push_back(f);
  }
  for (const auto& [name, f] : listed_) {
    if (name != hookpoint) continue;
    check(f);
    chosen.push_back(f);
  }
  if (random_ > 0) {
    std::vector<std::uint32_t> candidates;
    for (std::uint32_t f = 0; f < latent_count; ++f) {
      if (eligible[f]) candidates.push_back(f);
    }
    Random random = Random::for_purpose(seed, fmt::format("latents of {}", hookpoint));
    for (const std::uint64_t i : random.sample(candidates.size(), random_)) chosen.push_back(candidates[i]);
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  std::vector<LatentId> result;
  result.reserve(chosen.size());
  for (const std::uint32_t f : chosen) result.push_back(LatentId{f});
  return result;
}

}  // namespace gloss::examples
