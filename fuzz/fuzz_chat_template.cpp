// Chat templates: any bytes are refused, or render a conversation within their bounds.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/llm/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const std::vector<gloss::llm::Message> messages = {
      {"system", "Be brief."}, {"user", "Is it so?"}, {"assistant", "<think>\nhm\n</think>yes"}, {"user", ""}};
  try {
    gloss::llm::ChatTemplate::parse(source, "fuzz", {{"bos_token", "<s>"}}).render(messages);
  } catch (const gloss::Error&) {
  }
  return 0;
}
