#include "gloss/score/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/hash.h"
#include "gloss/base/random.h"
#include "gloss/base/utf8.h"
#include "gloss/examples/token_window.h"
#include "gloss/score/reply_arrays.h"

namespace gloss::score {
namespace {

using Json = nlohmann::json;

const std::array<std::string, 3> kPlaces{"explanation", "tokens", "?count"};
const std::array<std::string, 1> kPlacesAtOnce{"explanation"};

constexpr float kYes = 1.0F;  // a window is said to activate when a token reaches this level
constexpr std::size_t kResamples = 2000;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Added when a window is asked about again, so that the request differs from the one that was answered badly.
constexpr std::string_view kReminder = "\nReply with the JSON array alone, one object for each token, in their order.";

/// As a token is shown: its bytes, ill-formed ones as U+FFFD.
std::vector<std::string> shown_tokens(const text::Tokenizer& tokenizer, std::span<const TokenId> ids) {
  std::vector<std::string> shown;
  for (const TokenId id : ids) shown.push_back(replace_invalid_utf8(tokenizer.token_bytes(id)));
  return shown;
}

/// A token on a line of its own: as in a JSON string, without the quotes.
std::string on_a_line(const std::string& token) {
  const std::string quoted = llm::as_json_string(token);
  return quoted.substr(1, quoted.size() - 2);
}

/// Mean of 0..10 by these probabilities; nothing when all are 0.
std::optional<float> expected_level(std::span<const double> probabilities) {
  double sum = 0.0, mean = 0.0;
  for (std::size_t v = 0; v < probabilities.size(); ++v) {
    sum += probabilities[v];
    mean += static_cast<double>(v) * probabilities[v];
  }
  if (!(sum > 0.0)) return std::nullopt;
  return static_cast<float>(mean / sum);
}

/// Sums over tokens that a correlation and a line are made of; x the level, y the activation.
struct Sums {
  double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;

  void add(double level, double activation) {
    ++n;
    x += level;
    y += activation;
    xx += level * level;
    yy += activation * activation;
    xy += level * activation;
  }
  void add(const Sums& o, double sign = 1.0) {
    n += sign * o.n;
    x += sign * o.x;
    y += sign * o.y;
    xx += sign * o.xx;
    yy += sign * o.yy;
    xy += sign * o.xy;
  }
  double level_variance() const { return xx - x * x / n; }
  double activation_variance() const { return yy - y * y / n; }
  double covariance() const { return xy - x * y / n; }
  /// NaN where a side is constant, up to rounding.
  double correlation() const {
    const double vx = level_variance(), vy = activation_variance();
    constexpr double kRounding = 1e-12;
    if (n < 2 || vx <= kRounding * xx || vy <= kRounding * yy) return kNone;
    return std::clamp(covariance() / std::sqrt(vx * vy), -1.0, 1.0);
  }
};

Interval with_bootstrap(const std::vector<Sums>& windows, std::uint64_t seed) {
  Sums all;
  for (const Sums& w : windows) all.add(w);
  Interval interval{all.correlation(), kNone, kNone};
  if (std::isnan(interval.value) || windows.size() < 3) return interval;
  Random random = Random::for_purpose(seed, "simulation-bootstrap");
  std::vector<double> drawn;
  for (std::size_t r = 0; r < kResamples; ++r) {
    Sums sums;
    for (std::size_t i = 0; i < windows.size(); ++i) sums.add(windows[random.below(windows.size())]);
    const double value = sums.correlation();
    if (!std::isnan(value)) drawn.push_back(value);
  }
  if (drawn.size() < kResamples / 2) return interval;
  std::sort(drawn.begin(), drawn.end());
  const auto at = [&](double share) {
    return drawn[static_cast<std::size_t>(share * static_cast<double>(drawn.size() - 1))];
  };
  interval.low = std::min(at(0.025), interval.value);
  interval.high = std::max(at(0.975), interval.value);
  return interval;
}

/// Share of variance explained when each window's line is fitted on the others.
double calibrated_r2(const std::vector<Sums>& windows) {
  Sums all;
  for (const Sums& w : windows) all.add(w);
  double residual = 0.0;
  for (const Sums& w : windows) {
    Sums others = all;
    others.add(w, -1.0);
    if (others.n < 2) return kNone;
    const double variance = others.level_variance();
    const double slope = variance > 1e-12 * others.xx ? others.covariance() / variance : 0.0;
    const double offset = (others.y - slope * others.x) / others.n;
    // sum of (y - offset - slope x)^2 over the window
    residual += w.yy + w.n * offset * offset + slope * slope * w.xx - 2.0 * offset * w.y - 2.0 * slope * w.xy +
                2.0 * offset * slope * w.x;
  }
  const double total = all.activation_variance();
  return total > 0.0 ? 1.0 - residual / total : kNone;
}

std::optional<std::vector<float>> levels_of(const Json& array, std::span<const std::string> tokens) {
  if (array.size() != tokens.size()) return std::nullopt;
  std::vector<float> levels;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Json& item = array[i];
    if (!item.is_object() || !item.contains("token") || !item.contains("activation")) return std::nullopt;
    const Json& level = item["activation"];
    if (item["token"] != Json(tokens[i]) || !level.is_number()) return std::nullopt;
    const auto value = level.get<float>();
    if (!(value >= 0.0F && value <= kHighestLevel)) return std::nullopt;
    levels.push_back(value);
  }
  return levels;
}

}  // namespace

Judgement simulated(const Question& question, std::vector<float> levels) {
  Judgement j;
  j.start = question.window.start;
  j.kind = question.window.kind;
  j.quantile = question.window.quantile;
  j.truth = question.truth;
  if (levels.empty()) return j;
  const float largest = *std::max_element(levels.begin(), levels.end());
  j.verdict = largest >= kYes ? Verdict::yes : Verdict::no;
  j.probability = std::clamp(largest / kHighestLevel, 0.0F, 1.0F);
  j.levels = std::move(levels);
  return j;
}

std::optional<std::vector<float>> parse_levels(std::string_view reply, std::span<const std::string> tokens) {
  std::optional<std::vector<float>> last;
  each_array(reply, [&](const Json& array) {
    auto levels = levels_of(array, tokens);
    const bool reads = levels.has_value();
    if (reads) last = std::move(levels);
    return reads;
  });
  return last;
}

struct SimulationJudge::Case {
  explain::Explanation explanation;
  std::vector<Question> questions;
  std::vector<Judgement> judgements;
  std::size_t open = 0;
  Done done;
};

SimulationJudge::SimulationJudge(llm::LanguageModel& model, const text::Tokenizer& tokenizer,
                                 const text::TokenFile& tokens, SimulationOptions options)
    : ModelJudge(model),
      tokenizer_(tokenizer),
      tokens_(tokens),
      options_(std::move(options)),
      prompt_(options_.at_once ? llm::PromptTemplate::load("simulation_at_once", options_.prompts, kPlacesAtOnce)
                               : llm::PromptTemplate::load("simulation", options_.prompts, kPlaces)) {}

std::string SimulationJudge::fingerprint() const {
  Hasher hash;
  hash.add(prompt_.fingerprint());
  hash.add(options_.at_once ? std::string("at once") : fmt::format("json max_tokens {}", options_.max_tokens));
  return hash.digest_hex();
}

void SimulationJudge::submit(Scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                             Done done) {
  auto asked = std::make_shared<Case>();
  asked->explanation = explanation;
  asked->questions = std::move(questions);
  asked->open = asked->questions.size();
  asked->done = std::move(done);
  for (const Question& question : asked->questions) asked->judgements.push_back(simulated(question, {}));
  if (asked->open == 0) {
    asked->done({});
    return;
  }
  for (std::size_t i = 0; i < asked->questions.size(); ++i) ask(asked, i, false);
}

void SimulationJudge::ask(const std::shared_ptr<Case>& asked, std::size_t index, bool again) {
  const auto ids = examples::window_tokens(tokens_, asked->questions[index].window);
  const std::vector<std::string> shown = shown_tokens(tokenizer_, ids);
  llm::Request request;
  request.latent = static_cast<std::int64_t>(to_index(asked->explanation.latent));
  const std::string explanation = llm::as_json_string(asked->explanation.text);
  if (options_.at_once) {
    request.messages = prompt_.fill({{"explanation", explanation}});
    std::string text;
    for (const std::string& token : shown) {
      text += on_a_line(token) + "\t";
      request.places.push_back(text.size());
      text += "unknown\n";
    }
    request.choices = {std::move(text)};
    for (int v = 0; v <= static_cast<int>(kHighestLevel); ++v) request.values.push_back(std::to_string(v));
    request.max_tokens = 1;
  } else {
    request.messages = prompt_.fill({{"explanation", explanation},
                                     {"tokens", Json(shown).dump(-1, ' ', false, Json::error_handler_t::replace)},
                                     {"count", std::to_string(shown.size())}});
    if (again) request.messages.back().content += kReminder;
    request.max_tokens = options_.max_tokens;
  }
  model().submit(request, [this, asked, index, again](const llm::Reply& reply) { take(asked, index, again, reply); });
}

void SimulationJudge::take(const std::shared_ptr<Case>& asked, std::size_t index, bool again, const llm::Reply& reply) {
  const Question& question = asked->questions[index];
  std::vector<float> levels;
  if (options_.at_once) {
    const std::size_t values = static_cast<std::size_t>(kHighestLevel) + 1;
    if (reply.ok() && reply.probabilities.size() == values * question.window.activation.size()) {
      for (std::size_t t = 0; t < question.window.activation.size(); ++t) {
        const auto level = expected_level(std::span(reply.probabilities).subspan(t * values, values));
        if (!level) break;
        levels.push_back(*level);
      }
      if (levels.size() != question.window.activation.size()) levels.clear();
    }
  } else {
    const auto shown = shown_tokens(tokenizer_, examples::window_tokens(tokens_, question.window));
    const auto read = reply.ok() ? parse_levels(reply.text, shown) : std::nullopt;
    if (!read && !again && (reply.ok() || reply.refused)) {
      ask(asked, index, true);
      return;
    }
    if (read) levels = *read;
  }
  asked->judgements[index] = simulated(question, std::move(levels));
  asked->judgements[index].call_hash = reply.hash;
  if (--asked->open == 0) asked->done(std::move(asked->judgements));
}

void add_simulation(LatentScore& score, std::span<const Judgement> judgements,
                    std::span<const examples::Window> windows, std::uint64_t seed) {
  std::vector<Sums> all, activating;
  std::vector<double> own;
  for (std::size_t i = 0; i < judgements.size(); ++i) {
    const std::vector<float>& levels = judgements[i].levels;
    if (judgements[i].verdict == Verdict::failed || levels.size() != windows[i].activation.size()) continue;
    Sums sums;
    for (std::size_t t = 0; t < levels.size(); ++t)
      sums.add(double{levels[t]}, double{std::max(windows[i].activation[t], 0.0F)});
    all.push_back(sums);
    if (judgements[i].truth) activating.push_back(sums);
    const double correlation = sums.correlation();
    if (!std::isnan(correlation)) own.push_back(correlation);
  }
  const auto add = [&](std::string_view name, const Interval& value) {
    if (!std::isnan(value.value)) score.measures.push_back({std::string(name), value});
  };
  add(kCorrelation, with_bootstrap(all, seed));
  add("correlation_activating", with_bootstrap(activating, seed));
  if (!own.empty()) add("window_correlation", mean_over_latents(own, seed));
  add("r2", {all.size() < 2 ? kNone : calibrated_r2(all), kNone, kNone});
}

}  // namespace gloss::score
