#pragma once
/// Private to `pattern`: the tokens of a latent's windows, labelled, and the tests that hold at each.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/explain/pattern_window.h"

namespace gloss::explain {

/// A window to learn from; silent ones have no activation. Shapes: ids [W], activation [W] or [0].
struct LearnWindow {
  std::span<const TokenId> ids;
  std::span<const float> activation;
  float max = 0.0F;
};

/// Marked tokens are what a rule must match, silent ones what it must not; a token that fires weakly is of no account.
enum class Label : std::uint8_t { silent, weak, marked };

/// A feature is a test with one value that holds at some marked token (or may be an exception). Tokens are numbered
/// through all windows, activating ones first.
class Evidence {
 public:
  using Feature = std::uint32_t;
  struct Token {
    Label label = Label::silent;
    std::uint32_t window = 0;
    float weight = 0.0F;  // of a marked token: 1 / marked tokens of its window
    float activation = 0.0F;
  };
  struct Kind {
    Where where;
    std::uint8_t distance;
    What what;
    bool operator==(const Kind&) const = default;
  };

  /// Errors: bad_input for tokens that the vocabulary has not.
  Evidence(const Vocabulary::Impl& vocabulary, std::span<const LearnWindow> activating,
           std::span<const LearnWindow> silent, float tau);

  std::size_t token_count() const { return tokens_.size(); }
  const Token& token(std::size_t i) const { return tokens_[i]; }
  std::size_t window_count() const { return texts_.size(); }
  std::size_t activating_count() const { return activating_; }
  std::size_t silent_token_count() const { return silent_tokens_; }
  std::size_t marked_count() const { return marked_; }

  std::size_t feature_count() const { return features_.size(); }
  const Kind& kind(Feature f) const { return features_[f].kind; }
  /// May stand first in a rule.
  bool is_pivot(Feature f) const { return features_[f].kind.where == Where::here && features_[f].marked; }
  /// May be one of the tests that follow: holds at marked tokens of two windows.
  bool is_context(Feature f) const { return features_[f].windows >= 2; }
  Test test(Feature f) const;
  /// Ascending.
  std::span<const Feature> features_of(std::size_t token) const {
    return std::span(held_).subspan(offsets_[token], offsets_[token + 1] - offsets_[token]);
  }
  /// Those of them that are contexts.
  std::span<const Feature> contexts_of(std::size_t token) const {
    return std::span(contexts_).subspan(context_offsets_[token], context_offsets_[token + 1] - context_offsets_[token]);
  }
  bool holds(Feature f, std::size_t token) const;
  /// Tokens at which a pivot holds, ascending.
  const std::vector<std::uint32_t>& tokens_with(Feature pivot) const { return postings_[pivot]; }

 private:
  struct Known {
    Kind kind;
    bool marked = false;              // holds at a marked token
    std::uint32_t windows = 0;        // windows with a marked token at which it holds
    std::uint32_t first = 0, at = 0;  // a token where it holds, and its place among the candidates there
  };
  void label(std::span<const LearnWindow> windows, float tau);
  void find_features();
  void index_features();

  std::vector<WindowText> texts_;
  std::vector<std::uint32_t> first_token_;  // of each window
  std::vector<Token> tokens_;
  std::vector<Known> features_;
  std::vector<std::uint32_t> offsets_, context_offsets_;
  std::vector<Feature> held_, contexts_;
  std::vector<std::vector<std::uint32_t>> postings_;
  std::size_t activating_ = 0, silent_tokens_ = 0, marked_ = 0;
};

/// What may stand in an exception: the word so far, the whole word, the token before.
bool may_except(const Evidence::Kind& kind);

}  // namespace gloss::explain
