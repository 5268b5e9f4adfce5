#pragma once
/// What a model is made of, for what computes with it. Private to the module; only for .cpp files built on torch.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>

#include "gloss/base/error.h"
#include "gloss/model/forward.h"
#include "gloss/model/subject_model.h"
#include "gloss/model/torch_tensor.h"

namespace gloss::model {

struct SubjectModel::Impl {
  Config config;
  Weights weights;
  std::string fingerprint;
  at::Device device = at::kCPU;
  RotaryTable rotary;

  /// The pass, with the edits made before `hook` sees the place. `normed`: as PassInput has it; an edit there sets it.
  at::Tensor run(std::span<const TokenId> tokens, std::uint32_t batch, std::span<const Edit> edits, const Hook& hook,
                 bool normed = false) const;
  std::uint32_t width(Hookpoint hookpoint) const;
  void check(Hookpoint hookpoint) const;
  void check(std::span<const Edit> edits, std::size_t rows) const;
};

/// Errors: bad_input for an id that is not below the vocabulary, as that of contexts of `length` tokens.
void check_ids(std::span<const TokenId> tokens, const Config& config, std::size_t length);

/// T. Errors: bad_input when the tokens are no [B, T] of ids below the vocabulary, or T is over the model's context.
std::uint32_t check_tokens(std::span<const TokenId> tokens, std::uint32_t batch, const Config& config);

/// [B, T] i64.
at::Tensor to_torch(std::span<const TokenId> tokens, std::uint32_t batch, at::Device device);

/// Runs `work`; what libtorch throws (out of memory above all) becomes an Error.
template <class Work>
auto translated(const Work& work) {
  try {
    return work();
  } catch (const c10::Error& e) {
    fail_system("libtorch", e.what_without_backtrace(), "if memory ran out, use a smaller batch or shorter contexts");
  }
}

/// The same, without gradients.
template <class Work>
auto guarded(const Work& work) {
  const at::NoGradGuard no_gradients;
  return translated(work);
}

}  // namespace gloss::model
