// Every layout against its own library: tests/golden/coders (PROVENANCE.md) has for each a small coder, what the
// library encodes from an input, and what it reconstructs.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"
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
    {"llama-scope", "Llama3_1-8B-Base-L1R-8x", "llama-scope", "jumprelu", "blocks.1.hook_resid_post"},
    {"llama-scope-transcoder", "Llama3_1-8B-Base-L1TC-8x", "llama-scope", "jumprelu", "blocks.1.hook_mlp_out",
     "blocks.1.ln2.hook_normalized"},
    {"llama-scope-r1", "L1R", "llama-scope-r1", "jumprelu", "blocks.1.hook_resid_post", "", 1.5},
    {"llama-scope-r1-kept-norm", "L1R", "llama-scope-r1", "jumprelu", "blocks.1.hook_resid_post"},
    {"goodfire", "", "goodfire", "relu", "layers.19"},
    {"deepseek-r1", "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", "goodfire", "relu", "layers.19"},
    {"qwen-scope", "SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer1.sae.pt", "qwen-scope", "topk", "layers.1"},
    {"hook-z", "gpt2-small_L1_Hcat_z_v9.pt", "hook-z", "relu", "blocks.1.attn.hook_z"},
    {"circuit-tracer", "layer_1.safetensors", "circuit-tracer", "relu", "blocks.1.hook_mlp_out",
     "blocks.1.mlp.hook_in"},
    {"circuit-tracer-skip", "", "circuit-tracer", "relu", "blocks.1.hook_mlp_out", "blocks.1.mlp.hook_in"},
    {"circuit-tracer-clt", "W_enc_1.safetensors", "circuit-tracer-clt", "relu", "blocks.1.hook_mlp_out",
     "blocks.1.hook_resid_mid"},
    {"gemma-scope-embedding", "gemma-scope-2b-pt-res/embedding/width_70/average_l0_6", "gemma-scope", "jumprelu", ""},
    {"saelens-jumprelu-checkpoint", "", "saelens", "jumprelu", "blocks.1.hook_resid_pre"},
    {"saelens-topk-checkpoint", "", "saelens", "topk", "blocks.1.hook_resid_pre"},
    {"saelens-matryoshka-checkpoint", "", "saelens", "batchtopk", "blocks.1.hook_resid_pre"},
    {"saelens-jumprelu-skip-transcoder", "", "saelens", "jumprelu", "blocks.1.hook_mlp_out",
     "blocks.1.ln2.hook_normalized"},
    {"saelens-hook-z", "", "saelens", "relu", "blocks.1.attn.hook_z"},
    {"saelens-old-finetuned", "", "saelens", "relu", "blocks.1.hook_resid_pre"},
    {"saelens-old-tanh-relu", "", "saelens", "tanh-relu", "blocks.1.hook_resid_pre"},
    {"sparsify-first-release", "layers.1/seed3", "sparsify", "topk", "layers.1"},
};

struct Golden {
  std::vector<float> x, f, y;
  std::size_t rows, width, latents;

  explicit Golden(const std::string& name) {
    const auto file = formats::SafeTensors::open(kCoders / name / "golden.safetensors");
    x = formats::to_floats(file.tensor("x"));
    f = formats::to_floats(file.tensor("f"));
    if (file.contains("y")) y = formats::to_floats(file.tensor("y"));  // not of what writes to several layers
    rows = file.tensor("x").shape.at(0);
    width = file.tensor("x").shape.at(1);
    latents = file.tensor("f").shape.at(1);
  }
};

Coder load(const Wanted& w) { return Coder::load(kCoders / w.name / w.path, {.activation_scale = w.scale}); }

/// Prints a table (Markdown): sparse_test --gtest_filter='GoldenCoders.EveryLayout*'
TEST(GoldenCoders, EveryLayoutEncodesAsItsOwnLibraryDoes) {
  fmt::print(
      "| coder | layout | active values | same latents active | largest difference | of the reconstruction |\n"
      "|---|---|---|---|---|---|\n");
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
    std::string reconstruction = "no decoder";
    EXPECT_EQ(coder.info().has_decoder, !golden.y.empty());
    if (coder.info().has_decoder) {
      const std::vector<float> y = model::to_host(coder.decode(encoded, x));
      ASSERT_EQ(y.size(), golden.y.size());
      double off = 0;
      for (std::size_t i = 0; i < y.size(); ++i) off = std::max(off, std::abs(double{y[i]} - double{golden.y[i]}));
      EXPECT_LT(off, 3 * kTolerance) << "reconstruction";
      reconstruction = fmt::format("{:.1e}", off);
    }
    fmt::print("| {} | {} | {} | {} | {:.1e} | {} |\n", w.name, w.format, encoded.value.size(),
               other == 0 ? "yes" : fmt::format("no: {} differ", other), largest, reconstruction);
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
  const model::HookpointRules rules{.layers = 20, .sublayer_norms = true};
  for (const Wanted& w : kWanted) {
    for (const std::string_view place : {w.hookpoint, w.reads}) {
      if (place.empty()) continue;
      EXPECT_NO_THROW(model::Hookpoint::parse(place, rules)) << w.name;
    }
  }
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
      // At every byte of a configuration, a header and an archive's directory; among the values of tensors at some.
      constexpr std::size_t kStep = gloss::testing::kSanitized ? 7 : 1;
      for (std::size_t n = end - 1;; n -= std::min<std::size_t>(n, n > 600 && n + 300 < end ? 37 : kStep)) {
        fs::resize_file(file, n);
        EXPECT_THROW(Coder::load(folder, {.activation_scale = w.scale}), Error)
            << w.name << ": " << file.filename() << " cut at byte " << n;
        if (n == 0) break;
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
      {"saelens-standard", "\"standard\"", "\"stacked\"", "'architecture' is 'stacked', supported: standard, gated"},
      {"saelens-standard", "\"standard\"", "\"temporal\"",
       "'architecture' is 'temporal': which latents fire on a token depends on the tokens before it"},
      {"saelens-standard", "\"standard\"", "\"matching_pursuit\"",
       "'architecture' is 'matching_pursuit': its latents are found one after another"},
      {"saelens-standard", "\"standard\"", "\"abstopk\"", "'architecture' is 'abstopk': it keeps the largest absolute"},
      {"saelens-old-finetuned", "\"finetuning_scaling_factor\": true", "\"finetuning_scaling_factor\": false",
       "has a tensor 'scaling_factor' that is not all ones"},
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

TEST_F(SpoiledCoder, EveryFaultOfTheConvertedLayoutsIsNamed) {
  const struct {
    const char *coder, *file, *from, *to, *message;
  } faults[] = {
      {"llama-scope", "hyperparams.json", "\"d_sae\": 70", "\"d_sae\": 71",
       "tensor 'encoder.weight' is [70, 12], wanted [71, 12] (F x D) because hyperparams.json says d_model = 12 and "
       "d_sae "
       "= 71"},
      {"llama-scope", "hyperparams.json", "\"jumprelu\"", "\"topk\"", "'act_fn' is 'topk', supported: jumprelu"},
      {"llama-scope", "hyperparams.json", "pre_encoder\": false", "pre_encoder\": true",
       "'apply_decoder_bias_to_pre_encoder' is true, which no published coder of this layout has"},
      {"llama-scope", "hyperparams.json", "\"dataset-wise\"", "\"batch-wise\"",
       "'norm_activation' is 'batch-wise', supported: dataset-wise, token-wise, inference"},
      {"llama-scope", "hyperparams.json", "\"in\": 2.5", "\"in\": 0.0", "'in' is 0, wanted a number above 0"},
      {"llama-scope", "hyperparams.json", "\"jump_relu_threshold\": 0.25", "\"jump_relu_threshold\": -1",
       "'jump_relu_threshold' is -1, wanted a number that is not below 0"},
      {"llama-scope-transcoder", "hyperparams.json", "\"out\": 0.8", "\"out\": -1",
       "'out' is -1, wanted a number above 0"},
      {"llama-scope-r1-kept-norm", "config.json", "\"expansion_factor\": 6", "\"expansion_factor\": 7",
       "because config.json says d_model = 12 and expansion_factor = 7"},
      {"llama-scope-r1-kept-norm", "config.json", "\"hook_point_in\": \"blocks.1.hook_resid_post",
       "\"hook_point_in\": \"x", "the factor is in none of its files\nhint: give it with --sae-scale S: sqrt(d_model)"},
      {"llama-scope-r1-kept-norm", "config.json", "\"hook_point_out\": \"blocks.1.hook_resid_post",
       "\"hook_point_out\": \"x", "reads 'blocks.1.hook_resid_post' and writes 'x', but has no norm of what it writes"},
      {"hook-z", "../gpt2-small_L1_Hcat_z_v9_cfg.json", "\"dict_size\": 70", "\"dict_size\": 69",
       "tensor 'W_enc' is [12, 70], wanted [12, 69] (D x F) because gpt2-small_L1_Hcat_z_v9_cfg.json says act_size = "
       "12"},
      {"circuit-tracer", "../config.yaml", "feature_input_hook", "feature_other_hook", "has no 'feature_input_hook'"},
      {"circuit-tracer", "../config.yaml", "mlp.hook_in", "[a, b]",
       "'feature_input_hook' is a list or mapping of its own, wanted one value"},
  };
  for (const auto& fault : faults) {
    fs::remove_all(folder_.path() / fault.coder);
    const fs::path coder = copy(wanted(fault.coder));
    edit((coder / fault.file).lexically_normal(), fault.from, fault.to);
    EXPECT_THAT(error_of([&] { Coder::load(coder); }), HasSubstr(fault.message)) << fault.coder;
  }
  EXPECT_THAT(error_of([&] { Coder::load(kCoders / "llama-scope-r1" / "L1R"); }),
              HasSubstr("give it with --sae-scale S"));
  EXPECT_THAT(
      error_of([&] { Coder::load(kCoders / "llama-scope" / "Llama3_1-8B-Base-L1R-8x", {.activation_scale = 2}); }),
      HasSubstr("takes no --sae-scale: it has 'dataset_average_activation_norm'"));
}

TEST_F(SpoiledCoder, ATensorOfAnotherShapeIsNamed) {
  // In a safetensors header the shape is text; in a pickle the numbers up to 255 are K and a byte.
  const struct {
    const char *coder, *file, *from, *to, *message;
  } faults[] = {
      {"llama-scope", "checkpoints/final.safetensors", "[12,70]", "[70,12]",
       "tensor 'decoder.weight' is [70, 12], wanted a decoder"},
      {"goodfire", "Llama-3.1-8B-Instruct-SAE-l19.pth", "KFK\x0c\x86", "K\x0cKF\x86",
       "tensor 'encoder_linear.bias' is [70], wanted [12] (F) because 'encoder_linear.weight' is [12, 70]"},
      {"qwen-scope", "", "KFK\x0c\x86", "K\x0cKF\x86",
       "tensor 'W_dec' is [12, 70], wanted [70, 12] (D x F) because 'W_enc' is [12, 70]"},
      {"circuit-tracer", "", "[70,12]", "[12,70]", "wanted"},
      {"circuit-tracer-clt", "", "[70,12]", "[12,70]", "wanted"},
  };
  for (const auto& fault : faults) {
    const fs::path coder = copy(wanted(fault.coder));
    const fs::path file = *fault.file == '\0' ? coder : coder / fault.file;
    std::string bytes = read_file(file);
    const std::size_t at = bytes.find(fault.from);
    ASSERT_NE(at, std::string::npos) << fault.coder;
    write_file(file, bytes.replace(at, std::string_view(fault.from).size(), fault.to));
    EXPECT_THAT(error_of([&] { Coder::load(coder); }), HasSubstr(fault.message)) << fault.coder;
  }
}

TEST_F(SpoiledCoder, AFolderOfSeveralCodersAsksForOne) {
  const fs::path folder = copy(wanted("circuit-tracer-skip")).parent_path();
  fs::copy(folder / "layer_1.safetensors", folder / "layer_10.safetensors");
  fs::copy(folder / "layer_1.safetensors", folder / "layer_2.safetensors");
  EXPECT_EQ(error_of([&] { Coder::load(folder); }),
            fmt::format("{0}: holds 3 files that are coders each: layer_1.safetensors, layer_2.safetensors, "
                        "layer_10.safetensors\nhint: give the file of one: --sae {0}/layer_1.safetensors",
                        folder.string()));
  EXPECT_EQ(Coder::load(folder / "layer_10.safetensors").info().hookpoint, "blocks.10.hook_mlp_out");
  const fs::path both = copy(wanted("goodfire"));
  fs::copy(kCoders / "hook-z", both, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  EXPECT_THAT(error_of([&] { Coder::load(both); }),
              HasSubstr("fits several layouts: goodfire (one .pt or .pth with 'encoder_linear.weight', or "
                        "NAME-SAE-lLAYER.pt with 'encoder.weight'), hook-z (NAME.pt and NAME_cfg.json)"));
  EXPECT_EQ(Coder::load(both, {.format = "hook-z"}).info().format, "hook-z");
}

TEST_F(SpoiledCoder, WhatALayoutIsNotKnownToHaveIsRefused) {
  const fs::path file = copy(wanted("circuit-tracer"));
  std::string bytes = read_file(file);
  bytes.replace(bytes.find("W_enc"), 5, "scale");
  write_file(file, bytes);
  EXPECT_THAT(error_of([&] { Coder::load(file); }), HasSubstr("has no tensor 'W_enc'"));
  const fs::path skip = copy(wanted("circuit-tracer-skip")) / "layer_1.safetensors";
  bytes = read_file(skip);
  bytes.replace(bytes.find("W_skip"), 6, "scales");
  write_file(skip, bytes);
  EXPECT_THAT(error_of([&] { Coder::load(skip); }),
              HasSubstr("has a tensor 'scales', which this layout is not known to have"));
}

TEST_F(SpoiledCoder, TheKOfQwenScopeComesFromTheRepositorysName) {
  const fs::path file = copy(wanted("qwen-scope"));
  const fs::path bare = folder_.path() / "layer1.sae.pt";
  fs::copy(file, bare);
  EXPECT_THAT(error_of([&] { Coder::load(bare); }),
              AllOf(HasSubstr("its K is in no file, and no folder above it ends in -L0_K with K from 1 to 70"),
                    HasSubstr("keep the repository's name")));
  EXPECT_EQ(Coder::load(file).info().k, 5U);
  EXPECT_EQ(Coder::load(file).info().trained_on, "Qwen3-1.7B-Base");
}

TEST_F(SpoiledCoder, ATemporalCoderIsRefusedByItsName) {
  write_file(folder_.path() / "conf.yaml", "llm:\n  dimin: 12\n");
  write_file(folder_.path() / "latest_ckpt.safetensors", "");
  EXPECT_THAT(error_of([&] { Coder::load(folder_.path()); }),
              AllOf(HasSubstr("is a temporal coder: which latents fire on a token depends on the tokens before it"),
                    HasSubstr("only coders that encode each activation by itself are supported")));
}

TEST_F(SpoiledCoder, ANormThatWasFoldedIsReadWithoutItsGain) {
  const fs::path folder = copy(wanted("saelens-transcoder"));
  for (const bool folded : {false, true}) {
    nlohmann::json config = nlohmann::json::parse(read_file(folder / "cfg.json"));
    config["metadata"]["model_from_pretrained_kwargs"] = {{"fold_ln", folded}};
    write_file(folder / "cfg.json", config.dump());
    EXPECT_EQ(Coder::load(folder).info().reads, folded ? "layers.1.mlp.normed" : "blocks.1.ln2.hook_normalized");
  }
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
