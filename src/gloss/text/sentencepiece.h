#pragma once
/// SentencePiece's own model files (tokenizer.model, spiece.model).
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace gloss::text {

/// The tokenizer.json that makes the ids of a SentencePiece model of type BPE or Unigram, without post-processor.
/// Control and unknown pieces become special added tokens, as Hugging Face's conversion has it: the package itself
/// never finds those in a text. Source: google/sentencepiece, sentencepiece_model.proto. Errors: bad_input, beginning
/// with `where`: no such file, pieces that are no UTF-8 or twice there, other types, white space as suffix.
nlohmann::json from_sentencepiece(std::string_view bytes, const std::string& where);

}  // namespace gloss::text
