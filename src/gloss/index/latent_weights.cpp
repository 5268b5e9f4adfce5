#include "gloss/index/latent_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/checked_file.h"

namespace gloss::index {
namespace {

using formats::Dtype;

constexpr std::string_view kFormat = "gloss-latent-weights-2";
constexpr std::string_view kFormatWithoutChecksums = "gloss-latent-weights-1";
constexpr const char* kMoments = "logit_moments";
constexpr std::uint64_t kMomentCount = 4;
constexpr const char* kHistogram = "logit_histogram";
constexpr std::uint64_t kMostBins = 10'000;
constexpr const char* kHint = "the file is damaged: delete it and run gloss cache again, which makes it anew";

struct Names {
  std::string_view id, value;
};
constexpr std::array<Names, kWeightLists> kNames{{{"promoted", "promoted_weight"},
                                                  {"suppressed", "suppressed_weight"},
                                                  {"decoder_neighbours", "decoder_cosine"},
                                                  {"encoder_neighbours", "encoder_cosine"},
                                                  {"cooccurring", "cooccurring_jaccard"}}};

bool holds_tokens(std::size_t list) { return list <= static_cast<std::size_t>(WeightList::suppressed); }

std::string array_name(const std::string& file, std::string_view array) {
  return fmt::format("{}: tensor '{}'", file, array);
}

std::uint32_t metadata_number(const formats::SafeTensors& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  const std::string text = it == file.metadata().end() ? std::string("(missing)") : it->second;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail_input(file.file_name(), fmt::format("metadata '{}' is '{}', wanted a whole number below 2^32", key, text),
               kHint);
  return value;
}

}  // namespace

std::string_view name_of(WeightList list) { return kNames.at(static_cast<std::size_t>(list)).id; }
std::string_view value_name_of(WeightList list) { return kNames.at(static_cast<std::size_t>(list)).value; }

void write_latent_weights(const std::filesystem::path& path, const LatentWeights& weights) {
  const std::vector<std::uint64_t> shape{weights.latents, weights.entries};
  const std::size_t length = std::size_t{weights.latents} * weights.entries;
  std::vector<formats::CheckedFileWriter::Declared> declared;
  for (std::size_t i = 0; i < kWeightLists; ++i) {
    const WeightArrays& list = weights.lists.at(i);
    if (list.id.size() != list.value.size() || (!list.id.empty() && list.id.size() != length))
      throw std::invalid_argument(fmt::format("write_latent_weights: '{}' is not [F, n]", kNames.at(i).id));
    if (list.id.empty()) continue;
    declared.push_back({std::string(kNames.at(i).id), Dtype::u32, shape});
    declared.push_back({std::string(kNames.at(i).value), Dtype::f32, shape});
  }
  if (!weights.logit_moments.empty()) declared.push_back({kMoments, Dtype::f32, {weights.latents, kMomentCount}});
  if (!weights.logit_histogram.empty()) {
    if (weights.logit_histogram.size() != std::size_t{weights.latents} * weights.histogram_bins)
      throw std::invalid_argument("write_latent_weights: 'logit_histogram' is not [F, bins]");
    declared.push_back({kHistogram, Dtype::u16, {weights.latents, weights.histogram_bins}});
  }
  std::map<std::string, std::string> metadata = weights.metadata;
  metadata["format"] = kFormat;
  metadata["vocabulary"] = std::to_string(weights.vocabulary);
  formats::CheckedFileWriter writer(path, declared, metadata);
  std::size_t array = 0;
  for (const WeightArrays& list : weights.lists) {
    if (list.id.empty()) continue;
    writer.append_values(array++, std::span(list.id));
    writer.append_values(array++, std::span(list.value));
  }
  if (!weights.logit_moments.empty()) writer.append_values(array++, std::span(weights.logit_moments));
  if (!weights.logit_histogram.empty()) writer.append_values(array, std::span(weights.logit_histogram));
  writer.commit();
}

LatentWeightsReader LatentWeightsReader::open(const std::filesystem::path& file) {
  return parse(MappedFile::open(file));
}

LatentWeightsReader LatentWeightsReader::parse(MappedFile file) {
  LatentWeightsReader reader;
  reader.file_ = formats::SafeTensors::parse(std::move(file));
  const auto format = reader.metadata().find("format");
  const std::string found = format == reader.metadata().end() ? std::string() : format->second;
  if (found == kFormat) {
    formats::check_header(reader.file_, kHint);
  } else if (found != kFormatWithoutChecksums) {
    fail_input(reader.file_name(), fmt::format("metadata 'format' is '{}', wanted '{}'", found, kFormat),
               "wanted a weights.safetensors of gloss cache, by this version of gloss");
  }
  reader.vocabulary_ = metadata_number(reader.file_, "vocabulary");
  reader.read_lists();
  return reader;
}

void LatentWeightsReader::read_lists() {
  const formats::TensorView& always = file_.tensor(name_of(WeightList::cooccurring));
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (always.shape.size() != 2 || always.shape[0] == 0 || always.shape[0] > kMost || always.shape[1] == 0 ||
      always.shape[1] > kMost)
    fail_input(array_name(file_name(), always.name),
               fmt::format("is {}, wanted [F, n] with F and n from 1 to 2^32 - 1", formats::format_shape(always.shape)),
               kHint);
  const std::array<std::uint64_t, 2> shape{always.shape[0], always.shape[1]};
  latents_ = static_cast<std::uint32_t>(shape[0]);
  entries_ = static_cast<std::uint32_t>(shape[1]);
  for (std::size_t i = 0; i < kWeightLists; ++i) {
    const Names& names = kNames.at(i);
    if (!file_.contains(names.id)) continue;
    static_cast<void>(file_.tensor(names.id, Dtype::u32, shape));
    static_cast<void>(file_.tensor(names.value, Dtype::f32, shape));
    ids_.at(i) = file_.view<std::uint32_t>(names.id, Dtype::u32);
    values_.at(i) = file_.view<float>(names.value, Dtype::f32);
  }
  if (!has(WeightList::promoted)) return;
  const std::array<std::uint64_t, 2> moments{shape[0], kMomentCount};
  static_cast<void>(file_.tensor(kMoments, Dtype::f32, moments));
  moments_ = file_.view<float>(kMoments, Dtype::f32);
  if (!file_.contains(kHistogram)) return;
  const formats::TensorView& histogram = file_.tensor(kHistogram);
  if (histogram.shape.size() != 2 || histogram.shape[0] != shape[0] || histogram.shape[1] < 1 ||
      histogram.shape[1] > kMostBins)
    fail_input(array_name(file_name(), kHistogram),
               fmt::format("is {}, wanted [{}, 1 to {}]", formats::format_shape(histogram.shape), shape[0], kMostBins),
               kHint);
  bins_ = histogram.shape[1];
  histogram_ = file_.view<std::uint16_t>(kHistogram, Dtype::u16);
}

void LatentWeightsReader::check_latent(LatentId f) const {
  if (to_index(f) >= latents_)
    fail_input(file_name(), fmt::format("has {} latents, but latent {} was asked for", latents_, to_index(f)),
               "the file belongs to another index: delete it and run gloss cache again, which makes it anew");
}

std::vector<WeightEntry> LatentWeightsReader::entries(WeightList list, LatentId f) const {
  check_latent(f);
  std::vector<WeightEntry> found;
  if (!has(list)) return found;
  const auto place = static_cast<std::size_t>(list);
  const auto ids = ids_.at(place).subspan(std::size_t{to_index(f)} * entries_, entries_);
  const auto values = values_.at(place).subspan(std::size_t{to_index(f)} * entries_, entries_);
  const std::uint32_t end = holds_tokens(place) ? vocabulary_ : latents_;
  const auto fail = [&](std::string_view array, std::size_t i, const std::string& what) {
    fail_input(array_name(file_name(), array), fmt::format("latent {}, entry {} {}", to_index(f), i, what), kHint);
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == kNoEntry) continue;
    if (found.size() != i) fail(name_of(list), i, fmt::format("is {}, after the list's end", ids[i]));
    if (ids[i] >= end) fail(name_of(list), i, fmt::format("is {}, wanted one below {}", ids[i], end));
    if (!std::isfinite(values[i]))
      fail(value_name_of(list), i, fmt::format("is {}, wanted a finite number", values[i]));
    found.push_back({ids[i], values[i]});
  }
  return found;
}

std::optional<LogitMoments> LatentWeightsReader::moments(LatentId f) const {
  check_latent(f);
  if (moments_.empty()) return std::nullopt;
  const auto m = moments_.subspan(std::size_t{to_index(f)} * kMomentCount, kMomentCount);
  if (!std::all_of(m.begin(), m.end(), [](float v) { return std::isfinite(v); }))
    fail_input(array_name(file_name(), kMoments), fmt::format("latent {} has values that are not finite", to_index(f)),
               kHint);
  return LogitMoments{m[0], m[1], m[2], m[3]};
}

std::optional<LogitHistogram> LatentWeightsReader::histogram(LatentId f) const {
  check_latent(f);
  if (histogram_.empty()) return std::nullopt;
  const std::vector<WeightEntry> most = entries(WeightList::promoted, f), least = entries(WeightList::suppressed, f);
  if (most.empty() || least.empty()) return std::nullopt;
  const auto counts = histogram_.subspan(std::size_t{to_index(f)} * bins_, bins_);
  return LogitHistogram{least.front().value, most.front().value, {counts.begin(), counts.end()}};
}

}  // namespace gloss::index
