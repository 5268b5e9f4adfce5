#include "gloss/index/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/output_file.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"

namespace gloss::index {
namespace {

using formats::Fields;
using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::string_view kFormat = "gloss-spill-2";
constexpr std::uint64_t kMostPositions = std::uint64_t{1} << 32;
constexpr std::uint64_t kMostFirings = std::uint64_t{1} << 56;
constexpr std::string_view kOptionsHint =
    "delete this spill folder to begin the cache of this hookpoint again, or choose another run folder";

fs::path manifest_path(const fs::path& spill_folder) { return spill_folder / "manifest.json"; }

/// What must be the same when work goes on. How much memory there is may differ.
Json options_json(const WriterOptions& options) {
  Json metadata = Json::object();
  for (const auto& [key, value] : options.metadata) metadata[key] = replace_invalid_utf8(value);
  Json json = {{"hookpoint", replace_invalid_utf8(options.hookpoint)},
               {"latent_count", options.latent_count},
               {"ctx_len", options.ctx_len},
               {"full_precision", options.full_precision},
               {"metadata", metadata}};
  if (!options.cached.empty()) json["cached"] = hash_hex(std::as_bytes(std::span(options.cached)));
  return json;
}

Json run_json(const RunInfo& run) {
  return {{"firing_count", run.firing_count},
          {"end_position", run.end_position},
          {"largest", run.largest},
          {"xxh3",
           {{"offsets", run.offsets_hash},
            {"special_count", run.special_hash},
            {"positions", run.positions_hash},
            {"activations", run.activations_hash}}}};
}

std::string text_of(const Json& object, const std::string& key) {
  return object.contains(key) ? object[key].dump() : "not given";
}

/// "ctx_len was 256 and is now 512; ..." over the keys of two objects; empty when they are the same.
std::string differences(const Json& before, const Json& now, const std::string& prefix) {
  Json keys = before;
  keys.update(now);
  std::string text;
  for (const auto& [key, unused] : keys.items()) {
    const std::string was = text_of(before, key);
    const std::string is = text_of(now, key);
    if (was == is) continue;
    if (!text.empty()) text += "; ";
    if (key == "metadata" && before.value(key, Json()).is_object()) {
      text += differences(before[key], now[key], "metadata ");
    } else {
      text += fmt::format("{}{} was {} and is now {}", prefix, key, was, is);
    }
  }
  return text;
}

RunInfo parse_run(const Json& entry, const std::string& where, std::uint64_t previous_end, std::uint64_t resume) {
  const Fields fields(entry, where);
  const Fields hashes(fields.at("xxh3"), where + ": xxh3");
  RunInfo run;
  run.firing_count = fields.integer("firing_count", 0, kMostFirings);
  run.end_position = fields.integer("end_position", previous_end, resume);
  run.largest = static_cast<float>(fields.number("largest"));
  if (!(run.firing_count > 0 ? run.largest > 0.0F : run.largest == 0.0F))
    fail_input(where, fmt::format("'largest' is {} of {} firings", run.largest, run.firing_count));
  run.offsets_hash = hashes.string("offsets");
  run.special_hash = hashes.string("special_count");
  run.positions_hash = hashes.string("positions");
  run.activations_hash = hashes.string("activations");
  return run;
}

/// N of "run-N.bin"; nothing for other names.
std::optional<std::size_t> run_number(const std::string& name) {
  constexpr std::string_view kPrefix = "run-";
  constexpr std::string_view kSuffix = ".bin";
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) || name.size() <= kPrefix.size() + kSuffix.size())
    return {};
  std::size_t number = 0;
  const char* end = name.data() + name.size() - kSuffix.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, number);
  if (error != std::errc() || stop != end) return {};
  return number;
}

/// Removes the files for which `doomed(name)` holds.
template <class Doomed>
void remove_files(const fs::path& folder, Doomed doomed) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    if (doomed(it->path().filename().string())) files.push_back(it->path());
  }
  for (const fs::path& file : files) {
    fs::remove(file, error);
    if (error) fail_errno(file.string(), "cannot be removed", error.value());
  }
}

bool is_temporary(const std::string& name) {
  if (!name.ends_with(".tmp")) return false;
  const std::string final_name = name.substr(0, name.size() - 4);
  return final_name == "manifest.json" || run_number(final_name).has_value();
}

}  // namespace

std::uint64_t Manifest::firing_count() const {
  std::uint64_t total = 0;
  for (const RunInfo& run : runs) total += run.firing_count;
  return total;
}

float Manifest::largest() const {
  float largest = 0.0F;
  for (const RunInfo& run : runs) largest = std::max(largest, run.largest);
  return largest;
}

void write_manifest(const fs::path& spill_folder, const WriterOptions& options, const Manifest& manifest) {
  Json runs = Json::array();
  for (const RunInfo& run : manifest.runs) runs.push_back(run_json(run));
  const Json json = {{"format", kFormat},
                     {"options", options_json(options)},
                     {"resume_position", manifest.resume_position},
                     {"runs", runs}};
  write_file(manifest_path(spill_folder), json.dump(1) + "\n");
}

std::optional<Manifest> read_manifest(const fs::path& spill_folder, const WriterOptions& options) {
  const fs::path path = manifest_path(spill_folder);
  if (!fs::exists(path)) return {};
  const std::string where = path.string();
  const Json json = formats::read_json(path);
  const Fields fields(json, where);
  const std::string format = fields.string("format");
  if (format != kFormat) fail_input(where, fmt::format("'format' is '{}', wanted '{}'", format, kFormat), kOptionsHint);
  const Json& before = fields.at("options");
  if (!before.is_object()) fail_input(where, "'options' is not an object");
  const std::string changed = differences(before, options_json(options), "");
  if (!changed.empty())
    fail_input(where, "belongs to an interrupted cache with other settings: " + changed, kOptionsHint);

  Manifest manifest;
  manifest.resume_position = fields.integer("resume_position", 0, kMostPositions);
  const Json& runs = fields.at("runs");
  if (!runs.is_array()) fail_input(where, "'runs' is not an array");
  std::uint64_t end = 0;
  for (const Json& entry : runs) {
    const std::size_t number = manifest.runs.size();
    manifest.runs.push_back(parse_run(entry, fmt::format("{}: run {}", where, number), end, manifest.resume_position));
    end = manifest.runs.back().end_position;
    const RunFile check(run_path(spill_folder, number), options.latent_count, manifest.runs.back());
  }
  return manifest;
}

void remove_runs(const fs::path& spill_folder, std::size_t kept) {
  remove_files(spill_folder, [&](const std::string& name) {
    const std::optional<std::size_t> number = run_number(name);
    return is_temporary(name) || (number && *number >= kept);
  });
}

void remove_spill(const fs::path& spill_folder) {
  // The manifest goes first: runs without one are leftovers, a manifest without its runs would be an error.
  remove_files(spill_folder, [](const std::string& name) { return name == "manifest.json"; });
  remove_runs(spill_folder, 0);
  std::error_code ignored;
  fs::remove(spill_folder, ignored);
}

}  // namespace gloss::index
