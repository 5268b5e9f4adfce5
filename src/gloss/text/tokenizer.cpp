#include "gloss/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/output_file.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/added_tokens.h"
#include "gloss/text/bpe.h"
#include "gloss/text/decoder.h"
#include "gloss/text/normalizer.h"
#include "gloss/text/pre_tokenizer.h"

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

/// The token that TemplateProcessing puts in front of a single text.
std::optional<std::uint64_t> template_bos(const Json& processor, const std::string& where) {
  const Json& single = part(processor, "single");
  if (!single.is_array() || single.empty() || !single[0].is_object()) return {};
  const Json& first = part(single[0], "SpecialToken");
  if (first.is_null()) return {};
  const std::string name = formats::Fields(first, where + ".single[0].SpecialToken").string("id");
  const Json& all = part(processor, "special_tokens");
  const Json& token = all.is_object() ? part(all, name.c_str()) : all;
  const Json& ids = token.is_object() ? part(token, "ids") : token;
  if (!ids.is_array() || ids.empty() || !ids[0].is_number_unsigned())
    fail_input(where, fmt::format("special token '{}' of the template has no ids", name));
  return ids[0].get<std::uint64_t>();
}

/// ["<s>", 0]: the token in front of a text in the older processors.
std::optional<std::uint64_t> pair_bos(const Json& processor, const std::string& where) {
  const Json& cls = part(processor, "cls");
  if (!cls.is_array() || cls.size() != 2 || !cls[1].is_number_unsigned()) fail_input(where, "'cls' is not [token, id]");
  return cls[1].get<std::uint64_t>();
}

std::optional<std::uint64_t> find_bos(const Json& processor, const std::string& where) {
  if (processor.is_null()) return {};
  const std::string type = formats::Fields(processor, where).string("type");
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return template_bos(processor, where);
  if (type == "RobertaProcessing" || type == "BertProcessing") return pair_bos(processor, where);
  const Json& list = part(processor, "processors");
  if (type != "Sequence" || !list.is_array())
    fail_input(where, fmt::format("type '{}' is not supported yet; supported: TemplateProcessing, ByteLevel, "
                                  "RobertaProcessing, BertProcessing, Sequence",
                                  type));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string here = fmt::format("{}.processors[{}]", where, i);
    if (formats::Fields(list[i], here).string("type") == "Sequence") fail_input(here, "is a sequence in a sequence");
    if (const std::optional<std::uint64_t> id = find_bos(list[i], here)) return id;
  }
  return {};
}

}  // namespace

struct Tokenizer::Impl {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe model;
  AddedTokens added;
  Decoder decoder;
  StringTable bytes;  // of every token, as token_bytes gives them
  std::vector<bool> special;
  std::optional<TokenId> bos;
  std::string fingerprint;

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
  const std::string where = name + ": post_processor";
  if (const std::optional<std::uint64_t> id = find_bos(part(json, "post_processor"), where)) {
    if (*id >= size)
      fail_input(where, fmt::format("token id {} in front of a text, but there are {} tokens", *id, size));
    bos = TokenId{static_cast<std::uint32_t>(*id)};
  }
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
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  return parse(read_file(file), file.string());
}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& name) {
  const Json root = formats::parse_json(json, name);
  const formats::Fields fields(root, name);
  auto impl = std::make_shared<Impl>();
  impl->model = Bpe::parse(fields.at("model"), name + ": model");
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

std::optional<TokenId> Tokenizer::bos() const { return impl_->bos; }

const std::string& Tokenizer::fingerprint() const { return impl_->fingerprint; }

}  // namespace gloss::text
