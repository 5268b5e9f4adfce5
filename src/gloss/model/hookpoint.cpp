#include "gloss/model/hookpoint.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "gloss/base/error.h"

namespace gloss::model {
namespace {

struct SiteRow {
  Site site;
  std::string_view suffix;  // after "layers.L"
};
constexpr std::array<SiteRow, 5> kSites{{{Site::layer_output, ""},
                                         {Site::attn_output, ".attn"},
                                         {Site::attn_input, ".attn.input"},
                                         {Site::mlp_output, ".mlp"},
                                         {Site::mlp_input, ".mlp.input"}}};

constexpr std::string_view kLayers = "layers.";
constexpr std::string_view kOtherAttention = ".self_attn";

std::string_view suffix_of(Site site) {
  for (const SiteRow& row : kSites) {
    if (row.site == site) return row.suffix;
  }
  return {};
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

std::optional<Hookpoint> read(std::string_view name) {
  if (name.starts_with("model.")) name.remove_prefix(std::string_view("model.").size());
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  const std::optional<std::uint32_t> layer = take_number(name);
  if (!layer) return std::nullopt;
  std::string suffix(name);
  if (name.starts_with(kOtherAttention)) suffix = ".attn" + suffix.substr(kOtherAttention.size());
  for (const SiteRow& row : kSites) {
    if (suffix == row.suffix) return Hookpoint{*layer, row.site};
  }
  return std::nullopt;
}

[[noreturn]] void fail_unknown(std::string_view name) {
  std::string forms;
  std::vector<std::string> known;
  for (const SiteRow& row : kSites) {
    forms += fmt::format("{}{}L{}", forms.empty() ? "" : ", ", kLayers, row.suffix);
    // Candidates carry the digits that were typed, so that only the misspelt part counts as different.
    const std::size_t digits = name.find_first_of("0123456789");
    const std::size_t end = digits == std::string_view::npos ? digits : name.find_first_not_of("0123456789", digits);
    const std::string_view number = digits == std::string_view::npos ? "0" : name.substr(digits, end - digits);
    known.push_back(fmt::format("{}{}{}", kLayers, number, row.suffix));
  }
  const std::string nearest = nearest_name(name, known);
  throw Error(ErrorKind::usage, "", fmt::format("'{}' is no hookpoint; known forms: {}", name, forms),
              nearest.empty() ? std::string() : fmt::format("did you mean '{}'?", nearest));
}

}  // namespace

Hookpoint Hookpoint::parse(std::string_view name, std::uint32_t layer_count) {
  const std::optional<Hookpoint> hookpoint = read(name);
  if (!hookpoint) fail_unknown(name);
  if (layer_count != 0 && hookpoint->layer >= layer_count)
    throw Error(ErrorKind::usage, "",
                fmt::format("hookpoint '{}' is in layer {}, but the model has {} layers: 0 to {}", name,
                            hookpoint->layer, layer_count, layer_count - 1));
  return *hookpoint;
}

std::string Hookpoint::name() const { return fmt::format("{}{}{}", kLayers, layer, suffix_of(site)); }

Hookpoint input_of(Hookpoint hookpoint) {
  if (hookpoint.site == Site::attn_output) return {hookpoint.layer, Site::attn_input};
  if (hookpoint.site == Site::mlp_output) return {hookpoint.layer, Site::mlp_input};
  throw Error(ErrorKind::usage, "", fmt::format("hookpoint '{}' is not the output of a sublayer", hookpoint.name()),
              fmt::format("a transcoder belongs to 'layers.{0}.mlp' or 'layers.{0}.attn'", hookpoint.layer));
}

}  // namespace gloss::model
