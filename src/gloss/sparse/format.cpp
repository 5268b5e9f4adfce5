#include "gloss/sparse/format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/base/natural_order.h"

namespace gloss::sparse {
namespace {

constexpr std::size_t kMostNamesShown = 12;

bool fits(const Format& format, const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto there = [&](std::string_view name) { return std::filesystem::is_regular_file(folder / name, ignored); };
  return there(format.marker) && std::any_of(format.weights.begin(), format.weights.end(), there);
}

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

}  // namespace

std::span<const Format> formats() {
  static const std::vector<Format> table = {
      {"sparsify", "cfg.json with 'd_in' and sae.safetensors", "cfg.json", {"sae.safetensors"}, load_sparsify},
  };
  return table;
}

const Format& recognise(const std::filesystem::path& folder, std::span<const Format> table) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    fail_input(folder.string(), "is no folder, wanted the folder of a sparse coder");
  std::vector<const Format*> found;
  for (const Format& format : table) {
    if (fits(format, folder)) found.push_back(&format);
  }
  if (found.size() == 1) return *found.front();
  std::vector<std::string> wanted;
  if (found.empty()) {
    for (const Format& format : table) wanted.push_back(fmt::format("{}: {}", format.name, format.needs));
    fail_input(folder.string(),
               fmt::format("is no sparse coder of a known layout: found {}; wanted one of ({})",
                           describe_content(folder), fmt::join(wanted, "; ")),
               "a folder that holds one coder per hookpoint is given with the hookpoint's name");
  }
  for (const Format* format : found) wanted.push_back(fmt::format("{} ({})", format->name, format->needs));
  fail_input(folder.string(), fmt::format("fits several layouts: {}", fmt::join(wanted, ", ")),
             "keep the files of one of them in a folder of their own");
}

}  // namespace gloss::sparse
