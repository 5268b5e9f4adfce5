#include "gloss/text/token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <stdexcept>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/formats/checked_file.h"

namespace gloss::text {
namespace {

using formats::Dtype;
using formats::SafeTensors;

constexpr std::string_view kFormat = "gloss-tokens-2";
constexpr std::string_view kFormatWithoutChecksums = "gloss-tokens-1";
constexpr const char* kDamaged = "the file is damaged: remove it and make it again";
constexpr std::uint64_t kMaxTokens = (std::uint64_t{1} << 32) - 1;  // positions are 32-bit numbers

std::string fingerprint_of(std::span<const TokenId> tokens, std::span<const std::uint32_t> documents) {
  Hasher hash;
  hash.add_number(tokens.size());
  hash.add_bytes(std::as_bytes(tokens));
  hash.add_number(documents.size());
  hash.add_bytes(std::as_bytes(documents));
  return hash.digest_hex();
}

const std::string& metadata(const SafeTensors& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  if (it == file.metadata().end())
    fail_input(file.file_name(), fmt::format("metadata has no '{}': this is no token file", key));
  return it->second;
}

std::uint32_t read_ctx_len(const SafeTensors& file) {
  const std::string& text = metadata(file, "ctx_len");
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0)
    fail_input(file.file_name(), fmt::format("metadata 'ctx_len' is '{}', wanted a whole number above 0", text));
  return value;
}

bool is_fingerprint(const std::string& text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

TokenFile TokenFile::open(const std::filesystem::path& path) {
  TokenFile t;
  t.file_ = SafeTensors::open(path);
  const std::string& name = t.file_.file_name();
  const std::string& format = metadata(t.file_, "format");
  if (format == kFormat) {
    formats::check_header(t.file_, kDamaged);
  } else if (format != kFormatWithoutChecksums) {
    fail_input(name, fmt::format("metadata 'format' is '{}', wanted '{}'", format, kFormat));
  }
  t.ctx_len_ = read_ctx_len(t.file_);
  const auto& shape = t.file_.tensor("document").shape;
  if (shape.size() != 1 || shape[0] > kMaxTokens / t.ctx_len_)
    fail_input(fmt::format("{}: tensor 'document'", name),
               fmt::format("shape {}, wanted [contexts] with contexts x {} below 2^32", formats::format_shape(shape),
                           t.ctx_len_));
  const std::array<std::uint64_t, 1> documents_shape{shape[0]};
  const std::array<std::uint64_t, 2> tokens_shape{shape[0], t.ctx_len_};
  t.file_.tensor("document", Dtype::u32, documents_shape);
  t.file_.tensor("tokens", Dtype::u32, tokens_shape);
  t.tokens_ = t.file_.view<TokenId>("tokens", Dtype::u32);
  t.documents_ = t.file_.view<std::uint32_t>("document", Dtype::u32);
  t.context_count_ = static_cast<std::uint32_t>(shape[0]);
  const auto falls = std::is_sorted_until(t.documents_.begin(), t.documents_.end());
  if (falls != t.documents_.end())
    fail_input(
        fmt::format("{}: tensor 'document'", name),
        fmt::format("context {} begins in an earlier document than the one before it", falls - t.documents_.begin()));
  t.fingerprint_ = metadata(t.file_, "fingerprint");
  if (!is_fingerprint(t.fingerprint_))
    fail_input(name, fmt::format("metadata 'fingerprint' is '{}', wanted 32 hexadecimal digits", t.fingerprint_));
  return t;
}

void TokenFile::verify() const {
  const std::string found = fingerprint_of(tokens_, documents_);
  if (found != fingerprint_)
    fail_input(file_.file_name(), fmt::format("its tokens hash to {}, but it says {}", found, fingerprint_), kDamaged);
}

void write_token_file(const std::filesystem::path& path, std::span<const TokenId> tokens,
                      std::span<const std::uint32_t> documents, std::uint32_t ctx_len,
                      const std::map<std::string, std::string>& made_with) {
  if (ctx_len == 0 || tokens.size() != documents.size() * ctx_len)
    throw std::logic_error(
        fmt::format("{} tokens are not {} contexts of {}", tokens.size(), documents.size(), ctx_len));
  if (tokens.size() > kMaxTokens)
    fail_input(path.string(), fmt::format("{} tokens, but a file holds fewer than 2^32", tokens.size()));
  std::map<std::string, std::string> metadata{{"format", std::string(kFormat)},
                                              {"ctx_len", std::to_string(ctx_len)},
                                              {"fingerprint", fingerprint_of(tokens, documents)}};
  metadata.insert(made_with.begin(), made_with.end());
  formats::CheckedFileWriter file(
      path, {{"tokens", Dtype::u32, {documents.size(), ctx_len}}, {"document", Dtype::u32, {documents.size()}}},
      metadata);
  file.append_values(0, tokens);
  file.append_values(1, documents);
  file.commit();
}

}  // namespace gloss::text
