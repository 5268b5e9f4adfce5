#include "gloss/app/meaning_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "gloss/app/embedding_endpoint.h"
#include "gloss/app/partial_rows.h"
#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/interrupt.h"
#include "gloss/score/baselines.h"

namespace gloss::app {
namespace {

using dashboard::CodedView;
using dashboard::TextEmbeddings;

constexpr std::size_t kBlock = 256;  // texts embedded between two places at which the work can stop

/// The different explanations of a run in the order of hookpoints, latents and explainers.
struct Texts {
  std::vector<std::uint64_t> keys;
  std::vector<std::size_t> places;         // of their rows: in the file before, or behind those among the missing
  std::string missing;                     // of those not embedded before, one after another
  std::vector<std::uint64_t> missing_end;  // [missing texts]

  std::string missing_text(std::size_t i) const {
    const std::uint64_t begin = i == 0 ? 0 : missing_end[i - 1];
    return missing.substr(begin, missing_end[i] - begin);
  }
};

Texts texts_of(const store::Store& store, const RunFolder& run, const TextEmbeddings* before) {
  Texts texts;
  const auto known = before == nullptr ? std::span<const std::uint64_t>() : before->keys();
  dashboard::TextPlaces places(known);
  std::unordered_set<std::uint64_t> seen;
  for (const std::string& hookpoint : run.hookpoints()) {
    stop_if_interrupted();
    store.each_explanation(hookpoint, "", [&](const store::ExplanationRow& row) {
      const std::string& text = row.explanation.text;
      if (text.empty() || score::is_shuffled_name(row.explainer)) return;
      const std::uint64_t key = dashboard::text_key(text);
      if (!seen.insert(key).second) return;
      texts.keys.push_back(key);
      const TextEmbeddings::Place place = places.find(key);
      const bool is_missing = place == TextEmbeddings::kNone;
      texts.places.push_back(is_missing ? known.size() + texts.missing_end.size() : place);
      if (!is_missing) return;
      texts.missing += text;
      texts.missing_end.push_back(texts.missing.size());
    });
  }
  return texts;
}

/// A row of the partial file: scale, then codes. So that rows are of one size whatever is embedded.
void append_coded(std::span<const float> row, const std::string& name, std::vector<std::byte>& bytes) {
  if (!std::all_of(row.begin(), row.end(), [](float v) { return std::isfinite(v); }))
    fail_input(name, "embeds a text as what is not finite");
  const dashboard::CodedRow coded = dashboard::code_row(row);
  const auto scale = std::as_bytes(std::span(&coded.scale, 1));
  const auto codes = std::as_bytes(std::span(coded.codes));
  bytes.insert(bytes.end(), scale.begin(), scale.end());
  bytes.insert(bytes.end(), codes.begin(), codes.end());
}

/// Of the same texts in the same order, whoever embedded the first of them.
std::string fingerprint_of(const Texts& texts) {
  Hasher hash;
  for (std::size_t i = 0; i < texts.missing_end.size(); ++i) hash.add(texts.missing_text(i));
  return hash.digest_hex();
}

void embed_missing(const Texts& texts, const TextEmbedder& embedder, PartialRows& partial, std::size_t threads,
                   Reporter& reporter) {
  const std::size_t count = texts.missing_end.size();
  for (std::size_t done = partial.count(); done < count;) {
    stop_if_interrupted();
    std::vector<std::string> block;
    for (std::size_t i = done; i < std::min(done + kBlock, count); ++i) block.push_back(texts.missing_text(i));
    const std::vector<float> rows = embedder.embed(block, threads);
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < block.size(); ++i)
      append_coded(std::span(rows).subspan(i * embedder.width, embedder.width), embedder.name, bytes);
    partial.append(bytes);
    done += block.size();
    reporter.progress({"embed", done, count, "explanations", ""});
  }
}

/// The path of a folder so that it is found from anywhere; an endpoint as it is.
std::string lasting_name(const std::string& name) {
  return is_endpoint(name) ? name : std::filesystem::absolute(name).lexically_normal().string();
}

}  // namespace

EmbeddedExplanations embed_explanations(const RunFolder& run, const store::Store& store, const std::string& name,
                                        const TextEmbedder& embedder, const std::string& query_prefix,
                                        std::size_t threads, Reporter& reporter) {
  const std::filesystem::path path = run.explanation_embeddings();
  const dashboard::EmbeddedBy by{lasting_name(name), embedder.fingerprint, query_prefix};
  std::optional<TextEmbeddings> before;
  if (std::filesystem::exists(path)) {
    before = TextEmbeddings::open(path);
    if (before->by().fingerprint != by.fingerprint)
      fail_input(path.string(), fmt::format("was made by {}, not by {}", before->by().embedder, name),
                 "rows of two embedders cannot be compared; delete it, and all are embedded by this one");
  }
  const Texts texts = texts_of(store, run, before ? &*before : nullptr);
  const EmbeddedExplanations result{texts.keys.size(), texts.missing_end.size()};
  const bool same_order =
      before && std::equal(texts.keys.begin(), texts.keys.end(), before->keys().begin(), before->keys().end());
  if (same_order && before->by().embedder == by.embedder && before->by().query_prefix == query_prefix) return result;
  const std::size_t row_bytes = sizeof(float) + embedder.width;
  PartialRows partial(path.string() + ".part", {{"embedder", by.fingerprint}, {"texts", fingerprint_of(texts)}},
                      row_bytes, result.fresh);
  embed_missing(texts, embedder, partial, threads, reporter);
  const std::span<const std::byte> fresh = partial.read();
  const std::size_t old = before ? before->size() : 0;
  dashboard::write_text_embeddings(path, by, embedder.width, texts.keys, [&](std::size_t i) {
    const std::size_t place = texts.places[i];
    if (place < old) return before->row(static_cast<TextEmbeddings::Place>(place));
    const std::span<const std::byte> row = fresh.subspan((place - old) * row_bytes, row_bytes);
    CodedView view{0.0F, {reinterpret_cast<const std::int8_t*>(row.data()) + sizeof(float), embedder.width}};
    std::memcpy(&view.scale, row.data(), sizeof(float));
    return view;
  });
  partial.remove();
  return result;
}

std::optional<dashboard::MeaningSearch> open_meaning(const RunFolder& run, const std::string& name,
                                                     Reporter& reporter) {
  const std::filesystem::path path = run.explanation_embeddings();
  const auto without = [&](const std::string& why) -> std::optional<dashboard::MeaningSearch> {
    reporter.info(fmt::format("{}: no search by meaning: {}", run.root().string(), why));
    return std::nullopt;
  };
  if (!std::filesystem::exists(path))
    return name.empty() ? std::nullopt : without("its explanations are not embedded; gloss embed does that");
  TextEmbeddings texts = TextEmbeddings::open(path);
  const dashboard::EmbeddedBy& by = texts.by();
  if (name.empty() && is_endpoint(by.embedder))
    return without(
        fmt::format("its explanations were embedded by {}, which is asked only when --embedder names it", by.embedder));
  if (name.empty() && !std::filesystem::exists(by.embedder))
    return without(
        fmt::format("{}, which embedded its explanations, is not there; --embedder names it elsewhere", by.embedder));
  const TextEmbedder embedder = open_text_embedder(name.empty() ? by.embedder : name, no_reply_cache());
  if (embedder.fingerprint != by.fingerprint) {
    if (name.empty())
      return without(fmt::format("{} is not what it was when it embedded its explanations", by.embedder));
    fail_input(path.string(), fmt::format("was made by {}, not by {}", by.embedder, name),
               "name the one that made it, or delete it and run gloss embed again");
  }
  return dashboard::MeaningSearch{
      embedder.name, std::move(texts),
      [embed = embedder.embed](const std::string& question) { return embed(std::span(&question, 1), 1); }};
}

}  // namespace gloss::app
