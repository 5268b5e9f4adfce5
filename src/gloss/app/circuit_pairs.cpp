#include "gloss/app/circuit_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/csv_reader.h"

namespace gloss::app {
namespace {

/// Names that a field may have, the first being ours.
constexpr const char* kClean[] = {"clean", "clean_prefix"};
constexpr const char* kPatch[] = {"patch", "patch_prefix"};
constexpr const char* kCleanAnswer[] = {"clean_answer"};
constexpr const char* kPatchAnswer[] = {"patch_answer"};

/// Fills a pair by `find(name)`, which gives a field's text or nothing.
template <class Find>
WrittenPair pair_from(const Find& find, const std::string& where) {
  const auto any_of = [&](const auto& names) -> std::optional<std::string> {
    for (const char* name : names) {
      if (std::optional<std::string> text = find(name)) return text;
    }
    return std::nullopt;
  };
  const auto clean = any_of(kClean);
  const auto patch = any_of(kPatch);
  if (!clean || !patch)
    fail_input(where, fmt::format("has no '{}'", clean ? "patch" : "clean"),
               "wanted clean and patch (or clean_prefix and patch_prefix), and clean_answer and patch_answer where "
               "--metric does not name the answers");
  return {*clean, *patch, any_of(kCleanAnswer).value_or(""), any_of(kPatchAnswer).value_or(""), 0};
}

std::vector<WrittenPair> read_table(std::unique_ptr<text::ByteSource> source, const std::string& file, char separator) {
  text::CsvReader reader(std::move(source), file, separator);
  std::vector<WrittenPair> pairs;
  const auto header = reader.next();
  if (!header) return pairs;
  while (const auto fields = reader.next()) {
    const auto where = fmt::format("{}: line {}", file, reader.line());
    if (fields->size() != header->size())
      fail_input(where, fmt::format("has {} fields, wanted {} as in the first line", fields->size(), header->size()));
    pairs.push_back(pair_from(
        [&](std::string_view name) -> std::optional<std::string> {
          const auto at = std::find(header->begin(), header->end(), name);
          if (at == header->end()) return std::nullopt;
          return (*fields)[static_cast<std::size_t>(at - header->begin())];
        },
        where));
    pairs.back().line = reader.line();
  }
  return pairs;
}

std::vector<WrittenPair> read_lines(std::unique_ptr<text::ByteSource> source, const std::string& file) {
  text::LineReader reader(std::move(source), file);
  std::vector<WrittenPair> pairs;
  while (const auto line = reader.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    const auto where = fmt::format("{}: line {}", file, reader.line());
    const nlohmann::json json = formats::parse_json(*line, where);
    pairs.push_back(pair_from(
        [&](const char* name) -> std::optional<std::string> {
          if (!json.is_object() || !json.contains(name) || !json[name].is_string()) return std::nullopt;
          return json[name].get<std::string>();
        },
        where));
    pairs.back().line = reader.line();
  }
  return pairs;
}

}  // namespace

std::vector<WrittenPair> read_pairs(const std::filesystem::path& file) {
  std::filesystem::path inner = file;
  text::Packing packing = text::Packing::none;
  if (file.extension() == ".gz" || file.extension() == ".zst") {
    packing = file.extension() == ".gz" ? text::Packing::gzip : text::Packing::zstd;
    inner = file.stem();
  }
  auto source = text::open_source(MappedFile::open(file), packing);
  const bool table = inner.extension() == ".csv" || inner.extension() == ".tsv";
  std::vector<WrittenPair> pairs =
      table ? read_table(std::move(source), file.string(), inner.extension() == ".tsv" ? '\t' : ',')
            : read_lines(std::move(source), file.string());
  if (pairs.empty()) fail_input(file.string(), "holds no pair of prompts");
  return pairs;
}

TokenPairs to_tokens(const std::vector<WrittenPair>& written, const std::string& file, const text::Tokenizer& tokenizer,
                     std::optional<TokenId> bos, const std::optional<std::pair<std::string, std::string>>& metric) {
  TokenPairs found;
  for (const WrittenPair& w : written) {
    const auto where = fmt::format("{}: line {}", file, w.line);
    const auto& [clean_answer, patch_answer] = metric ? *metric : std::pair(w.clean_answer, w.patch_answer);
    if (clean_answer.empty() || patch_answer.empty())
      fail_input(where, "has no clean_answer and patch_answer", "--metric A/B names the answers of all pairs");
    const std::vector<TokenId> clean = tokenizer.encode(w.clean);
    std::string reason;
    const auto answer = [&](const std::string& text) {
      const std::vector<TokenId> longer = tokenizer.encode(w.clean + text);
      if (longer.size() == clean.size() + 1 && std::equal(clean.begin(), clean.end(), longer.begin()))
        return longer.back();
      if (reason.empty()) reason = fmt::format("'{}' is not one token after the clean prompt", text);
      return TokenId{};
    };
    circuit::Pair pair{clean, tokenizer.encode(w.patch), answer(clean_answer), answer(patch_answer)};
    if (pair.clean.size() != pair.patch.size())
      reason = fmt::format("its prompts have {} and {} tokens", pair.clean.size(), pair.patch.size());
    if (pair.clean.empty()) reason = "its prompts are empty";
    if (!reason.empty()) {
      if (found.skipped++ == 0) found.first_reason = fmt::format("{}: {}", where, reason);
      continue;
    }
    for (std::vector<TokenId>* tokens : {&pair.clean, &pair.patch}) {
      if (bos) tokens->insert(tokens->begin(), *bos);
    }
    found.pairs.push_back(std::move(pair));
  }
  if (found.pairs.empty())
    fail_input(file, fmt::format("none of its {} pairs can be used: {}", written.size(), found.first_reason));
  return found;
}

std::pair<std::string, std::string> parse_metric(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size() || text.find('/', slash + 1) != text.npos)
    throw Error(ErrorKind::usage, "--metric", fmt::format("'{}' is not two texts with a / between them", text),
                "for example --metric ' she/ he': the clean prompt's answer first, spaces as they belong to the texts");
  return {text.substr(0, slash), text.substr(slash + 1)};
}

}  // namespace gloss::app
