#include "gloss/app/semantic_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "gloss/app/embedding_endpoint.h"
#include "gloss/app/partial_rows.h"
#include "gloss/app/text_embedder.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/random.h"
#include "gloss/examples/token_window.h"
#include "gloss/formats/checked_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/store/store.h"

namespace gloss::app {
namespace {

using Metadata = std::map<std::string, std::string>;

/// Windows of the run as text.
class WindowTexts {
 public:
  WindowTexts(const RunData& data, const ExampleSettings& settings)
      : tokens_(data.tokens), tokenizer_(data.tokenizer), window_(settings.options.window) {}
  std::string operator()(std::uint32_t start) const {
    return examples::plain_text(tokenizer_, tokens_.tokens().subspan(start, window_));
  }

 private:
  text::TokenFile tokens_;
  text::Tokenizer tokenizer_;
  std::uint32_t window_;
};

/// Embeds windows; what a server answers is kept in RUN/embeddings.db, and not asked for again.
class WindowEmbedder {
 public:
  WindowEmbedder(const RunData& data, const ExampleSettings& settings) : texts_(data, settings) {
    llm::ReplyCache* replies = &no_reply_cache();
    if (is_endpoint(settings.embedding_model)) {
      replies_ = std::make_unique<store::Store>(data.run.embedding_replies());
      replies_->set_stage("embed", "");
      replies = replies_.get();
    }
    embedder_ = open_text_embedder(settings.embedding_model, *replies);
  }

  std::uint32_t width() const { return embedder_.width; }
  const std::string& fingerprint() const { return embedder_.fingerprint; }

  std::vector<float> operator()(std::span<const std::uint32_t> starts, std::size_t threads) const {
    std::vector<std::string> texts;
    texts.reserve(starts.size());
    for (const std::uint32_t start : starts) texts.push_back(texts_(start));
    return embedder_.embed(texts, threads);
  }

 private:
  WindowTexts texts_;
  std::unique_ptr<store::Store> replies_;
  TextEmbedder embedder_;
};

std::vector<std::uint32_t> candidates(const RunData& data, const ExampleSettings& settings) {
  const std::uint64_t windows = data.tokens.token_count() / settings.options.window;
  Random random = Random::for_purpose(settings.options.seed, "semantic-pool");
  std::vector<std::uint32_t> starts;
  for (const std::uint64_t w : random.sample(windows, settings.semantic_pool))
    starts.push_back(static_cast<std::uint32_t>(w) * settings.options.window);
  std::sort(starts.begin(), starts.end());
  return starts;
}

std::vector<float> embed_all(const WindowEmbedder& embed, std::span<const std::uint32_t> starts, PartialRows& partial,
                             std::size_t threads, Reporter& reporter) {
  constexpr std::size_t kBlock = 256;
  for (std::size_t done = partial.count(); done < starts.size();) {
    stop_if_interrupted();
    const std::size_t count = std::min(kBlock, starts.size() - done);
    const std::vector<float> block = embed(starts.subspan(done, count), threads);
    partial.append(std::as_bytes(std::span(block)));
    done += count;
    reporter.progress({"embed windows", done, starts.size(), "windows", ""});
  }
  const std::span<const std::byte> bytes = partial.read();
  std::vector<float> rows(bytes.size() / sizeof(float));
  std::memcpy(rows.data(), bytes.data(), bytes.size());
  return rows;
}

void write_rows(const std::filesystem::path& path, const Metadata& metadata, std::span<const std::uint32_t> starts,
                std::span<const float> rows, std::uint32_t width) {
  using formats::Dtype;
  formats::CheckedFileWriter writer(
      path, {{"starts", Dtype::u32, {starts.size()}}, {"rows", Dtype::f32, {starts.size(), width}}}, metadata);
  writer.append_values(0, starts);
  writer.append_values(1, rows);
  writer.commit();
}

std::vector<float> read_rows(const std::filesystem::path& path, const Metadata& metadata,
                             std::span<const std::uint32_t> starts, std::uint32_t width) {
  const formats::SafeTensors file = formats::SafeTensors::open(path);
  Metadata found = file.metadata();
  if (found.contains(formats::checksum_key("header"))) {
    formats::check_header(file, "delete it: it is made anew");
    formats::check_arrays(file, "delete it: it is made anew");
    std::erase_if(found, [](const auto& entry) { return formats::is_checksum_key(entry.first); });
  }
  const std::string changes = describe_changes(found, metadata);
  if (!changes.empty())
    fail_input(path.string(), fmt::format("its windows were embedded otherwise: {}", changes),
               "negatives of a run come from one model; delete it and results.db to start over");
  const std::array<std::uint64_t, 2> shape{starts.size(), width};
  return formats::to_floats(file.tensor("rows", formats::Dtype::f32, shape));
}

}  // namespace

bool wants_semantic_pool(const ExampleSettings& settings) {
  return settings.options.negatives == examples::Negatives::semantic || settings.options.contrast > 0;
}

std::shared_ptr<const examples::SemanticPool> semantic_pool(const RunData& data, const ExampleSettings& settings,
                                                            std::size_t threads, Reporter& reporter) {
  if (data.semantic->pool) return data.semantic->pool;
  if (settings.embedding_model.empty())
    throw Error(ErrorKind::usage, "", "windows near in meaning want a model of sentence embeddings, and none is named",
                "name its folder with --embedding-model DIR, for example that of all-MiniLM-L6-v2, or an endpoint");
  const auto embed = std::make_shared<const WindowEmbedder>(data, settings);
  std::vector<std::uint32_t> starts = candidates(data, settings);
  const Metadata metadata{{"model", embed->fingerprint()},
                          {"seed", std::to_string(settings.options.seed)},
                          {"tokens", data.tokens.fingerprint()},
                          {"window", std::to_string(settings.options.window)},
                          {"windows", std::to_string(starts.size())}};
  const std::filesystem::path path = data.run.embeddings();
  std::vector<float> rows;
  if (std::filesystem::exists(path)) {
    rows = read_rows(path, metadata, starts, embed->width());
  } else {
    PartialRows partial(path.string() + ".part", metadata, embed->width() * sizeof(float), starts.size());
    rows = embed_all(*embed, starts, partial, threads, reporter);
    write_rows(path, metadata, starts, rows, embed->width());
    partial.remove();
    reporter.info(fmt::format("{} windows embedded, candidates of negatives near in meaning", starts.size()));
  }
  data.semantic->pool = std::make_shared<examples::SemanticPool>(
      std::move(starts), rows, embed->width(),
      [embed](std::span<const std::uint32_t> windows) { return (*embed)(windows, 1); });
  return data.semantic->pool;
}

}  // namespace gloss::app
