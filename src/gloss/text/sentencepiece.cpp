#include "gloss/text/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/text/base64.h"
#include "gloss/text/protobuf.h"
#include "gloss/text/vocabulary.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;

constexpr const char* kSpace = "\u2581";
constexpr std::size_t kMaxPiece = 1024;  // bytes; trainers stop at 16 characters unless told otherwise

enum class PieceType : std::uint8_t { normal = 1, unknown, control, user_defined, unused, byte };

struct Piece {
  std::string_view text;
  float score = 0.0F;
  PieceType type = PieceType::normal;
};

enum class ModelType : std::uint8_t { unigram = 1, bpe, word, character };

/// What is needed of ModelProto, with the defaults of its definition.
struct SentencePiece {
  std::vector<Piece> pieces;
  ModelType type = ModelType::unigram;
  bool byte_fallback = false;
  bool space_behind = false;
  std::string_view charsmap;
  bool dummy_prefix = true;
  bool single_spaces = true;
  bool escapes_spaces = true;
};

Piece read_piece(std::string_view bytes, const std::string& where) {
  Piece p;
  for (ProtobufReader r(bytes, where); r.next();) {
    if (r.field() == 1) p.text = r.bytes();
    if (r.field() == 2) p.score = r.real();
    if (r.field() != 3) continue;
    if (r.number() < 1 || r.number() > 6) fail_input(where, fmt::format("type {} is not known", r.number()));
    p.type = static_cast<PieceType>(r.number());
  }
  if (p.text.empty() || p.text.size() > kMaxPiece || !is_valid_utf8(p.text))
    fail_input(where, fmt::format("a piece of {} bytes, wanted 1 to {} bytes of UTF-8", p.text.size(), kMaxPiece));
  if (!std::isfinite(p.score)) fail_input(where, fmt::format("piece '{}' has score {}", p.text, p.score));
  if (p.type == PieceType::unused)
    fail_input(where, fmt::format("piece '{}' is unused, which is not supported", p.text));
  return p;
}

void read_trainer(std::string_view bytes, const std::string& where, SentencePiece& model) {
  for (ProtobufReader r(bytes, where); r.next();) {
    if (r.field() == 3) {
      if (r.number() != 1 && r.number() != 2)
        fail_input(where, fmt::format("model type {} is not supported; supported: 1 (Unigram), 2 (BPE)", r.number()));
      model.type = static_cast<ModelType>(r.number());
    }
    if (r.field() == 24) model.space_behind = r.boolean();
    if (r.field() == 35) model.byte_fallback = r.boolean();
  }
}

void read_normalizer(std::string_view bytes, const std::string& where, SentencePiece& model) {
  for (ProtobufReader r(bytes, where); r.next();) {
    if (r.field() == 2) model.charsmap = r.bytes();
    if (r.field() == 3) model.dummy_prefix = r.boolean();
    if (r.field() == 4) model.single_spaces = r.boolean();
    if (r.field() == 5) model.escapes_spaces = r.boolean();
  }
}

SentencePiece read_model(std::string_view bytes, const std::string& where) {
  SentencePiece model;
  for (ProtobufReader r(bytes, where); r.next();) {
    if (r.field() == 1) {
      if (model.pieces.size() >= kMaxTokens) fail_input(where, fmt::format("more than {} pieces", kMaxTokens));
      model.pieces.push_back(read_piece(r.bytes(), fmt::format("{}: pieces[{}]", where, model.pieces.size())));
    } else if (r.field() == 2) {
      read_trainer(r.bytes(), where + ": trainer_spec", model);
    } else if (r.field() == 3) {
      read_normalizer(r.bytes(), where + ": normalizer_spec", model);
    }
  }
  if (model.pieces.empty()) fail_input(where, "has no pieces", "is it a SentencePiece model?");
  if (model.space_behind) fail_input(where, "treat_whitespace_as_suffix is not supported");
  if (!model.escapes_spaces) fail_input(where, "escape_whitespaces = false is not supported");
  return model;
}

Json replace(const Json& pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", pattern}, {"content", content}};
}

Json normalizer_of(const SentencePiece& model) {
  Json steps = Json::array();
  if (!model.charsmap.empty())
    steps.push_back(
        {{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(model.charsmap)}, {"longest_match", true}});
  if (model.single_spaces) {
    steps.push_back(replace({{"Regex", R"(\A +)"}}, ""));
    steps.push_back(replace({{"Regex", " {2,}"}}, " "));
  }
  if (model.dummy_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
  steps.push_back(replace({{"String", " "}}, kSpace));
  // at the end the mark itself goes as well
  if (model.single_spaces) steps.push_back(replace({{"Regex", std::string(kSpace) + R"(+\z)"}}, ""));
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

Json decoder_of(const SentencePiece& model) {
  Json steps = {replace({{"String", kSpace}}, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  const std::size_t in_front = model.single_spaces ? kMaxPiece : model.dummy_prefix ? 1 : 0;
  if (in_front > 0) steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", in_front}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", steps}};
}

/// Pieces that stand for themselves wherever they are. Those that users defined are looked for among the characters as
/// they are after normalizing, where that puts no space in front of the piece.
Json added_tokens_of(const SentencePiece& model) {
  Json added = Json::array();
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& p = model.pieces[id];
    const bool user_defined = p.type == PieceType::user_defined;
    if (!user_defined && p.type != PieceType::control && p.type != PieceType::unknown) continue;
    added.push_back({{"id", id},
                     {"content", p.text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", user_defined && !model.dummy_prefix},
                     {"special", !user_defined}});
  }
  return added;
}

using Ids = std::unordered_map<std::string_view, std::uint32_t>;

Ids ids_of(const SentencePiece& model, const std::string& where) {
  Ids ids;
  for (std::uint32_t id = 0; id < model.pieces.size(); ++id) {
    if (!ids.emplace(model.pieces[id].text, id).second)
      fail_input(where, fmt::format("piece '{}' is there twice", model.pieces[id].text));
  }
  return ids;
}

struct Split {
  float score;
  std::uint32_t whole;
  std::uint32_t left;
  std::uint32_t right;
};

/// Two pieces side by side are joined when together they are a piece, the best-scored first; so every way to cut a
/// piece in two is a merge.
std::vector<Split> splits_of(const SentencePiece& model, const Ids& ids) {
  const auto merges = [&](const Piece& p) { return p.type == PieceType::normal || p.type == PieceType::user_defined; };
  const auto find = [&](std::string_view text) {
    const auto it = ids.find(text);
    return it != ids.end() && merges(model.pieces[it->second]) ? &*it : nullptr;
  };
  std::vector<Split> splits;
  for (std::uint32_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& p = model.pieces[id];
    if (!merges(p)) continue;
    for (std::size_t cut = 1; cut < p.text.size(); ++cut) {
      const auto* left = find(p.text.substr(0, cut));
      const auto* right = left == nullptr ? nullptr : find(p.text.substr(cut));
      if (right != nullptr) splits.push_back({p.score, id, left->second, right->second});
    }
  }
  std::sort(splits.begin(), splits.end(), [](const Split& a, const Split& b) {
    return std::tie(b.score, a.whole, a.left, a.right) < std::tie(a.score, b.whole, b.left, b.right);
  });
  return splits;
}

const Piece* unknown_of(const SentencePiece& model) {
  const auto it = std::find_if(model.pieces.begin(), model.pieces.end(),
                               [](const Piece& p) { return p.type == PieceType::unknown; });
  return it == model.pieces.end() ? nullptr : &*it;
}

Json bpe_of(const SentencePiece& model, const Ids& ids) {
  Json vocab = Json::object();
  for (const auto& [text, id] : ids) vocab[std::string(text)] = id;
  Json merges = Json::array();
  for (const Split& s : splits_of(model, ids))
    merges.push_back({std::string(model.pieces[s.left].text), std::string(model.pieces[s.right].text)});
  const Piece* unknown = unknown_of(model);
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unknown == nullptr ? Json() : Json(unknown->text)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", true},
          {"byte_fallback", model.byte_fallback},
          {"ignore_merges", false},
          {"vocab", vocab},
          {"merges", merges}};
}

Json unigram_of(const SentencePiece& model) {
  Json vocab = Json::array();
  for (const Piece& p : model.pieces) vocab.push_back({p.text, static_cast<double>(p.score)});
  const Piece* unknown = unknown_of(model);
  return {{"type", "Unigram"},
          {"unk_id", unknown == nullptr ? Json() : Json(unknown - model.pieces.data())},
          {"vocab", vocab},
          {"byte_fallback", model.byte_fallback},
          {"single_precision", true}};
}

}  // namespace

Json from_sentencepiece(std::string_view bytes, const std::string& where) {
  const SentencePiece model = read_model(bytes, where);
  const Ids ids = ids_of(model, where);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens_of(model)},
          {"normalizer", normalizer_of(model)},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", decoder_of(model)},
          {"model", model.type == ModelType::bpe ? bpe_of(model, ids) : unigram_of(model)}};
}

}  // namespace gloss::text
