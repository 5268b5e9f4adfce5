#include "gloss/model/hookpoint.h"

#include <gtest/gtest.h>

#include <vector>

#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

constexpr std::string_view kForms =
    "known forms: layers.L, layers.L.attn, layers.L.attn.input, layers.L.mlp, layers.L.mlp.input";

std::string parse_error(std::string_view name, std::uint32_t layers = 0) {
  return error_of([&] { Hookpoint::parse(name, layers); });
}

TEST(Hookpoint, NamesEverySiteAndReadsItBack) {
  const std::vector<std::pair<Hookpoint, std::string>> rows{{{5, Site::layer_output}, "layers.5"},
                                                            {{0, Site::attn_output}, "layers.0.attn"},
                                                            {{12, Site::attn_input}, "layers.12.attn.input"},
                                                            {{5, Site::mlp_output}, "layers.5.mlp"},
                                                            {{5, Site::mlp_input}, "layers.5.mlp.input"}};
  for (const auto& [hookpoint, name] : rows) {
    EXPECT_EQ(hookpoint.name(), name);
    EXPECT_EQ(Hookpoint::parse(name, 13), hookpoint);
    EXPECT_EQ(Hookpoint::parse("model." + name, 13), hookpoint);
  }
}

TEST(Hookpoint, AcceptsTheModuleNameOfAttention) {
  EXPECT_EQ(Hookpoint::parse("model.layers.3.self_attn", 4), (Hookpoint{3, Site::attn_output}));
  EXPECT_EQ(Hookpoint::parse("layers.3.self_attn.input", 4), (Hookpoint{3, Site::attn_input}));
}

TEST(Hookpoint, RefusesWhatIsNone) {
  for (const std::string_view name : {"", "layers", "layers.", "layers.x", "layers.-1", "layers.05", "layers.5.",
                                      "layers.5.mlp.output", "layers.5mlp", "layers.99999999999", "embed_tokens",
                                      "model.model.layers.5", "layers.5 ", "layers.5.self_attnx"})
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

TEST(Hookpoint, SortsByLayerThenByOrderOfTheTable) {
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
