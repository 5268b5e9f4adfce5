// Answers of servers: any bytes are an answer or a failure with a reason, in every dialect and for every kind of
// request.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/llm/protocol.h"

namespace {

using namespace gloss::llm;

std::array<Request, 4> requests() {
  std::array<Request, 4> all;
  for (Request& r : all) r.messages = {{"user", "x"}};
  all[1].choices = {"0", "1"};
  all[2].choices = {" a dog"};
  all[2].per_token = true;
  all[3].choices = {"a\t0\nb\t7\n"};
  all[3].places = {2, 6};
  all[3].values = {"0", "7"};
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<Request, 4> kRequests = requests();
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"openai-chat", "openai", "openai-completions", "anthropic", "openai-embeddings"}) {
    const Dialect& dialect = find_dialect(name);
    for (const Request& request : kRequests) {
      for (const long status : {200L, 429L}) {
        const Outcome outcome = dialect.read(status, body, request);
        if ((outcome.ending == Ending::answered) != outcome.reply.ok()) std::abort();
        for (const double p : outcome.reply.probabilities) {
          if (!(p >= -1.0 && p <= 1.0)) std::abort();  // an embedding's may be negative
        }
      }
    }
  }
  try {
    read_models(body, "fuzz");
  } catch (const gloss::Error&) {
  }
  return 0;
}
