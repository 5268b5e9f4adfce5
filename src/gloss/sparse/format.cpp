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

namespace gloss::sparse {
namespace {

constexpr std::size_t kMostNamesShown = 12;

std::string describe_content(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string() + (entry.is_directory() ? "/" : ""));
  if (names.empty()) return "nothing";
  natural_sort(names);
  const std::size_t more = names.size() - std::min(names.size(), kMostNamesShown);
  names.resize(names.size() - more);
  return fmt::format("{}{}", fmt::join(names, ", "), more == 0 ? "" : fmt::format(" and {} more", more));
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

}  // namespace

std::span<const Format> formats() {
  static const std::vector<Format> table = {
      sparsify_format(), saelens_format(), gemma_scope_format(), gemma_scope_2_format(), dictionary_learning_format(),
      openai_format(),
  };
  return table;
}

const Format& recognise(const std::filesystem::path& path, const std::string& name, std::span<const Format> table) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  if (!folder && !std::filesystem::is_regular_file(path, ignored))
    fail_input(path.string(), "is no folder, wanted the folder of a sparse coder, or its .pt file");
  if (!name.empty()) return named(name, path, table);
  std::vector<const Format*> found;
  for (const Format& format : table) {
    if (!format.files(path).empty()) found.push_back(&format);
  }
  if (found.size() == 1) return *found.front();
  std::vector<std::string> wanted;
  if (found.empty()) {
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

std::vector<float> transposed(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<float> out(values.size());
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  }
  return out;
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

std::optional<std::uint32_t> number_in_path(const std::filesystem::path& path, std::string_view prefix) {
  for (const std::filesystem::path& part : std::filesystem::absolute(path).lexically_normal()) {
    const std::string name = part.string();
    if (!name.starts_with(prefix)) continue;
    std::uint32_t layer = 0;
    const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), layer);
    if (error == std::errc() && end == name.data() + name.size()) return layer;
  }
  return std::nullopt;
}

}  // namespace gloss::sparse
