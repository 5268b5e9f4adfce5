#pragma once
/// Sentence embeddings of a BERT encoder in a Hugging Face folder, such as all-MiniLM-L6-v2.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"

namespace gloss::model {

/// Immutable after loading; any thread may use any copy. Weights are float32 on the CPU.
/// Source: Devlin et al. 2018, as transformers' BertModel lays it out; Reimers and Gurevych 2019 for the pooling.
class SentenceEncoder {
 public:
  /// Reads config.json (model_type bert, absolute positions), the weights, and where sentence-transformers left them
  /// the kind of pooling (1_Pooling/config.json: the mean, or none said) and the longest text
  /// (sentence_bert_config.json). Errors: bad_input: missing or malformed files, another architecture, tensors missing
  /// or misshapen.
  static SentenceEncoder load(const std::filesystem::path& folder);

  std::uint32_t width() const;
  std::uint32_t vocabulary() const;
  /// Tokens of the longest text, special ones with them.
  std::uint32_t max_tokens() const;
  /// Of configuration and weights; 32 hexadecimal digits.
  const std::string& fingerprint() const;

  /// The state that the last layer leaves at each token. Shapes: ids [T], 1 <= T <= max_tokens() -> [T, D] row-major.
  /// Errors: bad_input when an id is not below vocabulary().
  std::vector<float> states(std::span<const TokenId> ids) const;
  /// Their mean at unit norm. A longer text is cut before its last token, which ends it. A text's embedding does not
  /// depend on any other text. Shapes: ids [T], T >= 1 -> [D].
  std::vector<float> embed(std::span<const TokenId> ids) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace gloss::model
