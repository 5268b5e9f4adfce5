#include "gloss/llm/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "gloss/base/error.h"
#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

constexpr std::size_t kHashLength = 32;
constexpr std::size_t kLongestId = 64;  // Anthropic's limit, and its letters: A-Z a-z 0-9 _ -

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
}

/// What reading the reply needs: HASH-LATENT, and -CHOICE for each choice.
struct Id {
  std::string hash;
  std::int64_t latent = -1;
  std::vector<std::string> choices = {};
};

std::string id_of(const std::string& hash, const Request& request) {
  std::string id = hash + "-" + (request.latent < 0 ? "x" : std::to_string(request.latent));
  for (const std::string& choice : request.choices) id += "-" + choice;
  const bool plain = std::all_of(request.choices.begin(), request.choices.end(), is_plain);
  if (!plain || id.size() > kLongestId)
    throw Error(ErrorKind::usage, "batch file", "a request's choices do not fit into its id");
  return id;
}

/// Nothing when it is none of ours.
std::optional<Id> parse_id(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('-', at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  if (parts.size() < 2 || parts[0].size() != kHashLength || !is_plain(parts[0])) return std::nullopt;
  Id id{parts[0]};
  if (parts[1] != "x") {
    const char* end = parts[1].data() + parts[1].size();
    if (std::from_chars(parts[1].data(), end, id.latent).ptr != end || id.latent < 0) return std::nullopt;
  }
  id.choices.assign(parts.begin() + 2, parts.end());
  return id;
}

std::string line_of(const Dialect& dialect, const std::string& id, const std::string& body) {
  if (std::string_view(dialect.name) == "anthropic")
    return fmt::format(R"({{"custom_id":"{}","params":{}}})", id, body);
  return fmt::format(R"({{"custom_id":"{}","method":"POST","url":"/v1{}","body":{}}})", id, dialect.path, body);
}

/// The outcome that a line of results holds; nothing when it is no such line.
std::optional<Outcome> outcome_of(const Dialect& dialect, const Json& line, const Request& request) {
  if (const Json* response = member(line, "response")) {
    const Json* status = member(*response, "status_code");
    const Json* body = member(*response, "body");
    return dialect.read(status != nullptr && status->is_number_integer() ? status->get<long>() : 0,
                        body == nullptr ? std::string() : dump(*body), request);
  }
  if (const Json* error = member(line, "error"))
    return failure(Ending::failed, shortened(dump(*error), kMessageLength));
  const Json* result = member(line, "result");
  if (result == nullptr) return std::nullopt;
  if (const Json* message = member(*result, "message")) return dialect.read(200, dump(*message), request);
  if (const Json* error = member(*result, "error")) return failure(Ending::failed, server_message(dump(*error)));
  return failure(Ending::failed, fmt::format("the batch says {}", shortened(string_member(*result, "type"), 40)));
}

}  // namespace

BatchWriter::BatchWriter(std::filesystem::path file, const Dialect& dialect, std::string model, ReplyCache& cache)
    : dialect_(&dialect), model_(std::move(model)), cache_(&cache), out_(std::move(file)) {
  if (model_.empty())
    throw Error(ErrorKind::usage, "--batch-out", "which model is it for? No server is asked", "add --llm-model NAME");
}

void BatchWriter::submit(const Request& request, Callback done) {
  const std::string body = dialect_->body(request, model_);
  Reply reply;
  reply.hash = dialect_->hash(body);
  ++totals_.requests;
  if (std::optional<Reply> known = cache_->find(reply.hash); known && known->ok()) {
    ++totals_.answered;
    ++totals_.cached;
    waiting_.push_back({*std::move(known), std::move(done)});
    return;
  }
  ++totals_.failed;
  reply.failure = "written to the batch file";
  if (written_.insert(reply.hash).second) {
    out_.write(line_of(*dialect_, id_of(reply.hash, request), body) + "\n");
    if (cache_->keeps_prompts()) cache_->put_prompt(reply.hash, request);
  }
  waiting_.push_back({std::move(reply), std::move(done)});
}

void BatchWriter::run() {
  while (!waiting_.empty()) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    next.done(next.reply);
  }
}

std::uint64_t BatchWriter::finish() {
  out_.commit();
  return written_.size();
}

BatchRead read_batch(const std::filesystem::path& file, const Dialect& dialect, const Prices& prices,
                     const std::string& provider, ReplyCache& cache) {
  std::ifstream in(file, std::ios::binary);
  if (!in) fail_input(file.string(), "cannot be read");
  BatchRead read;
  std::string text;
  for (std::uint64_t number = 1; std::getline(in, text); ++number) {
    if (is_blank(text)) continue;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    const Json line = Json::parse(text, nullptr, false);
    if (line.is_discarded()) fail_input(where, "is no JSON", "was the file cut off? The lines before it are kept");
    const std::optional<Id> id = parse_id(string_member(line, "custom_id"));
    if (!id)
      fail_input(where, "its custom_id is none that gloss writes", "wanted the results of a file of --batch-out");
    Request request;
    request.choices = id->choices;
    std::optional<Outcome> outcome = outcome_of(dialect, line, request);
    if (!outcome) fail_input(where, "holds no result", "wanted the results of a batch, not its requests");
    if (cache.find(id->hash)) {
      ++read.known;
      continue;
    }
    Reply& reply = outcome->reply;
    reply.hash = id->hash;
    reply.latent = id->latent;
    reply.provider = provider;
    reply.dollars = dollars(prices, use_of(reply)) * (1.0 - prices.batch_discount);
    read.totals.prompt_tokens += reply.prompt_tokens;
    read.totals.completion_tokens += reply.completion_tokens;
    read.totals.cached_tokens += reply.cached_tokens;
    read.totals.dollars += reply.dollars;
    ++(reply.ok() ? read.answered : read.failed);
    if (!reply.ok() && read.first_failure.empty()) read.first_failure = reply.failure;
    if (reply.ok() || reply.prompt_tokens > 0) cache.put(reply);
  }
  return read;
}

}  // namespace gloss::llm
