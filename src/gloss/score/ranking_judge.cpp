#include "gloss/score/ranking_judge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "gloss/base/hash.h"
#include "gloss/examples/token_window.h"
#include "gloss/llm/protocol.h"

namespace gloss::score {
namespace {

const std::array<std::string, 1> kPlaces{"explanation"};

std::string text_of(const text::Tokenizer& tokenizer, const text::TokenFile& tokens, const Question& q) {
  return examples::plain_text(tokenizer, examples::window_tokens(tokens, q.window));
}

/// Of two vectors of unit norm; NaN when one is missing or another size.
double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.empty() || a.size() != b.size()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0.0;
  for (std::size_t d = 0; d < a.size(); ++d) sum += double{a[d]} * double{b[d]};
  return sum;
}

}  // namespace

std::vector<Judgement> rank_questions(const std::vector<Question>& questions, const std::vector<double>& numbers) {
  std::vector<double> sorted;
  for (const double n : numbers) {
    if (!std::isnan(n)) sorted.push_back(n);
  }
  std::sort(sorted.begin(), sorted.end());
  const std::size_t half = sorted.size() / 2;
  // Between the two halves, or at the middle one of an odd number, which then is no.
  const double threshold = sorted.empty()           ? 0.0
                           : sorted.size() % 2 != 0 ? sorted[half]
                                                    : (sorted[half - 1] + sorted[half]) / 2.0;
  std::vector<Judgement> judgements;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    Judgement j;
    j.start = questions[i].window.start;
    j.kind = questions[i].window.kind;
    j.quantile = questions[i].window.quantile;
    j.truth = questions[i].truth;
    if (!std::isnan(numbers[i])) {
      j.verdict = numbers[i] > threshold ? Verdict::yes : Verdict::no;
      j.probability = static_cast<float>(std::clamp((numbers[i] + 1.0) / 2.0, 0.0, 1.0));
    }
    judgements.push_back(std::move(j));
  }
  return judgements;
}

EmbeddingJudge::EmbeddingJudge(Embed embed, std::string name, text::Tokenizer tokenizer, text::TokenFile tokens)
    : embed_(std::move(embed)), name_(std::move(name)), tokenizer_(std::move(tokenizer)), tokens_(std::move(tokens)) {}

void EmbeddingJudge::submit(Scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                            Done done) {
  const std::vector<float> wanted = embed_(explanation.text, true);
  std::vector<double> cosines;
  cosines.reserve(questions.size());
  for (const Question& q : questions) cosines.push_back(cosine(embed_(text_of(tokenizer_, tokens_, q), false), wanted));
  done(rank_questions(questions, cosines));
}

struct ServedEmbeddingJudge::Case {
  std::vector<Question> questions;
  std::vector<std::vector<float>> rows;  // of the explanation, then of the windows; empty = failed
  std::vector<std::string> hashes;
  std::size_t open = 0;
  Done done;
};

ServedEmbeddingJudge::ServedEmbeddingJudge(llm::LanguageModel& model, std::string query_prefix,
                                           text::Tokenizer tokenizer, text::TokenFile tokens)
    : ModelJudge(model),
      query_prefix_(std::move(query_prefix)),
      tokenizer_(std::move(tokenizer)),
      tokens_(std::move(tokens)) {}

std::string ServedEmbeddingJudge::fingerprint() const { return "served " + name() + query_prefix_; }

void ServedEmbeddingJudge::submit(Scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                                  Done done) {
  auto asked = std::make_shared<Case>();
  asked->open = questions.size() + 1;
  asked->rows.resize(asked->open);
  asked->hashes.resize(asked->open);
  asked->questions = std::move(questions);
  asked->done = std::move(done);
  for (std::size_t i = 0; i < asked->rows.size(); ++i) {
    llm::Request request = llm::embedding_request(i == 0 ? query_prefix_ + explanation.text
                                                         : text_of(tokenizer_, tokens_, asked->questions[i - 1]));
    request.latent = to_index(explanation.latent);
    model().submit(request, [asked, i](const llm::Reply& reply) {
      if (reply.ok()) asked->rows[i] = llm::embedding_of(reply);
      asked->hashes[i] = reply.hash;
      if (--asked->open > 0) return;
      std::vector<double> cosines;
      for (std::size_t w = 1; w < asked->rows.size(); ++w) cosines.push_back(cosine(asked->rows[w], asked->rows[0]));
      std::vector<Judgement> judgements = rank_questions(asked->questions, cosines);
      for (std::size_t w = 0; w < judgements.size(); ++w) judgements[w].call_hash = asked->hashes[w + 1];
      asked->done(std::move(judgements));
    });
  }
}

/// Losses in nats a token.
struct SurprisalJudge::Case {
  std::string explanation;
  std::vector<Question> questions;
  std::vector<double> with, without;
  std::vector<std::string> hashes;
  std::size_t open = 0;
  Done done;
};

SurprisalJudge::SurprisalJudge(llm::LanguageModel& model, const text::Tokenizer& tokenizer,
                               const text::TokenFile& tokens, const std::filesystem::path& prompts)
    : ModelJudge(model),
      tokenizer_(tokenizer),
      tokens_(tokens),
      prompt_(llm::PromptTemplate::load("surprisal", prompts, kPlaces)) {}

std::string SurprisalJudge::fingerprint() const {
  Hasher hash;
  hash.add(prompt_.fingerprint());
  hash.add(kControl);
  return hash.digest_hex();
}

void SurprisalJudge::submit(Scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                            Done done) {
  auto asked = std::make_shared<Case>();
  const std::size_t n = questions.size();
  asked->explanation = explanation.text;
  asked->questions = std::move(questions);
  asked->with.assign(n, std::numeric_limits<double>::quiet_NaN());
  asked->without = asked->with;
  asked->hashes.resize(n);
  asked->open = 2 * n;
  asked->done = std::move(done);
  if (n == 0) {
    asked->done({});
    return;
  }
  for (std::size_t i = 0; i < n; ++i) {
    ask(asked, i, false);
    ask(asked, i, true);
  }
}

void SurprisalJudge::ask(const std::shared_ptr<Case>& asked, std::size_t index, bool control) {
  llm::Request request;
  request.messages =
      prompt_.fill({{"explanation", llm::as_json_string(control ? std::string(kControl) : asked->explanation)}});
  request.choices = {text_of(tokenizer_, tokens_, asked->questions[index])};
  request.per_token = true;
  request.max_tokens = 1;
  model().submit(request, [asked, index, control](const llm::Reply& reply) {
    if (reply.ok() && reply.probabilities.size() == 1 && reply.probabilities[0] > 0.0)
      (control ? asked->without : asked->with)[index] = -std::log(reply.probabilities[0]);
    if (!control) asked->hashes[index] = reply.hash;
    if (--asked->open > 0) return;
    std::vector<double> gains;
    for (std::size_t i = 0; i < asked->with.size(); ++i) gains.push_back(std::tanh(asked->without[i] - asked->with[i]));
    std::vector<Judgement> judgements = rank_questions(asked->questions, gains);
    for (std::size_t i = 0; i < judgements.size(); ++i) judgements[i].call_hash = asked->hashes[i];
    asked->done(std::move(judgements));
  });
}

}  // namespace gloss::score
