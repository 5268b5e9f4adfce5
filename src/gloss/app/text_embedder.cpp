#include "gloss/app/text_embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "gloss/app/embedding_endpoint.h"
#include "gloss/base/error.h"
#include "gloss/base/parallel.h"
#include "gloss/llm/protocol.h"
#include "gloss/model/sentence_encoder.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {
namespace {

std::string folder_name(const std::string& folder) {
  std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

TextEmbedder open_folder(const std::string& folder) {
  auto reads = text::Tokenizer::load(folder);
  auto model = model::SentenceEncoder::load(folder);
  TextEmbedder embedder{folder_name(folder), model.fingerprint() + reads.fingerprint(), model.width(), {}};
  embedder.embed = [reads = std::move(reads), model = std::move(model)](std::span<const std::string> texts,
                                                                        std::size_t threads) {
    const std::size_t width = model.width();
    std::vector<float> rows(texts.size() * width);
    parallel_for(texts.size(), std::max<std::size_t>(threads, 1), [&](std::size_t i, std::size_t) {
      const std::vector<float> row = model.embed(reads.encode_with_special(texts[i]));
      std::copy(row.begin(), row.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * width));
    });
    return rows;
  };
  return embedder;
}

class Server {
 public:
  Server(const std::string& name, llm::ReplyCache& replies) : client_(open_embedding_endpoint(name, replies)) {}

  const std::string& model() const { return client_->model(); }

  std::vector<float> embed(std::span<const std::string> texts) {
    const std::lock_guard lock(mutex_);
    std::vector<llm::Reply> replies(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i)
      client_->submit(llm::embedding_request(texts[i]),
                      [&replies, i](llm::Reply reply) { replies[i] = std::move(reply); });
    client_->run();
    std::vector<float> rows;
    for (const llm::Reply& reply : replies) {
      if (!reply.ok())
        fail_system("embeddings", fmt::format("a text was not embedded: {}", reply.failure),
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
  std::unique_ptr<llm::Client> client_;
  std::size_t width_ = 0;
};

class NoReplyCache : public llm::ReplyCache {
 public:
  std::optional<llm::Reply> find(std::string_view /*hash*/) override { return std::nullopt; }
  void put(const llm::Reply& /*reply*/) override {}
};

}  // namespace

TextEmbedder open_text_embedder(const std::string& name, llm::ReplyCache& replies) {
  if (!is_endpoint(name)) return open_folder(name);
  const auto server = std::make_shared<Server>(name, replies);
  TextEmbedder embedder{server->model(), "served " + server->model(), 0, {}};
  embedder.embed = [server](std::span<const std::string> texts, std::size_t /*threads*/) {
    return server->embed(texts);
  };
  const std::string any = "width";
  embedder.width = static_cast<std::uint32_t>(server->embed(std::span(&any, 1)).size());
  return embedder;
}

llm::ReplyCache& no_reply_cache() {
  static NoReplyCache none;
  return none;
}

}  // namespace gloss::app
