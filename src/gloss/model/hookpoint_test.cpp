#include "gloss/model/hookpoint.h"

#include <gtest/gtest.h>

#include <vector>

#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

constexpr std::string_view kForms =
    "known forms: layers.L.input, layers.L.attn.input, layers.L.attn.heads, layers.L.attn, layers.L.attn.added, "
    "layers.L.mid, layers.L.mlp.normed, layers.L.mlp.input, layers.L.mlp.hidden, layers.L.mlp, layers.L.mlp.added, "
    "layers.L; and "
    "blocks.L.hook_resid_post and the like";
constexpr HookpointRules kPlain{.layers = 13};
constexpr HookpointRules kGemma{.layers = 13, .sublayer_norms = true};
constexpr HookpointRules kNeox{.layers = 13, .parallel = true};

std::string parse_error(std::string_view name, std::uint32_t layers = 0) {
  return error_of([&] { Hookpoint::parse(name, {.layers = layers}); });
}

TEST(Hookpoint, NamesEverySiteAndReadsItBack) {
  const std::vector<Hookpoint> sites = hookpoints_of_layer(12, kGemma);
  EXPECT_EQ(sites.size(), 12U);
  for (const Hookpoint at : sites) {
    EXPECT_EQ(Hookpoint::parse(at.name(), kGemma), at) << at.name();
    for (const std::string wrapper : {"model.", "transformer.", "gpt_neox.", "model.language_model."})
      EXPECT_EQ(Hookpoint::parse(wrapper + at.name(), kGemma), at) << at.name();
  }
  EXPECT_EQ(sites.front().name(), "layers.12.input") << "in the order of a pass";
  EXPECT_EQ(sites.back().name(), "layers.12");
  EXPECT_EQ(hookpoints_of_layer(0, kPlain).size(), 10U);
  EXPECT_EQ(hookpoints_of_layer(0, kNeox).size(), 9U);
}

TEST(Hookpoint, AcceptsTheModuleNamesOfTheFamilies) {
  const std::vector<std::pair<std::string, Site>> rows{{"model.layers.3.self_attn", Site::attn_output},
                                                       {"layers.3.self_attn.input", Site::attn_input},
                                                       {"h.3", Site::layer_output},
                                                       {"h.3.attn", Site::attn_output},
                                                       {"transformer.h.3.mlp", Site::mlp_output},
                                                       {"transformer.h.3.attn.attention", Site::attn_output},
                                                       {"transformer.h.3.ln_1", Site::attn_input},
                                                       {"transformer.h.3.ln_2", Site::mlp_input},
                                                       {"gpt_neox.layers.3.attention", Site::attn_output},
                                                       {"model.layers.3.mlp.down_proj.input", Site::mlp_hidden},
                                                       {"model.layers.3.input_layernorm", Site::attn_input},
                                                       {"model.layers.3.post_attention_layernorm", Site::mlp_input}};
  for (const auto& [name, site] : rows) EXPECT_EQ(Hookpoint::parse(name, kPlain), (Hookpoint{3, site})) << name;
  EXPECT_EQ(Hookpoint::parse("layers.3.post_attention_layernorm", kGemma), (Hookpoint{3, Site::attn_added}))
      << "Gemma 2 has it after attention, not before the MLP";
  EXPECT_EQ(Hookpoint::parse("layers.3.post_feedforward_layernorm", kGemma), (Hookpoint{3, Site::mlp_added}));
}

TEST(Hookpoint, AcceptsTheNamesOfTransformerLens) {
  const std::vector<std::tuple<std::string, Site, Site>> rows{
      {"hook_resid_pre", Site::layer_input, Site::layer_input},
      {"hook_resid_mid", Site::between, Site::between},
      {"hook_resid_post", Site::layer_output, Site::layer_output},
      {"hook_attn_out", Site::attn_output, Site::attn_added},
      {"hook_mlp_out", Site::mlp_output, Site::mlp_added},
      {"attn.hook_z", Site::attn_heads, Site::attn_heads},
      {"mlp.hook_post", Site::mlp_hidden, Site::mlp_hidden}};
  for (const auto& [name, plain, gemma] : rows) {
    EXPECT_EQ(Hookpoint::parse("blocks.7." + name, kPlain), (Hookpoint{7, plain})) << name;
    EXPECT_EQ(Hookpoint::parse("blocks.7." + name, kGemma), (Hookpoint{7, gemma})) << name;
  }
}

TEST(Hookpoint, ReadsTheNormsOfTransformerLensByTheirKind) {
  constexpr HookpointRules kLayerNorm{.layers = 13, .layer_norm = true};
  EXPECT_EQ(Hookpoint::parse("blocks.7.ln2.hook_normalized", kPlain), (Hookpoint{7, Site::mlp_normed}));
  EXPECT_EQ(Hookpoint::parse("blocks.7.ln2.hook_normalized", kLayerNorm), (Hookpoint{7, Site::mlp_input}))
      << "a LayerNorm there gives its whole output";
  EXPECT_EQ(Hookpoint::parse("blocks.7.ln1.hook_normalized", kLayerNorm), (Hookpoint{7, Site::attn_input}));
  EXPECT_EQ(error_of([] { Hookpoint::parse("blocks.7.ln1.hook_normalized", kPlain); }),
            "hookpoint 'blocks.7.ln1.hook_normalized' is not offered: of an RMSNorm that is its value before the gain\n"
            "hint: 'layers.L.attn.input' is the value with its gain, which attention reads");
}

TEST(Hookpoint, RefusesThePlaceBetweenSublayersThatRunBesideEachOther) {
  EXPECT_EQ(error_of([] { Hookpoint::parse("blocks.7.hook_resid_mid", kNeox); }),
            "hookpoint 'blocks.7.hook_resid_mid' is not in this model: its attention and MLP read the same stream and "
            "are added together\nhint: 'layers.7.input' is the stream before them, 'layers.7' after");
}

TEST(Hookpoint, RefusesWhatIsNone) {
  for (const std::string_view name :
       {"", "layers", "layers.", "layers.x", "layers.-1", "layers.05", "layers.5.", "layers.5.mlp.output",
        "layers.5mlp", "layers.99999999999", "embed_tokens", "model.model.layers.5", "layers.5 ", "layers.5.self_attnx",
        "blocks.5", "blocks.5.hook_pre", "blocks.5.mlp", "h.h.5"})
    EXPECT_EQ(parse_error(name).find("'" + std::string(name) + "' is no hookpoint; " + std::string(kForms)), 0U)
        << name;
}

TEST(Hookpoint, NamesTheNearestForm) {
  EXPECT_EQ(parse_error("layer.5.mpl"),
            "'layer.5.mpl' is no hookpoint; " + std::string(kForms) + "\nhint: did you mean 'layers.5.mlp'?");
}

TEST(Hookpoint, RefusesALayerThatTheModelDoesNotHave) {
  EXPECT_EQ(parse_error("layers.5.mlp", 5),
            "hookpoint 'layers.5.mlp' is in layer 5, but the model has 5 layers: 0 to 4");
  EXPECT_EQ(parse_error("layers.4.mlp", 5), "no error");
  EXPECT_EQ(parse_error("layers.4000000000"), "no error") << "0 layers means the layer is not checked";
}

TEST(Hookpoint, SortsByLayerThenBySite) {
  EXPECT_LT((Hookpoint{1, Site::mlp_output}), (Hookpoint{2, Site::layer_output}));
  EXPECT_LT((Hookpoint{1, Site::layer_output}), (Hookpoint{1, Site::attn_input}));
}

TEST(Hookpoint, KnowsTheInputOfASublayerOnly) {
  EXPECT_EQ(input_of({3, Site::mlp_output}), (Hookpoint{3, Site::mlp_input}));
  EXPECT_EQ(input_of({3, Site::attn_output}), (Hookpoint{3, Site::attn_input}));
  EXPECT_EQ(error_of([] {
              input_of({3, Site::layer_output});
            }),
            "hookpoint 'layers.3' is not the output of a sublayer\n"
            "hint: a transcoder belongs to 'layers.3.mlp' or 'layers.3.attn'");
  EXPECT_NE(error_of([] { input_of({3, Site::mlp_input}); }), "no error");
}

}  // namespace
}  // namespace gloss::model
