#pragma once
/// What the page asks and is told: docs/api.md. No network here; Server brings the requests.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gloss/dashboard/access.h"
#include "gloss/dashboard/http.h"
#include "gloss/dashboard/live_model.h"
#include "gloss/dashboard/run.h"

namespace gloss::dashboard {

struct ApiOptions {
  std::string version;
  Access access;
  LiveModel model = {};
  /// Opens a run anew, to show what came into it; none: runs stay as they were opened. Called by one thread at a time.
  std::function<std::unique_ptr<Run>(std::size_t run)> reopen = {};
};

/// Threads: answer() by any number at once.
class Api {
 public:
  /// Requires: runs not empty.
  Api(ApiOptions options, std::vector<std::unique_ptr<Run>> runs);
  ~Api();

  /// Never throws: what goes wrong is an answer of 4xx or 5xx with {"error": ...}. All answers have the safety headers.
  Response answer(const Request& request) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gloss::dashboard
