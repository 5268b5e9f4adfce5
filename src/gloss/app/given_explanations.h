#pragma once
/// Explanations that are not made from examples: a person's, and another latent's.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/explain/explanation.h"
#include "gloss/index/reader.h"
#include "gloss/store/store.h"

namespace gloss::app {

/// A table of explanations somebody wrote: CSV rows hookpoint,latent,text; the first may be a heading.
class WrittenExplanations {
 public:
  /// Errors: bad_input with file and line: not three fields, a latent that is no number, an empty text, a latent that
  /// has two; or a file without rows.
  static WrittenExplanations read(const std::filesystem::path& file);

  /// Those of one hookpoint, by latent. Errors: bad_input when a latent is not below `latent_count`.
  std::vector<explain::Explanation> of(std::string_view hookpoint, std::uint32_t latent_count) const;
  /// Errors: bad_input when a row names a hookpoint that is not among `hookpoints` (lists them).
  void check_hookpoints(const std::vector<std::string>& hookpoints) const;

 private:
  struct Row {
    std::string hookpoint;
    std::uint32_t latent;
    std::string text;
    std::uint64_t line;
  };
  std::string file_;
  std::vector<Row> rows_;
};

/// Every explanation that `explainer` gave at the hookpoint, each with the latent of another that has its density
/// decile. Source: docs/methods.md 5, `random`. Errors: bad_input when it gave fewer than two.
std::vector<explain::Explanation> random_explanations(const store::Store& store, const index::Reader& reader,
                                                      const std::string& hookpoint, const std::string& explainer,
                                                      std::uint64_t seed);

}  // namespace gloss::app
