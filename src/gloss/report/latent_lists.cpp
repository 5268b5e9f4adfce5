#include "gloss/report/latent_lists.h"

#include <fmt/format.h>

#include <array>

#include "gloss/report/terminal.h"

namespace gloss::report {
namespace {

using index::WeightList;

struct Kind {
  WeightList list;
  std::string_view name, value;
};
constexpr std::array<Kind, index::kWeightLists> kKinds{
    {{WeightList::promoted, "promotes", "logit weight"},
     {WeightList::suppressed, "suppresses", "logit weight"},
     {WeightList::decoder_neighbours, "writes like", "cosine of decoder rows"},
     {WeightList::encoder_neighbours, "reads like", "cosine of encoder rows"},
     {WeightList::cooccurring, "fires with", "Jaccard index of tokens"}}};

bool holds_tokens(WeightList list) { return list == WeightList::promoted || list == WeightList::suppressed; }

std::string text_of(const RunData& data, WeightList list, std::uint32_t id) {
  if (!holds_tokens(list)) return std::to_string(id);
  if (id >= data.tokenizer.vocabulary_size()) return fmt::format("token {}", id);
  return fmt::format("\"{}\"", harmless(data.tokenizer.token_bytes(TokenId{id})));
}

const index::LatentWeightsReader* weights_of(const RunData& data, std::string_view hookpoint) {
  return data.weights ? data.weights(hookpoint) : nullptr;
}

}  // namespace

std::vector<ShownList> latent_lists(const RunData& data, std::string_view hookpoint, LatentId latent) {
  std::vector<ShownList> lists;
  const index::LatentWeightsReader* weights = weights_of(data, hookpoint);
  if (weights == nullptr) return lists;
  for (const Kind& kind : kKinds) {
    ShownList shown{kind.list, kind.name, kind.value, {}};
    for (const index::WeightEntry& entry : weights->entries(kind.list, latent))
      shown.entries.emplace_back(text_of(data, kind.list, entry.id), entry.value);
    if (!shown.entries.empty()) lists.push_back(std::move(shown));
  }
  return lists;
}

std::optional<index::LogitMoments> logit_moments(const RunData& data, std::string_view hookpoint, LatentId latent) {
  const index::LatentWeightsReader* weights = weights_of(data, hookpoint);
  return weights == nullptr ? std::nullopt : weights->moments(latent);
}

}  // namespace gloss::report
