#include "gloss/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/added_tokens.h"
#include "gloss/text/decoder.h"
#include "gloss/text/model.h"
#include "gloss/text/normalizer.h"
#include "gloss/text/post_processor.h"
#include "gloss/text/pre_tokenizer.h"
#include "gloss/text/tokenizer_source.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxText = std::size_t{1} << 31;  // symbols are counted in 32 bits

/// The value of `key`, null when there is none.
const Json& part(const Json& object, const char* key) {
  static const Json none;
  const auto it = object.find(key);
  return it == object.end() ? none : *it;
}

}  // namespace

struct Tokenizer::Impl {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Model model;
  AddedTokens added;
  Decoder decoder;
  StringTable bytes;  // of every token, as token_bytes gives them
  std::vector<bool> special;
  PostProcessor post_processor;
  std::string fingerprint;

  explicit Impl(Model read) : model(std::move(read)) {}

  /// The token as the decoder wants it; nothing for an id that is no token.
  std::optional<std::string_view> name_of(std::uint32_t id) const {
    if (const AddedToken* token = added.token(id)) return token->written;
    return model.vocabulary().token(id);
  }

  void make_tables(const Json& json, const std::string& name);
  void encode_text(std::string_view text, bool at_start, std::vector<TokenId>& out) const;
  void encode_normalized(std::string_view text, bool at_start, std::vector<TokenId>& out) const;
};

void Tokenizer::Impl::make_tables(const Json& json, const std::string& name) {
  const std::uint32_t size = std::max(model.vocabulary().end(), added.end());
  if (size == 0) fail_input(name, "has no tokens");
  std::vector<std::string> strings(size);
  special.resize(size);
  for (std::uint32_t id = 0; id < size; ++id) {
    if (const AddedToken* token = added.token(id)) {
      special[id] = added.is_special(token->content);
      strings[id] = special[id] || !token->normalized ? token->content : decoder.bytes_of_added(token->written);
    } else if (const std::optional<std::string_view> plain = model.vocabulary().token(id)) {
      strings[id] = decoder.bytes_of(*plain);
    }
  }
  bytes = StringTable(strings);
  post_processor = PostProcessor::parse(part(json, "post_processor"), size, name + ": post_processor");
}

/// A text between two added tokens that are looked for before normalizing.
void Tokenizer::Impl::encode_text(std::string_view text, bool at_start, std::vector<TokenId>& out) const {
  if (normalizer.empty()) return encode_normalized(text, at_start, out);
  const std::string normalized = normalizer.apply(text);
  encode_normalized(normalized, at_start, out);
}

void Tokenizer::Impl::encode_normalized(std::string_view text, bool at_start, std::vector<TokenId>& out) const {
  for (const Segment& s : added.split_normalized(text)) {
    if (s.id) {
      out.push_back(TokenId{*s.id});
      continue;
    }
    Pieces pieces(text.substr(s.span.begin, s.span.end - s.span.begin), at_start && s.span.begin == 0);
    pre_tokenizer.apply(pieces);
    for (const Span& p : pieces.spans)
      model.encode(pieces.text.substr(p.begin, p.end - p.begin), pieces.raw_bytes, out);
  }
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  const TokenizerSource source = read_tokenizer(path);
  return parse(source.json, source.name);
}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& name) {
  if (json.size() >= kMaxText) fail_input(name, fmt::format("{} bytes are too many for a tokenizer", json.size()));
  const Json root = formats::parse_json(json, name);
  const formats::Fields fields(root, name);
  auto impl = std::make_shared<Impl>(Model::parse(fields.at("model"), name + ": model"));
  impl->normalizer = Normalizer::parse(part(root, "normalizer"), name + ": normalizer");
  impl->pre_tokenizer = PreTokenizer::parse(part(root, "pre_tokenizer"), name + ": pre_tokenizer");
  impl->decoder = Decoder::parse(part(root, "decoder"), name + ": decoder");
  impl->added = AddedTokens::parse(part(root, "added_tokens"), impl->model.vocabulary(), impl->normalizer,
                                   name + ": added_tokens");
  impl->make_tables(root, name);
  impl->fingerprint = hash_hex(std::as_bytes(std::span(json.data(), json.size())));
  Tokenizer t;
  t.impl_ = std::move(impl);
  return t;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  if (text.size() >= kMaxText) fail_input("text", fmt::format("{} bytes are too many for one text", text.size()));
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  std::vector<TokenId> out;
  out.reserve(text.size() / 4);
  for (const Segment& s : impl_->added.split_raw(text)) {
    if (s.id) {
      out.push_back(TokenId{*s.id});
    } else {
      impl_->encode_text(text.substr(s.span.begin, s.span.end - s.span.begin), s.span.begin == 0, out);
    }
  }
  return out;
}

std::vector<TokenId> Tokenizer::encode_with_special(std::string_view text) const {
  std::vector<TokenId> ids = encode(text);
  const PostProcessor& p = impl_->post_processor;
  ids.insert(ids.begin(), p.before().begin(), p.before().end());
  ids.insert(ids.end(), p.behind().begin(), p.behind().end());
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    const std::uint32_t i = to_index(id);
    const std::optional<std::string_view> name = impl_->name_of(i);
    if (name && !(skip_special && impl_->special[i])) tokens.emplace_back(*name);
  }
  return impl_->decoder.decode(std::move(tokens));
}

std::string_view Tokenizer::token_bytes(TokenId id) const { return impl_->bytes[to_index(id)]; }

std::uint32_t Tokenizer::vocabulary_size() const { return impl_->bytes.size(); }

bool Tokenizer::is_special(TokenId id) const {
  return to_index(id) < impl_->special.size() && impl_->special[to_index(id)];
}

std::optional<TokenId> Tokenizer::id_of(std::string_view token) const {
  std::optional<std::uint32_t> id = impl_->added.id_of(token);
  if (!id) id = impl_->model.vocabulary().id_of(token);
  if (!id) return {};
  return TokenId{*id};
}

std::optional<TokenId> Tokenizer::bos() const {
  const std::span<const TokenId> before = impl_->post_processor.before();
  if (before.empty()) return {};
  return before.front();
}

const std::string& Tokenizer::fingerprint() const { return impl_->fingerprint; }

}  // namespace gloss::text
