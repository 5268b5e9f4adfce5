// Every layout against its own library: tests/golden/coders (PROVENANCE.md) has for each a small coder, what the
// library encodes from an input, and what it reconstructs.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/hookpoint.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"
#include "gloss/sparse/format.h"
#include "gloss/sparse/test_coder.h"
#include "gloss/sparse/torch_encode.h"

namespace gloss::sparse {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const fs::path kCoders = GLOSS_SOURCE_DIR "/tests/golden/coders";
/// Float sums of 12 and 70 terms of this size, in another order than the library's.
constexpr double kTolerance = 1e-5;

struct Wanted {
  const char* name;
  const char* path;  // of the coder, below the name
  const char* format;
  const char* activation;
  const char* hookpoint;
  const char* reads = "";
  double scale = 0;
};

const Wanted kWanted[] = {
    {"sparsify-topk", "layers.1", "sparsify", "topk", "layers.1"},
    {"sparsify-groupmax", "layers.1", "sparsify", "groupmax", "layers.1"},
    {"sparsify-multi-topk", "layers.1", "sparsify", "topk", "layers.1"},
    {"sparsify-transcoder", "layers.1.mlp", "sparsify", "topk", "layers.1.mlp"},
    {"sparsify-skip-transcoder", "layers.1.mlp", "sparsify", "topk", "layers.1.mlp"},
    {"saelens-standard", "", "saelens", "relu", "blocks.1.hook_resid_pre"},
    {"saelens-no-b-dec", "", "saelens", "relu", "blocks.1.hook_resid_pre"},
    {"saelens-gated", "", "saelens", "gated", "blocks.1.hook_resid_pre"},
    {"saelens-topk", "", "saelens", "topk", "blocks.1.hook_resid_pre"},
    {"saelens-topk-rescaled", "", "saelens", "topk", "blocks.1.hook_resid_pre"},
    {"saelens-jumprelu", "", "saelens", "jumprelu", "blocks.1.hook_resid_pre"},
    {"saelens-layer-norm", "", "saelens", "relu", "blocks.1.hook_resid_pre"},
    {"saelens-constant-norm", "", "saelens", "jumprelu", "blocks.1.hook_resid_pre"},
    {"saelens-average-norm", "", "saelens", "relu", "blocks.1.hook_resid_pre", "", 0.375},
    {"saelens-batchtopk", "", "saelens", "jumprelu", "blocks.1.hook_resid_pre"},
    {"saelens-batchtopk-checkpoint", "", "saelens", "batchtopk", "blocks.1.hook_resid_pre"},
    {"saelens-transcoder", "", "saelens", "relu", "blocks.1.hook_mlp_out", "blocks.1.ln2.hook_normalized"},
    {"saelens-skip-transcoder", "", "saelens", "relu", "blocks.1.hook_mlp_out", "blocks.1.ln2.hook_normalized"},
    {"saelens-jumprelu-transcoder", "", "saelens", "jumprelu", "blocks.1.hook_mlp_out", "blocks.1.ln2.hook_normalized"},
    {"saelens-old-standard", "", "saelens", "relu", "blocks.1.hook_resid_pre"},
    {"saelens-old-no-architecture", "", "saelens", "relu", "blocks.1.hook_resid_pre"},
    {"saelens-old-gated", "", "saelens", "gated", "blocks.1.hook_resid_pre"},
    {"saelens-old-topk", "", "saelens", "topk", "blocks.1.hook_resid_pre"},
    {"saelens-old-jumprelu", "", "saelens", "jumprelu", "blocks.1.hook_resid_pre"},
    {"gemma-scope", "gemma-scope-2b-pt-res/layer_1/width_70/average_l0_20", "gemma-scope", "jumprelu", "layers.1"},
    {"gemma-scope-lower-case", "gemma-scope-2b-pt-att/layer_1/width_70/average_l0_20", "gemma-scope", "jumprelu",
     "layers.1.attn.heads"},
    {"gemma-scope-2", "", "gemma-scope-2", "jumprelu", "model.layers.1.post_feedforward_layernorm",
     "model.layers.1.pre_feedforward_layernorm"},
    {"dictionary-autoencoder", "resid_post_layer_1/trainer_0", "dictionary_learning", "relu", "layers.1"},
    {"dictionary-autoencoder-new", "resid_post_layer_1/trainer_0", "dictionary_learning", "relu", "layers.1"},
    {"dictionary-gated", "resid_post_layer_1/trainer_0", "dictionary_learning", "gated", "layers.1"},
    {"dictionary-jumprelu", "resid_post_layer_1/trainer_0", "dictionary_learning", "jumprelu", "layers.1"},
    {"dictionary-topk", "resid_post_layer_1/trainer_0", "dictionary_learning", "topk", "layers.1"},
    {"dictionary-batchtopk", "resid_post_layer_1/trainer_0", "dictionary_learning", "batchtopk", "layers.1"},
    {"dictionary-matryoshka", "resid_post_layer_1/trainer_0", "dictionary_learning", "batchtopk", "layers.1"},
    {"openai-topk", "resid_post_mlp_v5_32k/autoencoders", "openai", "topk", "layers.1"},
    {"openai-relu", "mlp_post_act/autoencoders", "openai", "relu", "layers.1.mlp.hidden"},
};

struct Golden {
  std::vector<float> x, f, y;
  std::size_t rows, width, latents;

  explicit Golden(const std::string& name) {
    const auto file = formats::SafeTensors::open(kCoders / name / "golden.safetensors");
    x = formats::to_floats(file.tensor("x"));
    f = formats::to_floats(file.tensor("f"));
    y = formats::to_floats(file.tensor("y"));
    rows = file.tensor("x").shape.at(0);
    width = file.tensor("x").shape.at(1);
    latents = file.tensor("f").shape.at(1);
  }
};

Coder load(const Wanted& w) { return Coder::load(kCoders / w.name / w.path, {.activation_scale = w.scale}); }

TEST(GoldenCoders, EveryLayoutEncodesAsItsOwnLibraryDoes) {
  for (const Wanted& w : kWanted) {
    SCOPED_TRACE(w.name);
    const Coder coder = load(w);
    EXPECT_EQ(coder.info().format, w.format);
    EXPECT_EQ(coder.info().activation, w.activation);
    EXPECT_EQ(coder.info().hookpoint, w.hookpoint);
    EXPECT_EQ(coder.info().reads, w.reads);
    const Golden golden(w.name);
    ASSERT_EQ(coder.info().latents, golden.latents);
    const model::Tensor x =
        model::from_host(golden.x, static_cast<std::int64_t>(golden.rows), static_cast<std::int64_t>(golden.width));
    const Encoded encoded = coder.encode(x);
    ASSERT_EQ(encoded.rows(), golden.rows);
    std::vector<float> dense(golden.f.size(), 0.0F);
    for (std::size_t row = 0; row < encoded.rows(); ++row) {
      for (std::uint64_t i = encoded.offsets[row]; i < encoded.offsets[row + 1]; ++i) {
        EXPECT_GT(encoded.value[i], 0.0F);
        if (i > encoded.offsets[row]) {
          EXPECT_LE(encoded.value[i], encoded.value[i - 1]);
        }
        dense[row * golden.latents + encoded.latent[i]] = encoded.value[i];
      }
    }
    double largest = 0;
    std::size_t other = 0;
    for (std::size_t i = 0; i < dense.size(); ++i) {
      other += (dense[i] > 0) == (golden.f[i] > 0) ? 0 : 1;
      largest = std::max(largest, std::abs(double{dense[i]} - double{golden.f[i]}));
    }
    EXPECT_EQ(other, 0U) << "latents active in one of the two only";
    EXPECT_LT(largest, kTolerance);
    const std::vector<float> y = model::to_host(coder.decode(encoded, x));
    ASSERT_EQ(y.size(), golden.y.size());
    double off = 0;
    for (std::size_t i = 0; i < y.size(); ++i) off = std::max(off, std::abs(double{y[i]} - double{golden.y[i]}));
    EXPECT_LT(off, 3 * kTolerance) << "reconstruction";
    RecordProperty(w.name, fmt::format("{} active, largest difference {:.1e}, decoded {:.1e}", encoded.value.size(),
                                       largest, off));
  }
}

TEST(GoldenCoders, NoneIsLeftOut) {
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator(kCoders)) there.insert(entry.path().filename().string());
  std::set<std::string> tested;
  for (const Wanted& w : kWanted) tested.insert(w.name);
  EXPECT_EQ(there, tested);
}

TEST(GoldenCoders, TheHookpointsTheyNameAreOnesThatModelsHave) {
  const model::HookpointRules rules{.layers = 2, .sublayer_norms = true};
  for (const Wanted& w : kWanted) EXPECT_NO_THROW(model::Hookpoint::parse(w.hookpoint, rules)) << w.name;
}

/// Copies a golden coder's files; tests then spoil them.
class SpoiledCoder : public ::testing::Test {
 protected:
  fs::path copy(const Wanted& w) {
    const fs::path to = folder_.path() / w.name;
    fs::copy(kCoders / w.name, to, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    return to / w.path;
  }
  static const Wanted& wanted(const std::string& name) {
    return *std::find_if(std::begin(kWanted), std::end(kWanted), [&](const Wanted& w) { return w.name == name; });
  }
  TemporaryFolder folder_;
};

TEST_F(SpoiledCoder, EveryCutFileIsAnErrorNotACrash) {
  for (const Wanted& w : kWanted) {
    const fs::path folder = copy(w);
    for (const fs::path& file : recognise(folder).files(folder)) {
      const std::string whole = read_file(file);
      const std::size_t end = whole.find_last_not_of("\n ") + 1;
      for (std::size_t n = 0; n < end; n += std::max<std::size_t>(1, end / 11)) {
        fs::remove(file);
        write_file(file, whole.substr(0, n));
        EXPECT_THROW(Coder::load(folder, {.activation_scale = w.scale}), Error)
            << w.name << ": " << file.filename() << " cut at byte " << n;
      }
      write_file(file, whole);
    }
    EXPECT_NO_THROW(Coder::load(folder, {.activation_scale = w.scale})) << w.name;
  }
}

TEST_F(SpoiledCoder, AFolderOfTwoLayoutsAsksForTheFormat) {
  const fs::path folder = copy(wanted("saelens-standard"));
  fs::copy(kCoders / "sparsify-topk" / "layers.1" / "sae.safetensors", folder / "sae.safetensors");
  EXPECT_THAT(
      error_of([&] { Coder::load(folder); }),
      AllOf(HasSubstr("fits several layouts: sparsify (cfg.json with 'd_in' and sae.safetensors), saelens (cfg.json "
                      "and sae_weights.safetensors)"),
            HasSubstr("hint: say which with --sae-format sparsify")));
  EXPECT_EQ(Coder::load(folder, {.format = "saelens"}).info().format, "saelens");
  EXPECT_THAT(error_of([&] { Coder::load(folder, {.format = "saelen"}); }),
              AllOf(HasSubstr("unknown coder format 'saelen'"), HasSubstr("did you mean 'saelens'?")));
  EXPECT_THAT(error_of([&] { Coder::load(folder, {.format = "openai"}); }),
              HasSubstr("is no openai coder: wanted one .pt with 'pre_bias' and 'latent_bias', found cfg.json, "));
}

/// Replaces text in a file.
void edit(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = read_file(file);
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from << " in " << text;
  write_file(file, text.replace(at, from.size(), to));
}

TEST_F(SpoiledCoder, EveryFaultOfSaelensIsNamed) {
  const struct {
    const char *coder, *from, *to, *message;
  } faults[] = {
      {"saelens-standard", "\"d_sae\": 70", "\"d_sae\": 71",
       "tensor 'W_enc' is [12, 70], wanted [12, 71] (D x F) because cfg.json says d_in = 12 and d_sae = 71"},
      {"saelens-standard", "\"standard\"", "\"temporal\"", "'architecture' is 'temporal', supported: standard, gated"},
      {"saelens-standard", "\"standard\"", "\"jumprelu\"", "has no tensor 'threshold'"},
      {"saelens-standard", "\"standard\"", "\"gated\"", "has no tensor 'b_gate'"},
      {"saelens-standard", "\"none\"", "\"covariance_whitening\"",
       "'normalize_activations' is 'covariance_whitening', supported: none"},
      {"saelens-average-norm", "\"d_in\"", "\"d_in\"", "give it with --sae-scale S: sqrt(d_in) / mean norm"},
      {"saelens-topk", "\"k\": 5", "\"k\": 0", "'k' is 0, wanted a number from 1 to 70"},
      {"saelens-old-standard", "\"hook_head_index\": null", "\"hook_head_index\": 3", "'hook_head_index' is 3"},
      {"saelens-old-standard", "\"relu\"", "\"gelu\"", "'activation_fn' is 'gelu', supported: relu, tanh-relu, topk"},
  };
  for (const auto& fault : faults) {
    const fs::path folder = copy(wanted(fault.coder));
    edit(folder / "cfg.json", fault.from, fault.to);
    EXPECT_THAT(error_of([&] { Coder::load(folder); }), HasSubstr(fault.message));
  }
  const fs::path folder = copy(wanted("saelens-standard"));
  EXPECT_THAT(error_of([&] { Coder::load(folder, {.activation_scale = 2}); }),
              HasSubstr("'normalize_activations' is 'none', which takes no --sae-scale"));
}

TEST_F(SpoiledCoder, ATrainingsFactorBesideItsWeightsIsUsed) {
  const Wanted& w = wanted("saelens-average-norm");
  const fs::path folder = copy(w);
  write_file(folder / "activation_scaler.json", "{\"scaling_factor\": 0.375}");
  const Golden golden(w.name);
  const model::Tensor x =
      model::from_host(golden.x, static_cast<std::int64_t>(golden.rows), static_cast<std::int64_t>(golden.width));
  EXPECT_EQ(Coder::load(folder).encode(x).value, load(w).encode(x).value);
}

TEST_F(SpoiledCoder, BatchTopKAndTopKAreToldApartByTheConfigAlone) {
  const fs::path folder = copy(wanted("dictionary-batchtopk"));
  fs::remove(folder / "config.json");
  EXPECT_THAT(error_of([&] { Coder::load(folder); }),
              AllOf(HasSubstr("has the tensors of AutoEncoderTopK and of BatchTopKSAE"),
                    HasSubstr("put the training's config.json beside it")));
}

TEST_F(SpoiledCoder, AnAutoEncodersDecoderIsNormalisedUnlessToldNotTo) {
  const Wanted& w = wanted("dictionary-autoencoder");
  const Golden golden(w.name);
  const model::Tensor x =
      model::from_host(golden.x, static_cast<std::int64_t>(golden.rows), static_cast<std::int64_t>(golden.width));
  const Coder stored = Coder::load(kCoders / w.name / w.path, {.normalize_decoder = false});
  EXPECT_NE(stored.fingerprint(), load(w).fingerprint());
  const Encoded encoded = stored.encode(x);
  EXPECT_NE(encoded.value, load(w).encode(x).value);
  const std::vector<float> y = model::to_host(stored.decode(encoded, x));
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], golden.y[i], 3 * kTolerance);
}

TEST_F(SpoiledCoder, APickleThatWouldRunSomethingIsRefusedByItsName) {
  // "cos\nsystem\n(S'true'\ntR." asks to call os.system; nothing is called.
  const fs::path file = folder_.path() / "ae.pt";
  fs::copy(GLOSS_SOURCE_DIR "/tests/golden/coders/dictionary-topk/resid_post_layer_1/trainer_0/ae.pt", file);
  std::string bytes = read_file(file);
  const std::string name = "collections\nOrderedDict";
  const std::size_t at = bytes.find(name);
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, name.size(), "posix\nsystem\n" + std::string(name.size() - 13, '.'));
  fs::remove(file);
  write_file(file, bytes);
  EXPECT_THAT(error_of([&] { Coder::load(folder_.path()); }), HasSubstr("posix.system"));
}

TEST(RealCoders, OneOfNoKnownLayoutIsRefusedNotGuessed) {
  const fs::path file = GLOSS_SOURCE_DIR "/../shared/data/fixtures/tiny-sae/sae.pt";  // W_enc [F, D], W_dec [D, F]
  if (!fs::exists(file)) GTEST_SKIP() << file << " is not here";
  EXPECT_THAT(error_of([&] { Coder::load(file); }), HasSubstr("is no sparse coder of a known layout"));
}

TEST(Neurons, AreBothHalvesOfTheInput) {
  const Coder coder = Coder::neurons(3);
  EXPECT_EQ(coder.info().latents, 6U);
  EXPECT_EQ(coder.info().format, "neurons");
  const std::vector<float> values = {1, -2, 0, 0, 3, 0.5F};
  const model::Tensor x = model::from_host(values, 2, 3);
  const Encoded encoded = coder.encode(x);
  EXPECT_THAT(encoded.offsets, ::testing::ElementsAre(0, 2, 4));
  EXPECT_THAT(encoded.latent, ::testing::ElementsAre(4, 0, 1, 2));
  EXPECT_THAT(encoded.value, ::testing::ElementsAre(2, 1, 3, 0.5F));
  EXPECT_EQ(model::to_host(coder.decode(encoded, 2)), values);
  EXPECT_EQ(coder.fvu(x, x, encoded), 0.0);
}

}  // namespace
}  // namespace gloss::sparse
