#include "gloss/app/input_output_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "gloss/app/version.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"

namespace gloss::app {
namespace {

using Made = std::map<std::string, std::string>;

/// Latents that the model runs with at once.
constexpr std::size_t kLatentsABatch = 32;
constexpr const char* kVersion = "gloss_version";
constexpr const char* kComplete = "complete";

Made made_from(const RunData& data, const index::Reader& reader, const Subject& subject,
               const InputOutputOptions& options) {
  return {{"hookpoint", reader.hookpoint()},
          {"model_fingerprint", subject.model_fingerprint()},
          {"coder_fingerprint", subject.coder_fingerprint()},
          {"tokens_fingerprint", data.tokens.fingerprint()},
          {"prompts", nlohmann::json(options.prompts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)},
          {"factor", fmt::format("{}", options.factor)},
          {"tokens", std::to_string(index::kReadWrittenTokens)}};
}

/// What is there already and was made alike.
std::optional<index::InputOutput> kept(const std::filesystem::path& path, const Made& wanted, std::uint32_t latents) {
  if (!std::filesystem::exists(path)) return {};
  index::InputOutput scores = index::read_input_output(path);
  if (scores.input.size() != latents) return {};
  const bool alike = std::all_of(wanted.begin(), wanted.end(), [&](const auto& entry) {
    const auto at = scores.made.find(entry.first);
    return at != scores.made.end() && at->second == entry.second;
  });
  return alike ? std::optional(std::move(scores)) : std::nullopt;
}

void measure_inputs(const RunData& data, const index::Reader& reader, std::span<const std::uint32_t> promoted,
                    std::size_t threads, index::InputOutput& scores) {
  constexpr std::size_t n = index::kReadWrittenTokens;
  parallel_for(reader.latent_count(), threads, [&](std::size_t f, std::size_t) {
    const index::InputCount count = index::count_input(
        reader, data.tokens.tokens(), LatentId{static_cast<std::uint32_t>(f)}, promoted.subspan(f * n, n));
    scores.contexts[f] = count.contexts;
    if (count.contexts >= index::kLeastInputContexts)
      scores.input[f] = static_cast<float>(count.hits) / static_cast<float>(count.contexts);
  });
}

/// Means over the prompts, of each of the latents.
void measure_outputs(const Subject& subject, const InputOutputOptions& options, std::span<const LatentId> latents,
                     std::span<const std::uint32_t> promoted, index::InputOutput& scores) {
  constexpr std::size_t n = index::kReadWrittenTokens;
  std::vector<double> sums(latents.size(), 0.0);
  for (const std::string& prompt : options.prompts) {
    const std::vector<float> logits = subject.turned_up(prompt, latents, options.factor);
    const std::size_t vocabulary = logits.size() / latents.size();
    for (std::size_t i = 0; i < latents.size(); ++i)
      sums[i] += index::output_score(std::span(logits).subspan(i * vocabulary, vocabulary),
                                     promoted.subspan(to_index(latents[i]) * n, n));
  }
  for (std::size_t i = 0; i < latents.size(); ++i)
    scores.output[to_index(latents[i])] = static_cast<float>(sums[i] / static_cast<double>(options.prompts.size()));
}

}  // namespace

bool make_input_output(const RunData& data, const std::string& hookpoint, const Subject& subject,
                       const InputOutputOptions& options, std::size_t threads, Reporter& reporter) {
  using Clock = std::chrono::steady_clock;
  if (const std::string why = subject.why_promotes_nothing(); !why.empty()) {
    reporter.warn(fmt::format("{}: no input and output scores: {}", hookpoint, why));
    return false;
  }
  const index::Reader reader = data.index(hookpoint);
  const std::filesystem::path path = data.run.input_output(hookpoint);
  const Made made = made_from(data, reader, subject, options);
  std::optional<index::InputOutput> before = kept(path, made, reader.latent_count());
  if (before && before->made.contains(kComplete)) return true;
  index::InputOutput scores = before ? *std::move(before) : index::InputOutput::empty(reader.latent_count());
  scores.made = made;
  scores.made[kVersion] = version_short();
  std::vector<LatentId> firing, missing;
  for (std::uint32_t f = 0; f < reader.latent_count(); ++f) {
    if (reader.count(LatentId{f}) == 0) continue;
    firing.push_back(LatentId{f});
    if (!scores.output_of(LatentId{f})) missing.push_back(LatentId{f});
  }
  const std::vector<std::uint32_t> promoted = subject.promoted(index::kReadWrittenTokens, threads);
  measure_inputs(data, reader, promoted, threads, scores);
  constexpr std::chrono::seconds kBetweenWrites{20};
  Clock::time_point written = Clock::now();
  for (std::size_t begin = 0; begin < missing.size(); begin += kLatentsABatch) {
    if (interrupted() || Clock::now() - written > kBetweenWrites) {
      index::write_input_output(path, scores);
      written = Clock::now();
      stop_if_interrupted();
    }
    const std::size_t count = std::min(kLatentsABatch, missing.size() - begin);
    measure_outputs(subject, options, std::span(missing).subspan(begin, count), promoted, scores);
    reporter.progress(
        {"output scores " + hookpoint, firing.size() - missing.size() + begin + count, firing.size(), "latents", ""});
  }
  scores.made[kComplete] = "1";
  index::write_input_output(path, scores);
  return true;
}

std::optional<index::InputOutput> input_output_of(const RunData& data, const index::Reader& reader) {
  const std::filesystem::path path = data.run.input_output(reader.hookpoint());
  if (!std::filesystem::exists(path)) return {};
  index::InputOutput scores = index::read_input_output(path);
  const auto tokens = scores.made.find("tokens_fingerprint");
  if (scores.input.size() != reader.latent_count() || tokens == scores.made.end() ||
      tokens->second != data.tokens.fingerprint())
    fail_input(path.string(), "belongs to another index", "delete it and run gloss filter --input-output again");
  if (!scores.made.contains(kComplete)) return {};  // an interrupted command's
  return scores;
}

}  // namespace gloss::app
