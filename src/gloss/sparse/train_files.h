#pragma once
/// What a training leaves on disk besides the coder: checkpoints to go on from, the curve, the record of its end.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "gloss/sparse/train.h"
#include "gloss/sparse/train_step.h"

namespace gloss::sparse {

/// Everything that makes the result what it is, by name: two trainings with equal settings are the same training.
using Settings = std::map<std::string, std::string>;

/// FOLDER/checkpoint/state.safetensors: weights, moments, counters, settings. Committed in one step.
void write_checkpoint(const std::filesystem::path& folder, const TrainState& state, const Settings& settings);
/// The state kept there, or nothing. Shapes are those of a state of these sizes and this activation.
/// Errors: bad_input when it is damaged or belongs to other settings (names those that differ, and both values).
std::optional<TrainState> read_checkpoint(const std::filesystem::path& folder, std::size_t latents, std::size_t width,
                                          Activation activation, const Settings& settings);

/// FOLDER/train.json: that the training is done, with which settings and which result.
void write_result(const std::filesystem::path& folder, const Settings& settings, const TrainResult& result);
/// The result of a finished training, or nothing. Errors: as read_checkpoint; also when there is a coder in the folder
/// without any trace of a training, which must not be overwritten.
std::optional<TrainResult> read_result(const std::filesystem::path& folder, const Settings& settings);

/// train.csv: kept in memory, written whole with each checkpoint.
class Curve {
 public:
  /// Goes on from the file's lines up to `steps_done`; a resumed training drops what came after its checkpoint.
  Curve(std::filesystem::path path, std::uint64_t steps_done);

  void add(std::uint64_t step, std::uint64_t tokens, const StepStats& stats, double tokens_per_second);
  void save() const;

 private:
  std::filesystem::path path_;
  std::string text_;
};

}  // namespace gloss::sparse
