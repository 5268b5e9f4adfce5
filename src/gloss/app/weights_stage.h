#pragma once
/// The end of `gloss cache`: what latents write and which are near, beside the index (docs/formats/latent-weights.md).
#include <cstdint>
#include <string>

#include "gloss/app/run_folder.h"
#include "gloss/base/reporter.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"
#include "gloss/sparse/row_source.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {

/// One hookpoint whose index is complete.
struct WeightsStage {
  const RunFolder& run;
  const model::SubjectModel& subject;
  const sparse::Coder& coder;
  model::Hookpoint hookpoint;  // where the coder's output belongs
  const text::TokenFile& tokens;
  std::size_t threads = 1;
  std::uint64_t memory_bytes = 0;
};

/// Makes RUN/latents/HOOKPOINT/weights.safetensors unless it is there, made from the same things; false when it was.
/// Where logit weights make no sense the file has the neighbours alone, and the reporter says why.
bool make_latent_weights(const WeightsStage& stage, Reporter& report);

/// Rows of W_U of the first `vocabulary` tokens, with the final norm folded in. Lifetime: `subject` outlives the
/// source.
sparse::RowSource unembedding_rows(const model::SubjectModel& subject, std::uint32_t vocabulary);

/// Why a coder at this hookpoint has no logit weights: what it writes is not added to the residual stream, or it writes
/// nothing; "" when it has them.
std::string why_no_logit_weights(model::Hookpoint hookpoint, const sparse::CoderInfo& info, bool has_decoder,
                                 std::uint32_t model_width);

}  // namespace gloss::app
