#pragma once
/// What this program is: version, commit, compiler, libtorch.
#include <string>

namespace gloss::app {

/// "0.1.0 (3f2a91c)", as written into artifacts.
std::string version_short();
/// The lines of `gloss --version`.
std::string version_text();

}  // namespace gloss::app
