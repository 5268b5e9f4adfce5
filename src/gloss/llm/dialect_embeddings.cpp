// Embeddings of texts. Source: OpenAI API reference, "Create embeddings"; vLLM, llama-server and others speak it.
#include <cmath>
#include <utility>

#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

Outcome read_vector(const Json& item, const Request&) {
  const Json* list = member(item, "embedding");
  if (list == nullptr || !list->is_array() || list->empty())
    return failure(Ending::failed, "the reply holds no embedding that is a list of numbers");
  Outcome outcome;
  double square = 0.0;
  for (const Json& number : *list) {
    if (!number.is_number()) return failure(Ending::failed, "the embedding holds something that is no number");
    outcome.reply.probabilities.push_back(number.get<double>());
    square += outcome.reply.probabilities.back() * outcome.reply.probabilities.back();
  }
  if (!std::isfinite(square) || square <= 0.0) return failure(Ending::failed, "the embedding has no direction");
  const double norm = std::sqrt(square);
  for (double& x : outcome.reply.probabilities) x /= norm;
  outcome.reply.text = "embedding";
  outcome.ending = Ending::answered;
  return outcome;
}

}  // namespace

Request embedding_request(std::string text) {
  Request request;
  request.messages = {{"user", std::move(text)}};
  request.max_tokens = 0;
  return request;
}

std::vector<float> embedding_of(const Reply& reply) { return {reply.probabilities.begin(), reply.probabilities.end()}; }

std::string embeddings_body(const Request& request, std::string_view model) {
  Json body;
  body["encoding_format"] = "float";
  body["input"] = request.messages.empty() ? std::string() : request.messages.back().content;
  body["model"] = model;
  return dump(body);
}

Outcome read_embedding(long status, std::string_view body, const Request& request) {
  return status == 200 ? read_openai_answer(body, &read_vector, request, "data") : error_of_status(status, body);
}

}  // namespace gloss::llm
