// Tokenizers that are not written as tokenizer.json.
#include "gloss/text/tokenizer_source.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/base/output_file.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/base64.h"
#include "gloss/text/sentencepiece.h"
#include "gloss/text/test_support.h"
#include "gloss/text/tiktoken.h"
#include "gloss/text/tokenizer.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

std::vector<TokenId> tokens(const std::vector<std::uint32_t>& ids) {
  std::vector<TokenId> result;
  for (const std::uint32_t id : ids) result.push_back(TokenId{id});
  return result;
}

void expect_vectors(const Tokenizer& t, const char* file, std::size_t least) {
  const Json rows = formats::read_json(test_data(file));
  ASSERT_GE(rows.size(), least);
  for (const Json& row : rows) {
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<std::vector<std::uint32_t>>();
    EXPECT_EQ(numbers(t.encode(text)), ids) << row["text"].dump();
    EXPECT_EQ(t.decode(tokens(ids)), row["decoded"].get<std::string>()) << row["text"].dump();
  }
}

TEST(SentencePiece, ABpeModelGivesTheIdsOfItsOwnPackage) {
  expect_vectors(Tokenizer::load(test_data("spm_bpe.model")), "spm_bpe_vectors.json", 45);
}

TEST(SentencePiece, AUnigramModelGivesTheIdsOfItsOwnPackage) {
  expect_vectors(Tokenizer::load(test_data("spm_unigram.model")), "spm_unigram_vectors.json", 45);
}

TEST(SentencePiece, TextsBeginOrEndAsItsKindHasIt) {
  const TestFolder folder;
  folder.write("tokenizer.model", read_file(test_data("spm_bpe.model")));
  const Tokenizer bpe = Tokenizer::load(folder.path());
  EXPECT_EQ(bpe.bos(), bpe.id_of("<s>"));
  EXPECT_TRUE(bpe.is_special(*bpe.id_of("</s>")));
  EXPECT_EQ(bpe.encode("<s>").size(), 1U);
  folder.write("tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  const Tokenizer configured = Tokenizer::load(folder.path());
  EXPECT_EQ(configured.bos(), std::nullopt);
  EXPECT_EQ(configured.encode_with_special("x").back(), configured.id_of("</s>"));
  const Tokenizer unigram = Tokenizer::load(test_data("spm_unigram.model"));
  EXPECT_EQ(unigram.bos(), std::nullopt);
  EXPECT_EQ(unigram.encode_with_special("x").back(), unigram.id_of("</s>"));
}

TEST(SentencePiece, EveryTruncationIsAnErrorOrATokenizer) {
  const std::string good = read_file(test_data("spm_bpe.model"));
  std::size_t whole = 0;  // cuts between two fields
  for (std::size_t n = 0; n < good.size(); ++n) {
    try {
      (void)from_sentencepiece(std::string_view(good).substr(0, n), "cut");
      ++whole;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("cut: ")) << n;
    }
  }
  EXPECT_LT(whole, 700U);
}

/// A field of a message: key, then what is given.
std::string field(unsigned number, std::string_view bytes) {
  return std::string(1, static_cast<char>(number << 3 | 2U)) + static_cast<char>(bytes.size()) + std::string(bytes);
}

TEST(SentencePiece, FaultsNameWhere) {
  using namespace std::string_view_literals;
  const auto error = [](std::string_view bytes) { return error_of([&] { (void)from_sentencepiece(bytes, "m"); }); };
  const std::string piece = field(1, field(1, "a"));
  EXPECT_EQ(error(""), "m: has no pieces\nhint: is it a SentencePiece model?");
  EXPECT_EQ(error("\x0A\x7F"), "m: byte 2: field 1 has 127 bytes, 0 are left\nhint: is it a SentencePiece model?");
  EXPECT_EQ(error("\x0B"), "m: byte 1: field 1 is of kind 3, which is not known\nhint: is it a SentencePiece model?");
  EXPECT_EQ(error("\x08\x01"), "m: byte 2: field 1 is of kind 0, wanted 2\nhint: is it a SentencePiece model?");
  EXPECT_EQ(error("\x02\x01"sv), "m: byte 1: no number of a field\nhint: is it a SentencePiece model?");
  EXPECT_THAT(error(std::string(11, '\xFF')), HasSubstr("m: byte 10: a number of more than 64 bits"));
  EXPECT_EQ(error(piece + piece), "m: piece 'a' is there twice");
  EXPECT_EQ(error(field(1, field(1, "\xFF"))), "m: pieces[0]: a piece of 1 bytes, wanted 1 to 1024 bytes of UTF-8");
  EXPECT_EQ(error(field(1, "")), "m: pieces[0]: a piece of 0 bytes, wanted 1 to 1024 bytes of UTF-8");
  EXPECT_EQ(error(field(1, field(1, "a") + "\x18\x09")), "m: pieces[0]: type 9 is not known");
  EXPECT_EQ(error(field(1, field(1, "a") + "\x18\x05")), "m: pieces[0]: piece 'a' is unused, which is not supported");
  EXPECT_EQ(error(piece + field(2, "\x18\x04")),
            "m: trainer_spec: model type 4 is not supported; supported: 1 (Unigram), 2 (BPE)");
}

TEST(Ranks, GiveTheIdsOfTheirOwnPackage) {
  expect_vectors(Tokenizer::load(test_data("ranks.tiktoken")), "ranks_vectors.json", 45);
}

TEST(Ranks, FoldersGetTheSpecialTokensOfTheirFamily) {
  const TestFolder folder;
  const std::string ranks = read_file(test_data("ranks.tiktoken"));
  folder.write("tokenizer.model", ranks);
  const Tokenizer llama = Tokenizer::load(folder.path());
  EXPECT_EQ(llama.bos(), llama.id_of("<|begin_of_text|>"));
  const std::uint32_t base = to_index(*llama.bos());
  EXPECT_EQ(llama.vocabulary_size(), base + 256);
  EXPECT_EQ(llama.id_of("<|eot_id|>"), TokenId{base + 9});
  EXPECT_EQ(llama.id_of("<|reserved_special_token_250|>"), TokenId{base + 255});
  folder.write("qwen/qwen.tiktoken", ranks);
  const Tokenizer qwen = Tokenizer::load(folder / "qwen");
  EXPECT_EQ(qwen.bos(), std::nullopt);
  EXPECT_EQ(qwen.id_of("<|im_end|>"), TokenId{base + 2});
  EXPECT_EQ(llama.encode("12").size(), 1U);
  EXPECT_EQ(qwen.encode("12").size(), 2U);
  EXPECT_EQ(qwen.encode("Ko\u0308ln"), qwen.encode("Köln"));
  folder.write("qwen/tokenizer_config.json",
               fmt::format(R"({{"added_tokens_decoder": {{"{}": {{"content": "<x>", "special": true}}}}}})", base));
  EXPECT_EQ(Tokenizer::load(folder / "qwen").id_of("<x>"), TokenId{base});
  folder.write("qwen/tokenizer_config.json",
               fmt::format(R"({{"added_tokens_decoder": {{"{}": {{"content": "<x>"}}}}}})", base + 1));
  EXPECT_THAT(error_of([&] { (void)Tokenizer::load(folder / "qwen"); }),
              HasSubstr(fmt::format("token '<x>' has id {}, but {} comes next", base + 1, base)));
}

TEST(Ranks, FaultsNameTheLine) {
  const auto error = [](std::string_view text) {
    return error_of([&] { (void)from_tiktoken(text, {"x", false}, "r"); });
  };
  constexpr const char* kWanted = "is not base64, a space and a rank below 4194304";
  EXPECT_EQ(error("YQ== 0\nYg==\n"), fmt::format("r, line 2: {}", kWanted));
  EXPECT_EQ(error("YQ=! 0\n"), fmt::format("r, line 1: {}", kWanted));
  EXPECT_EQ(error("YQ== 4194304\n"), fmt::format("r, line 1: {}", kWanted));
  EXPECT_EQ(error("YQ== -1\n"), fmt::format("r, line 1: {}", kWanted));
  EXPECT_EQ(error(" 1\n"), fmt::format("r, line 1: {}", kWanted));
  EXPECT_EQ(error("YQ== 0\n\nYg== 0\n"), "r, line 3: rank 0 is there twice");
  EXPECT_EQ(error("YQ== 0\r\nYQ== 1\r\n"), "r, line 2: the token is there twice");
  EXPECT_EQ(error("YQ== 0\n"), "r: no token for byte 0x00");
}

/// The model of a tokenizer.json as GPT-2 would have it: two files.
void write_gpt2(const TestFolder& folder, const char* vocab_name, const char* merges_name) {
  const Json model = formats::read_json(test_data("byte_level.json"))["model"];
  folder.write(vocab_name, model["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const Json& m : model["merges"])
    merges += fmt::format("{} {}\n", m[0].get<std::string>(), m[1].get<std::string>());
  folder.write(merges_name, merges);
}

TEST(VocabAndMerges, AreAByteLevelTokenizer) {
  Json json = formats::read_json(test_data("byte_level.json"));
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = json["decoder"];
  json["pre_tokenizer"]["add_prefix_space"] = false;
  json["added_tokens"] = Json::array();
  json["model"]["ignore_merges"] = false;
  const Tokenizer wanted = Tokenizer::parse(json.dump(), "wanted");
  const TestFolder folder;
  write_gpt2(folder, "vocab.json", "merges.txt");
  write_gpt2(folder, "openai/encoder.json", "openai/vocab.bpe");
  for (const auto& path : {folder.path(), folder / "openai"}) {
    const Tokenizer t = Tokenizer::load(path);
    for (const Json& row : formats::read_json(test_data("byte_level_vectors.json"))) {
      const auto text = row["text"].get<std::string>();
      EXPECT_EQ(t.encode(text), wanted.encode(text)) << text;
    }
    EXPECT_EQ(t.id_of("<|endoftext|>"), TokenId{wanted.vocabulary_size()});
  }
}

TEST(VocabAndMerges, FollowTheClassOfTheConfiguration) {
  const TestFolder folder;
  write_gpt2(folder, "vocab.json", "merges.txt");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizer"})");
  const Tokenizer roberta = Tokenizer::load(folder.path());
  EXPECT_EQ(roberta.bos(), roberta.id_of("<s>"));
  EXPECT_EQ(roberta.encode_with_special("x").back(), roberta.id_of("</s>"));
  EXPECT_EQ(roberta.encode("a <mask>"), (std::vector<TokenId>{*roberta.id_of("a"), *roberta.id_of("<mask>")}));
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  EXPECT_EQ(Tokenizer::load(folder.path()).encode("12").size(), 2U);
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "CLIPTokenizer"})");
  EXPECT_THAT(error_of([&] { (void)Tokenizer::load(folder.path()); }),
              HasSubstr("tokenizer_class 'CLIPTokenizer' is not supported without tokenizer.json"));
}

TEST(VocabAndMerges, FaultsNameFileAndLine) {
  const TestFolder folder;
  folder.write("vocab.json", R"({"a": 0, "b": 1})");
  EXPECT_THAT(error_of([&] { (void)Tokenizer::load(folder.path()); }), HasSubstr("vocab.json: has no merges.txt"));
  folder.write("merges.txt", "#version: 0.2\na b c\n");
  EXPECT_THAT(error_of([&] { (void)Tokenizer::load(folder.path()); }),
              HasSubstr("merges.txt, line 2: is not two tokens with a space between them"));
  folder.write("vocab.json", R"([1])");
  folder.write("merges.txt", "");
  EXPECT_THAT(error_of([&] { (void)Tokenizer::load(folder.path()); }), HasSubstr("vocab.json: is array, wanted"));
}

TEST(VocabTxt, IsBertsTokenizer) {
  const Json json = formats::read_json(test_data("word_piece.json"));
  std::vector<std::string> lines(json["model"]["vocab"].size());
  for (const auto& [token, id] : json["model"]["vocab"].items()) lines.at(id.get<std::size_t>()) = token;
  const TestFolder folder;
  folder.write("vocab.txt", fmt::format("{}\n", fmt::join(lines, "\n")));
  const Tokenizer t = Tokenizer::load(folder.path());
  for (const Json& row : formats::read_json(test_data("word_piece_vectors.json"))) {
    const auto text = row["text"].get<std::string>();
    if (text.size() > 40) continue;  // longer words are unknown to the one, not to the other
    EXPECT_EQ(numbers(t.encode_with_special(text)), row["with_special"].get<std::vector<std::uint32_t>>()) << text;
  }
  folder.write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_NE(Tokenizer::load(folder.path()).encode("The ships"), t.encode("The ships"));
}

TEST(TokenizerSource, AFolderWithoutTokenizerIsAnError) {
  const TestFolder folder;
  EXPECT_EQ(error_of([&] { (void)Tokenizer::load(folder.path()); }),
            folder.path().string() +
                ": has no tokenizer.json\nhint: nor tokenizer.model, *.tiktoken, vocab.json with merges.txt, or "
                "vocab.txt; is it a model folder?");
}

TEST(Base64, ThereAndBack) {
  const std::vector<std::string> texts = {"", "a", "ab", "abc", "abcd", std::string("\0\xFF\x10", 3)};
  for (const std::string& text : texts) EXPECT_EQ(from_base64(to_base64(text)), text);
  EXPECT_EQ(to_base64("light w"), "bGlnaHQgdw==");
  for (const char* bad : {"a", "ab", "abc", "ab=c", "====", "a===", "ab c"}) EXPECT_FALSE(from_base64(bad)) << bad;
}

}  // namespace
}  // namespace gloss::text
