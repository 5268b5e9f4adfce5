#pragma once
/// For tests: an invented vocabulary, windows made from its tokens, and latents planted in them.
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/explain/pattern_evidence.h"
#include "gloss/explain/pattern_learn.h"

namespace gloss::explain {

/// Tokens get ids as they are first used; the first call of `vocabulary` makes one of them.
class Lab {
 public:
  struct Sample {
    std::vector<TokenId> ids;
    std::vector<float> activation;
    float max = 0.0F;
  };

  TokenId token(const std::string& bytes, bool special = false) {
    const auto [place, added] = ids_.emplace(bytes, static_cast<std::uint32_t>(bytes_.size()));
    if (added) {
      bytes_.push_back(bytes);
      special_.push_back(special);
    }
    return TokenId{place->second};
  }

  /// Tokens written one after another; a `*` in front of one makes the latent fire at it with `level`.
  Sample sample(std::span<const std::string> tokens, float level = 1.0F) {
    Sample out;
    for (const std::string& text : tokens) {
      const bool fires = text.size() > 1 && text[0] == '*';
      out.ids.push_back(token(fires ? text.substr(1) : text));
      out.activation.push_back(fires ? level : 0.0F);
      if (fires) out.max = level;
    }
    return out;
  }

  /// `plant` at a random place between filler words, 32 tokens in all; the longest plant that fits is 16.
  Sample planted(const std::vector<std::string>& plant, float level = 1.0F) {
    static constexpr std::string_view kFiller[] = {" sun",   " tree",  " blue", " went",  " small", " river",
                                                   " cup",   " sang",  " old",  " house", " ran",   " milk",
                                                   " green", " cloud", " road", " bird"};
    std::vector<std::string> tokens;
    const std::size_t before = 8 + random_.below(8);
    const auto fill = [&](std::size_t until) {
      while (tokens.size() < until) tokens.emplace_back(kFiller[random_.below(std::size(kFiller))]);
    };
    fill(before);
    tokens.insert(tokens.end(), plant.begin(), plant.end());
    fill(32);
    return sample(tokens, level);
  }

  void fires(Sample s) { activating_.push_back(std::move(s)); }
  void silent(Sample s) { silent_.push_back(std::move(s)); }

  const Vocabulary& vocabulary() {
    if (!vocabulary_) {
      vocabulary_ = std::make_unique<Vocabulary>(
          std::make_shared<const Vocabulary::Impl>(Vocabulary::Impl::make(bytes_, special_)));
    }
    return *vocabulary_;
  }

  static std::vector<LearnWindow> windows(const std::vector<Sample>& samples) {
    std::vector<LearnWindow> out;
    for (const Sample& s : samples) out.push_back({s.ids, s.activation, s.max});
    return out;
  }
  std::vector<LearnWindow> activating() const { return windows(activating_); }
  std::vector<LearnWindow> silent() const { return windows(silent_); }
  std::vector<Rule> learn() { return learn_rules(vocabulary().impl(), activating(), silent(), 0.3F, 1.0); }

  /// The same as a token file, one window a context, and examples in it.
  text::TokenFile token_file(const std::filesystem::path& folder) const {
    std::vector<TokenId> all;
    std::vector<std::uint32_t> documents;
    for (const auto* group : {&activating_, &silent_}) {
      for (const Sample& s : *group) {
        all.insert(all.end(), s.ids.begin(), s.ids.end());
        documents.push_back(static_cast<std::uint32_t>(documents.size()));
      }
    }
    static int serial = 0;
    const auto path = folder / ("gloss_pattern_fixture_" + std::to_string(serial++) + ".safetensors");
    text::write_token_file(path, all, documents, 32);
    text::TokenFile file = text::TokenFile::open(path);
    std::filesystem::remove(path);
    return file;
  }
  examples::LatentExamples examples() const {
    examples::LatentExamples out;
    out.latent = LatentId{7};
    out.max_activation = 1.0F;
    std::uint32_t at = 0;
    for (const auto* group : {&activating_, &silent_}) {
      for (const Sample& s : *group) {
        examples::Window w;
        w.start = at;
        w.max = s.max;
        w.activation = s.activation;
        w.kind = s.max > 0.0F ? examples::WindowKind::activating : examples::WindowKind::silent_random;
        (group == &activating_ ? out.explain : out.explain_silent).push_back(std::move(w));
        at += static_cast<std::uint32_t>(s.ids.size());
      }
    }
    return out;
  }

  Random& random() { return random_; }

 private:
  std::vector<std::string> bytes_;
  std::vector<bool> special_;
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<Sample> activating_, silent_;
  std::unique_ptr<Vocabulary> vocabulary_;
  Random random_{42};
};

}  // namespace gloss::explain
