#include "gloss/model/generator.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "gloss/model/reading_plan.h"
#include "gloss/model/subject_model_impl.h"

namespace gloss::model {

TextState TextState::first(std::uint32_t length) const {
  if (length > size_) throw std::invalid_argument("TextState::first: more tokens than were read");
  TextState state;
  state.size_ = length;
  for (const Link& link : links_) {
    if (length == 0) break;
    state.links_.push_back({link.part, std::min(link.length, length)});
    length -= state.links_.back().length;
  }
  return state;
}

Generator::Generator(SubjectModel model) : model_(std::move(model)) {}
Generator::~Generator() = default;

std::uint64_t Generator::bytes_per_token() const {
  const Config& c = model_.config();
  return std::uint64_t{2} * c.layers * c.kv_heads * c.head_width * c10::elementSize(model_.impl_->weights.compute);
}

Tensor Generator::read(std::span<const Piece> pieces) const {
  const SubjectModel::Impl& m = *model_.impl_;
  std::vector<TokenId> tokens;
  std::vector<std::int64_t> scored;  // rows
  for (const Piece& piece : pieces) {
    if (piece.tokens.empty() || piece.scored > piece.tokens.size())
      throw std::invalid_argument("Generator::read: a piece without tokens, or with more scores than tokens");
    const std::size_t length = piece.state->size() + piece.tokens.size();
    if (length > m.config.max_context)
      fail_input("tokens", fmt::format("a text of {} tokens is longer than the model's context of {}", length,
                                       m.config.max_context));
    tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
    for (std::size_t i = tokens.size() - piece.scored; i < tokens.size(); ++i)
      scored.push_back(static_cast<std::int64_t>(i));
  }
  if (tokens.empty()) return {};
  check_ids(tokens, m.config, tokens.size());
  return guarded([&] {
    ReadingPlan plan(m.config, pieces, at::TensorOptions(m.weights.compute).device(m.device));
    const PassInput input{to_torch(tokens, 1, m.device), plan.positions(), plan.positions_end(),
                          [&](std::uint32_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const AttentionOptions& options) { return plan.attend(layer, q, k, v, options); }};
    const at::Tensor normed =
        forward(m.config, m.weights, m.rotary, input, [](Hookpoint, at::Tensor&) { return After::go_on; });
    const at::Tensor rows = at::index_select(normed, 0, at::tensor(scored, at::kLong).to(m.device));
    at::Tensor logits = logits_of(m.config, m.weights, rows);
    plan.commit();
    return wrap(std::move(logits));
  });
}

}  // namespace gloss::model
