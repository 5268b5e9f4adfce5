#pragma once
/// A made-up run with its index, for the tests of the dashboard: texts in it are hostile (report_testing.h).
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gloss/dashboard/api.h"
#include "gloss/index/index_testing.h"
#include "gloss/report/report_testing.h"

namespace gloss::dashboard::testing {

inline constexpr std::uint32_t kLatents = 20;

/// Latent l of each hookpoint fires at every token of id 7 + l, as the made-up examples have it.
inline TableHookpoint made_up_index(const std::filesystem::path& folder, const std::string& name,
                                    const text::TokenFile& tokens) {
  std::vector<index::Firing> firings;
  const std::span<const TokenId> ids = tokens.tokens();
  for (std::uint32_t p = 0; p < ids.size(); ++p) {
    const std::uint32_t latent = to_index(ids[p]) - 7;
    if (to_index(ids[p]) >= 7 && latent < kLatents)
      firings.push_back({latent, p, 1.0F + static_cast<float>(p % report::kWindow) * 0.125F});
  }
  index::WriterOptions options = index::testing::options(kLatents, report::kCtxLen);
  options.hookpoint = name;
  index::IndexedTokens indexed{ids, tokens.documents(), {}, 1};
  indexed.special.assign(report::token_texts().size(), false);
  SilentReporter silent;
  index::Writer writer(folder, options);
  index::testing::append_from(writer, firings, ids.size(), 1000);
  writer.finish(ids.size(), 0, silent, &indexed);
  return {name, index::Reader::open(folder / "index.safetensors"),
          index::StatisticsReader::open(folder / "statistics.safetensors")};
}

/// Stands for a sentence model: how often each of 32 letters stands in the text, at unit norm.
inline std::vector<float> letters_of(const std::string& text) {
  std::vector<float> row(32, 0.0F);
  double square = 0.0;
  for (const char c : text) row[static_cast<unsigned char>(c) % 32] += 1.0F;
  for (const float value : row) square += double{value} * double{value};
  for (float& value : row) value = square == 0.0 ? 0.0F : static_cast<float>(value / std::sqrt(square));
  return row;
}

/// Embeds texts by their letters, into `file`.
inline MeaningSearch meaning_by_letters(const std::filesystem::path& file, const std::vector<std::string>& texts) {
  std::vector<std::uint64_t> keys;
  std::vector<CodedRow> rows;
  for (const std::string& text : texts) {
    if (std::find(keys.begin(), keys.end(), text_key(text)) != keys.end()) continue;
    keys.push_back(text_key(text));
    rows.push_back(code_row(letters_of(text)));
  }
  write_text_embeddings(file, {"/models/letters", "letters", ""}, 32, keys, [&](std::size_t i) {
    return CodedView{rows[i].scale, rows[i].codes};
  });
  return {"letters", TextEmbeddings::open(file), letters_of};
}

struct MadeUpDashboard {
  report::MadeUpRun made;
  index::testing::Folder folder;
  RunInput input;

  explicit MadeUpDashboard(const std::vector<std::string>& hookpoints = {"layers.2", "layers.10"})
      : made(kLatents, hookpoints, {"pattern", "human"}) {
    input.name = made.data.title;
    input.facts = made.data.facts;
    for (const std::string& name : hookpoints) {
      std::filesystem::create_directories(folder.path() / name);
      input.hookpoints.push_back(made_up_index(folder.path() / name, name, made.data.tokens));
    }
    input.store = std::make_unique<store::Store>(made.file);
    input.tokenizer = made.data.tokenizer;
    input.tokens = made.data.tokens;
    input.window = report::kWindow;
    input.questions = made.data.questions;
    input.examples = made.data.examples;
    input.report = [this](const report::LatentSet* only) {
      report::RunData data = only == nullptr ? report::from_store(*made.store) : report::from_store(*made.store, *only);
      data.title = made.data.title;
      data.questions = made.data.questions;
      data.tokenizer = made.data.tokenizer;
      data.tokens = made.data.tokens;
      data.examples = made.data.examples;
      return data;
    };
  }
  std::unique_ptr<Run> run() {
    SilentReporter silent;
    return std::make_unique<Run>(std::move(input), silent);
  }
};

inline constexpr const char* kSecret = "0123456789abcdef";

inline Access loopback() {
  Access access;
  access.host = "127.0.0.1";
  access.port = 8080;
  access.page_secret = kSecret;
  return access;
}

inline Request get(const std::string& target) { return {"GET", target, "", {{"host", "localhost:8080"}}}; }
inline Request post(const std::string& target, const std::string& body) {
  return {"POST",
          target,
          body,
          {{"host", "localhost:8080"}, {"content-type", "application/json"}, {"x-gloss-token", kSecret}}};
}

}  // namespace gloss::dashboard::testing
