#include "gloss/app/version.h"

#include <fmt/format.h>

#include "gloss/commit.h"
#include "gloss/model/subject_model.h"

namespace gloss::app {

std::string version_short() { return fmt::format("{} ({})", GLOSS_VERSION, GLOSS_COMMIT); }

std::string version_text() {
  return fmt::format("gloss {}\ncommit {}\ncompiler {}\nlibtorch {}\n", GLOSS_VERSION, GLOSS_COMMIT, GLOSS_COMPILER,
                     model::libtorch_version());
}

}  // namespace gloss::app
