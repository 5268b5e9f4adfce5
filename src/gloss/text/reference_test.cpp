// Published tokenizers against the ids that their own implementations gave: data that is not part of the project.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "gloss/base/hash.h"
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

INSTANTIATE_TEST_SUITE_P(Published, GgmlVectors,
                         ::testing::Values(Vectors{"gpt-2", "gpt2/tokenizer.json"},
                                           Vectors{"mpt", "gpt-neox/20B_tokenizer.json"},
                                           Vectors{"falcon", "falcon/tokenizer.json.zst"},
                                           Vectors{"phi-3", "phi-3/tokenizer.json"},
                                           Vectors{"llama-spm", "phi-3/tokenizer.json"}),
                         [](const auto& given) {
                           std::string name = given.param.vectors;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Published, WholeFilesGiveTheIdsOfTheReference) {
  if (!std::filesystem::exists(shared_data("tokenizers/gpt2"))) GTEST_SKIP() << "no " << shared_data("tokenizers");
  const nlohmann::json hashes = formats::read_json(test_data("reference_hashes.json"));
  for (const auto& [name, files] : hashes.items()) {
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
