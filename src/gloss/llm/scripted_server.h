#pragma once
/// An LLM endpoint on this machine for tests and benchmarks: answers as its script says, and misbehaves on demand.
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gloss::llm {

struct Received {
  std::string method, path, body;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct Answer {
  int status = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::chrono::milliseconds delay{0};
  std::optional<std::size_t> cut_at;     // close after so many bytes of the body, whatever Content-Length says
  std::optional<std::size_t> length;     // what Content-Length says, instead of the body's size
  std::chrono::milliseconds dribble{0};  // between every 16 bytes of the body
  bool hang_up = false;                  // close without a byte
  bool reset = false;                    // close with a reset, without a byte
  bool close = false;                    // close after the answer
};

/// The answer of a model that says `text`.
Answer completion(std::string_view text);
/// An answer with a status and, as its body, an error object with this message.
Answer error_answer(int status, std::string_view message);
/// The content of the last message of a chat request.
std::string last_message(const Received& request);

/// Speaks HTTP/1.1 with keep-alive on a port of its own choice, on one thread of its own, until destroyed.
/// GET /v1/models is answered by itself; all else by the script, which runs on the server's thread.
class ScriptedServer {
 public:
  /// `nth` counts the requests that the script answers, from 0.
  using Script = std::function<Answer(const Received& request, std::size_t nth)>;
  explicit ScriptedServer(Script script, const std::vector<std::string>& models = {"test-model"});
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url() const;  // http://127.0.0.1:PORT/v1
  int port() const;
  /// Replaces the answer to GET /v1/models; `nth` counts those. Call before a client is made.
  void set_models_script(Script script);
  /// Keeps no requests, only their number (for benchmarks).
  void keep_requests(bool keep);

  /// Requests that the script answered so far.
  std::size_t count() const;
  std::vector<Received> requests() const;
  std::size_t connections() const;
  std::size_t most_at_once() const;  // requests being answered at the same time

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::llm
