#include "gloss/text/packing.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/base/interrupt.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using ::testing::ElementsAre;

/// One letter, one token: a=0 ... f=5, "</s>" = 6, "<s>" = 7.
Tokenizer letters() {
  return Tokenizer::parse(R"({
    "added_tokens": [{"id": 6, "content": "</s>", "special": true}, {"id": 7, "content": "<s>", "special": true}],
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5}, "merges": []}})",
                          "letters");
}

Corpus corpus_of(const TestFolder& folder, const std::vector<std::string>& documents) {
  std::string lines;
  for (const std::string& d : documents) lines += fmt::format("{{\"text\": \"{}\"}}\n", d);
  return Corpus::open({folder.write("c.jsonl", lines)});
}

Packed pack_all(const TestFolder& folder, const std::vector<std::string>& documents, const PackOptions& options) {
  Corpus corpus = corpus_of(folder, documents);
  SilentReporter silent;
  return pack(corpus, letters(), options, silent);
}

TEST(Packing, JoinsDocumentsAndDropsTheShortContext) {
  const TestFolder folder;
  PackOptions o;
  o.ctx_len = 4;
  o.separator = TokenId{6};
  const Packed p = pack_all(folder, {"abc", "", "de", "f", "abcdef"}, o);
  // a b c | d e | f | a b c d e f, joined: 15 tokens
  EXPECT_THAT(numbers(p.tokens), ElementsAre(0, 1, 2, 6, 3, 4, 6, 5, 6, 0, 1, 2));
  EXPECT_THAT(p.documents, ElementsAre(0, 2, 3));  // the third begins with the separator behind document 3
}

TEST(Packing, EveryContextBeginsWithBosWhenThereIsOne) {
  const TestFolder folder;
  PackOptions o;
  o.ctx_len = 4;
  o.separator = TokenId{6};
  o.bos = TokenId{7};
  const Packed p = pack_all(folder, {"abc", "de", "fab"}, o);
  EXPECT_THAT(numbers(p.tokens), ElementsAre(7, 0, 1, 2, 7, 6, 3, 4, 7, 6, 5, 0));
  EXPECT_THAT(p.documents, ElementsAre(0, 0, 1));
}

TEST(Packing, WithoutSeparatorDocumentsTouch) {
  const TestFolder folder;
  PackOptions o;
  o.ctx_len = 2;
  EXPECT_THAT(numbers(pack_all(folder, {"a", "b", "cd"}, o).tokens), ElementsAre(0, 1, 2, 3));
}

TEST(Packing, StopsAtWholeContextsBelowTheLimit) {
  const TestFolder folder;
  PackOptions o;
  o.ctx_len = 2;
  o.max_tokens = 5;
  const Packed p = pack_all(folder, {"abcdef"}, o);
  EXPECT_THAT(numbers(p.tokens), ElementsAre(0, 1, 2, 3));
}

TEST(Packing, DoesNotDependOnThreads) {
  const TestFolder folder;
  std::vector<std::string> documents;
  for (int i = 0; i < 20000; ++i) documents.push_back(std::string("abcdef").substr(i % 6) + std::string(i % 13, 'a'));
  PackOptions o;
  o.ctx_len = 16;
  o.separator = TokenId{6};
  const Packed one = pack_all(folder, documents, o);
  o.threads = 4;
  const Packed four = pack_all(folder, documents, o);
  EXPECT_EQ(one.tokens, four.tokens);
  EXPECT_EQ(one.documents, four.documents);
  EXPECT_TRUE(std::is_sorted(one.documents.begin(), one.documents.end()));
}

TEST(Packing, ADocumentOfItsOwnForEachContextWhenAsked) {
  const TestFolder folder;
  PackOptions o;
  o.layout = ContextLayout::document;
  o.ctx_len = 3;
  o.separator = TokenId{6};
  const Packed p = pack_all(folder, {"abcd", "", "de", "fed", "abcdef"}, o);
  EXPECT_THAT(numbers(p.tokens), ElementsAre(0, 1, 2, 5, 4, 3, 0, 1, 2, 3, 4, 5));
  EXPECT_THAT(p.documents, ElementsAre(0, 3, 4, 4));
  o.bos = TokenId{7};
  EXPECT_THAT(numbers(pack_all(folder, {"abcd", "a", "de"}, o).tokens), ElementsAre(7, 0, 1, 7, 2, 3, 7, 3, 4));
}

TEST(Packing, AsSparsifyPutsTheSeparatorFirstAndDropsTheLastContextOfAGroup) {
  const TestFolder folder;
  PackOptions o;
  o.layout = ContextLayout::sparsify;
  o.ctx_len = 3;
  o.separator = TokenId{6};
  // </s> a b c </s> </s> d e f: three whole contexts, the last of them dropped
  Packed p = pack_all(folder, {"abc", "", "def"}, o);
  EXPECT_THAT(numbers(p.tokens), ElementsAre(6, 0, 1, 2, 6, 6));
  EXPECT_THAT(p.documents, ElementsAre(0, 0));
  p = pack_all(folder, {"abc", "", "defa"}, o);
  EXPECT_THAT(numbers(p.tokens), ElementsAre(6, 0, 1, 2, 6, 6, 3, 4, 5));
  EXPECT_THAT(p.documents, ElementsAre(0, 0, 2));
  o.max_tokens = 3;
  EXPECT_THAT(numbers(pack_all(folder, {"abc", "", "defa"}, o).tokens), ElementsAre(6, 0, 1));
}

TEST(Packing, AsSparsifyBeginsAnewAfterEachGroupOf2048Documents) {
  const TestFolder folder;
  PackOptions o;
  o.layout = ContextLayout::sparsify;
  o.ctx_len = 5;
  o.separator = TokenId{6};
  // 2,048 documents of two tokens with their separators are 4,096 tokens: 819 whole contexts and one token dropped.
  const Packed p = pack_all(folder, std::vector<std::string>(2048 + 10, "a"), o);
  EXPECT_EQ(p.documents.size(), 819U + 3U);  // the second group: 20 tokens, the last of its four contexts dropped
  EXPECT_EQ(p.documents[819], 2048U);
  EXPECT_EQ(to_index(p.tokens[819 * 5]), 6U);
}

TEST(Packing, LayoutsHaveNames) {
  EXPECT_EQ(context_layout("sparsify"), ContextLayout::sparsify);
  EXPECT_EQ(error_of([] { context_layout("document "); }),
            "unknown packing 'document '; known: joined, sparsify, document\nhint: did you mean 'document'?");
}

class Counting : public SilentReporter {
 public:
  void progress(const Progress& p) override {
    EXPECT_EQ(p.unit, "tokens");
    last = p.done;
    total = p.total;
  }
  std::uint64_t last = 0;
  std::uint64_t total = 0;
};

TEST(Packing, TellsHowFarItIs) {
  const TestFolder folder;
  Corpus corpus = corpus_of(folder, {"abcdef"});
  Counting reporter;
  PackOptions o;
  o.ctx_len = 2;
  o.max_tokens = 9;
  (void)pack(corpus, letters(), o, reporter);
  EXPECT_EQ(reporter.last, 6U);
  EXPECT_EQ(reporter.total, 8U);
}

TEST(Packing, StopsWhenInterrupted) {
  const TestFolder folder;
  set_interrupted(true);
  const std::string message = error_of([&] { (void)pack_all(folder, {"abc"}, PackOptions{}); });
  set_interrupted(false);
  EXPECT_EQ(message, "interrupted");
}

TEST(Packing, TooLittleTextIsAnErrorThatSaysSo) {
  const TestFolder folder;
  const std::string file = (folder / "c.jsonl").string();
  PackOptions o;
  o.ctx_len = 8;
  EXPECT_EQ(error_of([&] { (void)pack_all(folder, {}, o); }),
            file + ": no text in 0 documents\nhint: is this the right file or field?");
  EXPECT_EQ(error_of([&] {
              (void)pack_all(folder, {"", ""}, o);
            }),
            file + ": no text in 2 documents\nhint: is this the right file or field?");
  EXPECT_EQ(error_of([&] {
              (void)pack_all(folder, {"abc", "d"}, o);
            }),
            file + ": 4 tokens are too few for one context of 8\nhint: give more text, or shorter contexts");
}

TEST(Packing, OptionsThatAllowNoContextAreUsageErrors) {
  const TestFolder folder;
  PackOptions o;
  o.ctx_len = 8;
  o.max_tokens = 7;
  EXPECT_EQ(error_of([&] { (void)pack_all(folder, {"abc"}, o); }), "tokens: 7 tokens are less than one context of 8");
  o.ctx_len = 0;
  EXPECT_EQ(error_of([&] { (void)pack_all(folder, {"abc"}, o); }), "ctx_len: contexts of 0 tokens, wanted at least 1");
  o.ctx_len = 1;
  o.bos = TokenId{7};
  EXPECT_EQ(error_of([&] { (void)pack_all(folder, {"abc"}, o); }), "ctx_len: contexts of 1 tokens, wanted at least 2");
}

TEST(SpecialTokensOfAModel, ComeFromTheFilesBesideIt) {
  const TestFolder folder;
  const Tokenizer t = letters();
  EXPECT_EQ(special_tokens(t, folder.path()).separator, TokenId{6});  // </s> by its name
  EXPECT_EQ(special_tokens(t, folder.path()).bos, std::nullopt);
  folder.write("config.json", R"({"eos_token_id": [3, 4]})");
  EXPECT_EQ(special_tokens(t, folder.path()).separator, TokenId{3});
  folder.write("tokenizer_config.json",
               R"({"eos_token": {"content": "f"}, "bos_token": "<s>", "add_bos_token": true})");
  EXPECT_EQ(special_tokens(t, folder.path()).separator, TokenId{5});
  EXPECT_EQ(special_tokens(t, folder.path()).bos, TokenId{7});
  folder.write("tokenizer_config.json", R"({"eos_token": null, "bos_token": "<s>", "add_bos_token": false})");
  EXPECT_EQ(special_tokens(t, folder.path()).separator, TokenId{3});
  EXPECT_EQ(special_tokens(t, folder.path()).bos, std::nullopt);
  EXPECT_EQ(special_tokens(t, folder.path()).known_bos, TokenId{7}) << "for those who ask for one all the same";
}

TEST(SpecialTokensOfAModel, ThatTheTokenizerDoesNotKnowAreErrors) {
  const TestFolder folder;
  const Tokenizer t = letters();
  const auto config = folder.write("config.json", R"({"eos_token_id": 900})");
  EXPECT_EQ(error_of([&] { (void)special_tokens(t, folder.path()); }),
            config.string() + ": 'eos_token_id' is 900, wanted a token id below 8");
  const auto other = folder.write("tokenizer_config.json", R"({"eos_token": "<end>"})");
  EXPECT_EQ(error_of([&] { (void)special_tokens(t, folder.path()); }),
            other.string() + ": 'eos_token' is '<end>', which the tokenizer does not know");
}

}  // namespace
}  // namespace gloss::text
