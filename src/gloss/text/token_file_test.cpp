#include "gloss/text/token_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "gloss/base/output_file.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using formats::Dtype;
using formats::SafeTensorsWriter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::filesystem::path small_file(const TestFolder& folder) {
  const std::vector<TokenId> tokens{TokenId{1}, TokenId{2}, TokenId{3}, TokenId{4}, TokenId{5}, TokenId{6}};
  const std::vector<std::uint32_t> documents{0, 2};
  write_token_file(folder / "tokens.safetensors", tokens, documents, 3);
  return folder / "tokens.safetensors";
}

TEST(TokenFile, GivesBackWhatWasWritten) {
  const TestFolder folder;
  const TokenFile file = TokenFile::open(small_file(folder));
  EXPECT_EQ(file.context_count(), 2U);
  EXPECT_EQ(file.ctx_len(), 3U);
  EXPECT_EQ(file.token_count(), 6U);
  EXPECT_THAT(file.tokens(), ElementsAre(TokenId{1}, TokenId{2}, TokenId{3}, TokenId{4}, TokenId{5}, TokenId{6}));
  EXPECT_THAT(file.context(1), ElementsAre(TokenId{4}, TokenId{5}, TokenId{6}));
  EXPECT_EQ(file.document(0), 0U);
  EXPECT_EQ(file.document(1), 2U);
  EXPECT_EQ(file.fingerprint().size(), 32U);
  file.verify();
}

TEST(TokenFile, FingerprintIsOfTokensAndDocuments) {
  const TestFolder folder;
  const std::vector<TokenId> tokens{TokenId{1}, TokenId{2}};
  const std::vector<TokenId> others{TokenId{1}, TokenId{3}};
  const std::vector<std::uint32_t> documents{0, 1};
  const std::vector<std::uint32_t> one{0, 0};
  const auto fingerprint = [&](const auto& t, const auto& d, std::uint32_t ctx_len) {
    write_token_file(folder / "f", t, d, ctx_len);
    return TokenFile::open(folder / "f").fingerprint();
  };
  const std::string first = fingerprint(tokens, documents, 1);
  EXPECT_EQ(fingerprint(tokens, documents, 1), first);
  EXPECT_NE(fingerprint(others, documents, 1), first);
  EXPECT_NE(fingerprint(tokens, one, 1), first);
  EXPECT_NE(fingerprint(tokens, std::vector<std::uint32_t>{0}, 2), first);
}

TEST(TokenFile, NoContextsAreAFileToo) {
  const TestFolder folder;
  write_token_file(folder / "f", {}, {}, 8);
  const TokenFile file = TokenFile::open(folder / "f");
  EXPECT_EQ(file.context_count(), 0U);
  EXPECT_TRUE(file.tokens().empty());
}

TEST(TokenFile, WritingAHalfContextIsAMistakeOfTheProgram) {
  const TestFolder folder;
  const std::vector<TokenId> tokens(5);
  const std::vector<std::uint32_t> documents(2);
  EXPECT_THROW(write_token_file(folder / "f", tokens, documents, 3), std::logic_error);
  EXPECT_THROW(write_token_file(folder / "f", {}, {}, 0), std::logic_error);
}

struct Content {
  std::map<std::string, std::string> metadata = {
      {"format", "gloss-tokens-1"}, {"ctx_len", "2"}, {"fingerprint", std::string(32, 'a')}};
  std::vector<SafeTensorsWriter::Declared> tensors = {{"tokens", Dtype::u32, {2, 2}}, {"document", Dtype::u32, {2}}};
  std::vector<std::uint32_t> values = {1, 2, 3, 4, 0, 0};
};

std::string message_of(const TestFolder& folder, const Content& c) {
  const auto path = folder / "f";
  SafeTensorsWriter writer(path, c.tensors, c.metadata);
  writer.write_values(std::span<const std::uint32_t>(c.values));
  writer.commit();
  std::string text = error_of([&] { (void)TokenFile::open(path); });
  const std::size_t at = text.find(path.string());
  return at == std::string::npos ? text : text.replace(at, path.string().size(), "F");
}

TEST(TokenFile, FaultsSayWhatIsWrong) {
  const TestFolder folder;
  EXPECT_EQ(message_of(folder, {}), "(no error)");
  Content c;
  c.metadata.erase("format");
  EXPECT_EQ(message_of(folder, c), "F: metadata has no 'format': this is no token file");
  c = {};
  c.metadata["format"] = "gloss-tokens-3";
  EXPECT_EQ(message_of(folder, c), "F: metadata 'format' is 'gloss-tokens-3', wanted 'gloss-tokens-2'");
  c = {};
  c.metadata["format"] = "gloss-tokens-2";
  EXPECT_THAT(message_of(folder, c), HasSubstr("metadata has no 'xxh3.header'")) << "this format promises one";
  c = {};
  c.metadata["ctx_len"] = "0";
  EXPECT_EQ(message_of(folder, c), "F: metadata 'ctx_len' is '0', wanted a whole number above 0");
  c.metadata["ctx_len"] = "2x";
  EXPECT_EQ(message_of(folder, c), "F: metadata 'ctx_len' is '2x', wanted a whole number above 0");
  c.metadata["ctx_len"] = "4";
  EXPECT_EQ(message_of(folder, c), "F: tensor 'tokens': is U32 [2, 2], wanted U32 [2, 4]");
  c = {};
  c.metadata["fingerprint"] = "zz";
  EXPECT_EQ(message_of(folder, c), "F: metadata 'fingerprint' is 'zz', wanted 32 hexadecimal digits");
  c = {};
  c.values[4] = 7;
  EXPECT_EQ(message_of(folder, c),
            "F: tensor 'document': context 1 begins in an earlier document than the one before it");
  c = {};
  c.tensors[0].dtype = Dtype::i32;
  EXPECT_EQ(message_of(folder, c), "F: tensor 'tokens': is I32 [2, 2], wanted U32 [2, 2]");
  c = {};
  c.tensors[1].shape = {2, 1};
  EXPECT_EQ(message_of(folder, c),
            "F: tensor 'document': shape [2, 1], wanted [contexts] with contexts x 2 below 2^32");
  c = {};
  c.tensors[1].name = "documents";
  EXPECT_EQ(message_of(folder, c),
            "F: has no tensor 'document' among its 2\nhint: the nearest name in it is 'documents'");
}

TEST(TokenFile, EveryTruncationIsAnError) {
  const TestFolder folder;
  const std::string good = read_file(small_file(folder));
  for (std::size_t n = 0; n < good.size(); ++n) {
    const auto path = folder.write("cut", std::string_view(good).substr(0, n));
    EXPECT_THROW(TokenFile::open(path), Error) << n;
  }
}

TEST(TokenFile, VerifyFindsAFlippedBit) {
  const TestFolder folder;
  std::string bytes = read_file(small_file(folder));
  bytes[bytes.size() - 12] = static_cast<char>(bytes[bytes.size() - 12] ^ 1);  // of the last token
  const TokenFile file = TokenFile::open(folder.write("bad", bytes));
  EXPECT_THAT(error_of([&] { file.verify(); }), HasSubstr("bad: its tokens hash to "));
}

}  // namespace
}  // namespace gloss::text
