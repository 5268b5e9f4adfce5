#pragma once
/// For tests of what asks a language model: a store of replies in memory, and a client's usual options and requests.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/llm/client.h"
#include "gloss/llm/protocol.h"
#include "gloss/llm/scripted_server.h"

namespace gloss::llm {

/// Gives back answers, never failures, as the store does.
class MapCache : public ReplyCache {
 public:
  std::optional<Reply> find(std::string_view hash) override {
    const auto found = replies.find(std::string(hash));
    return found == replies.end() || !found->second.ok() ? std::nullopt : std::optional(found->second);
  }
  void put(const Reply& reply) override { replies[reply.hash] = reply; }

  std::map<std::string, Reply> replies;
};

/// Of a server on this machine, without waiting before a request is sent again.
inline ClientOptions options_for(const ScriptedServer& server) {
  ClientOptions o;
  o.url = server.url();
  o.backoff_ms = 1;
  return o;
}

inline Request ask(std::string text) { return {{{"user", std::move(text)}}, 16, 0.0}; }

inline Answer raw(std::string body) {
  Answer answer;
  answer.body = std::move(body);
  return answer;
}
inline Answer changed(Answer answer, void (*change)(Answer&)) {
  change(answer);
  return answer;
}

/// What a server replies, and what a dialect makes of it.
struct ReadFault {
  long status;
  const char* body;
  Ending ending;
  const char* failure;
  bool refused = false;
};

}  // namespace gloss::llm
