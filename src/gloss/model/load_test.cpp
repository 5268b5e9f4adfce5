#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "gloss/base/output_file.h"
#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

Config tiny_config() {
  Config c;
  c.layers = 2;
  c.width = 8;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_width = 2;
  c.hidden = 12;
  c.vocabulary = 16;
  c.max_context = 32;
  return c;
}

struct Folder {
  TemporaryFolder root;
  TestModel tiny = TestModel::make(tiny_config(), 1);

  const std::filesystem::path& path() const { return root.path(); }
  std::string at(std::string_view file) const { return (path() / file).string(); }
  SubjectModel load() const { return SubjectModel::load(path()); }
  std::string load_error() const {
    return error_of([&] { load(); });
  }
};

std::vector<float> logits_of(const SubjectModel& model) {
  return to_host(model.logits(random_tokens(10, model.config().vocabulary, 3), 2));
}

TEST(Load, StoredTypesGiveTheSameModel) {
  Folder f;
  f.tiny.write(f.path());
  const std::vector<float> wanted = logits_of(f.load());
  for (const formats::Dtype dtype : {formats::Dtype::f16, formats::Dtype::bf16}) {
    f.tiny.write(f.path(), dtype);
    EXPECT_EQ(logits_of(f.load()), wanted) << formats::name_of(dtype);
  }
}

TEST(Load, ShardsGiveTheSameModelAndFingerprintAsOneFile) {
  Folder one;
  one.tiny.write(one.path());
  Folder sharded;
  sharded.tiny.write_sharded(sharded.path(), 3);
  EXPECT_EQ(logits_of(sharded.load()), logits_of(one.load()));
  EXPECT_EQ(sharded.load().fingerprint(), one.load().fingerprint());
}

TEST(Load, TheFingerprintChangesWithAnyWeightAndWithTheConfig) {
  Folder f;
  f.tiny.write(f.path());
  const std::string before = f.load().fingerprint();
  EXPECT_EQ(f.load().fingerprint(), before);
  EXPECT_EQ(before.size(), 32U);
  for (const auto& [name, tensor] : f.tiny.tensors) {
    TestModel other = f.tiny;
    other.tensors[name].values.back() += 0.25F;
    other.write(f.path());
    EXPECT_NE(f.load().fingerprint(), before) << name;
  }
  TestModel other = f.tiny;
  other.json["rope_theta"] = 5000.0;
  other.write(f.path());
  EXPECT_NE(f.load().fingerprint(), before);
}

TEST(Load, IgnoresTensorsThatItDoesNotNeed) {
  Folder f;
  f.tiny.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {{1}, {1.0F}};
  f.tiny.write(f.path());
  EXPECT_EQ(f.load_error(), "no error");
}

TEST(Load, NeedsAFolderWithAConfig) {
  Folder f;
  EXPECT_EQ(error_of([&] { SubjectModel::load(f.path() / "none"); }),
            f.at("none") + ": is no folder, wanted a Hugging Face model folder");
  EXPECT_EQ(f.load_error(),
            f.path().string() +
                ": has no config.json, wanted a Hugging Face model folder\n"
                "hint: the folder that holds config.json, the weights (model.safetensors) and tokenizer.json");
}

TEST(Load, NeedsWeights) {
  Folder f;
  f.tiny.write_config(f.path());
  EXPECT_EQ(f.load_error(), f.path().string() +
                                ": has no weights: none of model.safetensors, model.safetensors.index.json, "
                                "pytorch_model.bin, pytorch_model.bin.index.json\n"
                                "hint: the folder must be a Hugging Face model with its weights");
}

TEST(Load, AMissingTensorIsNamedWithTheNearestOne) {
  Folder f;
  f.tiny.tensors["model.layers.1.mlp.up_project.weight"] = f.tiny.tensors["model.layers.1.mlp.up_proj.weight"];
  f.tiny.tensors.erase("model.layers.1.mlp.up_proj.weight");
  f.tiny.write(f.path());
  EXPECT_EQ(
      f.load_error(),
      f.at("model.safetensors") +
          ": has no tensor 'model.layers.1.mlp.up_proj.weight' among its 21, wanted [12, 8] because config.json says "
          "intermediate_size = 12 and hidden_size = 8\n"
          "hint: the nearest name in it is 'model.layers.0.mlp.up_proj.weight'");
}

TEST(Load, TakesNamesWithoutTheWrapperOrWithAnother) {
  Folder f;
  f.tiny.write(f.path());
  const std::vector<TokenId> tokens(4, TokenId{3});
  const std::vector<float> wanted = to_host(f.load().logits(tokens, 1));
  const auto renamed = [&](std::string_view type, std::string_view prefix) {
    TestModel other = f.tiny;
    other.tensors.clear();
    for (const auto& [name, tensor] : f.tiny.tensors) {
      const bool wrapped = name.starts_with("model.");
      other.tensors[wrapped ? std::string(prefix) + name.substr(6) : name] = tensor;
    }
    TemporaryFolder folder;
    other.json["model_type"] = type;
    other.write(folder.path());
    return to_host(SubjectModel::load(folder.path()).logits(tokens, 1));
  };
  EXPECT_EQ(renamed("llama", ""), wanted) << "saved from the model without its head";
  EXPECT_EQ(renamed("mistral", ""), wanted);
  EXPECT_EQ(renamed("mistral", "model."), wanted);
}

TEST(Load, UntiedEmbeddingsNeedAHead) {
  Folder f;
  f.tiny.tensors.erase("lm_head.weight");
  f.tiny.write(f.path());
  EXPECT_EQ(f.load_error(),
            f.at("model.safetensors") +
                ": has no tensor 'lm_head.weight' among its 20, wanted [16, 8] because config.json says "
                "vocab_size = 16 and hidden_size = 8 (tie_word_embeddings is not true)");
}

TEST(Load, AMisshapenTensorSaysFoundWantedAndWhy) {
  Folder f;
  f.tiny.json["vocab_size"] = 17;
  f.tiny.write(f.path());
  EXPECT_EQ(f.load_error(), f.at("model.safetensors") +
                                ": tensor 'model.embed_tokens.weight': is [16, 8], wanted [17, 8] because config.json "
                                "says vocab_size = 17 and hidden_size = 8");
}

TEST(Load, EachSizeOfTheConfigIsHeldAgainstTheTensors) {
  const Folder f;
  struct Row {
    std::string key;
    int value;
    std::string message;
  };
  const std::string attention = "tensor 'model.layers.0.self_attn.";
  const std::vector<Row> rows{
      {"intermediate_size", 13,
       "tensor 'model.layers.0.mlp.gate_proj.weight': is [12, 8], wanted [13, 8] because config.json says "
       "intermediate_size = 13 and hidden_size = 8"},
      {"head_dim", 4,
       attention +
           "q_proj.weight': is [8, 8], wanted [16, 8] because config.json says num_attention_heads = 4 of 4 each "
           "and hidden_size = 8"},
      {"num_key_value_heads", 4,
       attention +
           "k_proj.weight': is [4, 8], wanted [8, 8] because config.json says num_key_value_heads = 4 of 2 each "
           "and hidden_size = 8"},
      {"num_hidden_layers", 3,
       "has no tensor 'model.layers.2.input_layernorm.weight' among its 21, wanted [8] because config.json says "
       "hidden_size = 8\nhint: the nearest name in it is 'model.layers.0.input_layernorm.weight'"}};
  for (const Row& row : rows) {
    TestModel other = f.tiny;
    other.json[row.key] = row.value;
    other.write(f.path());
    EXPECT_EQ(f.load_error(), f.at("model.safetensors") + ": " + row.message) << row.key;
  }
}

TEST(Load, RefusesWeightsThatAreNoFloats) {
  Folder f;
  f.tiny.write(f.path(), formats::Dtype::i64);
  EXPECT_EQ(f.load_error(), f.at("model.safetensors") +
                                ": tensor 'model.embed_tokens.weight': is stored as I64, wanted F32, F16 or BF16\n"
                                "hint: quantised models are not supported");
}

TEST(Load, EveryTruncationOfTheWeightsIsAnError) {
  Folder f;
  f.tiny.write(f.path());
  const std::string whole = read_file(f.path() / "model.safetensors");
  for (std::size_t n = 0; n < whole.size(); n += n < 16 ? 1 : 37) {
    std::ofstream(f.path() / "model.safetensors", std::ios::binary)
        .write(whole.data(), static_cast<std::streamsize>(n));
    EXPECT_EQ(f.load_error().find(f.at("model.safetensors")), 0U) << "cut at byte " << n << ": " << f.load_error();
  }
  std::ofstream(f.path() / "model.safetensors", std::ios::binary)
      .write(whole.data(), static_cast<std::streamsize>(whole.size() - 1));
  EXPECT_NE(f.load_error().find("hint: the file is cut off or damaged: download or copy it again"), std::string::npos);
}

TEST(Load, AShardThatIsMissingIsNamed) {
  Folder f;
  f.tiny.write_sharded(f.path(), 2);
  std::filesystem::remove(f.path() / "model-00002-of-00002.safetensors");
  EXPECT_EQ(f.load_error(), f.at("model.safetensors.index.json") +
                                ": names the shard 'model-00002-of-00002.safetensors', which is not there\n"
                                "hint: the download of the model is not complete");
}

TEST(Load, AShardOutsideTheFolderIsRefused) {
  Folder f;
  f.tiny.write_config(f.path());
  for (const std::string name : {"../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", ".", "", "a\\b"}) {
    const nlohmann::json index = {{"weight_map", {{"model.norm.weight", name}}}};
    write_file(f.path() / "model.safetensors.index.json", index.dump());
    EXPECT_EQ(f.load_error(), f.at("model.safetensors.index.json") +
                                  ": 'weight_map' puts tensor 'model.norm.weight' into '" + name +
                                  "', wanted the name of a file beside the index");
  }
}

TEST(Load, AnIndexThatIsNoneIsRefused) {
  Folder f;
  f.tiny.write_sharded(f.path(), 2);
  const auto with = [&](const std::string& text) {
    write_file(f.path() / "model.safetensors.index.json", text);
    const std::string message = f.load_error();
    const std::string prefix = f.at("model.safetensors.index.json") + ": ";
    EXPECT_EQ(message.find(prefix), 0U) << message;
    return message.substr(std::min(prefix.size(), message.size()));
  };
  EXPECT_EQ(with("{}"), "has no 'weight_map'");
  EXPECT_EQ(with(R"({"weight_map": []})"), "'weight_map' is array, wanted an object");
  EXPECT_EQ(with(R"({"weight_map": {"a": 1}})"), "'weight_map' entry 'a' is number, wanted a file name");
  EXPECT_EQ(with(R"({"weight_map")"), "is not JSON: byte 14 of 13\nhint: the file may be cut off");
}

TEST(Load, ATensorThatItsShardLacksIsNamed) {
  Folder f;
  f.tiny.write_sharded(f.path(), 2);
  nlohmann::json index = nlohmann::json::parse(read_file(f.path() / "model.safetensors.index.json"));
  index["weight_map"]["model.norm.weight"] = index["weight_map"]["lm_head.weight"];
  ASSERT_NE(index["weight_map"]["model.norm.weight"], index["weight_map"]["model.embed_tokens.weight"]);
  index["weight_map"]["lm_head.weight"] = index["weight_map"]["model.embed_tokens.weight"];
  write_file(f.path() / "model.safetensors.index.json", index.dump());
  EXPECT_NE(f.load_error().find("has no tensor 'lm_head.weight' among its"), std::string::npos) << f.load_error();
}

TEST(Load, RefusesATypeThatIsNone) {
  Folder f;
  f.tiny.write(f.path());
  EXPECT_EQ(error_of([&] {
              SubjectModel::load(f.path(), {"cpu", "bfloat"});
            }),
            "unknown dtype 'bfloat'; known: float32, bfloat16, float16\nhint: did you mean 'bfloat16'?");
  const std::string half = error_of([&] { SubjectModel::load(f.path(), {"cpu", "float16"}); });
  if (half != "no error") {  // where libtorch has no such products on a CPU
    EXPECT_EQ(half, "libtorch " + libtorch_version() +
                        " cannot compute in float16 on device 'cpu'\n"
                        "hint: use --dtype float32: the weights stay in memory as the files have them");
  }
}

TEST(Load, RefusesADeviceThatIsNotThere) {
  Folder f;
  f.tiny.write(f.path());
  EXPECT_EQ(error_of([&] { SubjectModel::load(f.path(), {"quantum"}); }), "unknown device 'quantum'; known: cpu, cuda");
  if (libtorch_version().find("CUDA") != std::string::npos) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_EQ(error_of([&] { SubjectModel::load(f.path(), {"cuda"}); }),
            "device 'cuda' is not there: libtorch " + libtorch_version() +
                "\nhint: use --device cpu, or build against a libtorch with CUDA on a machine that has a GPU");
}

TEST(Tokens, AreHeldAgainstVocabularyContextAndBatch) {
  Folder f;
  f.tiny.write(f.path());
  const SubjectModel model = f.load();
  std::vector<TokenId> tokens(32, TokenId{15});
  EXPECT_EQ(error_of([&] { model.logits(tokens, 1); }), "no error");
  EXPECT_EQ(error_of([&] { model.logits(tokens, 5); }), "tokens: 32 tokens are no batch of 5 contexts of one length");
  EXPECT_EQ(error_of([&] { model.logits(tokens, 0); }), "tokens: 32 tokens are no batch of 0 contexts of one length");
  EXPECT_EQ(error_of([&] { model.logits({}, 1); }), "tokens: 0 tokens are no batch of 1 contexts of one length");
  tokens[19] = TokenId{16};
  EXPECT_EQ(error_of([&] { model.logits(tokens, 2); }),
            "tokens: token 16 at position 3 of context 1 is not below the vocabulary of 16\n"
            "hint: the tokenizer belongs to another model");
  tokens.assign(33, TokenId{0});
  EXPECT_EQ(error_of([&] { model.logits(tokens, 1); }),
            "tokens: a context of 33 tokens is longer than the model's 32\n"
            "hint: the number of positions in config.json is the limit; choose a smaller --ctx-len");
}

TEST(Hooks, OutsideTheModelAreRefused) {
  Folder f;
  f.tiny.write(f.path());
  const SubjectModel model = f.load();
  const std::vector<TokenId> tokens(4, TokenId{1});
  const Hookpoint deep{2, Site::mlp_output};
  const std::string message = "hookpoint 'layers.2.mlp' is in layer 2, but the model has 2 layers: 0 to 1";
  EXPECT_EQ(error_of([&] { model.activations(tokens, 1, std::span(&deep, 1)); }), message);
  EXPECT_EQ(error_of([&] { model.width(deep); }), message);
  EXPECT_EQ(model.width({1, Site::attn_input}), 8U);
  const std::vector<float> values(4 * 7, 0.0F);
  const Edit edit{{0, Site::mlp_output}, Edit::How::replace, from_host(values, 4, 7)};
  EXPECT_EQ(error_of([&] { model.logits(tokens, 1, std::span(&edit, 1)); }),
            "edit at layers.0.mlp: is [4, 7], wanted [4, 8]");
  const Edit beyond{deep, Edit::How::add, from_host(values, 4, 7)};
  EXPECT_EQ(error_of([&] { model.logits(tokens, 1, std::span(&beyond, 1)); }), message);
}

}  // namespace
}  // namespace gloss::model
