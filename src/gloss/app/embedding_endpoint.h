#pragma once
/// Sentence embeddings from a server that speaks as OpenAI's /embeddings, named URL or URL#MODEL.
#include <memory>
#include <string>
#include <string_view>

#include "gloss/llm/client.h"

namespace gloss::app {

/// Whether this names a server, not a folder.
bool is_endpoint(std::string_view name);
/// Answers llm::embedding_request(). Without #MODEL, the first model that the server lists. The key as of --llm URL.
/// Errors: those of llm::Client. Lifetime: `cache` must outlive it.
std::unique_ptr<llm::Client> open_embedding_endpoint(const std::string& name, llm::ReplyCache& cache);

}  // namespace gloss::app
