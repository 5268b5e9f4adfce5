#include "gloss/score/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/hash.h"
#include "gloss/score/reply_arrays.h"

namespace gloss::score {
namespace {

using Json = nlohmann::json;

const std::array<std::string, 2> kPlaces{"explanation", "count"};

/// Added when texts are asked for again, so that the request differs from the one that was answered badly.
constexpr std::string_view kReminder = "\nReply with the JSON array of texts alone.";

std::string schema_of(std::uint32_t count) {
  return fmt::format(R"({{"type":"object","properties":{{"answers":{{"type":"array","items":{{"type":"string"}},)"
                     R"("minItems":{},"maxItems":{}}}}},"required":["answers"],"additionalProperties":false}})",
                     count, count);
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

Judgement written(std::size_t number, bool truth) {
  Judgement j;
  j.start = static_cast<std::uint32_t>(number);
  j.kind = examples::WindowKind::written;
  j.truth = truth;
  return j;
}

void answer(Judgement& j, float activation, float max_activation) {
  j.verdict = activation > 0.0F ? Verdict::yes : Verdict::no;
  j.probability = max_activation > 0.0F ? std::clamp(activation / max_activation, 0.0F, 1.0F) : 0.0F;
}

}  // namespace

std::optional<std::vector<std::string>> parse_texts(std::string_view reply) {
  std::optional<std::vector<std::string>> last;
  each_array(reply, [&](const Json& array) {
    const bool reads =
        !array.empty() && std::all_of(array.begin(), array.end(), [](const Json& item) { return item.is_string(); });
    if (reads) last = array.get<std::vector<std::string>>();
    return reads;
  });
  return last;
}

struct GenerationJudge::Case {
  explain::Explanation explanation;
  Done done;
};

GenerationJudge::GenerationJudge(llm::LanguageModel& model, Fire fire, Watch watch, GenerationOptions options)
    : ModelJudge(model),
      fire_(std::move(fire)),
      watch_(std::move(watch)),
      options_(std::move(options)),
      prompt_(llm::PromptTemplate::load("generation", options_.prompts, kPlaces)) {}

std::string GenerationJudge::fingerprint() const {
  Hasher hash;
  hash.add(prompt_.fingerprint());
  hash.add(fmt::format("texts {} max_tokens {}{}", options_.texts, options_.max_tokens,
                       options_.by_schema ? " by schema" : ""));
  return hash.digest_hex();
}

void GenerationJudge::submit(Scorer, const explain::Explanation& explanation, std::vector<Question>, Done done) {
  ask(std::make_shared<Case>(Case{explanation, std::move(done)}), false);
}

void GenerationJudge::ask(const std::shared_ptr<Case>& asked, bool again) {
  llm::Request request;
  request.latent = static_cast<std::int64_t>(to_index(asked->explanation.latent));
  request.messages = prompt_.fill(
      {{"explanation", llm::as_json_string(asked->explanation.text)}, {"count", std::to_string(options_.texts)}});
  if (again) request.messages.back().content += kReminder;
  request.max_tokens = options_.max_tokens;
  if (options_.by_schema) request.schema = schema_of(options_.texts);
  model().submit(request, [this, asked, again](const llm::Reply& reply) {
    const bool unreadable = reply.ok() ? !parse_texts(reply.text) : reply.refused;
    if (unreadable && !again) {
      ask(asked, true);
      return;
    }
    asked->done(judge(*asked, reply));
  });
}

std::vector<Judgement> GenerationJudge::judge(const Case& asked, const llm::Reply& reply) const {
  std::vector<std::string> texts;
  std::size_t missing = options_.texts;
  if (const auto read = reply.ok() ? parse_texts(reply.text) : std::nullopt) {
    const std::size_t count = std::min<std::size_t>(read->size(), options_.texts);
    missing -= count;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string& text = (*read)[i];
      if (is_blank(text))
        ++missing;
      else if (std::find(texts.begin(), texts.end(), text) == texts.end())
        texts.push_back(text);
    }
  }
  const std::vector<Watched> latents = watch_(asked.explanation.latent);
  const std::vector<std::vector<float>> fired =
      texts.empty() ? std::vector<std::vector<float>>{} : fire_(texts, latents);
  std::vector<Judgement> judgements;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    judgements.push_back(written(i, true));
    answer(judgements.back(), fired[i][0], latents[0].max_activation);
  }
  for (std::size_t i = 0; i < missing; ++i) judgements.push_back(written(texts.size() + i, true));
  for (std::size_t c = 1; c < latents.size(); ++c) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      judgements.push_back(written(options_.texts * c + i, false));
      answer(judgements.back(), fired[i][c], latents[c].max_activation);
    }
  }
  for (Judgement& j : judgements) j.call_hash = reply.hash;
  return judgements;
}

void add_strengths(LatentScore& score, std::span<const Judgement> judgements, double strong) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double sum = 0.0;
  std::uint64_t count = 0, reaching = 0;
  for (const Judgement& j : judgements) {
    if (!j.truth || j.verdict == Verdict::failed) continue;
    ++count;
    sum += double{j.probability};
    reaching += j.verdict == Verdict::yes && double{j.probability} >= strong ? 1 : 0;
  }
  if (count == 0) return;
  score.measures.push_back({"strength", {sum / static_cast<double>(count), kNone, kNone}});
  score.measures.push_back({"strong_texts", wilson(reaching, count)});
}

}  // namespace gloss::score
