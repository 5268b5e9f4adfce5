#include "gloss/model/hooked_pass.h"

#include <ATen/ATen.h>

#include "gloss/model/subject_model_impl.h"

namespace gloss::model {

at::Tensor HookedPass::last_logits(std::span<const TokenId> tokens, std::uint32_t batch, const Visit& visit) const {
  const SubjectModel::Impl& impl = *model_.impl_;
  return translated([&] {
    const Hook hook = [&](Hookpoint here, at::Tensor& activation) {
      visit(here, activation);
      return After::go_on;
    };
    const at::Tensor normed = impl.run(tokens, batch, {}, hook, /*normed=*/true);
    const at::Tensor last = normed.view({batch, -1, normed.size(-1)}).select(1, -1);
    return logits_of(impl.config, impl.weights, last);
  });
}

}  // namespace gloss::model
