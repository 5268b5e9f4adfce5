#include "gloss/model/reading_plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <utility>

namespace gloss::model {
namespace {

/// Rows whose scores are held at a time: bounds the memory of long prompts.
constexpr std::int64_t kRowBlock = 128;
constexpr std::int64_t kSmallestGrowth = 32;  // tokens
/// Finite, so that a row all of whose keys in a block are hidden gives no NaN; its share vanishes when it meets a block
/// with a key that it sees.
constexpr double kNever = -1e30;

/// A part with room for `capacity` tokens. Shapes: [G, capacity, E] each.
std::shared_ptr<KeyValues> make_part(const Config& config, std::int64_t capacity, const at::TensorOptions& options) {
  auto part = std::make_shared<KeyValues>();
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    for (std::vector<at::Tensor>* list : {&part->keys, &part->values})
      list->push_back(at::empty({config.kv_heads, capacity, config.head_width}, options));
  }
  return part;
}

void grow(KeyValues& part, std::int64_t capacity) {
  for (std::vector<at::Tensor>* list : {&part.keys, &part.values}) {
    for (at::Tensor& tensor : *list) {
      at::Tensor larger = at::empty({tensor.size(0), capacity, tensor.size(2)}, tensor.options());
      larger.narrow(1, 0, part.length).copy_(tensor.narrow(1, 0, part.length));
      tensor = std::move(larger);
    }
  }
}

}  // namespace

ReadingPlan::ReadingPlan(const Config& config, std::span<const Generator::Piece> pieces,
                         const at::TensorOptions& options)
    : config_(config), options_(options), pieces_(pieces.begin(), pieces.end()) {
  std::vector<std::int64_t> positions;
  for (const Generator::Piece& piece : pieces_) {
    const Rows rows{static_cast<std::int64_t>(positions.size()), static_cast<std::int64_t>(piece.tokens.size())};
    const std::int64_t begin = piece.state->size_;
    for (std::int64_t i = 0; i < rows.count; ++i) positions.push_back(begin + i);
    positions_end_ = std::max(positions_end_, begin + rows.count);
    make_own(piece, rows);
  }
  positions_ = at::tensor(positions, at::kLong);
  // Neighbouring pieces are often forks of one text: their runs of rows that see one part become one.
  const std::int64_t* position = positions_.data_ptr<std::int64_t>();
  for (Look& look : looks_) {
    look.first_query = positions_end_;
    std::vector<std::int64_t> index;
    for (const Rows& rows : look.rows) {
      for (std::int64_t i = rows.first; i < rows.first + rows.count; ++i) {  // of several pieces: in no order
        index.push_back(i);
        look.first_query = std::min(look.first_query, position[i]);
        look.last_query = std::max(look.last_query, position[i]);
      }
    }
    if (look.rows.size() > 1) look.index = at::tensor(index, at::kLong).to(options.device());
  }
  positions_ = positions_.to(options.device());
}

void ReadingPlan::make_own(const Generator::Piece& piece, Rows rows) {
  const std::vector<TextState::Link>& links = piece.state->links_;
  Own own;
  own.rows = rows;
  own.links_kept = links.size();
  std::int64_t position = piece.state->size_;
  const bool alone =
      !links.empty() && links.back().part.use_count() == 1 && links.back().length == links.back().part->length;
  if (alone) {
    own.link = links.back();
    own.filled = own.link.length;
    --own.links_kept;
    position -= own.filled;
    const std::int64_t wanted = own.filled + rows.count;
    const std::int64_t capacity = own.link.part->keys.front().size(1);
    if (wanted > capacity) grow(*own.link.part, std::max(wanted, capacity + std::max(capacity / 2, kSmallestGrowth)));
  } else {
    own.link.part = make_part(config_, rows.count, options_);
  }
  own.link.length = static_cast<std::uint32_t>(own.filled + rows.count);
  std::int64_t before = 0;
  for (std::size_t i = 0; i < own.links_kept; ++i) {
    add_look(links[i].part.get(), links[i].length, before, rows);
    before += links[i].length;
  }
  add_look(own.link.part.get(), own.link.length, position, rows);
  own_.push_back(std::move(own));
}

void ReadingPlan::add_look(KeyValues* part, std::int64_t length, std::int64_t position, Rows rows) {
  const auto same = std::find_if(looks_.begin(), looks_.end(),
                                 [&](const Look& look) { return look.part == part && look.length == length; });
  if (same == looks_.end()) {
    Look& look = looks_.emplace_back();
    look.part = part;
    look.length = length;
    look.position = position;
    look.rows = {rows};
    return;
  }
  Rows& last = same->rows.back();
  if (last.first + last.count == rows.first)
    last.count += rows.count;
  else
    same->rows.push_back(rows);
}

/// The look's rows of a tensor of all rows; a view where they are one run.
at::Tensor ReadingPlan::pick(const Look& look, const at::Tensor& of_all_rows, std::int64_t axis) const {
  if (look.index.defined()) return at::index_select(of_all_rows, axis, look.index);
  return of_all_rows.narrow(axis, look.rows.front().first, look.rows.front().count);
}

/// [rows, keys from `first_key` on]: kNever where a row's query must not look; undefined when all may.
const at::Tensor& ReadingPlan::hidden(Look& look, std::int64_t first_key, std::int64_t window) {
  const auto [entry, is_new] = look.hidden.try_emplace(window);
  if (!is_new) return entry->second;
  const bool future = look.position + look.length - 1 > look.first_query;
  const bool past = window > 0 && look.position + first_key <= look.last_query - window;
  if (!future && !past) return entry->second;
  const at::Tensor keys =
      at::arange(look.position + first_key, look.position + look.length, positions_.options()).unsqueeze(0);
  const at::Tensor queries = pick(look, positions_, 0).unsqueeze(1);
  at::Tensor never = keys > queries;
  if (window > 0) never = never.logical_or(keys <= queries - window);
  entry->second = never.to(at::kFloat).mul_(kNever);
  return entry->second;
}

at::Tensor ReadingPlan::attend(std::uint32_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const AttentionOptions& options) {
  const std::int64_t rows = q.size(1), heads = q.size(2), width = q.size(3), groups = k.size(2);
  const std::int64_t shared = heads / groups;
  const at::Tensor new_keys = k.squeeze(0).permute({1, 0, 2});  // [G, N, E]
  const at::Tensor new_values = v.squeeze(0).permute({1, 0, 2});
  for (const Own& own : own_) {
    own.link.part->keys[layer]
        .narrow(1, own.filled, own.rows.count)
        .copy_(new_keys.narrow(1, own.rows.first, own.rows.count));
    own.link.part->values[layer]
        .narrow(1, own.filled, own.rows.count)
        .copy_(new_values.narrow(1, own.rows.first, own.rows.count));
  }
  const at::Tensor queries =
      q.reshape({rows, groups, shared, width}).permute({1, 2, 0, 3}).contiguous().mul(options.scale);  // [G, s, N, E]
  const at::TensorOptions full = q.options().dtype(at::kFloat);
  // Of each row: the largest score so far, the sum of exponentials relative to it, and the values mixed by these.
  at::Tensor best = at::full({groups, shared, rows, 1}, kNever, full);
  at::Tensor total = at::zeros({groups, shared, rows, 1}, full);
  at::Tensor mixed = at::zeros({groups, shared, rows, width}, full);
  for (Look& look : looks_) {
    const std::int64_t first_key =
        options.window > 0 ? std::max<std::int64_t>(0, look.first_query - options.window + 1 - look.position) : 0;
    if (first_key >= look.length) continue;
    const std::int64_t seen = look.length - first_key;
    const at::Tensor keys = look.part->keys[layer].narrow(1, first_key, seen).transpose(1, 2);  // [G, E, S]
    const at::Tensor values = look.part->values[layer].narrow(1, first_key, seen);              // [G, S, E]
    const at::Tensor& never = hidden(look, first_key, options.window);
    const at::Tensor own_queries = pick(look, queries, 2);
    const bool run = !look.index.defined();
    at::Tensor own_best = pick(look, best, 2), own_total = pick(look, total, 2), own_mixed = pick(look, mixed, 2);
    for (std::int64_t begin = 0; begin < own_queries.size(2); begin += kRowBlock) {
      const std::int64_t count = std::min(kRowBlock, own_queries.size(2) - begin);
      at::Tensor scores =
          at::bmm(own_queries.narrow(2, begin, count).reshape({groups, shared * count, width}), keys).to(at::kFloat);
      if (options.cap > 0.0) scores.div_(options.cap).tanh_().mul_(options.cap);
      scores = scores.view({groups, shared, count, seen});
      if (never.defined()) scores.add_(never.narrow(0, begin, count));
      at::Tensor block_best = own_best.narrow(2, begin, count);
      at::Tensor block_total = own_total.narrow(2, begin, count);
      at::Tensor block_mixed = own_mixed.narrow(2, begin, count);
      const at::Tensor largest = at::maximum(block_best, at::amax(scores, at::IntArrayRef{-1}, true));
      const at::Tensor kept = at::sub(block_best, largest).exp_();
      scores.sub_(largest).exp_();
      block_best.copy_(largest);
      block_total.mul_(kept).add_(scores.sum(at::IntArrayRef{-1}, true));
      const at::Tensor added =
          at::bmm(scores.view({groups, shared * count, seen}).to(values.scalar_type()), values).to(at::kFloat);
      block_mixed.mul_(kept).add_(added.view({groups, shared, count, width}));
    }
    if (run) continue;
    best.index_copy_(2, look.index, own_best);
    total.index_copy_(2, look.index, own_total);
    mixed.index_copy_(2, look.index, own_mixed);
  }
  return mixed.div_(total).permute({2, 0, 1, 3}).reshape({rows, heads * width}).to(q.scalar_type());
}

void ReadingPlan::commit() {
  for (std::size_t i = 0; i < own_.size(); ++i) {
    Own& own = own_[i];
    TextState& state = *pieces_[i].state;
    own.link.part->length = own.link.length;
    state.links_.resize(own.links_kept);
    state.links_.push_back(std::move(own.link));
    state.size_ += static_cast<std::uint32_t>(own.rows.count);
  }
}

}  // namespace gloss::model
