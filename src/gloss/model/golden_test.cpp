/// Against forward passes that we did not write: what transformers computes at every hookpoint of a tiny model of each
/// family (tests/golden/PROVENANCE.md), and hidden states and logits stored beside two small trained models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "gloss/base/error.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/subject_model.h"

namespace gloss::model {
namespace {

/// Both were computed in f64 by other implementations; the logits reach 20.
constexpr double kTolerance = 5e-4;

double largest_difference(const std::vector<float>& found, const float* wanted) {
  double largest = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i]));
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/// i64 or u32 ids, copied because the file need not be aligned.
std::vector<TokenId> read_tokens(const formats::TensorView& view) {
  std::vector<TokenId> tokens(view.element_count());
  const std::size_t size = formats::size_bytes(view.dtype);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::uint32_t id = 0;  // the low half of an i64 is the same number
    std::memcpy(&id, view.bytes.data() + i * size, sizeof(id));
    tokens[i] = TokenId{id};
  }
  return tokens;
}

void check_golden(const std::filesystem::path& model_folder, const std::filesystem::path& golden_file) {
  const SubjectModel model = SubjectModel::load(model_folder);
  const Config& c = model.config();
  const formats::SafeTensors golden = formats::SafeTensors::open(golden_file);
  const std::vector<TokenId> tokens = read_tokens(golden.tensor("tokens"));
  const auto batch = static_cast<std::uint32_t>(golden.tensor("tokens").shape.at(0));

  // hidden_states [L + 1, B, T, D]: the embedding, then the stream after each layer.
  const std::vector<float> states = formats::to_floats(golden.tensor("hidden_states"));
  ASSERT_EQ(states.size(), (c.layers + 1) * tokens.size() * c.width);
  std::vector<Hookpoint> hookpoints;
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) hookpoints.push_back({layer, Site::layer_output});
  const std::vector<Tensor> found = model.activations(tokens, batch, hookpoints);
  double worst = 0.0;
  for (std::size_t layer = 0; layer < found.size(); ++layer)
    worst = std::max(worst, largest_difference(to_host(found[layer]), &states[(layer + 1) * tokens.size() * c.width]));
  EXPECT_LT(worst, kTolerance);

  // logits [B or fewer, T, V]: of the first contexts.
  const std::vector<float> wanted = formats::to_floats(golden.tensor("logits"));
  ASSERT_EQ(golden.tensor("logits").shape.back(), c.vocabulary);
  const Tensor logits = model.logits(tokens, batch);
  std::vector<float> first = to_host(logits);
  ASSERT_GE(first.size(), wanted.size());
  first.resize(wanted.size());
  const double logit_difference = largest_difference(first, wanted.data());
  EXPECT_LT(logit_difference, kTolerance);
  const double loss = SubjectModel::mean_loss(logits, tokens, batch);
  testing::Test::RecordProperty("largest_stream_difference", fmt::format("{:.2e}", worst));
  testing::Test::RecordProperty("largest_logit_difference", fmt::format("{:.2e}", logit_difference));
  testing::Test::RecordProperty("mean_loss", fmt::format("{:.4f}", loss));
  fmt::print("largest difference: stream {:.2e}, logits {:.2e}; mean loss {:.4f}\n", worst, logit_difference, loss);
}

/// Rows [b * length + position] of a tensor [batch * length, width].
std::vector<float> pick_rows(const std::vector<float>& all, std::uint32_t batch, std::span<const TokenId> positions,
                             std::size_t width) {
  const std::size_t length = all.size() / width / batch;
  std::vector<float> picked;
  for (std::size_t b = 0; b < batch; ++b) {
    for (const TokenId position : positions) {
      const auto row = all.begin() + static_cast<std::ptrdiff_t>((b * length + to_index(position)) * width);
      picked.insert(picked.end(), row, row + static_cast<std::ptrdiff_t>(width));
    }
  }
  return picked;
}

struct Difference {
  double largest = 0.0, row_norm = 0.0;  // of any element; the largest norm of a wanted row
  double relative() const { return largest / row_norm; }
};

Difference compare(const std::vector<float>& found, const std::vector<float>& wanted, std::size_t width) {
  EXPECT_EQ(found.size(), wanted.size());
  if (found.size() != wanted.size()) return {std::numeric_limits<double>::infinity(), 1.0};
  Difference d{largest_difference(found, wanted.data()), 0.0};
  for (std::size_t row = 0; row < wanted.size() / width; ++row) {
    double squares = 0.0;
    for (std::size_t i = 0; i < width; ++i)
      squares += double{wanted[row * width + i]} * double{wanted[row * width + i]};
    d.row_norm = std::max(d.row_norm, std::sqrt(squares));
  }
  return d;
}

/// How far two f32 passes may be from each other, of the largest row norm: rounding of one dot product (unit roundoff
/// times the root of its length, by Cauchy-Schwarz), for both, once per product that came before.
double tolerance(const Config& c, std::uint32_t layers_before) {
  constexpr double kRoundoff = std::numeric_limits<float>::epsilon() / 2.0;
  constexpr double kProductsPerLayer = 6.0;  // qkv, scores, mix, out, in, down
  const double longest = std::max({c.width, c.hidden, c.heads * c.head_width});
  return 2.0 * kRoundoff * std::sqrt(longest) * kProductsPerLayer * (layers_before + 1);
}

std::vector<std::filesystem::path> golden_models() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(GLOSS_SOURCE_DIR "/tests/golden/models")) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

class Family : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Family, AgreesWithTransformersAtEveryHookpoint) {
  const SubjectModel model = SubjectModel::load(GetParam());
  const Config& c = model.config();
  const formats::SafeTensors golden = formats::SafeTensors::open(GetParam() / "golden.safetensors");
  const std::vector<TokenId> tokens = read_tokens(golden.tensor("tokens"));
  const std::vector<TokenId> positions = read_tokens(golden.tensor("positions"));
  const auto batch = static_cast<std::uint32_t>(golden.tensor("tokens").shape.at(0));

  std::vector<Hookpoint> hookpoints;
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    for (const Hookpoint at : hookpoints_of_layer(layer, c.hookpoints())) {
      if (at.site != Site::mlp_normed) hookpoints.push_back(at);  // no module of transformers gives it: tested below
    }
  }
  EXPECT_EQ(golden.tensors().size(), hookpoints.size() + 3) << "tokens, positions, logits: nothing is left out";
  const std::vector<Tensor> found = model.activations(tokens, batch, hookpoints);
  std::map<std::uint32_t, double> worst;  // by layer
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t width = model.width(hookpoints[i]);
    const Difference d = compare(pick_rows(to_host(found[i]), batch, positions, width),
                                 formats::to_floats(golden.tensor(hookpoints[i].name())), width);
    EXPECT_LE(d.relative(), tolerance(c, hookpoints[i].layer)) << hookpoints[i].name();
    worst[hookpoints[i].layer] = std::max(worst[hookpoints[i].layer], d.relative());
  }
  const Difference logits = compare(pick_rows(to_host(model.logits(tokens, batch)), batch, positions, c.vocabulary),
                                    formats::to_floats(golden.tensor("logits")), c.vocabulary);
  EXPECT_LE(logits.relative(), tolerance(c, c.layers)) << "logits";

  std::string line = fmt::format("{:20} tolerance {:.1e} a layer; ", GetParam().filename().string(), tolerance(c, 0));
  for (const auto& [layer, difference] : worst) line += fmt::format(" {:.1e}", difference);
  fmt::print("{}; logits {:.1e}\n", line, logits.relative());
}

/// A row as the norm before the MLP leaves it without gain and bias, in f64.
std::vector<float> normed_rows(const std::vector<float>& rows, std::size_t width, const Config& c) {
  std::vector<float> out(rows.size());
  for (std::size_t begin = 0; begin < rows.size(); begin += width) {
    double mean = 0.0;
    double squares = 0.0;
    for (std::size_t i = 0; i < width; ++i) mean += rows[begin + i] / static_cast<double>(width);
    if (c.norm == Norm::rms) mean = 0.0;
    for (std::size_t i = 0; i < width; ++i)
      squares += (rows[begin + i] - mean) * (rows[begin + i] - mean) / static_cast<double>(width);
    for (std::size_t i = 0; i < width; ++i)
      out[begin + i] = static_cast<float>((rows[begin + i] - mean) / std::sqrt(squares + c.norm_epsilon));
  }
  return out;
}

TEST_P(Family, GivesTheValueBeforeTheGainOfTheNormThatTheMlpReads) {
  const SubjectModel model = SubjectModel::load(GetParam());
  const Config& c = model.config();
  const formats::SafeTensors golden = formats::SafeTensors::open(GetParam() / "golden.safetensors");
  const std::vector<TokenId> tokens = read_tokens(golden.tensor("tokens"));
  const std::vector<TokenId> positions = read_tokens(golden.tensor("positions"));
  std::vector<Hookpoint> places;
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) places.push_back({layer, Site::mlp_normed});
  const std::vector<Tensor> found = model.activations(tokens, 2, places);
  for (const Hookpoint at : places) {
    // What transformers gives that norm.
    const Hookpoint stream{at.layer, c.parallel ? Site::layer_input : Site::between};
    const std::vector<float> wanted = normed_rows(formats::to_floats(golden.tensor(stream.name())), c.width, c);
    const std::vector<float> rows = pick_rows(to_host(found[at.layer]), 2, positions, c.width);
    EXPECT_LE(compare(rows, wanted, c.width).relative(), tolerance(c, at.layer)) << at.name();
  }
}

TEST_P(Family, AnEditBeforeTheGainThatChangesNothingChangesNothingAfterIt) {
  const SubjectModel model = SubjectModel::load(GetParam());
  const Config& c = model.config();
  const std::vector<TokenId> tokens{TokenId{3}, TokenId{1}, TokenId{4}, TokenId{1}, TokenId{5}};
  const Hookpoint normed{c.layers - 1, Site::mlp_normed};
  const std::vector<Hookpoint> after{{c.layers - 1, Site::mlp_input}};
  const std::vector<float> wanted = to_host(model.activations(tokens, 1, after).front());
  const Tensor same = model.activations(tokens, 1, std::span(&normed, 1)).front();
  const std::vector<Hookpoint> both{normed, after.front()};
  EXPECT_EQ(to_host(model.activations(tokens, 1, both).back()), wanted) << "looking changes no bit";
  const std::vector<Edit> edits{{normed, Edit::How::replace, same}};
  const std::vector<float> found = to_host(model.activations(tokens, 1, after, edits).front());
  EXPECT_LE(compare(found, wanted, c.width).relative(), tolerance(c, 0));
}

TEST_P(Family, ComputesAContextTheSameAloneShortenedAndAfterALongerOne) {
  const SubjectModel model = SubjectModel::load(GetParam());
  const Config& c = model.config();
  const formats::SafeTensors golden = formats::SafeTensors::open(GetParam() / "golden.safetensors");
  const std::vector<TokenId> tokens = read_tokens(golden.tensor("tokens"));
  const std::size_t length = tokens.size() / 2;
  const Hookpoint last{c.layers - 1, Site::layer_output};
  const auto stream = [&](std::span<const TokenId> ids, std::uint32_t batch) {
    return to_host(model.activations(ids, batch, std::span(&last, 1))[0]);
  };
  const std::vector<float> both = stream(tokens, 2);
  for (const std::size_t shown : {length, length - 1, std::size_t{5}}) {
    const std::vector<float> alone = stream(std::span(tokens).subspan(length, shown), 1);
    const auto begin = both.begin() + static_cast<std::ptrdiff_t>(length * c.width);
    const std::vector<float> wanted(begin, begin + static_cast<std::ptrdiff_t>(alone.size()));
    EXPECT_LE(compare(alone, wanted, c.width).relative(), tolerance(c, c.layers)) << shown << " tokens";
  }
}

TEST_P(Family, ComputesNearlyTheSameInBfloat16) {
  const SubjectModel exact = SubjectModel::load(GetParam());
  const SubjectModel rough = SubjectModel::load(GetParam(), {.dtype = "bfloat16"});
  const formats::SafeTensors golden = formats::SafeTensors::open(GetParam() / "golden.safetensors");
  const std::vector<TokenId> tokens = read_tokens(golden.tensor("tokens"));
  const Hookpoint last{exact.config().layers - 1, Site::layer_output};
  const auto stream = [&](const SubjectModel& model) {
    return to_host(model.activations(tokens, 2, std::span(&last, 1))[0]);
  };
  const double difference = compare(stream(rough), stream(exact), exact.config().width).relative();
  EXPECT_GT(difference, 1e-5) << "is not computed in bfloat16 at all";
  EXPECT_LE(difference, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Golden, Family, testing::ValuesIn(golden_models()), [](const auto& parameter) {
  std::string name = parameter.param.filename().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Golden, Stories260kAgrees) {
  const std::filesystem::path folder = GLOSS_SOURCE_DIR "/../shared/data/stories260k";
  if (!std::filesystem::exists(folder / "golden.safetensors")) GTEST_SKIP() << folder << " is not there";
  check_golden(folder, folder / "golden.safetensors");
}

TEST(Golden, SmallModelAgrees) {
  const std::filesystem::path folder = GLOSS_SOURCE_DIR "/small-model";
  if (!std::filesystem::exists(folder / "golden.safetensors")) GTEST_SKIP() << folder << " has no golden.safetensors";
  check_golden(folder / "model", folder / "golden.safetensors");
}

/// The logits of a token are unembedding . x / sigma, x the last stream and sigma the norm's scale at that token, plus
/// what the norm's bias gives, which is the same at every token: differences between tokens of that must vanish.
void check_unembedding(const std::string& family) {
  SCOPED_TRACE(family);
  const SubjectModel model =
      SubjectModel::load(std::filesystem::path(GLOSS_SOURCE_DIR "/tests/golden/models") / family);
  const Config& c = model.config();
  const std::vector<TokenId> tokens{TokenId{1}, TokenId{5}, TokenId{2}, TokenId{9}, TokenId{3}};
  const std::vector<Hookpoint> last{{c.layers - 1, Site::layer_output}};
  const std::vector<float> stream = to_host(model.activations(tokens, 1, last).front());
  const std::vector<float> logits = to_host(model.logits(tokens, 1));
  std::vector<float> rows = to_host(model.unembedding(0, 3));
  const std::vector<float> others = to_host(model.unembedding(3, c.vocabulary - 3));
  rows.insert(rows.end(), others.begin(), others.end());
  ASSERT_EQ(rows.size(), std::size_t{c.vocabulary} * c.width);
  std::vector<double> rest(logits.size());
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const float* x = &stream[t * c.width];
    double mean = 0.0;
    double squares = 0.0;
    for (std::size_t d = 0; d < c.width; ++d) mean += double{x[d]} / c.width;
    if (c.norm == Norm::rms) mean = 0.0;
    for (std::size_t d = 0; d < c.width; ++d) squares += (x[d] - mean) * (x[d] - mean) / c.width;
    const double sigma = std::sqrt(squares + c.norm_epsilon);
    for (std::size_t v = 0; v < c.vocabulary; ++v) {
      double sum = 0.0;
      for (std::size_t d = 0; d < c.width; ++d) sum += double{rows[v * c.width + d]} * x[d];
      rest[t * c.vocabulary + v] = logits[t * c.vocabulary + v] - sum / sigma;
      EXPECT_NEAR(rest[t * c.vocabulary + v], c.norm == Norm::rms ? 0.0 : rest[v], kTolerance) << t << " " << v;
    }
  }
}

TEST(Golden, UnembeddingTimesTheStreamIsTheLogits) {
  for (const char* family : {"llama", "gemma", "gpt2", "gpt-neox", "qwen3"}) check_unembedding(family);
  const SubjectModel model = SubjectModel::load(GLOSS_SOURCE_DIR "/tests/golden/models/llama");
  try {
    static_cast<void>(model.unembedding(1, model.config().vocabulary));
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("are not all below the vocabulary of"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace gloss::model
