/// Requests to the API of a made-up run, questions by meaning and jobs with it: whatever is asked, the answer is JSON,
/// an event, or a file of the page, with the safety headers; never 500. The first byte chooses method and rights; the
/// rest is the target up to the first newline, then the body.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/dashboard/dashboard_testing.h"

namespace {

using gloss::dashboard::Api;
using gloss::dashboard::Response;

/// Lives as long as the process.
Api& api() {
  static gloss::dashboard::testing::MadeUpDashboard made;
  static const std::unique_ptr<Api> served = [] {
    std::vector<std::string> texts;
    made.made.store->each_explanation("layers.2", "pattern", [&](const gloss::store::ExplanationRow& row) {
      if (!row.explanation.text.empty()) texts.push_back(row.explanation.text);
    });
    made.input.meaning =
        gloss::dashboard::testing::meaning_by_letters(made.folder.path() / "explanation-embeddings.safetensors", texts);
    made.input.jobs = [] {
      return std::vector<gloss::dashboard::Job>{{"explain", "layers.2", "latents", "\n\ndata: x", 3, 9, 1.5}};
    };
    std::vector<std::unique_ptr<gloss::dashboard::Run>> runs;
    runs.push_back(made.run());
    return std::make_unique<Api>(gloss::dashboard::ApiOptions{"9.9", gloss::dashboard::testing::loopback()},
                                 std::move(runs));
  }();
  return *served;
}

void check(const Response& response) {
  if (response.status == 500 || response.status < 200) std::abort();
  bool policy = false;
  for (const auto& [name, value] : response.headers) {
    policy |= name == "Content-Security-Policy";
    if (value.find_first_of("\r\n") != std::string::npos) std::abort();
  }
  if (!policy) std::abort();
  if (response.type == "application/json") {
    if (nlohmann::json::parse(response.body, nullptr, false).is_discarded()) std::abort();
  } else if (response.type == "text/event-stream") {
    // One event: no line of it begins another.
    const std::size_t data = response.body.find("\ndata: ");
    if (data == std::string::npos || response.body.find('\n', data + 1) != response.body.size() - 2) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t line = text.find('\n');
  const std::string target(text.substr(0, line));
  const std::string body(line == std::string_view::npos ? std::string_view() : text.substr(line + 1));
  gloss::dashboard::Request request =
      (data[0] & 1U) == 0 ? gloss::dashboard::testing::get(target) : gloss::dashboard::testing::post(target, body);
  if ((data[0] & 2U) != 0) request.headers.erase("x-gloss-token");
  check(api().answer(request));
  return 0;
}
