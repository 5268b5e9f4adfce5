#pragma once
/// Sentence embeddings of a run's windows: the candidates of negatives near in meaning, embedded once for all latents.
/// Kept in RUN/embeddings.safetensors (docs/formats/results.md).
#include <memory>

#include "gloss/app/run_data.h"
#include "gloss/base/reporter.h"
#include "gloss/examples/semantic_pool.h"

namespace gloss::app {

/// Whether the settings want windows near in meaning.
bool wants_semantic_pool(const ExampleSettings& settings);

/// The candidates: `semantic_pool` windows of the run at random, of all that contexts are cut into, in an index; the
/// model reads each as text. Made at the first call of a process, from the file where an earlier one left it; what an
/// interrupted one had embedded is taken up. Threads: one at a time.
/// Errors: usage: no --embedding-model; bad_input: its folder cannot be loaded, or the run's embeddings were made by
/// another model or of other windows; interrupted.
std::shared_ptr<const examples::SemanticPool> semantic_pool(const RunData& data, const ExampleSettings& settings,
                                                            std::size_t threads, Reporter& reporter);

}  // namespace gloss::app
