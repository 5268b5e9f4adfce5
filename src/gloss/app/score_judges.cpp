#include "gloss/app/score_judges.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "gloss/app/embedding_endpoint.h"
#include "gloss/app/text_embedder.h"
#include "gloss/base/error.h"
#include "gloss/score/pattern_judge.h"

namespace gloss::app {
namespace {

using score::Scorer;

constexpr const char* kReadersHint =
    "add --llm native:DIR, or an endpoint with --dialect openai-completions whose server repeats prompts with their "
    "log-probabilities (vLLM, llama-cpp-python)";

bool wants_reading(Scorer scorer) { return scorer == Scorer::surprisal || scorer == Scorer::intervention; }

/// Who answers the scorers that have right and wrong answers: pattern or llm.
std::string classifier_of(const JudgeOptions& o, const std::vector<store::ExplanationRow>& rows) {
  const std::vector<std::string> known = {"auto", "pattern", "llm"};
  if (std::find(known.begin(), known.end(), o.judge) == known.end()) fail_unknown_name("judge", o.judge, known);
  const bool programs = std::all_of(rows.begin(), rows.end(), [](const store::ExplanationRow& row) {
    return !row.explanation.ok() || !row.explanation.program.empty();
  });
  if (o.judge == "auto") {
    if (programs) return "pattern";
    if (!o.llm.url.empty()) return "llm";
    throw Error(ErrorKind::usage, "", "explanations in prose need a language model to judge them, and --llm names none",
                "add --llm URL");
  }
  if (o.judge == "llm" && o.llm.url.empty()) throw Error(ErrorKind::usage, "", "--judge llm wants --llm URL");
  if (o.judge == "pattern" && !programs)
    throw Error(ErrorKind::usage, "", "--judge pattern executes pattern explanations, and these are prose",
                "use --judge llm with --llm URL");
  return o.judge;
}

/// By text where the run was judged so before, whatever else the model could do.
std::unique_ptr<score::LlmJudge> make_llm_judge(const JudgeOptions& o, const store::Store& store, const RunData& data,
                                                llm::LanguageModel& client, Reporter& report) {
  score::LlmJudgeOptions judging{o.per_prompt, o.prompts};
  judging.choose_by_probability = o.llm.is_native();
  const auto make = [&] { return std::make_unique<score::LlmJudge>(client, data.tokenizer, data.tokens, judging); };
  auto by_text = make();
  const auto kept = store.setting("judge:" + by_text->name());
  if (o.llm.answers == "auto" && !o.llm.is_native() && kept && kept->starts_with(by_text->fingerprint()))
    return by_text;
  const Answers answers = choose_answers(o.llm, client, report);
  judging.by_probability = answers == Answers::probabilities;
  judging.by_schema = answers == Answers::schema;
  return answers == Answers::text ? std::move(by_text) : make();
}

}  // namespace

Judges::Judges(const JudgeOptions& options, const std::vector<Scorer>& scorers,
               const std::vector<store::ExplanationRow>& rows, const RunData& data, store::Store& store,
               const CommonOptions& common, Reporter& report)
    : data_(&data) {
  const auto wants = [&](Kind wanted) {
    return std::any_of(scorers.begin(), scorers.end(), [&](Scorer s) { return kind(s) == wanted; });
  };
  const bool classifies = std::any_of(scorers.begin(), scorers.end(),
                                      [](Scorer s) { return !score::is_ranking(s) && !score::is_experiment(s); });
  if (classifies) classifier_ = classifier_of(options, rows);
  for (const Scorer scorer : scorers) {
    if (wants_reading(scorer) && options.llm.url.empty())
      throw Error(ErrorKind::usage, fmt::format("--scorer {}", score::name_of(scorer)),
                  "wants a language model that says how probable a given text is, and --llm names none", kReadersHint);
    if (kind(scorer) == Kind::generation && options.llm.url.empty())
      throw Error(ErrorKind::usage, "--scorer generation",
                  "wants a language model that writes texts, and --llm names none", "add --llm URL");
  }
  if (std::find(scorers.begin(), scorers.end(), Scorer::embedding) != scorers.end()) make_embedding(options, store);
  if (wants(Kind::pattern)) vocabulary_ = std::make_shared<const explain::Vocabulary>(data.tokenizer);
  const bool experiments = wants(Kind::generation) || wants(Kind::intervention);
  if (!wants(Kind::llm) && !wants(Kind::surprisal) && !wants(Kind::simulation) && !experiments) return;
  model_ = open_language_model(options.llm, store, common.thread_count());
  for (const Scorer scorer : scorers) {
    if (wants_reading(scorer) && !model_->reads_texts())
      throw Error(ErrorKind::usage, fmt::format("--scorer {}", score::name_of(scorer)),
                  fmt::format("{} does not say how probable a given text is", options.llm.url), kReadersHint);
  }
  if (wants(Kind::llm)) llm_ = make_llm_judge(options, store, data, *model_, report);
  if (wants(Kind::surprisal))
    surprisal_ = std::make_unique<score::SurprisalJudge>(*model_, data.tokenizer, data.tokens, options.prompts);
  if (wants(Kind::simulation))
    simulation_ = std::make_unique<score::SimulationJudge>(
        *model_, data.tokenizer, data.tokens, score::SimulationOptions{model_->reads_texts(), options.prompts});
  if (experiments)
    subject_ = std::make_unique<Subject>(options.subject, data, common.seed, common.thread_count(), report);
  if (wants(Kind::generation)) make_generation(options, report);
  if (wants(Kind::intervention))
    intervention_ = std::make_unique<score::InterventionJudge>(
        *model_, [this](LatentId latent) { return subject_->steer(latent); }, options.subject.prompts, options.prompts);
}

void Judges::make_embedding(const JudgeOptions& options, store::Store& store) {
  if (options.embedder.empty())
    throw Error(ErrorKind::usage, "--scorer embedding", "wants a model of sentence embeddings, and none is named",
                "name its folder with --embedder DIR, for example that of all-MiniLM-L6-v2, or an endpoint's URL");
  if (!is_endpoint(options.embedder)) {
    TextEmbedder embedder = open_text_embedder(options.embedder, no_reply_cache());
    embedder_ = embedder.name;
    embedder_fingerprint_ = embedder.fingerprint + options.query_prefix;
    embed_ = [embed = std::move(embedder.embed), prefix = options.query_prefix](const std::string& text,
                                                                                bool is_query) {
      const std::string whole = is_query ? prefix + text : text;
      return embed(std::span(&whole, 1), 1);
    };
    return;
  }
  served_ = open_embedding_endpoint(options.embedder, store);
  served_embedding_ =
      std::make_unique<score::ServedEmbeddingJudge>(*served_, options.query_prefix, data_->tokenizer, data_->tokens);
  embedder_ = served_->model();
  embedder_fingerprint_ = served_embedding_->fingerprint();
}

void Judges::make_generation(const JudgeOptions& options, Reporter& report) {
  score::GenerationOptions writing;
  writing.texts = options.texts;
  writing.prompts = options.prompts;
  writing.by_schema =
      options.llm.answers == "schema" && choose_answers(options.llm, *model_, report) == Answers::schema;
  generation_ = std::make_unique<score::GenerationJudge>(
      *model_,
      [this](const std::vector<std::string>& texts, std::span<const score::Watched> latents) {
        return subject_->fire(texts, latents);
      },
      [this](LatentId latent) { return subject_->watch(latent); }, writing);
}

void Judges::select(const std::string& hookpoint) {
  if (subject_) subject_->select(hookpoint);
}

Judges::Kind Judges::kind(Scorer scorer) const {
  if (scorer == Scorer::embedding) return served_ ? Kind::served_embedding : Kind::embedding;
  if (scorer == Scorer::surprisal) return Kind::surprisal;
  if (scorer == Scorer::generation) return Kind::generation;
  if (scorer == Scorer::intervention) return Kind::intervention;
  if (classifier_ == "pattern") return Kind::pattern;
  return scorer == Scorer::simulation ? Kind::simulation : Kind::llm;
}

std::string Judges::name(Scorer scorer) const {
  switch (kind(scorer)) {
    case Kind::pattern:
      return "pattern";
    case Kind::embedding:
    case Kind::served_embedding:
      return "embedding:" + embedder_;
    case Kind::llm:
    case Kind::surprisal:
    case Kind::generation:
    case Kind::intervention:
    case Kind::simulation:
      break;
  }
  return "llm:" + model_->model();
}

std::unique_ptr<score::Judge> Judges::make(Kind kind) const {
  if (kind == Kind::pattern) return std::make_unique<score::PatternJudge>(*vocabulary_, data_->tokens);
  return std::make_unique<score::EmbeddingJudge>(embed_, embedder_, data_->tokenizer, data_->tokens);
}

score::Judge& Judges::shared(Kind kind) {
  if (kind == Kind::served_embedding) return *served_embedding_;
  if (kind == Kind::surprisal) return *surprisal_;
  if (kind == Kind::generation) return *generation_;
  if (kind == Kind::simulation) return *simulation_;
  if (kind == Kind::intervention) return *intervention_;
  return *llm_;
}

void Judges::keep_methods(const std::vector<Scorer>& scorers, store::Store& store,
                          const std::function<std::string(Scorer)>& way, bool redo) const {
  for (const Scorer scorer : scorers) {
    std::string key = "judge:" + name(scorer);
    std::string method = "pattern";
    switch (kind(scorer)) {
      case Kind::pattern:
        if (scorer == Scorer::simulation) key += ":simulation";
        method += way(scorer);
        break;
      case Kind::llm:
        // The prompts of questions with several answers came later, and are no part of how others are judged.
        if (score::is_choice(scorer)) key += fmt::format(":{}", name_of(scorer));
        method = score::is_choice(scorer) ? llm_->fingerprint(scorer) : llm_->fingerprint() + way(scorer);
        break;
      case Kind::embedding:
      case Kind::served_embedding:
        method = embedder_fingerprint_;
        break;
      case Kind::surprisal:
        key += ":surprisal";
        method = surprisal_->fingerprint();
        break;
      case Kind::simulation:
        key += ":simulation";
        method = simulation_->fingerprint() + way(scorer);
        break;
      case Kind::generation:
        key += ":generation";
        method = generation_->fingerprint() + subject_->fingerprint();
        break;
      case Kind::intervention:
        key += ":intervention";
        method = intervention_->fingerprint() + subject_->fingerprint();
        break;
    }
    keep_method(store, data_->run, key, method, redo);
  }
}

}  // namespace gloss::app
