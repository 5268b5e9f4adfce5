/// Llama 1 to 3.2 and models saved as such (SmolLM): RMSNorm before each sublayer, rotary positions in the rotate-half
/// form, grouped-query attention, SwiGLU. Source: Touvron et al. 2023 (arXiv 2302.13971 and 2307.09288); keys and
/// tensor names as transformers saves them.
#include "gloss/model/family.h"

namespace gloss::model {

Config read_llama(const formats::Fields& fields) {
  Config config = read_llama_like(fields, {});
  config.ropes = {read_rope(fields, config.max_context)};
  return config;
}

}  // namespace gloss::model
