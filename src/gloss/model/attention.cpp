#include "gloss/model/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "gloss/model/autograd.h"

namespace gloss::model {
namespace {

/// Queries whose scores are held at a time: bounds the memory of long contexts, and keys after the block are skipped.
constexpr std::int64_t kQueryBlock = 64;

/// Scores of queries [begin, begin + rows) over keys [first, first + columns), to which minus infinity is added where
/// the query must not look.
void hide(const at::Tensor& scores, std::int64_t begin, std::int64_t first, std::int64_t window) {
  const std::int64_t rows = scores.size(-2);
  const std::int64_t columns = scores.size(-1);
  const at::Tensor never = at::full({rows, columns}, -std::numeric_limits<double>::infinity(), scores.options());
  const std::int64_t diagonal = begin - first;  // column of a row's own key, less the row
  if (window > 0 && diagonal - window >= 1 - rows) scores.add_(never.tril(diagonal - window));
  // The last `rows` keys are those of the queries themselves; every key left of them is before every query.
  scores.narrow(-1, diagonal, rows).add_(never.narrow(1, diagonal, rows).triu(1));
}

}  // namespace

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionShape& s,
                  const AttentionOptions& options) {
  const std::int64_t shared = s.heads / s.groups;
  const at::Tensor keys = k.permute({0, 2, 3, 1}).reshape({s.batch * s.groups, s.width, s.length});
  const at::Tensor values = v.permute({0, 2, 1, 3}).reshape({s.batch * s.groups, s.length, s.width});
  const at::Tensor queries = q.reshape({s.batch, s.length, s.groups, shared, s.width}).permute({0, 2, 3, 1, 4});
  at::Tensor result = at::empty({s.batch, s.length, s.heads, s.width}, q.options());
  const at::Tensor target = result.view({s.batch, s.length, s.groups, shared, s.width}).permute({0, 2, 3, 1, 4});
  for (std::int64_t begin = 0; begin < s.length; begin += kQueryBlock) {
    const std::int64_t rows = std::min(kQueryBlock, s.length - begin);
    const std::int64_t first = options.window > 0 ? std::max<std::int64_t>(0, begin - options.window + 1) : 0;
    const std::int64_t seen = begin + rows - first;
    const at::Tensor block =
        queries.narrow(3, begin, rows).reshape({s.batch * s.groups, shared * rows, s.width}).mul(options.scale);
    at::Tensor scores = at::bmm(block, keys.narrow(2, first, seen)).to(at::kFloat);
    if (options.cap > 0.0) scores = capped(scores, options.cap);
    hide(scores.view({s.batch * s.groups * shared, rows, seen}), begin, first, options.window);
    const at::Tensor mixed = at::bmm(at::softmax(scores, -1).to(values.scalar_type()), values.narrow(1, first, seen));
    target.narrow(3, begin, rows).copy_(mixed.view({s.batch, s.groups, shared, rows, s.width}));
  }
  return result.view({s.batch * s.length, s.heads * s.width});
}

}  // namespace gloss::model
