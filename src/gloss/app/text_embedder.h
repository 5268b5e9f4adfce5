#pragma once
/// Who turns texts into sentence embeddings: an encoder in a folder, run here, or a server.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gloss/llm/client.h"

namespace gloss::app {

struct TextEmbedder {
  std::string name;         // the folder's last name, or the server's model
  std::string fingerprint;  // of what it does with a text
  std::uint32_t width = 0;  // D
  /// Shapes: texts [n] -> [n, D] row-major, unit norm. A text's row depends on no other text. `threads` is for a
  /// folder; a server is asked by one caller at a time. Threads: any. Errors: those of the server; failed, with its
  /// reason, when it embeds a text not at all or in another width: what it answered is in its ReplyCache.
  std::function<std::vector<float>(std::span<const std::string> texts, std::size_t threads)> embed;
};

/// `name` is a folder or an endpoint (embedding_endpoint.h), which is asked for one text at once. Errors: bad_input:
/// the folder cannot be loaded; those of llm::Client. Lifetime: `replies`, which an endpoint's answers are kept in,
/// must outlive the result.
TextEmbedder open_text_embedder(const std::string& name, llm::ReplyCache& replies);

/// Keeps nothing, for embeddings that are kept otherwise. Threads: any.
llm::ReplyCache& no_reply_cache();

}  // namespace gloss::app
