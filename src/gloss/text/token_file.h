#pragma once
/// The tokens of a run: which contexts the model saw. RUN/tokens.safetensors (docs/formats/tokens.md).
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/formats/safetensors.h"

namespace gloss::text {

/// Mapped, immutable; copies share the mapping; any thread may read.
class TokenFile {
 public:
  /// Checks format, shapes, bounds and the order of documents; not the tokens' hash (see verify).
  /// Errors: bad_input when it is missing, cut or no token file.
  static TokenFile open(const std::filesystem::path& path);
  /// Hashes everything. Errors: bad_input when that is not the fingerprint.
  void verify() const;

  std::uint32_t context_count() const { return context_count_; }
  std::uint32_t ctx_len() const { return ctx_len_; }
  std::uint64_t token_count() const { return std::uint64_t{context_count_} * ctx_len_; }
  /// All tokens, [contexts * ctx_len]; position p is tokens()[p]. Lifetime: as long as any copy of this file.
  std::span<const TokenId> tokens() const& { return tokens_; }
  std::span<const TokenId> tokens() && = delete;
  std::span<const TokenId> context(std::uint32_t c) const& {
    return tokens_.subspan(std::size_t{c} * ctx_len_, ctx_len_);
  }
  /// Document in which context c begins. A context may hold the end of one document and the start of others.
  std::uint32_t document(std::uint32_t c) const { return documents_[c]; }
  /// Of all contexts. [contexts]
  std::span<const std::uint32_t> documents() const& { return documents_; }
  std::span<const std::uint32_t> documents() && = delete;
  /// Hash of the tokens, 32 hexadecimal digits.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  formats::SafeTensors file_;
  std::span<const TokenId> tokens_;
  std::span<const std::uint32_t> documents_;
  std::uint32_t context_count_ = 0;
  std::uint32_t ctx_len_ = 0;
  std::string fingerprint_;
};

/// Writes a token file in one step. Shapes: tokens [contexts * ctx_len], documents [contexts]. `made_with`: settings
/// that made the tokens, kept as metadata beside format, ctx_len and fingerprint.
void write_token_file(const std::filesystem::path& path, std::span<const TokenId> tokens,
                      std::span<const std::uint32_t> documents, std::uint32_t ctx_len,
                      const std::map<std::string, std::string>& made_with = {});

}  // namespace gloss::text
