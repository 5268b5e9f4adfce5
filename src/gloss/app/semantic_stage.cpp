#include "gloss/app/semantic_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "gloss/app/embedding_endpoint.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/base/random.h"
#include "gloss/examples/token_window.h"
#include "gloss/formats/checked_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/llm/protocol.h"
#include "gloss/model/sentence_encoder.h"
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

/// Embeds windows by the encoder of a folder. Copies share model and tokens.
class Embedder {
 public:
  Embedder(const RunData& data, const ExampleSettings& settings)
      : texts_(data, settings),
        reads_(text::Tokenizer::load(settings.embedding_model)),
        model_(model::SentenceEncoder::load(settings.embedding_model)) {}

  std::uint32_t width() const { return model_.width(); }
  std::string fingerprint() const { return model_.fingerprint() + reads_.fingerprint(); }

  std::vector<float> operator()(std::span<const std::uint32_t> starts) const {
    std::vector<float> rows;
    rows.reserve(starts.size() * width());
    for (const std::uint32_t start : starts) {
      const std::vector<float> row = model_.embed(reads_.encode_with_special(texts_(start)));
      rows.insert(rows.end(), row.begin(), row.end());
    }
    return rows;
  }

 private:
  WindowTexts texts_;
  text::Tokenizer reads_;  // the embedding model's
  model::SentenceEncoder model_;
};

/// Embeds windows by a server. What it answered is kept in RUN/embeddings.db, and not asked for again.
class ServedEmbedder {
 public:
  ServedEmbedder(const RunData& data, const ExampleSettings& settings)
      : texts_(data, settings),
        replies_(data.run.embedding_replies()),
        client_(open_embedding_endpoint(settings.embedding_model, replies_)) {
    replies_.set_stage("embed", "");
  }

  std::string fingerprint() const { return "served " + client_->model(); }

  /// Errors: those of the client; failed with its reason when a text cannot be embedded, or rows differ in width.
  std::vector<float> operator()(std::span<const std::uint32_t> starts) {
    const std::lock_guard lock(mutex_);
    std::vector<llm::Reply> replies(starts.size());
    for (std::size_t i = 0; i < starts.size(); ++i)
      client_->submit(llm::embedding_request(texts_(starts[i])),
                      [&replies, i](llm::Reply reply) { replies[i] = std::move(reply); });
    client_->run();
    std::vector<float> rows;
    for (const llm::Reply& reply : replies) {
      if (!reply.ok())
        fail_system("embeddings", fmt::format("a window was not embedded: {}", reply.failure),
                    "the same command goes on from here: what was answered is kept");
      const std::vector<float> row = llm::embedding_of(reply);
      if (width_ == 0) width_ = row.size();
      if (row.size() != width_)
        fail_system("embeddings", fmt::format("the server answered {} numbers, and {} before", row.size(), width_));
      rows.insert(rows.end(), row.begin(), row.end());
    }
    return rows;
  }

 private:
  std::mutex mutex_;
  WindowTexts texts_;
  store::Store replies_;
  std::unique_ptr<llm::Client> client_;
  std::size_t width_ = 0;
};

/// Who embeds, and how.
struct Embedding {
  examples::EmbedWindows windows;
  examples::EmbedWindows many;  // the same, faster for hundreds at once
  std::uint32_t width = 0;
  std::string fingerprint;
};

Embedding open_embedding(const RunData& data, const ExampleSettings& settings, std::size_t threads) {
  if (is_endpoint(settings.embedding_model)) {
    auto served = std::make_shared<ServedEmbedder>(data, settings);
    const examples::EmbedWindows embed = [served](std::span<const std::uint32_t> starts) { return (*served)(starts); };
    const std::uint32_t first = 0;
    const auto width = static_cast<std::uint32_t>(embed(std::span(&first, 1)).size());
    return {embed, embed, width, served->fingerprint()};
  }
  const Embedder embed(data, settings);
  const std::uint32_t width = embed.width();
  const auto many = [embed, width, threads](std::span<const std::uint32_t> starts) {
    std::vector<float> rows(starts.size() * width);
    parallel_for(starts.size(), threads, [&](std::size_t i, std::size_t) {
      const std::vector<float> row = embed(starts.subspan(i, 1));
      std::copy(row.begin(), row.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * width));
    });
    return rows;
  };
  return {embed, many, width, embed.fingerprint()};
}

std::vector<std::uint32_t> candidates(const RunData& data, const ExampleSettings& settings) {
  const std::uint64_t windows = data.tokens.token_count() / settings.options.window;
  Random random = Random::for_purpose(settings.options.seed, "semantic-pool");
  std::vector<std::uint32_t> starts;
  for (const std::uint64_t w : random.sample(windows, settings.semantic_pool))
    starts.push_back(static_cast<std::uint32_t>(w) * settings.options.window);
  std::sort(starts.begin(), starts.end());
  return starts;
}

/// Rows that an interrupted run left: a line of what they are of, then whole rows.
class PartialFile {
 public:
  PartialFile(std::filesystem::path path, const Metadata& metadata, std::size_t row_bytes)
      : path_(std::move(path)), row_bytes_(row_bytes) {
    for (const auto& [key, value] : metadata) header_ += fmt::format("{}={} ", key, value);
    header_ += "\n";
  }

  std::vector<float> read(std::size_t most_rows) const {
    std::ifstream in(path_, std::ios::binary);
    std::string found(header_.size(), '\0');
    if (!in.read(found.data(), static_cast<std::streamsize>(found.size())) || found != header_) return {};
    std::vector<float> rows(most_rows * row_bytes_ / sizeof(float));
    in.read(reinterpret_cast<char*>(rows.data()), static_cast<std::streamsize>(rows.size() * sizeof(float)));
    rows.resize(static_cast<std::size_t>(in.gcount()) / row_bytes_ * row_bytes_ / sizeof(float));
    return rows;
  }
  /// Replaces what is there by these rows.
  void begin(const std::vector<float>& rows) {
    out_.open(path_, std::ios::binary | std::ios::trunc);
    out_ << header_;
    append(rows);
  }
  void append(const std::vector<float>& rows) {
    out_.write(reinterpret_cast<const char*>(rows.data()), static_cast<std::streamsize>(rows.size() * sizeof(float)));
    if (!out_.flush()) fail_system(path_.string(), "cannot be written: is the disk full?");
  }
  void remove() {
    out_.close();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

 private:
  std::filesystem::path path_;
  std::size_t row_bytes_;
  std::string header_;
  std::ofstream out_;
};

std::vector<float> embed_all(const Embedding& embed, std::span<const std::uint32_t> starts, PartialFile& partial,
                             Reporter& reporter) {
  constexpr std::size_t kBlock = 256;
  std::vector<float> rows = partial.read(starts.size());
  partial.begin(rows);
  for (std::size_t done = rows.size() / embed.width; done < starts.size();) {
    stop_if_interrupted();
    const std::size_t count = std::min(kBlock, starts.size() - done);
    const std::vector<float> block = embed.many(starts.subspan(done, count));
    partial.append(block);
    rows.insert(rows.end(), block.begin(), block.end());
    done += count;
    reporter.progress({"embed windows", done, starts.size(), "windows", ""});
  }
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
  const Embedding embed = open_embedding(data, settings, threads);
  std::vector<std::uint32_t> starts = candidates(data, settings);
  const Metadata metadata{{"model", embed.fingerprint},
                          {"seed", std::to_string(settings.options.seed)},
                          {"tokens", data.tokens.fingerprint()},
                          {"window", std::to_string(settings.options.window)},
                          {"windows", std::to_string(starts.size())}};
  const std::filesystem::path path = data.run.embeddings();
  std::vector<float> rows;
  if (std::filesystem::exists(path)) {
    rows = read_rows(path, metadata, starts, embed.width);
  } else {
    PartialFile partial(path.string() + ".part", metadata, embed.width * sizeof(float));
    rows = embed_all(embed, starts, partial, reporter);
    write_rows(path, metadata, starts, rows, embed.width);
    partial.remove();
    reporter.info(fmt::format("{} windows embedded, candidates of negatives near in meaning", starts.size()));
  }
  data.semantic->pool = std::make_shared<examples::SemanticPool>(std::move(starts), rows, embed.width, embed.windows);
  return data.semantic->pool;
}

}  // namespace gloss::app
