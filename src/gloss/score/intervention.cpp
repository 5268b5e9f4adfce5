#include "gloss/score/intervention.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "gloss/base/hash.h"

namespace gloss::score {
namespace {

const std::array<std::string, 2> kPlaces{"prompt", "continuation"};
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

}  // namespace

/// log p of the explanation, nats a token, after each text: clean [P], steered [P], control [P].
struct InterventionJudge::Case {
  explain::Explanation explanation;
  std::size_t prompts = 0;
  std::vector<double> likelihood;
  std::vector<std::string> hashes;
  std::size_t open = 0;
  Done done;

  std::vector<Judgement> judgements() const {
    std::vector<Judgement> all;
    for (std::size_t i = 0; i < 2 * prompts; ++i) {
      Judgement j;
      j.start = static_cast<std::uint32_t>(i);
      j.kind = examples::WindowKind::written;
      j.truth = i < prompts;
      if (!likelihood.empty()) {
        const double gain = likelihood[prompts + i] - likelihood[i % prompts];
        j.call_hash = hashes[prompts + i];
        if (!std::isnan(gain)) {
          j.verdict = gain > 0.0 ? Verdict::yes : Verdict::no;
          j.probability = static_cast<float>(probability_of_gain(gain));
        }
      }
      all.push_back(std::move(j));
    }
    return all;
  }
};

InterventionJudge::InterventionJudge(llm::LanguageModel& model, Steer steer, std::uint32_t prompt_count,
                                     const std::filesystem::path& prompts)
    : ModelJudge(model),
      steer_(std::move(steer)),
      prompt_count_(prompt_count),
      prompt_(llm::PromptTemplate::load("intervention", prompts, kPlaces)) {}

std::string InterventionJudge::fingerprint() const {
  Hasher hash;
  hash.add(prompt_.fingerprint());
  hash.add(fmt::format("prompts {}", prompt_count_));
  return hash.digest_hex();
}

void InterventionJudge::submit(Scorer, const explain::Explanation& explanation, std::vector<Question>, Done done) {
  const SteeredTexts texts = steer_(explanation.latent);
  auto asked = std::make_shared<Case>();
  asked->explanation = explanation;
  asked->done = std::move(done);
  asked->prompts = texts.failure.empty() ? texts.prompts.size() : prompt_count_;
  if (!texts.failure.empty() || texts.prompts.empty()) {
    asked->done(asked->judgements());
    return;
  }
  const std::size_t n = asked->prompts;
  asked->likelihood.assign(3 * n, kNone);
  asked->hashes.resize(3 * n);
  asked->open = 3 * n;
  for (std::size_t i = 0; i < n; ++i) {
    ask(asked, i, texts.prompts[i], texts.clean[i]);
    ask(asked, n + i, texts.prompts[i], texts.steered[i]);
    ask(asked, 2 * n + i, texts.prompts[i], texts.control[i]);
  }
}

void InterventionJudge::ask(const std::shared_ptr<Case>& asked, std::size_t index, const std::string& prompt,
                            const std::string& text) {
  llm::Request request;
  request.latent = static_cast<std::int64_t>(to_index(asked->explanation.latent));
  request.messages =
      prompt_.fill({{"prompt", llm::as_json_string(prompt)}, {"continuation", llm::as_json_string(text)}});
  request.choices = {asked->explanation.text};
  request.per_token = true;
  request.max_tokens = 1;
  model().submit(request, [asked, index](const llm::Reply& reply) {
    if (reply.ok() && reply.probabilities.size() == 1 && reply.probabilities[0] > 0.0)
      asked->likelihood[index] = std::log(reply.probabilities[0]);
    asked->hashes[index] = reply.hash;
    if (--asked->open == 0) asked->done(asked->judgements());
  });
}

double probability_of_gain(double gain) { return 0.5 + gain / (2.0 * (1.0 + std::abs(gain))); }

double gain_of_probability(double probability) {
  const double squeezed = 2.0 * probability - 1.0;
  return squeezed / (1.0 - std::abs(squeezed));
}

void add_gains(LatentScore& score, std::span<const Judgement> judgements, std::uint64_t seed) {
  std::vector<double> gains, controls;
  for (const Judgement& j : judgements) {
    if (j.verdict != Verdict::failed)
      (j.truth ? gains : controls).push_back(gain_of_probability(double{j.probability}));
  }
  if (!gains.empty()) score.measures.push_back({std::string(kGain), mean_over_latents(gains, seed)});
  if (!controls.empty()) score.measures.push_back({"control_gain", mean_over_latents(controls, seed)});
}

}  // namespace gloss::score
