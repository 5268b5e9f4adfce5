// The explainers that need no model, and the execution of what they write.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/examples/token_window.h"
#include "gloss/explain/pattern.h"
#include "gloss/explain/pattern_json.h"
#include "gloss/explain/pattern_learn.h"
#include "gloss/explain/pattern_render.h"

namespace gloss::explain {
namespace {

constexpr std::size_t kFewestWindows = 5;
constexpr double kCovered = 0.8;  // share of the marked tokens that top-tokens covers

/// Errors: bad_input when a window lies outside the token file, or its activations are not finite numbers.
std::vector<LearnWindow> windows_of(const text::TokenFile& tokens, const std::vector<examples::Window>& windows) {
  std::vector<LearnWindow> out;
  for (const examples::Window& w : windows) {
    const std::size_t width = w.activation.size();
    if (width > tokens.token_count() || w.start > tokens.token_count() - width) {
      fail_input(
          "window",
          fmt::format("begins at token {} and has {}, the run has {} tokens", w.start, width, tokens.token_count()),
          "the windows and the token file are of different runs");
    }
    out.push_back({examples::window_tokens(tokens, w), w.activation, w.max});
  }
  return out;
}

/// M, or the largest activation shown when the examples do not know it.
double largest(const examples::LatentExamples& examples) {
  double most = static_cast<double>(examples.max_activation);
  for (const examples::Window& w : examples.explain) most = std::max(most, static_cast<double>(w.max));
  return most;
}

/// Why there is nothing to learn from; "" when there is.
std::string too_little(const examples::LatentExamples& examples) {
  if (examples.explain.size() < kFewestWindows) {
    return fmt::format("too few examples: {} activating windows to learn from, at least {} are needed",
                       examples.explain.size(), kFewestWindows);
  }
  return largest(examples) > 0.0 ? "" : "too few examples: no activation is above 0";
}

Explanation explanation_of(const Vocabulary::Impl& vocabulary, LatentId latent, std::span<const Rule> rules) {
  Explanation out;
  out.latent = latent;
  out.text = render_rules(vocabulary, rules);
  out.program = rules_to_json(vocabulary, rules);
  return out;
}

Explanation failed(LatentId latent, std::string why) {
  Explanation out;
  out.latent = latent;
  out.failure = std::move(why);
  return out;
}

/// What is counted of one token over the windows.
struct Seen {
  std::uint32_t marked = 0, silent = 0;
  double sum = 0.0;
};

std::map<std::uint32_t, Seen> count_tokens(const text::TokenFile& tokens, const examples::LatentExamples& examples,
                                           float tau) {
  std::map<std::uint32_t, Seen> seen;
  for (const auto* windows : {&examples.explain, &examples.explain_silent}) {
    for (const LearnWindow& w : windows_of(tokens, *windows)) {
      for (std::size_t t = 0; t < w.ids.size(); ++t) {
        const float a = w.activation[t];
        Seen& count = seen[to_index(w.ids[t])];
        count.silent += !(a > 0.0F) ? 1 : 0;
        if (!(a > 0.0F && a >= tau * w.max)) continue;
        ++count.marked;
        count.sum += static_cast<double>(a);
      }
    }
  }
  return seen;
}

}  // namespace

Explanation explain_pattern(const Vocabulary& vocabulary, const text::TokenFile& tokens, std::string_view /*hookpoint*/,
                            const examples::LatentExamples& examples, const PatternOptions& options) {
  if (std::string why = too_little(examples); !why.empty()) return failed(examples.latent, std::move(why));
  const std::vector<LearnWindow> activating = windows_of(tokens, examples.explain);
  const std::vector<LearnWindow> silent = windows_of(tokens, examples.explain_silent);
  const std::vector<Rule> rules = learn_rules(vocabulary.impl(), activating, silent, options.tau, largest(examples));
  if (rules.empty()) return failed(examples.latent, "no rule is better than none on the explain windows");
  return explanation_of(vocabulary.impl(), examples.latent, rules);
}

Explanation explain_top_tokens(const Vocabulary& vocabulary, const text::TokenFile& tokens,
                               const examples::LatentExamples& examples, const PatternOptions& options) {
  if (std::string why = too_little(examples); !why.empty()) return failed(examples.latent, std::move(why));
  const std::map<std::uint32_t, Seen> seen = count_tokens(tokens, examples, options.tau);
  std::vector<std::pair<std::uint32_t, Seen>> ranked;
  std::uint32_t total = 0;
  for (const auto& [id, count] : seen) {
    if (count.marked == 0) continue;
    if (id >= vocabulary.impl().tokens.size()) {
      fail_input("window", fmt::format("holds token {}, the vocabulary has {}", id, vocabulary.impl().tokens.size()),
                 "the tokens and the tokenizer are of different runs");
    }
    ranked.emplace_back(id, count);
    total += count.marked;
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.second.marked > b.second.marked; });
  std::vector<Rule> rules;
  std::uint32_t covered = 0;
  for (const auto& [id, count] : ranked) {
    if (rules.size() == kMaxRules || covered >= kCovered * total) break;
    covered += count.marked;
    const std::uint32_t matched = count.marked + count.silent;
    const double level = count.sum / (largest(examples) * matched);
    rules.push_back({{{Where::here, 0, What::token, {id}, {}}}, {}, count.marked, matched, std::min(1.0, level)});
  }
  return explanation_of(vocabulary.impl(), examples.latent, rules);
}

struct PatternProgram::Impl {
  Vocabulary vocabulary;
  std::vector<Rule> rules;
};

PatternProgram PatternProgram::parse(const Vocabulary& vocabulary, std::string_view program) {
  PatternProgram out;
  out.impl_ = std::make_shared<const Impl>(Impl{vocabulary, rules_from_json(vocabulary.impl(), program)});
  return out;
}

std::vector<float> PatternProgram::predict(std::span<const TokenId> ids) const {
  WindowText window;
  window.read(impl_->vocabulary.impl(), ids);
  std::vector<float> levels(ids.size(), 0.0F);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    for (const Rule& rule : impl_->rules) {
      if (!matches(rule, window, t)) continue;
      // Predicted is above 0, however little.
      levels[t] = std::max(static_cast<float>(rule.level), 1e-6F);
      break;
    }
  }
  return levels;
}

}  // namespace gloss::explain
