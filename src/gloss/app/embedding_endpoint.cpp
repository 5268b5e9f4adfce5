#include "gloss/app/embedding_endpoint.h"

#include "gloss/app/llm_options.h"

namespace gloss::app {

bool is_endpoint(std::string_view name) { return name.find("://") != std::string_view::npos; }

std::unique_ptr<llm::Client> open_embedding_endpoint(const std::string& name, llm::ReplyCache& cache) {
  const std::size_t hash = name.find('#');
  LlmOptions options;
  options.url = name.substr(0, hash);
  options.model = hash == std::string::npos ? std::string() : name.substr(hash + 1);
  options.dialect = "openai-embeddings";
  return std::make_unique<llm::Client>(client_options(options), cache);
}

}  // namespace gloss::app
