#include "gloss/app/statistics_stage.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "gloss/app/model_input.h"
#include "gloss/base/quantity.h"
#include "gloss/index/reader.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {

index::IndexedTokens indexed_tokens(const RunFolder& run, const text::TokenFile& tokens, std::size_t threads) {
  std::uint32_t vocabulary = 0;  // models pad theirs, and a damaged file may hold anything
  for (const TokenId id : tokens.tokens()) vocabulary = std::max(vocabulary, to_index(id) + 1);
  return {tokens.tokens(), tokens.documents(), special_tokens(text::Tokenizer::load(run.tokenizer()), vocabulary),
          threads};
}

bool make_statistics(const RunFolder& run, const std::string& hookpoint, const text::TokenFile& tokens,
                     std::size_t threads, Reporter& report) {
  const std::filesystem::path path = run.statistics(hookpoint);
  if (std::filesystem::exists(path)) return false;
  index::write_statistics(path, index::Reader::open(run.index(hookpoint)), indexed_tokens(run, tokens, threads));
  report.info(describe_line(hookpoint, index::StatisticsReader::open(path)));
  return true;
}

std::string describe_line(const std::string& hookpoint, const index::StatisticsReader& statistics) {
  const index::StatisticsSummary s = statistics.summary();
  const std::uint64_t indexed = statistics.token_count() - statistics.excluded_token_count();
  const std::string kept = s.cached == s.latents ? "" : fmt::format("{} of ", s.cached);
  std::string text = fmt::format("{}: {}{} latents, {} dead, {} firings at {} tokens ({} special tokens left out",
                                 hookpoint, kept, s.latents, s.dead, format_count(static_cast<double>(s.firings)),
                                 format_count(static_cast<double>(indexed)), statistics.excluded_token_count());
  if (s.special_firings)
    text += fmt::format(", {} firings there", format_count(static_cast<double>(*s.special_firings)));
  text += fmt::format(
      ")\n{}: of the latents {} fire on more than 1 % of tokens, {} on more than 10 %; {} at 20 different tokens at "
      "most, {} "
      "after 20 at most ({} fire too rarely to tell); {} mostly in one document, {} by position, {} mostly at special "
      "tokens",
      hookpoint, s.over_1_percent, s.over_10_percent, s.single_token, s.previous_token, s.few_firings,
      s.single_document, s.positional, s.special);
  return text;
}

nlohmann::ordered_json to_json(const std::string& hookpoint, const index::StatisticsReader& statistics) {
  const index::StatisticsSummary s = statistics.summary();
  nlohmann::ordered_json json = {{"hookpoint", hookpoint},
                                 {"tokens", statistics.token_count()},
                                 {"special_tokens", statistics.excluded_token_count()},
                                 {"latents", s.latents},
                                 {"cached", s.cached},
                                 {"firings", s.firings},
                                 {"special_firings", nullptr},
                                 {"dead", s.dead},
                                 {"over_1_percent", s.over_1_percent},
                                 {"over_10_percent", s.over_10_percent},
                                 {"too_rare_to_tell_tokens", s.few_firings},
                                 {"single_token", s.single_token},
                                 {"previous_token", s.previous_token},
                                 {"single_document", s.single_document},
                                 {"positional", s.positional},
                                 {"mostly_special", s.special}};
  if (s.special_firings) json["special_firings"] = *s.special_firings;
  return json;
}

}  // namespace gloss::app
