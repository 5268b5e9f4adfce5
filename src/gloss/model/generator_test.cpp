/// Texts read piece by piece, forked and side by side, against whole passes of every family's golden model, and against
/// what transformers generates with its own cache (tests/golden/PROVENANCE.md).
#include "gloss/model/generator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

std::vector<std::filesystem::path> golden_models() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(GLOSS_SOURCE_DIR "/tests/golden/models")) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// Rows of logits, [rows, V].
struct Scores {
  std::vector<float> values;
  std::size_t width = 0;
  std::span<const float> row(std::size_t i) const { return std::span(values).subspan(i * width, width); }
};

Scores scores_of(const Tensor& tensor) { return {to_host(tensor), static_cast<std::size_t>(tensor.columns())}; }

/// The largest difference, relative to the norm of the wanted row.
double difference(std::span<const float> found, std::span<const float> wanted) {
  double largest = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double d = std::abs(double{found[i]} - double{wanted[i]});
    if (!(d <= largest)) largest = d;
    squares += double{wanted[i]} * double{wanted[i]};
  }
  return largest / std::sqrt(squares);
}

/// Rounding of one dot product, for both sides, once per product of every layer, as in golden_test.cpp.
double tolerance(const Config& c) {
  constexpr double kRoundoff = std::numeric_limits<float>::epsilon() / 2.0;
  return 2.0 * kRoundoff * std::sqrt(std::max({c.width, c.hidden, c.heads * c.head_width})) * 6.0 * (c.layers + 1);
}

/// i32, copied because the file need not be aligned.
std::vector<std::int32_t> read_numbers(const formats::TensorView& view) {
  EXPECT_EQ(view.dtype, formats::Dtype::i32);
  std::vector<std::int32_t> numbers(view.element_count());
  std::memcpy(numbers.data(), view.bytes.data(), view.bytes.size());
  return numbers;
}

/// A text under way, and all that was read of it.
struct Text {
  TextState state;
  std::vector<TokenId> tokens;
};

class Generation : public ::testing::TestWithParam<std::filesystem::path> {
 protected:
  SubjectModel model_ = SubjectModel::load(GetParam());
  Generator generator_{model_};

  Scores whole(const std::vector<TokenId>& tokens) const { return scores_of(model_.logits(tokens, 1)); }

  /// Reads each text on by its new tokens, all scored, in one pass. Every row must be that of a whole pass.
  double read_and_check(const std::vector<Text*>& texts, const std::vector<std::vector<TokenId>>& more) const {
    std::vector<Generator::Piece> pieces;
    for (std::size_t i = 0; i < texts.size(); ++i)
      pieces.push_back({&texts[i]->state, more[i], static_cast<std::uint32_t>(more[i].size())});
    const Scores found = scores_of(generator_.read(pieces));
    double worst = 0.0;
    std::size_t row = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      Text& text = *texts[i];
      const std::size_t before = text.tokens.size();
      text.tokens.insert(text.tokens.end(), more[i].begin(), more[i].end());
      EXPECT_EQ(text.state.size(), text.tokens.size());
      const Scores wanted = whole(text.tokens);
      for (std::size_t t = before; t < text.tokens.size(); ++t)
        worst = std::max(worst, difference(found.row(row++), wanted.row(t)));
    }
    EXPECT_EQ(found.values.size(), row * found.width);
    return worst;
  }
};

TEST_P(Generation, ReadsAWholeTextAsOnePass) {
  Text text;
  const double worst = read_and_check({&text}, {random_tokens(70, model_.config().vocabulary, 1)});
  EXPECT_LE(worst, tolerance(model_.config()));
  fmt::print("{}: {:.1e}, allowed {:.1e}\n", GetParam().filename().string(), worst, tolerance(model_.config()));
}

TEST_P(Generation, ForkedTextsGiveTheLogitsOfWholeOnes) {
  const Config& c = model_.config();
  Random random(7);
  double worst = 0.0;
  for (int round = 0; round < 4; ++round) {
    std::vector<Text> texts(1);
    for (int step = 0; step < 6; ++step) {
      // Forks, some of them of a text's first tokens only.
      const std::size_t forks = random.below(4);
      for (std::size_t i = 0; i < forks; ++i) {
        Text fork = texts[random.below(texts.size())];
        if (random.below(2) == 0) {
          fork.tokens.resize(random.below(fork.tokens.size() + 1));
          fork.state = fork.state.first(static_cast<std::uint32_t>(fork.tokens.size()));
        }
        texts.push_back(std::move(fork));
      }
      // Some of them, in random order, read on by different lengths.
      std::vector<Text*> chosen;
      for (const std::uint64_t i : random.sample(texts.size(), 1 + random.below(texts.size())))
        chosen.push_back(&texts[i]);
      std::vector<std::vector<TokenId>> more;
      for (const Text* text : chosen) {
        const std::size_t room = std::min<std::size_t>(c.max_context - text->tokens.size(), 25);
        const std::size_t count = random.below(3) == 0 ? 1 : 1 + random.below(std::max<std::size_t>(room, 1));
        more.push_back(random_tokens(std::min(count, room), c.vocabulary, random.next_u64()));
      }
      for (std::size_t i = chosen.size(); i-- > 0;) {
        if (!more[i].empty()) continue;
        chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(i));
        more.erase(more.begin() + static_cast<std::ptrdiff_t>(i));
      }
      if (!chosen.empty()) worst = std::max(worst, read_and_check(chosen, more));
    }
  }
  EXPECT_LE(worst, tolerance(c));
}

TEST_P(Generation, ManyTextsTokenByTokenGiveTheLogitsOfWholeOnes) {
  const Config& c = model_.config();
  std::vector<Text> texts(1);
  read_and_check({&texts[0]}, {random_tokens(20, c.vocabulary, 2)});
  texts.resize(5, texts[0]);
  std::vector<Text*> all;
  for (Text& text : texts) all.push_back(&text);
  double worst = 0.0;
  for (std::uint64_t step = 0; step < 40; ++step) {
    std::vector<std::vector<TokenId>> more;
    for (std::size_t i = 0; i < texts.size(); ++i)
      more.push_back(random_tokens(step == 0 ? i + 1 : 1, c.vocabulary, 100 * step + i));
    worst = std::max(worst, read_and_check(all, more));
  }
  EXPECT_LE(worst, tolerance(c));
}

TEST_P(Generation, GreedyTokensAreThoseOfTransformers) {
  const formats::SafeTensors golden = formats::SafeTensors::open(GetParam() / "generated.safetensors");
  const std::vector<std::int32_t> values = read_numbers(golden.tensor("tokens"));
  const std::vector<std::int32_t> prompts = read_numbers(golden.tensor("prompt_lengths"));
  const std::size_t batch = prompts.size(), length = values.size() / batch;
  ASSERT_GE(batch, 3U);
  std::vector<Text> texts(batch);
  std::vector<std::vector<TokenId>> next(batch), wanted(batch);
  for (std::size_t b = 0; b < batch; ++b) {
    for (std::size_t t = 0; t < length; ++t)
      wanted[b].push_back(TokenId{static_cast<std::uint32_t>(values[b * length + t])});
    next[b].assign(wanted[b].begin(), wanted[b].begin() + prompts[b]);
  }
  for (bool open = true; open;) {
    std::vector<Generator::Piece> pieces;
    std::vector<std::size_t> who;
    for (std::size_t b = 0; b < batch; ++b) {
      if (texts[b].state.size() + next[b].size() >= length) continue;
      pieces.push_back({&texts[b].state, next[b]});
      who.push_back(b);
    }
    open = !pieces.empty();
    if (!open) break;
    const Scores scores = scores_of(generator_.read(pieces));
    for (std::size_t i = 0; i < who.size(); ++i) {
      const auto row = scores.row(i);
      const TokenId best{static_cast<std::uint32_t>(std::max_element(row.begin(), row.end()) - row.begin())};
      const std::size_t b = who[i];
      ASSERT_EQ(best, wanted[b][texts[b].state.size()]) << "text " << b << " at " << texts[b].state.size();
      next[b] = {best};
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Generation, ::testing::ValuesIn(golden_models()), [](const auto& parameter) {
  std::string name = parameter.param.filename().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Generator, ComputesNearlyTheSameInBfloat16) {
  const std::filesystem::path folder = GLOSS_SOURCE_DIR "/tests/golden/models/gemma2";
  const Generator exact(SubjectModel::load(folder)), rough(SubjectModel::load(folder, {.dtype = "bfloat16"}));
  EXPECT_EQ(rough.bytes_per_token() * 2, exact.bytes_per_token());
  const std::vector<TokenId> tokens = random_tokens(40, exact.model().config().vocabulary, 3);
  const auto read = [&](const Generator& generator) {
    TextState state;
    const std::span<const TokenId> all(tokens);
    const Generator::Piece first{&state, all.first(25), 0};
    generator.read(std::span(&first, 1));
    const Generator::Piece second{&state, all.subspan(25)};
    return scores_of(generator.read(std::span(&second, 1)));
  };
  const double found = difference(read(rough).row(0), read(exact).row(0));
  EXPECT_GT(found, 1e-5) << "is not computed in bfloat16 at all";
  EXPECT_LE(found, 0.1);
}

TEST(Generator, KeepsWhatAMemoryBudgetReckonsWith) {
  const Generator generator(SubjectModel::load(GLOSS_SOURCE_DIR "/tests/golden/models/llama"));
  const Config& c = generator.model().config();
  EXPECT_EQ(generator.bytes_per_token(), std::uint64_t{2} * c.layers * c.kv_heads * c.head_width * 4);
}

TEST(Generator, RefusesWhatTheModelCannotReadAndKeepsTheStates) {
  const Generator generator(SubjectModel::load(GLOSS_SOURCE_DIR "/tests/golden/models/llama"));
  const Config& c = generator.model().config();
  const std::vector<TokenId> good = random_tokens(30, c.vocabulary, 4), next = random_tokens(3, c.vocabulary, 5);
  TextState state;
  const Generator::Piece start{&state, good, 0};
  EXPECT_EQ(generator.read(std::span(&start, 1)).rows(), 0);
  const std::vector<TokenId> bad{next[0], TokenId{c.vocabulary}};
  const Generator::Piece wrong{&state, bad};
  EXPECT_NE(error_of([&] {
              generator.read(std::span(&wrong, 1));
            }).find("is not below the vocabulary of 83\nhint: the tokenizer belongs to another model"),
            std::string::npos);
  const std::vector<TokenId> many(c.max_context, next[0]);
  const Generator::Piece long_one{&state, many};
  EXPECT_EQ(error_of([&] { generator.read(std::span(&long_one, 1)); }),
            "tokens: a text of 158 tokens is longer than the model's context of 128");
  EXPECT_EQ(state.size(), 30U);
  EXPECT_THROW(static_cast<void>(state.first(31)), std::invalid_argument);
  const Generator::Piece on{&state, next};
  const Scores found = scores_of(generator.read(std::span(&on, 1)));
  std::vector<TokenId> all = good;
  all.insert(all.end(), next.begin(), next.end());
  const Scores wanted = scores_of(generator.model().logits(all, 1));
  EXPECT_LE(difference(found.row(0), wanted.row(32)), tolerance(c));
}

}  // namespace
}  // namespace gloss::model
