// Each normalizer, pre-tokenizer and decoder alone, against what the Hugging Face package makes of the same texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/formats/json_file.h"
#include "gloss/text/byte_level.h"
#include "gloss/text/decoder.h"
#include "gloss/text/normalizer.h"
#include "gloss/text/pre_tokenizer.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;

const Json& goldens(const char* kind) {
  static const Json all = formats::read_json(test_data("components.json"));
  return all.at(kind);
}

TEST(Components, NormalizersAgreeWithTheReference) {
  std::size_t rows = 0;
  for (const Json& golden : goldens("normalizer")) {
    const Normalizer n = Normalizer::parse(golden["config"], "golden");
    for (const Json& row : golden["rows"]) {
      ++rows;
      EXPECT_EQ(n.apply(row[0].get<std::string>()), row[1].get<std::string>())
          << golden["config"].dump().substr(0, 200) << "\n"
          << row[0].dump();
    }
  }
  EXPECT_GT(rows, 200U);
}

std::vector<std::string> pieces_of(const PreTokenizer& p, const std::string& text) {
  Pieces pieces(text, true);
  p.apply(pieces);
  std::vector<std::string> found;
  for (const Span& s : pieces.spans) {
    const std::string_view piece = pieces.text.substr(s.begin, s.end - s.begin);
    found.emplace_back();
    if (pieces.raw_bytes) {
      append_byte_level(found.back(), piece);
    } else {
      found.back() = piece;
    }
  }
  return found;
}

TEST(Components, PreTokenizersAgreeWithTheReference) {
  std::size_t rows = 0;
  for (const Json& golden : goldens("pre_tokenizer")) {
    const PreTokenizer p = PreTokenizer::parse(golden["config"], "golden");
    for (const Json& row : golden["rows"]) {
      ++rows;
      EXPECT_EQ(pieces_of(p, row[0].get<std::string>()), row[1].get<std::vector<std::string>>())
          << golden["config"].dump() << "\n"
          << row[0].dump();
    }
  }
  EXPECT_GT(rows, 800U);
}

TEST(Components, DecodersAgreeWithTheReference) {
  std::size_t rows = 0;
  for (const Json& golden : goldens("decoder")) {
    const Decoder d = Decoder::parse(golden["config"], "golden");
    for (const Json& row : golden["rows"]) {
      ++rows;
      EXPECT_EQ(d.decode(row[0].get<std::vector<std::string>>()), row[1].get<std::string>())
          << golden["config"].dump() << "\n"
          << row[0].dump();
    }
  }
  EXPECT_GT(rows, 60U);
}

TEST(Components, AnEmptyRowOfTokensIsAnEmptyText) {
  for (const Json& golden : goldens("decoder")) EXPECT_EQ(Decoder::parse(golden["config"], "golden").decode({}), "");
}

TEST(Charsmap, NoDamageMakesItReadOutside) {
  std::string blob;
  for (const Json& golden : goldens("normalizer")) {
    if (golden["config"]["type"] == "Precompiled") blob = golden["config"]["precompiled_charsmap"];
  }
  ASSERT_FALSE(blob.empty());
  const std::string text = "ﬁ² ａ\u0301e\u0301 x\u3000\u1100\u1161 中İ\U0001f600 \r\n\u0301";
  for (std::size_t at = 0; at < blob.size(); at += 3) {
    Json json = {{"type", "Precompiled"}, {"precompiled_charsmap", blob}};
    auto& damaged = json["precompiled_charsmap"].get_ref<std::string&>();
    damaged[at] = damaged[at] == '/' ? 'A' : '/';
    try {
      (void)Normalizer::parse(json, "damaged").apply(text);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace gloss::text
