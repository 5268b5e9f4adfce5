#include "gloss/model/hookpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "gloss/base/error.h"

namespace gloss::model {
namespace {

struct SiteRow {
  Site site;
  std::string_view suffix;  // after "layers.L"
};
/// In the order of a pass.
constexpr std::array<SiteRow, 12> kSites{{{Site::layer_input, ".input"},
                                          {Site::attn_input, ".attn.input"},
                                          {Site::attn_heads, ".attn.heads"},
                                          {Site::attn_output, ".attn"},
                                          {Site::attn_added, ".attn.added"},
                                          {Site::between, ".mid"},
                                          {Site::mlp_normed, ".mlp.normed"},
                                          {Site::mlp_input, ".mlp.input"},
                                          {Site::mlp_hidden, ".mlp.hidden"},
                                          {Site::mlp_output, ".mlp"},
                                          {Site::mlp_added, ".mlp.added"},
                                          {Site::layer_output, ""}}};

constexpr std::string_view kLayers = "layers.";

/// Wrappers around the layers in the module paths of Hugging Face models, longest first.
constexpr std::array<std::string_view, 7> kWrappers{"model.language_model.",
                                                    "language_model.model.",
                                                    "language_model.",
                                                    "base_model.",
                                                    "transformer.",
                                                    "gpt_neox.",
                                                    "model."};
constexpr std::array<std::string_view, 2> kModuleLists{"layers.", "h."};
/// Names that families give to the module of attention, longest first.
constexpr std::array<std::string_view, 4> kAttention{".attn.attention", ".self_attn", ".attention", ".attn"};

/// Other names for a place; what `post_attention_layernorm` gives depends on the family.
constexpr std::array<SiteRow, 9> kNorms{{{Site::attn_input, ".input_layernorm"},
                                         {Site::attn_input, ".ln_1"},
                                         {Site::mlp_input, ".ln_2"},
                                         {Site::mlp_input, ".pre_feedforward_layernorm"},
                                         {Site::mlp_added, ".post_feedforward_layernorm"},
                                         {Site::mlp_input, ".post_attention_layernorm"},
                                         {Site::mlp_hidden, ".mlp.down_proj.input"},
                                         {Site::mlp_hidden, ".mlp.c_proj.input"},
                                         {Site::mlp_hidden, ".mlp.dense_4h_to_h.input"}}};

/// TransformerLens, after "blocks.L".
constexpr std::array<SiteRow, 10> kLens{{{Site::layer_input, ".hook_resid_pre"},
                                         {Site::between, ".hook_resid_mid"},
                                         {Site::layer_output, ".hook_resid_post"},
                                         {Site::attn_heads, ".attn.hook_z"},
                                         {Site::attn_added, ".hook_attn_out"},
                                         {Site::mlp_input, ".mlp.hook_in"},
                                         {Site::mlp_hidden, ".mlp.hook_post"},
                                         {Site::mlp_added, ".hook_mlp_out"},
                                         {Site::between, ".hook_mlp_in"},
                                         {Site::mlp_normed, ".ln2.hook_normalized"}}};
constexpr std::string_view kLensAttentionNorm = ".ln1.hook_normalized";

template <std::size_t n>
std::optional<Site> find_site(const std::array<SiteRow, n>& rows, std::string_view suffix) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const SiteRow& row) { return row.suffix == suffix; });
  if (it == rows.end()) return std::nullopt;
  return it->site;
}

/// Digits at the head of `text`, taken off it; nothing when there are none, a superfluous zero, or too many.
std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || (length > 1 && text.front() == '0')) return std::nullopt;
  text.remove_prefix(length);
  return number;
}

template <std::size_t n>
bool take_any(const std::array<std::string_view, n>& prefixes, std::string_view& text) {
  for (const std::string_view prefix : prefixes) {
    if (!text.starts_with(prefix)) continue;
    text.remove_prefix(prefix.size());
    return true;
  }
  return false;
}

std::optional<Site> read_module(std::string_view suffix, const HookpointRules& rules) {
  if (suffix == ".post_attention_layernorm" && rules.sublayer_norms) return Site::attn_added;
  if (const auto site = find_site(kNorms, suffix)) return site;
  std::string canonical(suffix);
  if (std::string_view rest = suffix; take_any(kAttention, rest)) canonical = ".attn" + std::string(rest);
  return find_site(kSites, canonical);
}

/// Not folded into other weights, a LayerNorm there gives what it gives here, but an RMSNorm its value before the gain.
/// Source: TransformerLens 2.18, components/layer_norm.py and rms_norm.py.
std::optional<Site> read_lens(std::string_view suffix, const HookpointRules& rules) {
  if (suffix == kLensAttentionNorm && rules.layer_norm) return Site::attn_input;
  const std::optional<Site> site = find_site(kLens, suffix);
  return site == Site::mlp_normed && rules.layer_norm ? Site::mlp_input : site;
}

std::optional<Hookpoint> read(std::string_view name, const HookpointRules& rules) {
  const bool lens = name.starts_with("blocks.");
  if (lens) {
    name.remove_prefix(std::string_view("blocks.").size());
  } else {
    take_any(kWrappers, name);
    if (!take_any(kModuleLists, name)) return std::nullopt;
  }
  const std::optional<std::uint32_t> layer = take_number(name);
  if (!layer) return std::nullopt;
  std::optional<Site> site = lens ? read_lens(name, rules) : read_module(name, rules);
  if (!site) return std::nullopt;
  // Without a norm between them, what is added is what the module gives: one place, one name.
  if (!rules.sublayer_norms && site == Site::attn_added) site = Site::attn_output;
  if (!rules.sublayer_norms && site == Site::mlp_added) site = Site::mlp_output;
  return Hookpoint{*layer, *site};
}

[[noreturn]] void fail_unknown(std::string_view name) {
  std::string forms;
  std::vector<std::string> known;
  // Candidates carry the digits that were typed, so that only the misspelt part counts as different.
  const std::size_t digits = name.find_first_of("0123456789");
  const std::size_t end = digits == std::string_view::npos ? digits : name.find_first_not_of("0123456789", digits);
  const std::string_view number = digits == std::string_view::npos ? "0" : name.substr(digits, end - digits);
  for (const SiteRow& row : kSites) {
    forms += fmt::format("{}{}L{}", forms.empty() ? "" : ", ", kLayers, row.suffix);
    known.push_back(fmt::format("{}{}{}", kLayers, number, row.suffix));
  }
  for (const SiteRow& row : kLens) known.push_back(fmt::format("blocks.{}{}", number, row.suffix));
  const std::string nearest = nearest_name(name, known);
  throw Error(
      ErrorKind::usage, "",
      fmt::format("'{}' is no hookpoint; known forms: {}; and blocks.L.hook_resid_post and the like", name, forms),
      nearest.empty() ? std::string() : fmt::format("did you mean '{}'?", nearest));
}

}  // namespace

Hookpoint Hookpoint::parse(std::string_view name, const HookpointRules& rules) {
  if (name.starts_with("blocks.") && name.ends_with(kLensAttentionNorm) && !rules.layer_norm)
    throw Error(ErrorKind::usage, "",
                fmt::format("hookpoint '{}' is not offered: of an RMSNorm that is its value before the gain", name),
                "'layers.L.attn.input' is the value with its gain, which attention reads");
  const std::optional<Hookpoint> hookpoint = read(name, rules);
  if (!hookpoint) fail_unknown(name);
  if (rules.parallel && hookpoint->site == Site::between)
    throw Error(ErrorKind::usage, "",
                fmt::format("hookpoint '{}' is not in this model: its attention and MLP read the same stream and are "
                            "added together",
                            name),
                fmt::format("'layers.{0}.input' is the stream before them, 'layers.{0}' after", hookpoint->layer));
  if (rules.layers != 0 && hookpoint->layer >= rules.layers)
    throw Error(ErrorKind::usage, "",
                fmt::format("hookpoint '{}' is in layer {}, but the model has {} layers: 0 to {}", name,
                            hookpoint->layer, rules.layers, rules.layers - 1));
  return *hookpoint;
}

std::string Hookpoint::name() const {
  const auto* row = std::find_if(kSites.begin(), kSites.end(), [&](const SiteRow& r) { return r.site == site; });
  return fmt::format("{}{}{}", kLayers, layer, row->suffix);
}

std::vector<Hookpoint> hookpoints_of_layer(std::uint32_t layer, const HookpointRules& rules) {
  std::vector<Hookpoint> all;
  for (const SiteRow& row : kSites) {
    const bool added = row.site == Site::attn_added || row.site == Site::mlp_added;
    if ((added && !rules.sublayer_norms) || (row.site == Site::between && rules.parallel)) continue;
    all.push_back({layer, row.site});
  }
  return all;
}

Hookpoint input_of(Hookpoint hookpoint) {
  switch (hookpoint.site) {
    case Site::attn_output:
    case Site::attn_added:
      return {hookpoint.layer, Site::attn_input};
    case Site::mlp_output:
    case Site::mlp_added:
      return {hookpoint.layer, Site::mlp_input};
    default:
      throw Error(ErrorKind::usage, "", fmt::format("hookpoint '{}' is not the output of a sublayer", hookpoint.name()),
                  fmt::format("a transcoder belongs to 'layers.{0}.mlp' or 'layers.{0}.attn'", hookpoint.layer));
  }
}

}  // namespace gloss::model
