#pragma once
/// A run on disk: where each stage's artifact lies, and what it was made from.
///   run.toml  tokens.safetensors  tokenizer.json latents/HOOKPOINT/{index,statistics,weights,input-output}.safetensors
///   results.db report/ embeddings.safetensors explanation-embeddings.safetensors manifests/
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace gloss::app {

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path tokens() const { return root_ / "tokens.safetensors"; }
  std::filesystem::path tokenizer() const { return root_ / "tokenizer.json"; }
  std::filesystem::path latents(const std::string& hookpoint) const { return root_ / "latents" / hookpoint; }
  std::filesystem::path index(const std::string& hookpoint) const { return latents(hookpoint) / "index.safetensors"; }
  std::filesystem::path weights(const std::string& hookpoint) const {
    return latents(hookpoint) / "weights.safetensors";
  }
  std::filesystem::path statistics(const std::string& hookpoint) const {
    return latents(hookpoint) / "statistics.safetensors";
  }
  std::filesystem::path input_output(const std::string& hookpoint) const {
    return latents(hookpoint) / "input-output.safetensors";
  }
  std::filesystem::path embeddings() const { return root_ / "embeddings.safetensors"; }
  std::filesystem::path embedding_replies() const { return root_ / "embeddings.db"; }  // of a server
  std::filesystem::path explanation_embeddings() const { return root_ / "explanation-embeddings.safetensors"; }
  std::filesystem::path results() const { return root_ / "results.db"; }
  std::filesystem::path report() const { return root_ / "report"; }
  std::filesystem::path manifest(const std::string& stage) const { return root_ / "manifests" / (stage + ".json"); }

  /// Hookpoints that have an index, natural order. Errors: bad_input when the run has no finished cache (names the
  /// command).
  std::vector<std::string> hookpoints() const;
  /// `wanted` checked against them; all of them when empty. Errors: usage, unknown hookpoint with the nearest.
  std::vector<std::string> select_hookpoints(const std::vector<std::string>& wanted) const;

 private:
  std::filesystem::path root_;
};

/// What a stage was made from: names and values (fingerprints, settings that change its result).
using Inputs = std::map<std::string, std::string>;
enum class StageState { fresh, started, done };

/// Compares with the manifest of an earlier start. Errors: bad_input when it was made from other inputs: names each
/// with both values, and how to go on.
StageState stage_state(const RunFolder& run, const std::string& stage, const Inputs& inputs);
/// The inputs kept in a manifest. Errors: bad_input when there is none, or it is damaged.
Inputs read_inputs(const RunFolder& run, const std::string& stage);
/// Commits the manifest as started or done.
void write_manifest(const RunFolder& run, const std::string& stage, const Inputs& inputs, bool done);
/// "a: was X, is Y" for each input that differs; "" when none does.
std::string describe_changes(const Inputs& before, const Inputs& now);

}  // namespace gloss::app
