#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <optional>
#include <stdexcept>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/base/quantity.h"
#include "gloss/base/random.h"
#include "gloss/examples/examples.h"

namespace gloss::examples {
namespace {

constexpr std::string_view kForms =
    "write 0-99,512 or random:300 or all or density:1e-4..1e-2 or alive or dead or file:LIST.csv or a condition (not "
    "positional and density<0.01), or several with commas";

constexpr std::uint32_t kToTheLast = std::numeric_limits<std::uint32_t>::max();

[[noreturn]] void fail_spec(std::string_view text, std::string_view what) {
  throw Error(ErrorKind::usage, fmt::format("latents '{}'", text), what, kForms);
}

std::optional<std::uint32_t> read_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

/// Where `part` begins in the text it is a view of, counted from 1.
std::size_t character_of(std::string_view spec, std::string_view part) {
  return static_cast<std::size_t>(part.data() - spec.data()) + 1;
}

std::uint32_t read_latent(std::string_view spec, std::string_view text) {
  const std::optional<std::uint32_t> value = read_number(text);
  if (!value)
    fail_spec(spec, fmt::format("character {}: '{}' is not a latent's number", character_of(spec, text), text));
  return *value;
}

/// 0 to 1; `fallback` where nothing is written.
std::optional<double> read_fraction(std::string_view text, double fallback) {
  if (text.empty()) return fallback;
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0.0 && value <= 1.0)) return {};
  return value;
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
  constexpr std::string_view kFile = "file:";
  LatentSpec result;
  result.text_ = spec;
  const std::string_view text = result.text_;
  for (std::size_t begin = 0; begin <= text.size();) {
    if (text.substr(begin).starts_with(kFile)) {
      result.listed_ = read_list(std::filesystem::path(text.substr(begin + kFile.size())));
      result.named_ = true;
      break;
    }
    const std::size_t end = std::min(text.find(',', begin), text.size());
    result.add_part(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

void LatentSpec::add_part(std::string_view part) {
  constexpr std::string_view kRandom = "random:";
  if (part == "all") return add_all();
  if (part == "alive") return bands_.push_back({std::numeric_limits<double>::min(), 1.0});
  if (part == "dead") return bands_.push_back({0.0, 0.0});
  if (part.starts_with("density:")) return add_band(part);
  if (LatentCondition::looks_like(part)) return add_condition(part);
  if (!part.starts_with(kRandom)) return add_range(part);
  if (random_ > 0) fail_spec(text_, "has random: twice");
  random_ = parse_quantity(part.substr(kRandom.size()), "--latents random:");
  if (random_ == 0) fail_spec(text_, "asks for no latents");
}

void LatentSpec::add_all() {
  named_ = true;
  ranges_.push_back({0, kToTheLast});
}

void LatentSpec::add_range(std::string_view part) {
  const std::size_t dash = std::min(part.find('-'), part.size());
  const std::uint32_t first = read_latent(text_, part.substr(0, dash));
  const std::uint32_t last = dash == part.size() ? first : read_latent(text_, part.substr(dash + 1));
  if (first > last)
    fail_spec(text_, fmt::format("character {}: {}-{} runs backwards", character_of(text_, part), first, last));
  ranges_.push_back({first, last});
  named_ = true;
}

void LatentSpec::add_band(std::string_view part) {
  const std::string_view ends = part.substr(part.find(':') + 1);
  const std::size_t dots = ends.find("..");
  const auto fail = [&](std::string_view what) {
    fail_spec(text_, fmt::format("character {}: '{}' {}", character_of(text_, part), part, what));
  };
  if (dots == std::string_view::npos) fail("is no band of densities, such as density:1e-4..1e-2");
  const std::optional<double> low = read_fraction(ends.substr(0, dots), 0.0);
  const std::optional<double> high = read_fraction(ends.substr(dots + 2), 1.0);
  if (!low || !high) fail("has an end that is not a fraction of tokens, 0 to 1");
  if (*low > *high) fail("runs backwards");
  bands_.push_back({*low, *high});
}

void LatentSpec::add_condition(std::string_view part) {
  conditions_.push_back(LatentCondition::parse(part, [&](std::size_t at, std::string_view what) {
    fail_spec(text_, fmt::format("character {}: {}", character_of(text_, part) + at, what));
  }));
}

std::vector<std::uint32_t> LatentSpec::named(std::string_view hookpoint, std::uint32_t latent_count) const {
  const auto check = [&](std::uint32_t f) {
    if (f >= latent_count) fail_spec(text_, fmt::format("latent {}: {} has {}", f, hookpoint, latent_count));
  };
  std::vector<bool> chosen(latent_count, !named_);
  for (const Range& range : ranges_) {
    if (range.last != kToTheLast) check(range.last);
    for (std::uint32_t f = range.first; f < latent_count && f <= range.last; ++f) chosen[f] = true;
  }
  for (const auto& [name, f] : listed_) {
    if (name != hookpoint) continue;
    check(f);
    chosen[f] = true;
  }
  std::vector<std::uint32_t> latents;
  for (std::uint32_t f = 0; f < latent_count; ++f) {
    if (chosen[f]) latents.push_back(f);
  }
  return latents;
}

std::vector<LatentId> LatentSpec::select(std::string_view hookpoint, std::uint32_t latent_count, std::uint64_t seed,
                                         const std::vector<bool>& eligible, const LatentProperties& of) const {
  if (random_ > 0 && eligible.size() != latent_count) throw std::logic_error("eligible must say so of every latent");
  if (!bands_.empty() && !of.density) fail_spec(text_, "asks for densities, which are not known before a cache");
  std::vector<std::uint32_t> chosen = named(hookpoint, latent_count);
  for (const Band& band : bands_) {
    std::erase_if(chosen, [&](std::uint32_t f) {
      const double d = of.density(LatentId{f});
      return d < band.low || d > band.high;
    });
  }
  for (const LatentCondition& condition : conditions_)
    std::erase_if(chosen, [&](std::uint32_t f) { return !condition.holds(LatentId{f}, of); });
  if (random_ > 0) {
    std::erase_if(chosen, [&](std::uint32_t f) { return !eligible[f]; });
    Random random = Random::for_purpose(seed, fmt::format("latents of {}", hookpoint));
    std::vector<std::uint32_t> drawn;
    for (const std::uint64_t i : random.sample(chosen.size(), random_)) drawn.push_back(chosen[i]);
    std::sort(drawn.begin(), drawn.end());
    chosen = std::move(drawn);
  }
  std::vector<LatentId> result;
  result.reserve(chosen.size());
  for (const std::uint32_t f : chosen) result.push_back(LatentId{f});
  return result;
}

}  // namespace gloss::examples
