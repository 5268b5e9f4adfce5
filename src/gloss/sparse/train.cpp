#include "gloss/sparse/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/sparse/format.h"
#include "gloss/sparse/shuffled_rows.h"
#include "gloss/sparse/train_files.h"
#include "gloss/sparse/train_optimizer.h"
#include "gloss/sparse/train_step.h"

namespace gloss::sparse {
namespace {

constexpr std::uint64_t kCurveLines = 1000;  // about so many lines in train.csv, whatever the length
constexpr std::uint64_t kMaxDeadAfter = 10'000'000;
constexpr std::uint64_t kMaxWarmup = 1000;

/// Options with their defaults worked out.
struct Plan {
  TrainOptions options;
  std::uint64_t steps = 0, dead_after = 0, warmup = 0, sparsity_warmup = 0, checkpoint_every = 0;
  double rate = 0.0;
  bool transcoder = false;
  Settings settings;

  /// Linear warm-up, then linear to 0; sign descent averages instead. `step` counts from 0.
  double rate_of(std::uint64_t step) const {
    if (options.optimizer == Optimizer::signum) return rate;
    if (step < warmup) return rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
    return rate * static_cast<double>(steps - step) / static_cast<double>(steps - warmup);
  }
  /// The penalty of JumpReLU, after its own linear warm-up.
  Sparsity sparsity_of(std::uint64_t step) const {
    const double share = std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(sparsity_warmup));
    if (options.sparsity > 0.0) return {share * options.sparsity, 0.0, options.bandwidth};
    return {share, static_cast<double>(options.k), options.bandwidth};
  }
  std::uint64_t tokens() const { return steps * options.batch_tokens; }
};

[[noreturn]] void fail_usage(std::string_view what, const std::string& message, std::string_view hint = {}) {
  throw Error(ErrorKind::usage, what, message, hint);
}

std::string_view name_of(Activation activation) {
  switch (activation) {
    case Activation::topk:
      return "topk";
    case Activation::batchtopk:
      return "batchtopk";
    case Activation::jumprelu:
      break;
  }
  return "jumprelu";
}

void check(const TrainOptions& o, const Source& source) {
  if (o.latents < 1) fail_usage("--latents", "is 0, wanted at least 1");
  if (o.k < 1 || o.k > o.latents)
    fail_usage("--k", fmt::format("is {}, wanted 1 to the number of latents, {}", o.k, o.latents));
  if (o.batch_tokens < 2) fail_usage("--batch-tokens", fmt::format("is {}, wanted at least 2", o.batch_tokens));
  if (o.tokens < o.batch_tokens)
    fail_usage("--tokens", fmt::format("{} tokens are not one batch of {}", o.tokens, o.batch_tokens),
               "train on more tokens, or with a smaller --batch-tokens");
  if (!(o.learning_rate >= 0.0) || !std::isfinite(o.learning_rate))
    fail_usage("--learning-rate", fmt::format("is {}, wanted a number from 0 up", o.learning_rate));
  if (!(o.auxk_alpha >= 0.0) || !std::isfinite(o.auxk_alpha))
    fail_usage("--auxk-alpha", fmt::format("is {}, wanted a number from 0 up", o.auxk_alpha));
  if (o.multi_topk && o.activation != Activation::topk)
    fail_usage("--multi-topk", fmt::format("goes with --activation topk only, not with {}", name_of(o.activation)));
  if (o.sparsity != 0.0 && o.activation != Activation::jumprelu)
    fail_usage("--sparsity", fmt::format("goes with --activation jumprelu only, not with {}", name_of(o.activation)),
               "the L0 of TopK and BatchTopK is --k");
  if (!(o.sparsity >= 0.0) || !std::isfinite(o.sparsity))
    fail_usage("--sparsity", fmt::format("is {}, wanted a number from 0 up", o.sparsity));
  if (!(o.bandwidth > 0.0) || !std::isfinite(o.bandwidth))
    fail_usage("--bandwidth", fmt::format("is {}, wanted a number above 0", o.bandwidth));
  if (source.width == 0 || source.rows_per_batch == 0 || !source.batch)
    throw std::invalid_argument("train_coders: the source has no width, rows or batches");
}

Plan plan_of(const TrainOptions& o, const Source& source, const std::string& hookpoint) {
  check(o, source);
  Plan plan;
  plan.options = o;
  plan.transcoder = static_cast<bool>(source.targets);
  plan.steps = o.tokens / o.batch_tokens;
  plan.dead_after = o.dead_after_tokens != 0 ? o.dead_after_tokens : std::min(o.tokens / 20, kMaxDeadAfter);
  // Never all of the steps: the rate must also come down.
  plan.warmup = std::min<std::uint64_t>(o.warmup_steps != 0 ? o.warmup_steps : std::min(kMaxWarmup, plan.steps / 10),
                                        plan.steps - 1);
  const bool signum = o.optimizer == Optimizer::signum;
  plan.rate = o.learning_rate > 0 ? o.learning_rate : default_learning_rate(o, source.width);
  plan.sparsity_warmup =
      o.sparsity_warmup_steps != 0 ? o.sparsity_warmup_steps : std::max<std::uint64_t>(1, plan.steps / 10);
  plan.checkpoint_every = std::max<std::uint64_t>(o.checkpoint_every_tokens / o.batch_tokens, 1);
  plan.settings = {{"latents", std::to_string(o.latents)},
                   {"k", std::to_string(o.k)},
                   {"tokens", std::to_string(plan.tokens())},
                   {"batch tokens", std::to_string(o.batch_tokens)},
                   {"optimizer", signum ? "signum" : "adam"},
                   {"learning rate", fmt::format("{}", plan.rate)},
                   {"warm-up steps", std::to_string(plan.warmup)},
                   {"auxk alpha", fmt::format("{}", o.auxk_alpha)},
                   {"multi-TopK", o.multi_topk ? "yes" : "no"},
                   {"dead after tokens", std::to_string(plan.dead_after)},
                   {"unit decoder rows", o.normalize_decoder && !plan.transcoder ? "yes" : "no"},
                   {"kind", plan.transcoder ? "transcoder" : "autoencoder"},
                   {"width", std::to_string(source.width)},
                   {"seed", std::to_string(o.seed)},
                   {"hookpoint", hookpoint},
                   {"model and text", source.fingerprint}};
  if (o.activation != Activation::topk) plan.settings["activation"] = name_of(o.activation);
  if (o.activation == Activation::jumprelu) {
    plan.settings["sparsity"] = fmt::format("{}", o.sparsity);
    plan.settings["sparsity warm-up steps"] = std::to_string(plan.sparsity_warmup);
    plan.settings["bandwidth"] = fmt::format("{}", o.bandwidth);
  }
  return plan;
}

std::vector<double> column_means(std::span<const float> rows, std::size_t width) {
  std::vector<double> mean(width, 0.0);
  for (std::size_t i = 0; i < rows.size(); ++i) mean[i % width] += double{rows[i]};
  const std::size_t count = rows.size() / width;
  for (double& m : mean) m /= static_cast<double>(count);
  return mean;
}

/// b_dec begins at the mean of the first batch's targets; a transcoder's encoder at zero for the mean input.
void centre_on(TrainState& state, const ShuffledRows::Rows& first) {
  const std::size_t width = state.weights.width();
  const bool transcoder = !first.target.empty();
  const std::vector<double> mean = column_means(transcoder ? first.target : first.input, width);
  std::transform(mean.begin(), mean.end(), state.weights.decoder_bias.begin(),
                 [](double m) { return static_cast<float>(m); });
  if (!transcoder) return;
  const std::vector<double> input = column_means(first.input, width);
  for (std::size_t latent = 0; latent < state.weights.latents(); ++latent) {
    const float* row = state.weights.encoder.data() + latent * width;
    state.weights.encoder_bias[latent] = -static_cast<float>(std::inner_product(input.begin(), input.end(), row, 0.0));
  }
}

CoderData coder_of(const Plan& plan, const TrainState& state) {
  const bool unit_rows = plan.options.normalize_decoder && !plan.transcoder;
  const Parameters weights = plan.options.optimizer == Optimizer::signum
                                 ? signum_result(state, unit_rows, plan.options.threads)
                                 : state.weights;
  const auto copy = [](const AlignedFloats& v) { return std::vector<float>(v.begin(), v.end()); };
  CoderData data;
  data.info.activation = name_of(plan.options.activation);
  data.info.input_width = data.info.output_width = static_cast<std::uint32_t>(state.weights.width());
  data.info.latents = plan.options.latents;
  data.info.k = plan.options.k;
  data.info.transcoder = plan.transcoder;
  data.w_enc = copy(weights.encoder);
  data.b_enc = copy(weights.encoder_bias);
  data.w_dec = copy(weights.decoder);
  data.b_dec = copy(weights.decoder_bias);
  if (plan.options.activation == Activation::batchtopk)
    data.threshold.assign(plan.options.latents, static_cast<float>(state.threshold));
  data.threshold.reserve(weights.log_threshold.size());
  for (const float v : weights.log_threshold) data.threshold.push_back(std::exp(v));
  return data;
}

class Training {
 public:
  Training(const TrainJob& job, Plan plan, Reporter& reporter)
      : folder_(job.folder),
        hookpoint_(job.hookpoint),
        reads_(job.reads),
        plan_(std::move(plan)),
        reporter_(reporter),
        rows_(job.source, plan_.options.batch_tokens, plan_.steps, plan_.options.seed),
        stepper_(plan_.options.latents, job.source.width, plan_.options, plan_.dead_after, plan_.transcoder),
        width_(job.source.width) {
    begin();
    curve_.emplace(folder_ / "train.csv", state_.step);
    first_step_ = state_.step;
  }

  bool done() const { return state_.step >= plan_.steps; }
  std::uint64_t steps_done() const { return state_.step; }
  std::uint64_t tokens_done() const { return state_.step * plan_.options.batch_tokens; }
  std::uint64_t tokens() const { return plan_.tokens(); }

  /// One step, and a checkpoint when it is time. Requires: not done().
  StepStats step() {
    const ShuffledRows::Rows rows = rows_.rows_of(state_.step);
    const StepStats stats = stepper_.step(state_, rows.input, plan_.options.batch_tokens, plan_.rate_of(state_.step),
                                          rows.target, plan_.sparsity_of(state_.step));
    const std::uint64_t every = std::max<std::uint64_t>(1, plan_.steps / kCurveLines);
    if (state_.step % every == 0 || done()) curve_->add(state_.step, tokens_done(), stats, tokens_per_second());
    if (state_.step % plan_.checkpoint_every == 0) save();
    return stats;
  }

  void save() const {
    curve_->save();
    write_checkpoint(folder_, state_, plan_.settings);
  }

  /// Writes the coder. Requires: done().
  TrainResult finish() const {
    save();  // so that an end that fails, on a full disk say, is made up for by running again
    save_coder();
    TrainResult result;
    result.tokens = plan_.tokens();
    result.tokens_per_second = tokens_per_second();
    result.fvu = std::accumulate(state_.recent_fvu.begin(), state_.recent_fvu.end(), 0.0) /
                 static_cast<double>(std::max<std::size_t>(state_.recent_fvu.size(), 1));
    result.dead =
        static_cast<std::uint32_t>(std::count_if(state_.tokens_since_fired.begin(), state_.tokens_since_fired.end(),
                                                 [this](std::uint64_t tokens) { return tokens > plan_.dead_after; }));
    write_result(folder_, plan_.settings, result);
    std::filesystem::remove_all(folder_ / "checkpoint");
    return result;
  }

 private:
  void save_coder() const {
    CoderData data = coder_of(plan_, state_);
    if (plan_.options.activation == Activation::topk) {
      save_sparsify(folder_, data, plan_.options.normalize_decoder && !plan_.transcoder);
      return;
    }
    data.info.hookpoint = hookpoint_;
    data.info.reads = reads_;
    save_saelens(folder_, data);
  }

  void begin() {
    const Activation activation = plan_.options.activation;
    if (std::optional<TrainState> kept =
            read_checkpoint(folder_, plan_.options.latents, width_, activation, plan_.settings)) {
      state_ = std::move(*kept);
      if (state_.step > plan_.steps)
        fail_input((folder_ / "checkpoint").string(), fmt::format("is at step {} of {}", state_.step, plan_.steps));
      reporter_.info(
          fmt::format("going on at token {} of {}", state_.step * plan_.options.batch_tokens, plan_.tokens()));
      return;
    }
    state_ = initial_state(plan_.options.latents, width_, plan_.options.seed, plan_.transcoder, activation);
    const ShuffledRows::Rows first = rows_.rows_of(0);
    centre_on(state_, first);
    if (activation == Activation::jumprelu)
      start_thresholds(state_, first.input, plan_.options.k, plan_.transcoder, plan_.options.threads);
  }

  /// By the clock on the wall, whatever else runs beside it.
  double tokens_per_second() const {
    const auto tokens = static_cast<double>((state_.step - first_step_) * plan_.options.batch_tokens);
    return tokens / std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  std::filesystem::path folder_;
  std::string hookpoint_, reads_;
  Plan plan_;
  Reporter& reporter_;
  ShuffledRows rows_;
  Stepper stepper_;
  std::size_t width_;
  TrainState state_;
  std::optional<Curve> curve_;
  std::uint64_t first_step_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Tokens of all trainings together, and how the one that made the last step is doing.
void report(const std::vector<std::unique_ptr<Training>>& all, const StepStats& stats, Reporter& reporter) {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  for (const auto& training : all) {
    done += training->tokens_done();
    total += training->tokens();
  }
  reporter.progress(
      {"train", done, total, "tokens",
       fmt::format("loss {:.4f}, FVU {:.4f}, dead {}, L0 {:.1f}", stats.loss, stats.fvu, stats.dead, stats.l0)});
}

}  // namespace

double default_learning_rate(const TrainOptions& options, std::uint32_t width) {
  const double root = std::sqrt(static_cast<double>(options.latents) / 16384.0);
  if (options.optimizer == Optimizer::signum) return 5e-3 / root;
  constexpr double kWide = 512.0;
  return 2e-4 / root * std::max(1.0, kWide / width);
}

std::vector<TrainResult> train_coders(const std::vector<TrainJob>& jobs, const TrainOptions& options,
                                      Reporter& reporter) {
  std::vector<TrainResult> results(jobs.size());
  std::vector<std::unique_ptr<Training>> running;
  std::vector<std::size_t> job_of;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    Plan plan = plan_of(options, jobs[i].source, jobs[i].hookpoint);
    if (const std::optional<TrainResult> done = read_result(jobs[i].folder, plan.settings)) {
      reporter.info(fmt::format("{}: already trained, nothing to do", jobs[i].folder.string()));
      results[i] = *done;
      continue;
    }
    std::filesystem::create_directories(jobs[i].folder);
    running.push_back(std::make_unique<Training>(jobs[i], std::move(plan), reporter));
    job_of.push_back(i);
  }
  const auto behind = [](const auto& a, const auto& b) { return a->steps_done() < b->steps_done(); };
  while (!running.empty()) {
    Training& next = **std::min_element(running.begin(), running.end(), behind);
    if (next.done()) break;
    report(running, next.step(), reporter);
    if (!interrupted()) continue;
    for (const auto& training : running) training->save();
    stop_if_interrupted();
  }
  for (std::size_t i = 0; i < running.size(); ++i) results[job_of[i]] = running[i]->finish();
  return results;
}

}  // namespace gloss::sparse
