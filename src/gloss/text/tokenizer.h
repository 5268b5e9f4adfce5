#pragma once
/// Text to token ids and back, as the model's own tokenizer says.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"

namespace gloss::text {

/// Immutable after loading; any thread may use any copy.
class Tokenizer {
 public:
  /// Reads the tokenizer of a model folder, or a tokenizer's file (tokenizer_source.h says which). Errors: bad_input
  /// naming file and key for what is malformed or of a kind not supported.
  static Tokenizer load(const std::filesystem::path& path);
  static Tokenizer parse(std::string_view json, const std::string& name);

  /// Token ids of `text`, special tokens written in it recognised; none added. Ill-formed UTF-8 is read as U+FFFD.
  /// Errors: bad_input when text is unknown to a model that has no token for the unknown.
  std::vector<TokenId> encode(std::string_view text) const;
  /// The same between the special tokens that the post-processor puts around a single text, as embedding models want
  /// it. Neither cut nor padded, whatever the file says of that.
  std::vector<TokenId> encode_with_special(std::string_view text) const;
  /// The text of `ids`, special tokens left out when `skip_special`.
  std::string decode(std::span<const TokenId> ids, bool skip_special = false) const;
  /// The bytes one token stands for in the middle of a text: leading space as a space, byte tokens as their byte;
  /// joined over tokens they give the text. Special tokens give their name. Requires: id < vocabulary_size().
  /// Lifetime: as long as any copy.
  std::string_view token_bytes(TokenId id) const;

  std::uint32_t vocabulary_size() const;
  bool is_special(TokenId id) const;
  std::optional<TokenId> id_of(std::string_view token) const;
  /// The beginning-of-sequence token the post-processor puts in front of a single text, if it does.
  std::optional<TokenId> bos() const;
  /// Hash of tokenizer.json, or of what stands for it, 32 hexadecimal digits.
  const std::string& fingerprint() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace gloss::text
