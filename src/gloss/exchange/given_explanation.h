#pragma once
/// What importers read: an explanation, where it stands, and the scores that its file gives it.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/formats/json_file.h"
#include "gloss/score/judgement.h"
#include "gloss/store/store.h"

namespace gloss::exchange {

/// A score as another tool, or another run, gave it: its judgements are not known.
struct GivenScore {
  std::string scorer, judge;  // the judge as the file names it
  score::LatentScore score;   // of the explanation's latent
};

struct GivenExplanation {
  store::ExplanationRow row;
  std::string where;  // file and line
  std::vector<GivenScore> scores = {};
};
using TakeExplanation = std::function<void(const GivenExplanation&)>;

/// The judge under whose name an imported score is kept, so that no score made here is taken for one read, or the other
/// way round: "imported:llm:gpt-4". One that is imported already keeps its name.
std::string imported_judge(std::string_view judge);

/// What a reader passed over.
struct LeftOut {
  std::size_t explanations = 0;  // without a text
  std::size_t scores = 0;        // by scorers that gloss does not know
};

/// Adds the score to the explanation; false, and it is not added, when gloss does not know the scorer. Errors:
/// bad_input: no judge, the same scorer and judge twice, a number that the scorer cannot have given (a share above 1).
bool add_score(GivenExplanation& explanation, GivenScore given, const std::string& where);

/// Calls `visit` with each explanation of the hookpoints, failed ones too, and its scores: ordered by hookpoint,
/// latent, explainer, and scorer and judge. Shuffled baselines are left out. Returns how many. Memory: of one latent's
/// rows.
std::size_t each_explained(
    const store::Store& store, const std::vector<std::string>& hookpoints,
    const std::function<void(const store::ExplanationRow&, const std::vector<store::ScoreRow>&)>& visit);

/// Errors: bad_input when the key is missing or holds no list.
const nlohmann::json& list_of(const formats::Fields& fields, std::string_view key);
/// A number, or its digits as text. Errors: bad_input.
LatentId latent_of(const nlohmann::json& value, const std::string& where);
LatentId latent_of(std::string_view digits, const std::string& where);
/// The first number in a hookpoint's name: layers.5.mlp has 5. Errors: bad_input when there is none.
std::uint32_t layer_of(const std::string& hookpoint);
/// Nothing but white space.
bool is_blank(std::string_view text);
/// Calls `take` with each line of a .jsonl or .jsonl.gz that is not blank. Errors: bad_input with file and line.
void each_json_line(const std::filesystem::path& file,
                    const std::function<void(const nlohmann::json&, const std::string& where)>& take);

}  // namespace gloss::exchange
