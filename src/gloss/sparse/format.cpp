#include "gloss/sparse/format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/base/natural_order.h"
#include "gloss/model/hookpoint.h"
#include "gloss/sparse/coder_weights.h"

namespace gloss::sparse {
namespace {

constexpr std::size_t kMostNamesShown = 12;

std::string shortened(std::vector<std::string> names) {
  const std::size_t more = names.size() - std::min(names.size(), kMostNamesShown);
  names.resize(names.size() - more);
  return fmt::format("{}{}", fmt::join(names, ", "), more == 0 ? "" : fmt::format(" and {} more", more));
}

std::string describe_content(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string() + (entry.is_directory() ? "/" : ""));
  if (names.empty()) return "nothing";
  natural_sort(names);
  return shortened(std::move(names));
}

std::vector<std::string> names_of(std::span<const Format> table) {
  std::vector<std::string> names;
  for (const Format& format : table) names.emplace_back(format.name);
  return names;
}

const Format& named(const std::string& name, const std::filesystem::path& path, std::span<const Format> table) {
  const auto it = std::find_if(table.begin(), table.end(), [&](const Format& f) { return f.name == name; });
  if (it == table.end()) fail_unknown_name("coder format", name, names_of(table));
  if (it->files(path).empty())
    fail_input(path.string(), fmt::format("is no {} coder: wanted {}, found {}", name, it->needs,
                                          std::filesystem::is_directory(path) ? describe_content(path) : "one file"));
  return *it;
}

bool is_coder_file(const std::filesystem::path& file, std::span<const Format> table) {
  return std::any_of(table.begin(), table.end(), [&](const Format& format) { return !format.files(file).empty(); });
}

/// Fails when files of `folder` are coders each.
void refuse_several_files(const std::filesystem::path& folder, std::span<const Format> table) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && is_coder_file(entry.path(), table))
      names.push_back(entry.path().filename().string());
  }
  if (names.empty()) return;
  natural_sort(names);
  const std::string first = names.front();
  fail_input(folder.string(), fmt::format("holds {} files that are coders each: {}", names.size(), shortened(names)),
             fmt::format("give the file of one: --sae {}", (folder / first).string()));
}

}  // namespace

std::span<const Format> formats() {
  static const std::vector<Format> table = {
      sparsify_format(),
      saelens_format(),
      gemma_scope_format(),
      gemma_scope_2_format(),
      dictionary_learning_format(),
      openai_format(),
      llama_scope_format(),
      llama_scope_r1_format(),
      goodfire_format(),
      qwen_scope_format(),
      hook_z_format(),
      circuit_tracer_format(),
      circuit_tracer_clt_format(),
      temporal_format(),
  };
  return table;
}

const Format& recognise(const std::filesystem::path& path, const std::string& name, std::span<const Format> table) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  if (!folder && !std::filesystem::is_regular_file(path, ignored))
    fail_input(path.string(), "is no folder, wanted the folder of a sparse coder, or the file that is one");
  if (!name.empty()) return named(name, path, table);
  std::vector<const Format*> found;
  for (const Format& format : table) {
    if (!format.files(path).empty()) found.push_back(&format);
  }
  if (found.size() == 1) return *found.front();
  std::vector<std::string> wanted;
  if (found.empty()) {
    if (folder) refuse_several_files(path, table);
    for (const Format& format : table) wanted.push_back(fmt::format("{}: {}", format.name, format.needs));
    fail_input(path.string(),
               fmt::format("is no sparse coder of a known layout: found {}; wanted one of ({})",
                           folder ? describe_content(path) : "a file that is none", fmt::join(wanted, "; ")),
               "a folder that holds one coder per hookpoint is given with the hookpoint's name");
  }
  for (const Format* format : found) wanted.push_back(fmt::format("{} ({})", format->name, format->needs));
  fail_input(path.string(), fmt::format("fits several layouts: {}", fmt::join(wanted, ", ")),
             fmt::format("say which with --sae-format {}", found.front()->name));
}

std::string hookpoint_of_folder(const std::filesystem::path& folder) {
  std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename().string().starts_with("seed")) path = path.parent_path();
  try {
    model::Hookpoint::parse(path.filename().string(), {});
    return path.filename().string();
  } catch (const Error&) {
    return "";
  }
}

std::vector<std::filesystem::path> all_present(const std::filesystem::path& folder,
                                               const std::vector<std::string_view>& names) {
  std::error_code ignored;
  std::vector<std::filesystem::path> files;
  for (const std::string_view name : names) {
    if (!std::filesystem::is_regular_file(folder / name, ignored)) return {};
    files.push_back(folder / name);
  }
  return files;
}

std::vector<std::filesystem::path> only_file(const std::filesystem::path& path,
                                             bool (*fits)(const std::filesystem::path& file)) {
  std::error_code ignored;
  std::vector<std::filesystem::path> found;
  if (std::filesystem::is_regular_file(path, ignored)) {
    if (fits(path)) found.push_back(path);
  } else if (std::filesystem::is_directory(path, ignored)) {
    for (const auto& entry : std::filesystem::directory_iterator(path, ignored)) {
      if (entry.is_regular_file(ignored) && fits(entry.path())) found.push_back(entry.path());
    }
    if (found.size() > 1) found.clear();
  }
  return found;
}

std::vector<float> transposed(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<float> out(values.size());
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}

void read_linear_layers(CoderWeights& file, const LinearNames& names, CoderData& data) {
  CoderInfo& info = data.info;
  const auto weight = [](std::string_view layer) { return fmt::format("{}.weight", layer); };
  const auto bias = [](std::string_view layer) { return fmt::format("{}.bias", layer); };
  if (info.latents == 0) {
    const std::vector<std::uint64_t> shape = file.matrix_shape(weight(names.encoder), "F x D");
    info.latents = static_cast<std::uint32_t>(shape[0]);
    info.input_width = static_cast<std::uint32_t>(shape[1]);
    file.set_reason(fmt::format("'{}' is {}", weight(names.encoder), formats::format_shape(shape)));
  }
  const std::uint64_t latents = info.latents;
  data.w_enc = file.read(weight(names.encoder), {latents, info.input_width}, "F x D");
  data.b_enc = file.read(bias(names.encoder), {latents}, "F");
  const std::vector<std::uint64_t> decoder = file.matrix_shape(weight(names.decoder), "O x F");
  const std::uint64_t out = decoder[0];
  if (decoder[1] != latents)
    fail_input(file.file_name(), fmt::format("tensor '{}' is {}, wanted a decoder (O x F) of {} latents",
                                             weight(names.decoder), formats::format_shape(decoder), latents));
  info.output_width = static_cast<std::uint32_t>(out);
  data.w_dec = file.read_turned(weight(names.decoder), out, latents, "O x F");
  data.b_dec = file.read(bias(names.decoder), {out}, "O");
}

void fold_decoder_norms(CoderData& data) {
  constexpr float kLeast = 1e-8F;
  const std::size_t width = data.info.input_width;
  const std::size_t out = data.info.output_width;
  for (std::size_t f = 0; f < data.info.latents; ++f) {
    const std::span<float> row = std::span(data.w_dec).subspan(f * out, out);
    double squares = 0;
    for (const float v : row) squares += double{v} * double{v};
    const float norm = std::max(static_cast<float>(std::sqrt(squares)), kLeast);
    for (float& v : row) v /= norm;
    for (float& v : std::span(data.w_enc).subspan(f * width, width)) v *= norm;
    data.b_enc[f] *= norm;
  }
}

std::optional<std::uint32_t> whole_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::uint32_t> number_in_path(const std::filesystem::path& path, std::string_view prefix) {
  for (const std::filesystem::path& part : std::filesystem::absolute(path).lexically_normal()) {
    const std::string name = part.string();
    if (!name.starts_with(prefix)) continue;
    if (const auto number = whole_number(std::string_view(name).substr(prefix.size()))) return number;
  }
  return std::nullopt;
}

}  // namespace gloss::sparse
