#pragma once
/// Where a model's tokenizer is written down, in whatever way its makers chose.
#include <filesystem>
#include <string>

namespace gloss::text {

/// A tokenizer as tokenizer.json would say it.
struct TokenizerSource {
  std::string json;
  std::string name;  // of the file it was read from, for messages
};

/// Reads the tokenizer of a model folder, the first there is of:
///   tokenizer.json                                 as it is
///   tokenizer.model, spiece.model,
///   sentencepiece.bpe.model                        SentencePiece (sentencepiece.h), or ranks (tiktoken.h)
///   *.tiktoken                                     ranks (tiktoken.h)
///   vocab.json and merges.txt                      as GPT-2 has them (also encoder.json and vocab.bpe)
///   vocab.txt                                      as BERT has it
/// tokenizer_config.json beside them, when it is there, says the family and the added tokens. `path` may also be such a
/// file itself. The others become the tokenizer.json that makes the same ids. Errors: bad_input naming what is missing
/// or malformed.
TokenizerSource read_tokenizer(const std::filesystem::path& path);

}  // namespace gloss::text
