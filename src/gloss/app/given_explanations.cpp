#include "gloss/app/given_explanations.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/score/baselines.h"
#include "gloss/text/csv_reader.h"

namespace gloss::app {
namespace {

/// Nothing when `text` is not a whole number.
std::optional<std::uint32_t> read_latent(const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

WrittenExplanations WrittenExplanations::read(const std::filesystem::path& file) {
  WrittenExplanations written;
  written.file_ = file.string();
  text::CsvReader reader(text::open_source(MappedFile::open(file), text::Packing::none), written.file_, ',');
  std::set<std::pair<std::string, std::uint32_t>> seen;
  while (const auto fields = reader.next()) {
    const auto where = fmt::format("{}: line {}", written.file_, reader.line());
    if (reader.line() == 1 && fields->size() == 3 && (*fields)[0] == "hookpoint" && (*fields)[1] == "latent") continue;
    if (fields->size() != 3) {
      fail_input(where, fmt::format("has {} fields, wanted hookpoint,latent,text", fields->size()),
                 "a text with a comma stands in double quotes");
    }
    const std::optional<std::uint32_t> latent = read_latent((*fields)[1]);
    if (!latent) fail_input(where, fmt::format("'{}' is not a latent's number", (*fields)[1]));
    if ((*fields)[2].find_first_not_of(" \t\r\n") == std::string::npos) fail_input(where, "the explanation is empty");
    if (!seen.emplace((*fields)[0], *latent).second) {
      fail_input(where, fmt::format("{} latent {} has an explanation above", (*fields)[0], *latent));
    }
    written.rows_.push_back({(*fields)[0], *latent, (*fields)[2], reader.line()});
  }
  if (written.rows_.empty()) fail_input(written.file_, "holds no explanation", "wanted rows hookpoint,latent,text");
  return written;
}

std::vector<explain::Explanation> WrittenExplanations::of(std::string_view hookpoint,
                                                          std::uint32_t latent_count) const {
  std::vector<explain::Explanation> found;
  for (const Row& row : rows_) {
    if (row.hookpoint != hookpoint) continue;
    if (row.latent >= latent_count) {
      fail_input(fmt::format("{}: line {}", file_, row.line),
                 fmt::format("latent {}, but {} has latents 0 to {}", row.latent, hookpoint, latent_count - 1));
    }
    explain::Explanation& e = found.emplace_back();
    e.latent = LatentId{row.latent};
    e.text = row.text;
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return to_index(a.latent) < to_index(b.latent); });
  return found;
}

void WrittenExplanations::check_hookpoints(const std::vector<std::string>& hookpoints) const {
  for (const Row& row : rows_) {
    if (std::find(hookpoints.begin(), hookpoints.end(), row.hookpoint) != hookpoints.end()) continue;
    fail_input(fmt::format("{}: line {}", file_, row.line),
               fmt::format("hookpoint '{}' is not in this run; it has {}", row.hookpoint, fmt::join(hookpoints, ", ")));
  }
}

std::vector<explain::Explanation> random_explanations(const store::Store& store, const index::Reader& reader,
                                                      const std::string& hookpoint, const std::string& explainer,
                                                      std::uint64_t seed) {
  std::vector<explain::Explanation> given;
  std::vector<double> densities;
  for (store::ExplanationRow& row : store.explanations(hookpoint, explainer)) {
    if (!row.explanation.ok() || to_index(row.explanation.latent) >= reader.latent_count()) continue;
    densities.push_back(reader.density(row.explanation.latent));
    given.push_back(std::move(row.explanation));
  }
  if (given.size() < 2) {
    fail_input(hookpoint,
               fmt::format("explainer '{}' explained {} latents, wanted two to trade", explainer, given.size()),
               fmt::format("run gloss explain --explainer {} first", explainer));
  }
  return score::shuffle_explanations(seed, hookpoint, given, densities);
}

}  // namespace gloss::app
