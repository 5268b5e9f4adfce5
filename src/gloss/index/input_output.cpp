#include "gloss/index/input_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/checked_file.h"
#include "gloss/index/latent_weights.h"

namespace gloss::index {
namespace {

using formats::Dtype;

constexpr std::string_view kFormat = "gloss-input-output-1";
constexpr const char* kHint = "the file is damaged: delete it and run gloss filter --input-output again";

/// The strongest firing of a latent in a context.
struct Strongest {
  std::uint32_t context = 0, position = 0;
  float value = 0.0F;
};

std::vector<Strongest> strongest_of_contexts(const Firings& firings, std::uint32_t ctx_len) {
  std::vector<Strongest> found;
  for (std::size_t i = 0; i < firings.size(); ++i) {
    const std::uint32_t position = firings.position[i];
    const std::uint32_t context = position / ctx_len;
    const float value = firings.value(i);
    if (found.empty() || found.back().context != context)
      found.push_back({context, position, value});
    else if (value > found.back().value)
      found.back() = {context, position, value};
  }
  return found;
}

bool contains(std::span<const std::uint32_t> ids, std::uint32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::optional<double> known(float value) { return std::isnan(value) ? std::nullopt : std::optional<double>(value); }

void check_scores(const formats::SafeTensors& file, std::string_view array, std::span<const float> values) {
  for (std::size_t f = 0; f < values.size(); ++f) {
    if (std::isnan(values[f]) || (values[f] >= 0.0F && values[f] <= 1.0F)) continue;
    fail_input(fmt::format("{}: tensor '{}'", file.file_name(), array),
               fmt::format("latent {} has {}, wanted a number from 0 to 1", f, values[f]), kHint);
  }
}

}  // namespace

InputCount count_input(const Reader& reader, std::span<const TokenId> tokens, LatentId f,
                       std::span<const std::uint32_t> promoted) {
  std::vector<Strongest> contexts = strongest_of_contexts(reader.firings(f), reader.ctx_len());
  const auto stronger = [](const Strongest& a, const Strongest& b) {
    return a.value != b.value ? a.value > b.value : a.context < b.context;
  };
  if (contexts.size() > kMostInputContexts) {
    std::nth_element(contexts.begin(), contexts.begin() + kMostInputContexts, contexts.end(), stronger);
    contexts.resize(kMostInputContexts);
  }
  InputCount count;
  count.contexts = static_cast<std::uint32_t>(contexts.size());
  for (const Strongest& at : contexts) count.hits += contains(promoted, to_index(tokens[at.position])) ? 1 : 0;
  return count;
}

double output_score(std::span<const float> logits, std::span<const std::uint32_t> promoted) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  float best = kNone;
  for (const std::uint32_t id : promoted) {
    if (id != kNoEntry) best = std::max(best, logits[id]);
  }
  if (best == kNone) return 0.0;
  double sum = 0.0;  // of probabilities, as multiples of the best one's
  std::uint64_t rank = 0;
  for (const float logit : logits) {
    sum += std::exp(double{logit} - best);
    rank += logit > best ? 1 : 0;
  }
  return (1.0 - static_cast<double>(rank) / static_cast<double>(logits.size())) / sum;
}

InputOutput InputOutput::empty(std::uint32_t latents) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {
      std::vector<float>(latents, nan), std::vector<float>(latents, nan), std::vector<std::uint32_t>(latents, 0), {}};
}

std::optional<double> InputOutput::input_of(LatentId f) const { return known(input.at(to_index(f))); }
std::optional<double> InputOutput::output_of(LatentId f) const { return known(output.at(to_index(f))); }

void write_input_output(const std::filesystem::path& path, const InputOutput& scores) {
  const std::vector<std::uint64_t> shape{scores.input.size()};
  std::map<std::string, std::string> metadata = scores.made;
  metadata["format"] = kFormat;
  formats::CheckedFileWriter writer(
      path, {{"input", Dtype::f32, shape}, {"output", Dtype::f32, shape}, {"contexts", Dtype::u32, shape}}, metadata);
  writer.append_values(0, std::span(scores.input));
  writer.append_values(1, std::span(scores.output));
  writer.append_values(2, std::span(scores.contexts));
  writer.commit();
}

InputOutput read_input_output(const std::filesystem::path& path) {
  const formats::SafeTensors file = formats::SafeTensors::parse(MappedFile::open(path));
  const auto format = file.metadata().find("format");
  const std::string found = format == file.metadata().end() ? std::string() : format->second;
  if (found != kFormat)
    fail_input(file.file_name(), fmt::format("metadata 'format' is '{}', wanted '{}'", found, kFormat), kHint);
  formats::check_header(file, kHint);
  formats::check_arrays(file, kHint);
  const std::span<const float> input = file.view<float>("input", Dtype::f32);
  const std::span<const float> output = file.view<float>("output", Dtype::f32);
  const std::span<const std::uint32_t> contexts = file.view<std::uint32_t>("contexts", Dtype::u32);
  if (output.size() != input.size() || contexts.size() != input.size())
    fail_input(file.file_name(),
               fmt::format("has {} input scores, {} output scores and {} counts of contexts", input.size(),
                           output.size(), contexts.size()),
               kHint);
  check_scores(file, "input", input);
  check_scores(file, "output", output);
  InputOutput scores{
      {input.begin(), input.end()}, {output.begin(), output.end()}, {contexts.begin(), contexts.end()}, {}};
  for (const auto& [key, value] : file.metadata()) {
    if (key != "format" && !formats::is_checksum_key(key)) scores.made.emplace(key, value);
  }
  return scores;
}

}  // namespace gloss::index
