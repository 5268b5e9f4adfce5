#include "gloss/app/weights_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "gloss/app/version.h"
#include "gloss/base/quantity.h"
#include "gloss/index/cooccurrence.h"
#include "gloss/index/latent_weights.h"
#include "gloss/sparse/logit_histograms.h"
#include "gloss/sparse/logit_weights.h"
#include "gloss/sparse/neighbours.h"

namespace gloss::app {
namespace {

using index::WeightList;

constexpr std::uint32_t kEntries = 10;
constexpr std::uint64_t kMinCount = 10;

/// Columns of W_U that mean something: models pad their vocabulary, and a row without a token cannot be read.
std::uint32_t vocabulary_of(const WeightsStage& stage) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(stage.run.tokenizer());
  return std::min(stage.subject.config().vocabulary, tokenizer.vocabulary_size());
}

/// Between the ends of what was found.
void add_histograms(const WeightsStage& stage, const std::string& name, const sparse::RowSource& decoder,
                    const sparse::RowSource& unembedding, const sparse::LogitWeights& found,
                    index::LatentWeights& weights, Reporter& report) {
  std::vector<float> low, high;
  for (std::size_t f = 0; f < weights.latents; ++f) {
    low.push_back(found.suppressed_weight[f * found.n]);
    high.push_back(found.promoted_weight[f * found.n]);
  }
  sparse::HistogramOptions options;
  options.threads = stage.threads;
  options.stage = name + " logit histograms";
  sparse::LogitHistograms histograms = sparse::logit_histograms(decoder, unembedding, low, high, options, report);
  weights.histogram_bins = static_cast<std::uint32_t>(histograms.bins);
  weights.logit_histogram = std::move(histograms.counts);
}

void add_logit_weights(const WeightsStage& stage, const std::string& name, index::LatentWeights& weights,
                       Reporter& report) {
  const sparse::RowSource decoder = sparse::RowSource::of(stage.coder.decoder(), stage.coder.info().output_width);
  sparse::LogitOptions options;
  options.n = weights.entries;
  options.threads = stage.threads;
  options.memory_bytes = stage.memory_bytes;
  options.stage = name + " logit weights";
  const sparse::RowSource unembedding = unembedding_rows(stage.subject, weights.vocabulary);
  sparse::LogitWeights found = sparse::logit_weights(decoder, unembedding, options, report);
  add_histograms(stage, name, decoder, unembedding, found, weights, report);
  weights.of(WeightList::promoted) = {std::move(found.promoted), std::move(found.promoted_weight)};
  weights.of(WeightList::suppressed) = {std::move(found.suppressed), std::move(found.suppressed_weight)};
  weights.logit_moments = std::move(found.moments);
}

index::WeightArrays nearest(const sparse::RowSource& rows, const std::string& name, const WeightsStage& stage,
                            Reporter& report) {
  sparse::Neighbours found = sparse::cosine_neighbours(rows, {kEntries, stage.threads, name}, report);
  return {std::move(found.latent), std::move(found.cosine)};
}

index::WeightArrays cooccurring(const index::Reader& reader, const std::string& name, const WeightsStage& stage,
                                Reporter& report) {
  index::CooccurrenceOptions options;
  options.n = kEntries;
  options.min_count = kMinCount;
  options.threads = stage.threads;
  options.memory_bytes = stage.memory_bytes;
  options.stage = name;
  index::Cooccurring found = index::cooccurring(reader, options, report);
  return {std::move(found.latent), std::move(found.jaccard)};
}

}  // namespace

sparse::RowSource unembedding_rows(const model::SubjectModel& subject, std::uint32_t vocabulary) {
  return {vocabulary, subject.config().width, [&subject](std::size_t first, std::span<float> out) {
            const auto count = static_cast<std::uint32_t>(out.size() / subject.config().width);
            const std::vector<float> rows =
                model::to_host(subject.unembedding(static_cast<std::uint32_t>(first), count));
            std::copy(rows.begin(), rows.end(), out.begin());
          }};
}

std::string why_no_logit_weights(model::Hookpoint hookpoint, const sparse::CoderInfo& info, bool has_decoder,
                                 std::uint32_t model_width) {
  using model::Site;
  if (!has_decoder) return "the coder has no decoder";
  for (const Site site : {Site::attn_input, Site::attn_heads, Site::mlp_normed, Site::mlp_input, Site::mlp_hidden}) {
    if (hookpoint.site == site) return fmt::format("{} is not added to the residual stream", hookpoint.name());
  }
  if (info.output_width != model_width)
    return fmt::format("the coder writes vectors of width {}, the residual stream has {}", info.output_width,
                       model_width);
  return "";
}

bool make_latent_weights(const WeightsStage& stage, Reporter& report) {
  const std::string name = stage.hookpoint.name();
  const std::string stage_name = "weights-" + name;
  const Inputs inputs{{"tokens", stage.tokens.fingerprint()},
                      {"model", stage.subject.fingerprint()},
                      {"coder", stage.coder.fingerprint()},
                      {"hookpoint", name}};
  const std::filesystem::path path = stage.run.weights(name);
  if (stage_state(stage.run, stage_name, inputs) == StageState::done && std::filesystem::exists(path)) return false;
  write_manifest(stage.run, stage_name, inputs, false);

  const sparse::CoderInfo& info = stage.coder.info();
  const bool has_decoder = !stage.coder.decoder().empty();
  const index::Reader reader = index::Reader::open(stage.run.index(name));
  index::LatentWeights weights;
  weights.latents = info.latents;
  weights.entries = kEntries;
  weights.vocabulary = vocabulary_of(stage);
  const std::string missing = why_no_logit_weights(stage.hookpoint, info, has_decoder, stage.subject.config().width);
  if (missing.empty()) {
    add_logit_weights(stage, name, weights, report);
  } else {
    report.info(fmt::format("{}: no logit weights: {}", name, missing));
  }
  if (has_decoder)
    weights.of(WeightList::decoder_neighbours) = nearest(
        sparse::RowSource::of(stage.coder.decoder(), info.output_width), name + " decoder neighbours", stage, report);
  const sparse::RowSource encoder{info.latents, info.input_width, [&stage](std::size_t first, std::span<float> out) {
                                    stage.coder.encoder_rows(first, out);
                                  }};
  if (!info.neurons)  // each reads its own value: none is near another
    weights.of(WeightList::encoder_neighbours) = nearest(encoder, name + " encoder neighbours", stage, report);
  weights.of(WeightList::cooccurring) = cooccurring(reader, name + " co-occurrence", stage, report);
  weights.metadata = {{"hookpoint", name},
                      {"min_count", std::to_string(kMinCount)},
                      {"logit_path", missing.empty() ? "direct" : missing},
                      {"model_fingerprint", stage.subject.fingerprint()},
                      {"coder_fingerprint", stage.coder.fingerprint()},
                      {"tokens_fingerprint", stage.tokens.fingerprint()},
                      {"gloss_version", version_short()}};
  index::write_latent_weights(path, weights);
  write_manifest(stage.run, stage_name, inputs, true);
  report.info(fmt::format("{}: {}nearest latents of {} latents in {}", name,
                          missing.empty() ? "promoted and suppressed tokens (direct path) and " : "", info.latents,
                          format_bytes(std::filesystem::file_size(path))));
  return true;
}

}  // namespace gloss::app
