#pragma once
/// Sentence embeddings of a run's explanations, for search by meaning (dashboard/text_embeddings.h).
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "gloss/app/run_folder.h"
#include "gloss/app/text_embedder.h"
#include "gloss/base/reporter.h"
#include "gloss/dashboard/text_embeddings.h"
#include "gloss/store/store.h"

namespace gloss::app {

struct EmbeddedExplanations {
  std::uint64_t texts = 0;  // different ones, of all explainers; baselines left out
  std::uint64_t fresh = 0;  // of them, not embedded before
};
/// Embeds every explanation of the store into RUN/explanation-embeddings.safetensors; texts that are there already are
/// kept, those that no latent has any more are dropped. What an interrupted call had embedded is taken up. `name` is
/// what --embedder says. The file does not depend on threads or interruptions.
/// Errors: bad_input when the file was made by another embedder; those of TextEmbedder::embed; interrupted.
EmbeddedExplanations embed_explanations(const RunFolder& run, const store::Store& store, const std::string& name,
                                        const TextEmbedder& embedder, const std::string& query_prefix,
                                        std::size_t threads, Reporter& reporter);

/// What answers questions by meaning of this run: nothing when its explanations are not embedded, or the embedder is
/// not at hand, which is told. `name` = "" is the folder that embedded them; a server is never asked unless named.
/// Errors: bad_input: the file is damaged, or `name` is another embedder than the one that made it.
std::optional<dashboard::MeaningSearch> open_meaning(const RunFolder& run, const std::string& name, Reporter& reporter);

}  // namespace gloss::app
