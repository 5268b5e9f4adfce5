// Published tokenizers against the ids that their own implementations gave: data that is not part of the project.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gloss/base/hash.h"
#include "gloss/base/testing.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/byte_source.h"
#include "gloss/text/test_support.h"
#include "gloss/text/tokenizer.h"

namespace gloss::text {
namespace {

std::string unpacked(const std::filesystem::path& file) {
  Packing packing = Packing::none;
  if (file.extension() == ".zst") packing = Packing::zstd;
  if (file.extension() == ".gz") packing = Packing::gzip;
  const auto source = open_source(MappedFile::open(file), packing);
  std::string all;
  while (source->read_more(all)) {
  }
  return all;
}

Tokenizer shared_tokenizer(const std::string& name) {
  if (name.find(".json") == std::string::npos || name.find("encoder") != std::string::npos)
    return Tokenizer::load(shared_data("tokenizers/" + name));
  return Tokenizer::parse(unpacked(shared_data("tokenizers/" + name)), name);
}

/// The texts of a file that puts a line of its own between them.
std::vector<std::string> texts_of(std::string_view all) {
  constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  for (std::size_t end = all.find(kBetween); end != std::string_view::npos; end = all.find(kBetween)) {
    texts.emplace_back(all.substr(0, end));
    all.remove_prefix(end + kBetween.size());
  }
  return texts;
}

struct Vectors {
  const char* vectors;
  const char* tokenizer;
};

std::string name_of_case(const ::testing::TestParamInfo<Vectors>& given) {
  std::string name = fmt::format("{}_by_{}", given.param.vectors, given.param.tokenizer);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

class GgmlVectors : public ::testing::TestWithParam<Vectors> {};

TEST_P(GgmlVectors, IdsAreEqual) {
  const std::string base = fmt::format("tokenizers/vectors/ggml-vocab-{}.gguf", GetParam().vectors);
  if (!std::filesystem::exists(shared_data(base + ".inp"))) GTEST_SKIP() << "no " << shared_data(base + ".inp");
  const Tokenizer t = shared_tokenizer(GetParam().tokenizer);
  std::istringstream lines(unpacked(shared_data(base + ".out")));
  const std::vector<std::string> texts = texts_of(unpacked(shared_data(base + ".inp")));
  ASSERT_EQ(texts.size(), 46U);
  for (const std::string& text : texts) {
    std::string line;
    std::getline(lines, line);
    std::istringstream words(line);
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t id = 0; words >> id;) wanted.push_back(id);
    EXPECT_EQ(numbers(t.encode(text)), wanted) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Published, GgmlVectors,
    ::testing::Values(Vectors{"gpt-2", "gpt2/tokenizer.json"}, Vectors{"mpt", "gpt-neox/20B_tokenizer.json"},
                      Vectors{"falcon", "falcon/tokenizer.json.zst"}, Vectors{"phi-3", "phi-3/tokenizer.json"},
                      Vectors{"llama-spm", "phi-3/tokenizer.json"}, Vectors{"llama-spm", "llama-2/tokenizer.model"},
                      Vectors{"gpt-2", "gpt2/encoder.json"}, Vectors{"llama-bpe", "llama-3/tokenizer.model"},
                      Vectors{"qwen2", "qwen/qwen.tiktoken"}, Vectors{"bert-bge", "bert-base-uncased/tokenizer.json"},
                      Vectors{"bert-bge", "bert-base-uncased/vocab.txt"}),
    name_of_case);

std::vector<std::uint32_t> ids_of(const nlohmann::json& json) { return json.get<std::vector<std::uint32_t>>(); }

/// What transformers made of texts, special tokens and all. (Its decoded texts are cleaned up by code of its own.)
class TransformersVectors : public ::testing::TestWithParam<Vectors> {};

TEST_P(TransformersVectors, IdsWithSpecialTokensAreEqual) {
  const auto file = shared_data("tokenizers/vectors/hf/tokenizer_tests.json");
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
  const Tokenizer t = shared_tokenizer(GetParam().tokenizer);
  const nlohmann::json all = formats::read_json(file);
  const nlohmann::json& rows = all.at(GetParam().vectors);
  ASSERT_GE(rows.size(), 18U);
  for (const nlohmann::json& row : rows) {
    const auto text = row["input"].get<std::string>();
    EXPECT_EQ(numbers(t.encode_with_special(text)), ids_of(row["encoded"]["input_ids"])) << row["input"].dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Published, TransformersVectors,
                         ::testing::Values(Vectors{"bert-base-uncased", "bert-base-uncased/tokenizer.json"},
                                           Vectors{"bert-base-uncased", "bert-base-uncased/vocab.txt"},
                                           Vectors{"distilgpt2", "gpt2/tokenizer.json"},
                                           Vectors{"tiiuae/falcon-7b", "falcon/tokenizer.json.zst"},
                                           Vectors{"coreml-projects/Llama-2-7b-chat-coreml", "llama-2/tokenizer.model"},
                                           Vectors{"pcuenq/Llama-3.2-1B-Instruct-tokenizer", "llama-3/tokenizer.model"},
                                           Vectors{"t5-base", "t5-small/tokenizer.json"},
                                           Vectors{"t5-base", "t5-small/t5_tokenizer_base.model"}),
                         name_of_case);

TEST(Published, BertQuestionsGiveTheirIds) {
  const auto folder = shared_data("tokenizers/vectors/hf");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  const Tokenizer t = shared_tokenizer("bert-base-uncased/tokenizer.json");
  const auto questions = nlohmann::json::parse(unpacked(folder / "question_tokens.json.gz"));
  const auto wanted = nlohmann::json::parse(unpacked(folder / "tokenized_questions.json.gz"));
  ASSERT_EQ(questions.size(), wanted.size());
  for (std::size_t i = 0; i < questions.size(); ++i)
    EXPECT_EQ(numbers(t.encode(questions[i]["original"].get<std::string>())), ids_of(wanted[i])) << questions[i].dump();
}

TEST(Published, WholeFilesGiveTheIdsOfTheReference) {
  if (!std::filesystem::exists(shared_data("tokenizers/gpt2"))) GTEST_SKIP() << "no " << shared_data("tokenizers");
  const nlohmann::json hashes = formats::read_json(test_data("reference_hashes.json"));
  int left = gloss::testing::kSanitized ? 2 : std::numeric_limits<int>::max();  // of tokenizers
  for (const auto& [name, files] : hashes.items()) {
    if (left-- == 0) break;
    const Tokenizer t = shared_tokenizer(name);
    for (const auto& [file, wanted] : files.items()) {
      const std::vector<TokenId> ids = t.encode(unpacked(shared_data("text/" + file)));
      EXPECT_EQ(ids.size(), wanted["tokens"].get<std::size_t>()) << name << ", " << file;
      EXPECT_EQ(hash_hex(std::as_bytes(std::span(ids))), wanted["xxh3_128"].get<std::string>()) << name << ", " << file;
    }
  }
}

TEST(Published, StoriesComeBackFromTheirTokens) {
  const auto folder = shared_data("stories260k");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  const Tokenizer t = Tokenizer::load(folder);
  EXPECT_EQ(t.vocabulary_size(), 512U);
  EXPECT_EQ(t.bos(), TokenId{1});
  LineReader lines(open_source(MappedFile::open(folder / "stories.jsonl.zst"), Packing::zstd), "stories");
  for (int i = 0; i < 500; ++i) {
    const auto line = lines.next();
    ASSERT_TRUE(line.has_value());
    const auto text = nlohmann::json::parse(*line)["text"].get<std::string>();
    const std::vector<TokenId> ids = t.encode(text);
    EXPECT_EQ(t.decode(ids), text);
    std::string joined;
    for (const TokenId id : ids) joined += t.token_bytes(id);
    EXPECT_EQ(joined, " " + text);
  }
}

}  // namespace
}  // namespace gloss::text
