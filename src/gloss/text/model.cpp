#include "gloss/text/model.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/byte_level.h"

namespace gloss::text {
namespace {

/// Older files do not name the kind.
std::string kind_of(const formats::Fields& model) {
  if (model.has("type")) return model.string("type");
  if (model.has("merges")) return "BPE";
  if (model.has("unk_id")) return "Unigram";
  return model.has("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

}  // namespace

Model Model::parse(const nlohmann::json& json, const std::string& where) {
  const std::string type = kind_of(formats::Fields(json, where));
  if (type == "BPE") return Model(Bpe::parse(json, where));
  if (type == "Unigram") return Model(Unigram::parse(json, where));
  if (type == "WordPiece") return Model(WordPiece::parse(json, where));
  if (type == "WordLevel") return Model(WordLevel::parse(json, where));
  fail_input(where, fmt::format("type '{}' is not supported; supported: BPE, Unigram, WordPiece, WordLevel", type));
}

void Model::encode(std::string_view piece, bool raw_bytes, std::vector<TokenId>& out) const {
  if (const auto* bpe = std::get_if<Bpe>(&kind_)) return bpe->encode(piece, raw_bytes, out);
  std::string characters;
  if (raw_bytes) {
    append_byte_level(characters, piece);
    piece = characters;
  }
  if (const auto* unigram = std::get_if<Unigram>(&kind_)) return unigram->encode(piece, out);
  if (const auto* words = std::get_if<WordPiece>(&kind_)) return words->encode(piece, out);
  std::get<WordLevel>(kind_).encode(piece, out);
}

const Vocabulary& Model::vocabulary() const {
  return std::visit([](const auto& m) -> const Vocabulary& { return m.vocabulary(); }, kind_);
}

}  // namespace gloss::text
