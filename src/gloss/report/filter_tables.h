#pragma once
/// What filters found by hookpoint and threshold, kept in the store by `gloss filter` for the figures.
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gloss/report/run_data.h"
#include "gloss/report/vega_figures.h"
#include "gloss/store/store.h"

namespace gloss::report {

/// The latents of one hookpoint by one filter.
struct FilterTally {
  std::string hookpoint, kind, measure;  // measure: what the number of a latent is
  bool few_is_it = false;                // of the kind are those at or below a threshold, else those above it
  double threshold = 0.0;                // that told
  std::uint64_t measured = 0, told = 0;  // latents
  std::vector<std::pair<double, std::uint64_t>> by_threshold;  // latents that each would tell, thresholds ascending
};
/// Replaces one of the same hookpoint and kind.
void keep_filter_tally(store::Store& store, const FilterTally& tally);
/// By kind, each in the natural order of hookpoints. Errors: bad_input when the file is damaged.
std::vector<FilterTally> filter_tallies(const store::Store& store);

/// kind, measure, hookpoint, place, threshold, told_by, latents, measured, share, low, high: share of the measured
/// latents that a threshold tells, Wilson 95 %; place orders the hookpoints of a run. `told_by`: whether it is the one
/// that told.
FigureTable filter_table(const RunData& data);
/// kind, rule, hookpoint, place, latents, living, share, low, high: of the latents that fire, the share that a filter
/// told, Wilson 95 %. Without the kind dead, and without hookpoints where it was not looked for.
FigureTable filter_layer_table(const RunData& data);
/// kind, measure, hookpoint, place, threshold, told_by, latents, living, share, low, high: of the latents that fire,
/// the share that each threshold would tell, from the one that told to the last value behind it, at most 202 of them.
/// Without kinds of which no latent is.
FigureTable filter_curve_table(const RunData& data);
/// kind, latents_are, scorer, score_name, series, baseline, score, low, high, chance, latents: the scorers' numbers
/// over the latents "of the kind", and over the "others" of the hookpoints where it was looked for; at last, as kind
/// "none", over those "of no kind". Kinds of which no scored latent is are left out.
FigureTable kind_score_table(const RunData& data, const RunSummary& summary, std::uint64_t seed);

}  // namespace gloss::report
