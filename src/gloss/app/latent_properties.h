#pragma once
/// What --latents may look at in a run: its index, and what `gloss filter` found.
#include <string>

#include "gloss/examples/latent_condition.h"
#include "gloss/index/reader.h"
#include "gloss/store/store.h"

namespace gloss::app {

/// Asking for a kind is an error of usage where no filter told it. Lifetime: `store`, null when there is none, outlives
/// the result. Threads: one at a time.
examples::LatentProperties properties_of(const index::Reader& reader, const std::string& hookpoint,
                                         const store::Store* store);

}  // namespace gloss::app
