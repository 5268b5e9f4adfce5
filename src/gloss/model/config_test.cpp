#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "gloss/model/architecture.h"
#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

using Json = nlohmann::json;

Json good() {
  return {{"model_type", "llama"}, {"num_hidden_layers", 5}, {"hidden_size", 64},        {"intermediate_size", 172},
          {"vocab_size", 512},     {"hidden_act", "silu"},   {"num_attention_heads", 8}, {"num_key_value_heads", 4}};
}

std::string config_error(const std::function<void(Json&)>& spoil) {
  Json json = good();
  spoil(json);
  return error_of([&] { parse_config(json.dump(), "config.json"); });
}

TEST(Config, ReadsEveryField) {
  Json json = good();
  json.update({{"max_position_embeddings", 4096},
               {"rms_norm_eps", 1e-6},
               {"rope_theta", 500000.0},
               {"tie_word_embeddings", true},
               {"head_dim", 16},
               {"torch_dtype", "bfloat16"}});
  const Config c = parse_config(json.dump(), "config.json");
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.layers, 5U);
  EXPECT_EQ(c.width, 64U);
  EXPECT_EQ(c.hidden, 172U);
  EXPECT_EQ(c.vocabulary, 512U);
  EXPECT_EQ(c.heads, 8U);
  EXPECT_EQ(c.kv_heads, 4U);
  EXPECT_EQ(c.head_width, 16U);
  EXPECT_EQ(c.max_context, 4096U);
  EXPECT_EQ(c.norm_epsilon, 1e-6);
  EXPECT_EQ(c.ropes, (std::vector<Rope>{{.theta = 500000.0}}));
  EXPECT_TRUE(c.tied_embeddings);
}

TEST(Config, TakesTheDefaultsOfTheFamilyForWhatIsMissingOrNull) {
  Json json = good();
  json.erase("num_key_value_heads");
  json["head_dim"] = nullptr;
  json["rope_scaling"] = nullptr;
  const Config c = parse_config(json.dump(), "config.json");
  EXPECT_EQ(c.kv_heads, 8U) << "as many as heads";
  EXPECT_EQ(c.head_width, 8U) << "hidden_size / heads";
  EXPECT_EQ(c.max_context, 2048U);
  EXPECT_EQ(c.norm_epsilon, 1e-6);
  EXPECT_EQ(c.ropes, (std::vector<Rope>{{.theta = 10000.0}}));
  EXPECT_FALSE(c.tied_embeddings);
}

TEST(Config, ReadsRotaryParametersOfNewerFiles) {
  Json json = good();
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  EXPECT_EQ(parse_config(json.dump(), "config.json").ropes.at(0).theta, 500000.0);
}

TEST(Config, FindsTheArchitectureByClassWhenThereIsNoModelType) {
  Json json = good();
  json.erase("model_type");
  json["architectures"] = {"LlamaForCausalLM"};
  EXPECT_EQ(parse_config(json.dump(), "config.json").architecture, "llama");
}

TEST(Config, RefusesAnUnknownArchitectureAndListsTheKnown) {
  const std::string known =
      "is not known; known: gpt2 (GPT2LMHeadModel), gpt_neo (GPTNeoForCausalLM), gpt_neox (GPTNeoXForCausalLM), llama "
      "(LlamaForCausalLM), mistral (MistralForCausalLM), qwen2 (Qwen2ForCausalLM), qwen3 (Qwen3ForCausalLM), gemma "
      "(GemmaForCausalLM), gemma2 (Gemma2ForCausalLM), gemma3_text (Gemma3ForCausalLM), gemma3 "
      "(Gemma3ForConditionalGeneration)";
  EXPECT_EQ(config_error([](Json& j) { j["model_type"] = "transfer"; }),
            "config.json: architecture 'transfer' " + known);
  EXPECT_EQ(config_error([](Json& j) { j["model_type"] = "lama"; }),
            "config.json: architecture 'lama' " + known + "\nhint: did you mean 'llama'?");
  EXPECT_EQ(config_error([](Json& j) { j.erase("model_type"); }),
            "config.json: has neither 'model_type' nor 'architectures'");
  EXPECT_EQ(config_error([](Json& j) {
              j.erase("model_type");
              j["architectures"] = Json::array();
            }),
            "config.json: 'architectures' is not a list that begins with a string");
}

TEST(Config, RefusesFieldsThatAreMissingMistypedOrAbsurd) {
  const auto with = [](std::string_view key, const Json& value) {
    return config_error([&](Json& j) { j[std::string(key)] = value; });
  };
  EXPECT_EQ(config_error([](Json& j) { j.erase("hidden_size"); }), "config.json: has no 'hidden_size'");
  EXPECT_EQ(with("hidden_size", "64"), "config.json: 'hidden_size' is \"64\", wanted a whole number from 1 to 131072");
  EXPECT_EQ(with("hidden_size", 64.5), "config.json: 'hidden_size' is 64.5, wanted a whole number from 1 to 131072");
  EXPECT_EQ(with("num_hidden_layers", 4'000'000'000U),
            "config.json: 'num_hidden_layers' is 4000000000, wanted a whole number from 1 to 1024");
  EXPECT_EQ(with("num_hidden_layers", -1),
            "config.json: 'num_hidden_layers' is -1, wanted a whole number from 1 to 1024");
  EXPECT_EQ(with("num_attention_heads", 0),
            "config.json: 'num_attention_heads' is 0, wanted a whole number from 1 to 4096");
  EXPECT_EQ(with("vocab_size", 1ULL << 60),
            "config.json: 'vocab_size' is 1152921504606846976, wanted a whole number from 1 to 16777216");
  EXPECT_EQ(with("rms_norm_eps", "small"), "config.json: 'rms_norm_eps' is \"small\", wanted a number");
  EXPECT_EQ(with("rms_norm_eps", 0.0), "config.json: 'rms_norm_eps' is 0, wanted a number above 0");
  EXPECT_EQ(with("rope_theta", -1.5), "config.json: 'rope_theta' is -1.5, wanted a number above 0");
  EXPECT_EQ(with("tie_word_embeddings", 1), "config.json: 'tie_word_embeddings' is 1, wanted true or false");
  EXPECT_EQ(error_of([] { parse_config("[1]", "config.json"); }), "config.json: is array, wanted an object");
}

TEST(Config, RefusesSizesThatDisagree) {
  EXPECT_EQ(config_error([](Json& j) { j["num_key_value_heads"] = 3; }),
            "config.json: 'num_key_value_heads' is 3, which does not divide num_attention_heads = 8");
  EXPECT_EQ(config_error([](Json& j) { j["num_key_value_heads"] = 16; }),
            "config.json: 'num_key_value_heads' is 16, which does not divide num_attention_heads = 8");
  EXPECT_EQ(config_error([](Json& j) { j["hidden_size"] = 60; }),
            "config.json: 'hidden_size' is 60, which is no multiple of num_attention_heads = 8\n"
            "hint: a model whose heads have another width says so with 'head_dim'");
  EXPECT_EQ(config_error([](Json& j) { j["head_dim"] = 7; }),
            "config.json: the width of a head is 7, wanted an even number: rotary positions turn pairs");
}

TEST(Config, RefusesWhatWouldComputeSomethingElse) {
  EXPECT_EQ(config_error([](Json& j) { j["hidden_act"] = "mish"; }),
            "config.json: 'hidden_act' is 'mish', which is not supported; supported: silu, swish, gelu, gelu_new, "
            "gelu_pytorch_tanh, gelu_fast, gelu_python, relu");
  EXPECT_EQ(config_error([](Json& j) {
              j["rope_scaling"] = {{"type", "longrope"}, {"factor", 2.0}};
            }),
            "config.json: 'rope_scaling': has type 'longrope', which is not supported; supported: default, linear, "
            "llama3, yarn, dynamic\n"
            "hint: its positions would be wrong, so the model is refused rather than run without the scaling");
  EXPECT_EQ(config_error([](Json& j) {
              j["rope_scaling"] = {{"rope_type", "llama3"}};
            }),
            "config.json: 'rope_scaling': has no 'factor'");
  EXPECT_EQ(config_error([](Json& j) {
              j["rope_parameters"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"mscale", 1.0}};
            }),
            "config.json: 'rope_parameters': has 'mscale', which is not supported");
}

TEST(Config, ReadsBiasesAndRopeScaling) {
  Json json = good();
  json["attention_bias"] = true;
  json["rope_scaling"] = {{"rope_type", "llama3"},
                          {"factor", 8.0},
                          {"low_freq_factor", 1.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 8192}};
  const Config c = parse_config(json.dump(), "config.json");
  EXPECT_TRUE(c.qkv_bias);
  EXPECT_TRUE(c.attn_out_bias);
  EXPECT_FALSE(c.mlp_bias);
  EXPECT_EQ(c.ropes.at(0), (Rope{.scaling = Rope::Scaling::llama3,
                                 .factor = 8.0,
                                 .low_frequency_factor = 1.0,
                                 .high_frequency_factor = 4.0,
                                 .original_context = 8192.0}));
}

std::vector<std::uint32_t> windows(const Json& json) {
  std::vector<std::uint32_t> found;
  for (const LayerConfig& layer : parse_config(json.dump(), "config.json").layer) found.push_back(layer.window);
  return found;
}

TEST(Config, ReadsWhichLayersSeeAWindow) {
  using Windows = std::vector<std::uint32_t>;
  Json json = good();
  json["sliding_window"] = 32;
  EXPECT_EQ(windows(json), (Windows{0, 0, 0, 0, 0})) << "Llama has none";
  json["model_type"] = "mistral";
  EXPECT_EQ(windows(json), (Windows{32, 32, 32, 32, 32}));
  json["model_type"] = "qwen2";
  EXPECT_EQ(windows(json), (Windows{0, 0, 0, 0, 0})) << "use_sliding_window is not set";
  json["use_sliding_window"] = true;
  json["max_window_layers"] = 3;
  EXPECT_EQ(windows(json), (Windows{0, 0, 0, 32, 32}));
  json["model_type"] = "gemma2";
  EXPECT_EQ(windows(json), (Windows{32, 0, 32, 0, 32}));
  json["model_type"] = "gemma3_text";
  json["sliding_window_pattern"] = 3;
  EXPECT_EQ(windows(json), (Windows{32, 32, 0, 32, 32}));
  const Config c = parse_config(json.dump(), "config.json");
  EXPECT_EQ(c.ropes.at(c.layer[2].rope).theta, 1e6);
  EXPECT_EQ(c.ropes.at(c.layer[1].rope).theta, 1e4);
  json["layer_types"] = {"full_attention", "sliding_attention", "full_attention", "full_attention", "full_attention"};
  EXPECT_EQ(windows(json), (Windows{0, 32, 0, 0, 0}));
  json["layer_types"][4] = "chunked_attention";
  EXPECT_EQ(error_of([&] { windows(json); }),
            "config.json: 'layer_types' of layer 4 is \"chunked_attention\", wanted \"full_attention\" or "
            "\"sliding_attention\"");
}

TEST(Config, ReadsTheLocalLayersOfGptNeo) {
  Json json = {{"model_type", "gpt_neo"},
               {"num_layers", 4},
               {"hidden_size", 16},
               {"num_heads", 2},
               {"vocab_size", 50},
               {"window_size", 8},
               {"attention_types", Json::parse(R"([[["global", "local"], 2]])")}};
  EXPECT_EQ(windows(json), (std::vector<std::uint32_t>{0, 8, 0, 8}));
  json["attention_layers"] = {"local", "local", "local", "global"};
  EXPECT_EQ(windows(json), (std::vector<std::uint32_t>{8, 8, 8, 0}));
  json["attention_layers"].push_back("global");
  EXPECT_EQ(error_of([&] { windows(json); }), "config.json: gives the attention of 5 layers, but num_layers = 4");
}

TEST(Config, ReadsTheOlderKeysOfPythia) {
  Json json = good();
  json.update({{"model_type", "gpt_neox"}, {"rotary_pct", 0.25}, {"rotary_emb_base", 500}, {"hidden_act", "gelu"}});
  json["hidden_size"] = 512;
  const Config c = parse_config(json.dump(), "config.json");
  EXPECT_EQ(c.head_width, 64U);
  EXPECT_EQ(c.rotary_width, 16U);
  EXPECT_EQ(c.ropes.at(0).theta, 500.0);
  EXPECT_TRUE(c.parallel);
  EXPECT_FALSE(c.tied_embeddings);
  json["rotary_pct"] = 0.02;
  EXPECT_EQ(error_of([&] { parse_config(json.dump(), "config.json"); }),
            "config.json: 1 values of each head of 64 turn, wanted an even number: rotary positions turn pairs");
}

TEST(Config, ReadsTheLanguageModelOfGemma3WithItsDefaults) {
  const Json json = {{"model_type", "gemma3"},
                     {"text_config",
                      {{"model_type", "gemma3_text"},
                       {"hidden_size", 2560},
                       {"intermediate_size", 10240},
                       {"num_hidden_layers", 34},
                       {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                       {"sliding_window", 1024}}}};
  const Config c = parse_config(json.dump(), "config.json");
  EXPECT_EQ(c.heads, 8U);
  EXPECT_EQ(c.kv_heads, 4U);
  EXPECT_EQ(c.head_width, 256U);
  EXPECT_EQ(c.vocabulary, 262208U);
  EXPECT_EQ(c.ropes.at(0).factor, 8.0);
  EXPECT_EQ(c.ropes.at(1).scaling, Rope::Scaling::none) << "the layers with a window are not scaled";
  EXPECT_TRUE(c.tied_embeddings);
}

TEST(Config, EveryTruncationIsAnErrorNotACrash) {
  const std::string text = good().dump();
  for (std::size_t n = 0; n < text.size(); ++n)
    EXPECT_NE(error_of([&] { parse_config(std::string_view(text).substr(0, n), "config.json"); }), "no error")
        << "accepted a file cut at byte " << n;
}

TEST(Config, DamagedTextIsAnErrorNotACrash) {
  EXPECT_NE(error_of([] { parse_config(R"({"model_type": "llama", "rope_theta": 1e999})", "c"); }), "no error");
  EXPECT_NE(error_of([] { parse_config("{\"model_type\": \"\xff\"}", "c"); }), "no error");
  const std::string deep =
      R"({"model_type": "llama", "num_hidden_layers": )" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_NE(error_of([&] { parse_config(deep, "c"); }), "no error");
}

TEST(Plan, NamesEveryTensorOnceAndFillsFusedPartsWithoutGaps) {
  Json json = good();
  json["head_dim"] = 6;
  const Config c = parse_config(json.dump(), "config.json");
  const std::vector<PlannedTensor> plan = architecture_of(c).plan(c);
  EXPECT_EQ(plan.size(), 3U + 9U * c.layers);
  std::map<std::string, int> names;
  std::map<std::pair<Part, std::uint32_t>, std::uint64_t> rows;
  for (const PlannedTensor& t : plan) {
    ++names[t.name];
    std::uint64_t& filled = rows[{t.part, t.layer}];
    EXPECT_EQ(t.first_row, filled) << t.name;
    filled += t.rows();
  }
  EXPECT_EQ(names.size(), plan.size());
  EXPECT_EQ((rows[{Part::qkv, 4U}]), (8U + 2 * 4U) * 6U);
  EXPECT_EQ((rows[{Part::mlp_in, 4U}]), 2 * 172U);
}

}  // namespace
}  // namespace gloss::model
