#include "gloss/sparse/coder.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/random.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/subject_model.h"
#include "gloss/model/torch_tensor.h"
#include "gloss/sparse/format.h"
#include "gloss/sparse/test_coder.h"

namespace gloss::sparse {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class CoderTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(CoderTest, GivesItsRows) {
  const TestCoder made = TestCoder::random(19, 75, 4, 3);
  made.write(folder_.path());
  const Coder coder = Coder::load(folder_.path());
  EXPECT_EQ(std::vector<float>(coder.decoder().begin(), coder.decoder().end()), made.tensors.at("W_dec").values);
  std::vector<float> rows(75 * 19);
  coder.encoder_rows(0, rows);
  EXPECT_EQ(rows, made.tensors.at("encoder.weight").values);
  std::vector<float> some(3 * 19);
  coder.encoder_rows(40, some);
  EXPECT_TRUE(std::equal(some.begin(), some.end(), rows.begin() + 40 * 19));
}

TEST_F(CoderTest, EncodesAndDecodesTheHandComputedExample) {
  TestCoder::small().write(folder_.path());
  const Coder coder = Coder::load(folder_.path());
  EXPECT_EQ(coder.info().format, "sparsify");
  EXPECT_EQ(coder.info().activation, "topk");
  EXPECT_EQ(coder.info().latents, 3U);
  EXPECT_EQ(coder.info().k, 2U);
  EXPECT_FALSE(coder.info().transcoder);
  EXPECT_TRUE(coder.info().subtract_bias);
  // u = x - (1, 1): (2, 1) and (-1, 0). z = (u1 + 0, u2 + 0.5, u1 - u2 - 3): (2, 1.5, -2) and (-1, 0.5, -4).
  const Encoded got = coder.encode(model::from_host(std::vector<float>{3, 2, 0, 1}, 2, 2));
  EXPECT_THAT(got.offsets, ElementsAre(0, 2, 3));
  EXPECT_THAT(got.latent, ElementsAre(0, 1, 1));
  EXPECT_THAT(got.value, ElementsAre(2.0F, 1.5F, 0.5F));
  // y = b_dec + 2 (1, 0) + 1.5 (0, 2) = (3, 4); b_dec + 0.5 (0, 2) = (1, 2).
  EXPECT_THAT(model::to_host(coder.decode(got, 2)), ElementsAre(3.0F, 4.0F, 1.0F, 2.0F));
  // Target (3, 2), (0, 1): errors (0, -2), (-1, -1): 6. Variance about (1.5, 1.5): 2 (2.25 + 0.25) = 5.
  const model::Tensor x = model::from_host(std::vector<float>{3, 2, 0, 1}, 2, 2);
  EXPECT_DOUBLE_EQ(coder.fvu(x, x, got), 6.0 / 5.0);
}

TEST_F(CoderTest, FvuOfABatchWithoutVarianceIsZeroOrInfinite) {
  TestCoder::small().write(folder_.path());
  const Coder coder = Coder::load(folder_.path());
  const model::Tensor bias = model::from_host(std::vector<float>{1, 1}, 1, 2);
  // u = 0: z = (0, 0.5, -3), y = (1, 2).
  const Encoded encoded = coder.encode(bias);
  EXPECT_EQ(coder.fvu(bias, model::from_host(std::vector<float>{1, 2}, 1, 2), encoded), 0.0);
  EXPECT_TRUE(std::isinf(coder.fvu(bias, bias, encoded)));
}

TEST_F(CoderTest, ATranscoderDoesNotSubtractItsBiasUnlessItsFileIsOlderThanTheKey) {
  TestCoder test = TestCoder::small();
  const model::Tensor x = model::from_host(std::vector<float>{3, 2}, 1, 2);
  test.config["transcode"] = true;
  test.write(folder_.path());
  const Coder transcoder = Coder::load(folder_.path());
  EXPECT_TRUE(transcoder.info().transcoder);
  EXPECT_FALSE(transcoder.info().subtract_bias);
  EXPECT_THAT(transcoder.encode(x).value, ElementsAre(3.0F, 2.5F));

  test.config.erase("transcode");
  test.config["skip_connection"] = true;
  test.tensors["W_skip"] = {{2, 2}, {0, 1, 1, 0}};
  test.write(folder_.path());
  const Coder old = Coder::load(folder_.path());
  EXPECT_TRUE(old.info().transcoder);
  EXPECT_TRUE(old.info().subtract_bias);
  const Encoded encoded = old.encode(x);
  EXPECT_THAT(encoded.value, ElementsAre(2.0F, 1.5F));
  EXPECT_THAT(model::to_host(old.decode(encoded, x)), ElementsAre(3.0F + 2.0F, 4.0F + 3.0F));  // the skip takes x
  EXPECT_THAT(error_of([&] { old.decode(encoded, 1); }), HasSubstr("has a skip connection"));
}

TEST_F(CoderTest, LatentsComeFromTheExpansionFactorWhenNumLatentsIsZero) {
  TestCoder test = TestCoder::random(4, 12, 3, 1);
  test.config["num_latents"] = 0;
  test.config["expansion_factor"] = 3;
  test.write(folder_.path());
  EXPECT_EQ(Coder::load(folder_.path()).info().latents, 12U);
}

TEST_F(CoderTest, DefaultsOfMissingKeysAreSparsifys) {
  TestCoder test = TestCoder::random(2, 64, 32, 1);
  test.config = {{"d_in", 2}};
  test.write(folder_.path());
  const CoderInfo info = Coder::load(folder_.path()).info();
  EXPECT_EQ(info.latents, 64U);
  EXPECT_EQ(info.k, 32U);
}

TEST_F(CoderTest, ReadsTheTensorNamesOfTheFirstRelease) {
  TestCoder test = TestCoder::random(3, 8, 2, 7);
  test.write(folder_.path() / "new");
  const TestTensor encoder = test.tensors.at("encoder.weight");
  TestTensor turned{{3, 8}, std::vector<float>(24)};
  for (std::size_t f = 0; f < 8; ++f) {
    for (std::size_t d = 0; d < 3; ++d) turned.values[d * 8 + f] = encoder.values[f * 3 + d];
  }
  test.tensors["W_enc"] = turned;
  test.tensors["b_enc"] = test.tensors.at("encoder.bias");
  test.tensors.erase("encoder.weight");
  test.tensors.erase("encoder.bias");
  test.write(folder_.path() / "old");
  const model::Tensor x = model::from_host(std::vector<float>{0.5F, -1, 2, 1, 1, -0.25F}, 2, 3);
  const Encoded a = Coder::load(folder_.path() / "new").encode(x);
  const Encoded b = Coder::load(folder_.path() / "old").encode(x);
  EXPECT_EQ(a.latent, b.latent);
  EXPECT_EQ(a.value, b.value);
}

TEST_F(CoderTest, DoublePrecisionFilesGiveTheSame) {
  const TestCoder test = TestCoder::small();
  const model::Tensor x = model::from_host(std::vector<float>{3, 2, 0, 1}, 2, 2);
  for (const formats::Dtype dtype : {formats::Dtype::f32, formats::Dtype::f64}) {
    test.write(folder_.path(), dtype);
    EXPECT_THAT(Coder::load(folder_.path()).encode(x).value, ElementsAre(2.0F, 1.5F, 0.5F));
  }
}

TEST_F(CoderTest, AnEncoderOnlyFileEncodesButDoesNotDecode) {
  TestCoder test = TestCoder::small();
  test.tensors.erase("W_dec");
  test.write(folder_.path());
  const Coder coder = Coder::load(folder_.path());
  const Encoded encoded = coder.encode(model::from_host(std::vector<float>{3, 2}, 1, 2));
  EXPECT_THAT(encoded.value, ElementsAre(2.0F, 1.5F));
  EXPECT_THAT(error_of([&] { coder.decode(encoded, 1); }), HasSubstr("has no W_dec, so nothing can be reconstructed"));
}

TEST_F(CoderTest, TheFingerprintFollowsTheBytesAndNothingElse) {
  TestCoder test = TestCoder::random(4, 8, 2, 1);
  test.write(folder_.path() / "a");
  test.write(folder_.path() / "b");
  write_file(folder_.path() / "b" / "train.csv", "step\n");
  const std::string first = Coder::load(folder_.path() / "a").fingerprint();
  EXPECT_EQ(first, Coder::load(folder_.path() / "b").fingerprint());
  test.tensors.at("b_dec").values[1] += 1.0F;
  test.write(folder_.path() / "b");
  EXPECT_NE(first, Coder::load(folder_.path() / "b").fingerprint());
}

TEST_F(CoderTest, RefusesInputOfAnotherWidthOrThatIsNotFinite) {
  TestCoder::small().write(folder_.path());
  const Coder coder = Coder::load(folder_.path());
  EXPECT_EQ(error_of([&] {
              coder.encode(model::from_host(std::vector<float>{1, 2, 3}, 1, 3));
            }),
            "sparse coder: the input has width 3, but the coder's files say 2\n"
            "hint: was the coder trained on another model or hookpoint?");
  EXPECT_THAT(error_of([&] { coder.encode(model::Tensor()); }), HasSubstr("the input has width 0"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(error_of([&] {
                coder.encode(model::from_host(std::vector<float>{1, 2, 3, nan}, 2, 2));
              }),
              StartsWith("activations: row 1, column 1 is nan, wanted finite numbers"));
  EXPECT_TRUE(coder.encode(model::from_host({}, 0, 2)).latent.empty());
}

TEST_F(CoderTest, RefusesAnUnknownDevice) {
  TestCoder::small().write(folder_.path());
  EXPECT_THAT(error_of([&] { Coder::load(folder_.path(), {.device = "cpus"}); }),
              AllOf(HasSubstr("unknown device 'cpus'"), HasSubstr("did you mean 'cpu'?")));
}

// What is wrong with the folder, and what the message must say.
struct Fault {
  const char* name;
  std::function<void(TestCoder&)> spoil;
  std::vector<std::string> message;
};

std::vector<Fault> faults() {
  const auto set = [](const char* key, nlohmann::json value) {
    return [key, value](TestCoder& t) { t.config[key] = value; };
  };
  const auto drop = [](const char* name) { return [name](TestCoder& t) { t.tensors.erase(name); }; };
  const auto put = [](const char* name, TestTensor tensor) {
    return [name, tensor](TestCoder& t) { t.tensors[name] = tensor; };
  };
  return {
      {"no width", [](TestCoder& t) { t.config.erase("d_in"); }, {"cfg.json: has no 'd_in'"}},
      {"width 0", set("d_in", 0), {"'d_in' is 0, wanted a whole number from 1 to 1048576"}},
      {"width is text", set("d_in", "2"), {"'d_in' is \"2\", wanted a whole number"}},
      {"huge", set("num_latents", 1ULL << 40), {"'num_latents' is 1099511627776, wanted a whole number from 0 to"}},
      {"negative k", set("k", -1), {"'k' is -1, wanted a whole number from 1 to 3"}},
      {"k over F", set("k", 4), {"'k' is 4, wanted a whole number from 1 to 3"}},
      {"signed", set("signed", true), {"'signed' is true", "hint: only coders of non-negative activations"}},
      {"groupmax", set("activation", "groupmax"), {"is groupmax, but 'k' = 2 does not divide the 3 latents"}},
      {"unknown activation", set("activation", "gelu"), {"'activation' is 'gelu', supported: topk, groupmax"}},
      {"skip without weights", set("skip_connection", true), {"sae.safetensors: has no tensor 'W_skip'"}},
      {"no encoder", drop("encoder.weight"), {"sae.safetensors: has no tensor 'encoder.weight' among its 3"}},
      {"no bias", drop("b_dec"), {"has no tensor 'b_dec'"}},
      {"transposed decoder",
       put("W_dec", {{2, 3}, std::vector<float>(6)}),
       {"sae.safetensors: tensor 'W_dec' is [2, 3], wanted [3, 2] (F x D) because cfg.json says d_in = 2 and "
        "num_latents "
        "= 3",
        "hint: it is transposed"}},
      {"short bias",
       put("encoder.bias", {{2}, std::vector<float>(2)}),
       {"tensor 'encoder.bias' is [2], wanted [3] (F) because cfg.json says"}},
      {"other expansion",
       [](TestCoder& t) {
         t.config["num_latents"] = 0;
         t.config["expansion_factor"] = 5;
       },
       {"is [3, 2], wanted [10, 2] (F x D) because cfg.json says d_in = 2 and expansion_factor = 5"}},
      {"NaN weight",
       put("b_dec", {{2}, {0.0F, std::numeric_limits<float>::quiet_NaN()}}),
       {"tensor 'b_dec' holds nan as its value 1, wanted finite numbers"}},
  };
}

TEST_F(CoderTest, EveryFaultIsNamed) {
  for (const Fault& fault : faults()) {
    TestCoder test = TestCoder::small();
    fault.spoil(test);
    test.write(folder_.path());
    const std::string message = error_of([&] { Coder::load(folder_.path()); });
    for (const std::string& part : fault.message) EXPECT_THAT(message, HasSubstr(part)) << fault.name;
  }
}

TEST_F(CoderTest, RefusesTensorsThatAreNoFloats) {
  TestCoder::small().write(folder_.path());
  formats::SafeTensorsWriter writer(folder_.path() / "sae.safetensors",
                                    {{"encoder.weight", formats::Dtype::i32, {3, 2}}}, {});
  writer.write_values<std::int32_t>(std::vector<std::int32_t>(6));
  writer.commit();
  EXPECT_THAT(error_of([&] { Coder::load(folder_.path()); }),
              HasSubstr("tensor 'encoder.weight' is I32, wanted a float type"));
}

TEST_F(CoderTest, EveryTruncationIsAnErrorNotACrash) {
  TestCoder::small().write(folder_.path());
  for (const char* name : {"sae.safetensors", "cfg.json"}) {
    const std::string whole = read_file(folder_.path() / name);
    const std::size_t end = whole.find_last_not_of("\n ") + 1;  // a cut line end is no fault
    for (std::size_t n = 0; n < end; ++n) {
      std::ofstream(folder_.path() / name, std::ios::binary).write(whole.data(), static_cast<std::streamsize>(n));
      EXPECT_THROW(Coder::load(folder_.path()), Error) << name << " cut at byte " << n;
    }
    write_file(folder_.path() / name, whole);
  }
}

TEST_F(CoderTest, AFolderOfNoKnownLayoutSaysWhatWasFoundAndWanted) {
  write_file(folder_.path() / "cfg.json", "{}");
  fs::create_directory(folder_.path() / "layers.10");
  fs::create_directory(folder_.path() / "layers.2");
  EXPECT_THAT(error_of([&] { Coder::load(folder_.path()); }),
              HasSubstr("is no sparse coder of a known layout: found cfg.json, layers.2/, layers.10/; wanted one of "
                        "(sparsify: cfg.json with 'd_in' and sae.safetensors; saelens: cfg.json and "));
  EXPECT_THAT(error_of([&] { Coder::load(folder_.path() / "nowhere"); }),
              HasSubstr("is no folder, wanted the folder of a"));
}

TEST_F(CoderTest, HookpointsAreFoundInNaturalOrderWithTheirSeeds) {
  const TestCoder test = TestCoder::small();
  for (const char* name : {"layers.10", "layers.2", "layers.2.mlp/seed10", "layers.2.mlp/seed9"})
    test.write(folder_.path() / name);
  fs::create_directories(folder_.path() / "best" / "layers.2" / "layers.2");
  fs::create_directories(folder_.path() / "layers.3" / "seedling");
  write_file(folder_.path() / "config.json", "{}");
  EXPECT_THAT(Coder::hookpoints(folder_.path()),
              ElementsAre("layers.2", "layers.2.mlp/seed9", "layers.2.mlp/seed10", "layers.10"));
  EXPECT_EQ(Coder::find(folder_.path(), "layers.10"), folder_.path() / "layers.10");
  EXPECT_EQ(Coder::find(folder_.path(), "layers.2.mlp/seed9"), folder_.path() / "layers.2.mlp/seed9");
  EXPECT_EQ(Coder::find(folder_.path() / "layers.2", "layers.2"), folder_.path() / "layers.2");
  EXPECT_THAT(Coder::hookpoints(folder_.path() / "layers.2"), ElementsAre());
  EXPECT_THAT(error_of([&] { Coder::find(folder_.path(), "layers.3"); }),
              AllOf(HasSubstr("has no coder for hookpoint 'layers.3'; it has layers.2, layers.2.mlp/seed9, "),
                    EndsWith("hint: did you mean 'layers.2'?")));
  EXPECT_THAT(error_of([&] { Coder::find(folder_.path() / "best", "x"); }),
              HasSubstr("none of its folders holds a coder"));
  EXPECT_THAT(error_of([&] { Coder::hookpoints(folder_.path() / "config.json"); }), HasSubstr("is no folder"));
}

TEST_F(CoderTest, WhatIsSavedIsWhatIsLoaded) {
  CoderData data;
  data.info.activation = "topk";
  data.info.input_width = data.info.output_width = 2;
  data.info.latents = 3;
  data.info.k = 2;
  data.w_enc = {1, 2, 3, 4, 5, 6};
  data.b_enc = {7, 8, 9};
  data.w_dec = {10, 11, 12, 13, 14, 15};
  data.b_dec = {16, 17};
  save_sparsify(folder_.path(), data, true);
  const CoderData back = load_sparsify(folder_.path());
  EXPECT_EQ(back.w_enc, data.w_enc);
  EXPECT_EQ(back.b_enc, data.b_enc);
  EXPECT_EQ(back.w_dec, data.w_dec);
  EXPECT_EQ(back.b_dec, data.b_dec);
  EXPECT_EQ(back.info.k, 2U);
  const auto file = formats::SafeTensors::open(folder_.path() / "sae.safetensors");
  std::vector<std::string> names;
  for (const auto& t : file.tensors()) names.push_back(t.name);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("encoder.weight", "encoder.bias", "W_dec", "b_dec"));
}

}  // namespace
}  // namespace gloss::sparse
