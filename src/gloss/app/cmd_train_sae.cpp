// gloss train-sae: trains TopK, BatchTopK or JumpReLU coders on the activations of one or several hookpoints, read by
// the same forward passes, and measures them on held-out text.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>

#include "gloss/app/command.h"
#include "gloss/app/model_input.h"
#include "gloss/app/run_folder.h"
#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/base/random.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"
#include "gloss/sparse/train.h"

namespace gloss::app {
namespace {

struct TrainCommand {
  CommonOptions common;
  std::string out;
  std::vector<std::string> hookpoints;
  bool transcode = false;
  std::string optimizer = "adam";
  std::string activation = "topk";
  ModelInput input;
  std::uint64_t train_tokens = 5'000'000;
  std::uint32_t batch = 16;  // contexts a forward pass
  sparse::TrainOptions train;
};

/// The first contexts in shuffled order are held out; training takes the others, round and round.
struct Split {
  std::vector<std::uint32_t> held_out, training;
};
constexpr std::uint32_t kMaxHeldOut = 256;

Split split_contexts(std::uint32_t contexts, std::uint64_t seed) {
  std::vector<std::uint32_t> order(contexts);
  std::iota(order.begin(), order.end(), 0U);
  Random::for_purpose(seed, "train-sae contexts").shuffle(std::span(order));
  const std::uint32_t held = std::clamp(contexts / 20, 1U, kMaxHeldOut);
  return {{order.begin(), order.begin() + held}, {order.begin() + held, order.end()}};
}

/// Tokens of some contexts, one after another: [contexts * ctx_len].
std::vector<TokenId> gather(const text::TokenFile& tokens, std::span<const std::uint32_t> contexts) {
  std::vector<TokenId> ids;
  ids.reserve(contexts.size() * tokens.ctx_len());
  for (const std::uint32_t c : contexts) {
    const auto context = tokens.context(c);
    ids.insert(ids.end(), context.begin(), context.end());
  }
  return ids;
}

struct Trained {
  const TrainCommand& options;
  const text::TokenFile& tokens;
  const model::SubjectModel& subject;
  Split split;
};

/// Where a coder reads, and what it reconstructs: the same for an SAE.
struct Places {
  model::Hookpoint reads, target;
};

/// Activations of several places by batch, one forward pass for all of them. Each is handed out once; what others have
/// not taken yet is kept for them.
class SharedPass {
 public:
  SharedPass(const Trained& trained, std::vector<model::Hookpoint> places)
      : trained_(trained), places_(std::move(places)) {}

  /// Shapes: result [contexts * ctx_len, width].
  std::vector<float> take(std::uint64_t batch, model::Hookpoint place) {
    auto it = kept_.find({batch, place});
    if (it == kept_.end()) {
      run(batch);
      it = kept_.find({batch, place});
    }
    std::vector<float> values = std::move(it->second);
    kept_.erase(it);
    return values;
  }

 private:
  void run(std::uint64_t batch) {
    const std::uint32_t count = trained_.options.batch;
    std::vector<std::uint32_t> contexts(count);
    for (std::uint32_t i = 0; i < count; ++i)
      contexts[i] = trained_.split.training[(batch * count + i) % trained_.split.training.size()];
    const std::vector<model::Tensor> found =
        trained_.subject.activations(gather(trained_.tokens, contexts), count, places_);
    for (std::size_t i = 0; i < places_.size(); ++i) kept_[{batch, places_[i]}] = model::to_host(found[i]);
  }

  const Trained& trained_;
  std::vector<model::Hookpoint> places_;
  std::map<std::pair<std::uint64_t, model::Hookpoint>, std::vector<float>> kept_;
};

/// Lifetime: borrows `pass`.
sparse::Source source_of(const Trained& t, const Places& places, SharedPass& pass) {
  sparse::Source source;
  source.width = t.subject.width(places.target);
  source.rows_per_batch = std::uint64_t{t.options.batch} * t.tokens.ctx_len();
  source.batch = [&pass, reads = places.reads](std::uint64_t batch) { return pass.take(batch, reads); };
  if (places.reads != places.target)
    source.targets = [&pass, target = places.target](std::uint64_t batch) { return pass.take(batch, target); };
  Hasher hash;
  hash.add(t.subject.fingerprint());
  hash.add(t.tokens.fingerprint());
  hash.add(places.target.name());
  if (places.reads != places.target) hash.add(places.reads.name());
  hash.add_number(t.options.batch);
  hash.add_number(t.options.common.seed);
  source.fingerprint = hash.digest_hex();
  return source;
}

/// What the coder does on text it was not trained on.
struct HeldOut {
  double fvu = 0.0, l0 = 0.0;
  double loss_clean = 0.0, loss_spliced = 0.0, loss_zero = 0.0;  // nats per token
  std::uint32_t silent = 0;                                      // latents that never fired there
  std::uint64_t tokens = 0;

  double loss_recovered() const { return (loss_zero - loss_spliced) / (loss_zero - loss_clean); }
};

HeldOut measure(const Trained& t, const Places& p, const sparse::Coder& coder, Reporter& report) {
  HeldOut h;
  std::vector<bool> fired(coder.info().latents, false);
  double batches = 0;
  for (std::size_t first = 0; first < t.split.held_out.size(); first += t.options.batch) {
    const std::size_t count = std::min<std::size_t>(t.options.batch, t.split.held_out.size() - first);
    const std::vector<TokenId> ids = gather(t.tokens, std::span(t.split.held_out).subspan(first, count));
    const auto batch = static_cast<std::uint32_t>(count);
    const std::vector<model::Hookpoint> places = {p.reads, p.target};
    const std::vector<model::Tensor> found = t.subject.activations(ids, batch, places);
    const model::Tensor& x = found[0];
    const sparse::Encoded encoded = coder.encode(x);
    h.fvu += coder.fvu(x, found[1], encoded);
    for (std::size_t i = 0; i < encoded.value.size(); ++i) {
      if (encoded.value[i] <= 0) continue;
      h.l0 += 1;
      fired[encoded.latent[i]] = true;
    }
    const std::vector<float> zeros(static_cast<std::size_t>(x.rows() * x.columns()), 0.0F);
    const auto spliced = [&](const model::Tensor& value) {
      const model::Edit edit{p.target, model::Edit::How::replace, value};
      return t.subject.logits(ids, batch, std::span(&edit, 1));
    };
    const auto loss = [&](const model::Tensor& logits) { return model::SubjectModel::mean_loss(logits, ids, batch); };
    h.loss_clean += loss(t.subject.logits(ids, batch));
    h.loss_spliced += loss(spliced(coder.decode(encoded, x.rows())));
    h.loss_zero += loss(spliced(model::from_host(zeros, x.rows(), x.columns())));
    h.tokens += ids.size();
    batches += 1;
    report.progress({"measure", h.tokens, t.split.held_out.size() * t.tokens.ctx_len(), "tokens", ""});
  }
  h.fvu /= batches;
  h.l0 /= static_cast<double>(h.tokens);
  h.loss_clean /= batches;
  h.loss_spliced /= batches;
  h.loss_zero /= batches;
  h.silent = static_cast<std::uint32_t>(std::count(fired.begin(), fired.end(), false));
  return h;
}

struct ActivationRow {
  const char* name;
  sparse::Activation activation;
};
constexpr std::array<ActivationRow, 3> kActivations{{{"topk", sparse::Activation::topk},
                                                     {"batchtopk", sparse::Activation::batchtopk},
                                                     {"jumprelu", sparse::Activation::jumprelu}}};

sparse::Activation activation_of(const std::string& name) {
  std::vector<std::string> known;
  for (const ActivationRow& row : kActivations) {
    if (name == row.name) return row.activation;
    known.emplace_back(row.name);
  }
  fail_unknown_name("activation", name, known);
}

std::vector<Places> places_of(const TrainCommand& o, const model::SubjectModel& subject) {
  std::vector<Places> all;
  for (const std::string& name : o.hookpoints) {
    const model::Hookpoint target = subject.hookpoint(name);
    const Places places{o.transcode ? model::input_of(target) : target, target};
    if (subject.width(places.reads) != subject.width(target))
      throw Error(ErrorKind::usage, "--hookpoint",
                  fmt::format("'{}' has width {}, its input {}: a coder with two widths cannot be trained", name,
                              subject.width(target), subject.width(places.reads)));
    for (const Places& other : all) {
      if (other.target == target)
        throw Error(ErrorKind::usage, "--hookpoint", fmt::format("'{}' is given twice", name));
    }
    all.push_back(places);
  }
  return all;
}

std::string describe(const TrainCommand& o) {
  switch (o.train.activation) {
    case sparse::Activation::topk:
      return fmt::format("K = {}", o.train.k);
    case sparse::Activation::batchtopk:
      return fmt::format("batchtopk, K = {}", o.train.k);
    case sparse::Activation::jumprelu:
      break;
  }
  return o.train.sparsity > 0 ? fmt::format("jumprelu, sparsity {}", o.train.sparsity)
                              : fmt::format("jumprelu, held near L0 = {}", o.train.k);
}

void print_result(Context& context, const std::filesystem::path& folder, const TrainCommand& o,
                  const sparse::TrainResult& result, const HeldOut& h) {
  context.out << fmt::format(
      "coder              {}\n"
      "latents            {}, {}\n"
      "training tokens    {} ({} tokens/s)\n"
      "held-out FVU       {:.4f} (over {} tokens; training text {:.4f})\n"
      "L0                 {:.2f}\n"
      "dead latents       {} ({:.1f} %) at the end of training; {} silent on the held-out text\n"
      "loss recovered     {:.4f} (clean {:.4f}, spliced {:.4f}, zeroed {:.4f} nats a token)\n",
      folder.string(), o.train.latents, describe(o), result.tokens, format_count(result.tokens_per_second), h.fvu,
      h.tokens, result.fvu, h.l0, result.dead, 100.0 * result.dead / o.train.latents, h.silent, h.loss_recovered(),
      h.loss_clean, h.loss_spliced, h.loss_zero);
}

int train(TrainCommand o, Context& context) {
  model::set_threads(o.common.thread_count());
  if (o.optimizer != "adam" && o.optimizer != "signum")
    fail_unknown_name("optimizer", o.optimizer, std::vector<std::string>{"adam", "signum"});
  o.train.activation = activation_of(o.activation);
  const model::SubjectModel subject = model::SubjectModel::load(o.input.model, {o.common.device, o.common.dtype});
  const std::vector<Places> all = places_of(o, subject);
  // No more text than one pass of training and the held-out part can use.
  o.input.tokens = o.train_tokens + o.train_tokens / 10 + std::uint64_t{kMaxHeldOut} * o.input.ctx_len;
  const RunFolder work(std::filesystem::path(o.out) / "text");
  std::filesystem::create_directories(work.root());
  const text::TokenFile tokens = tokens_of_run(o.input, o.common, work, context.reporter);
  if (tokens.context_count() < 2)
    fail_input(o.input.text.front(), fmt::format("gives {} contexts, wanted 2 or more", tokens.context_count()),
               "give more text, or a smaller --ctx-len");
  const Trained trained{o, tokens, subject, split_contexts(tokens.context_count(), o.common.seed)};
  o.train.tokens = o.train_tokens;
  o.train.seed = o.common.seed;
  o.train.threads = o.common.thread_count();
  o.train.optimizer = o.optimizer == "signum" ? sparse::Optimizer::signum : sparse::Optimizer::adam;

  std::vector<model::Hookpoint> read;
  for (const Places& places : all) {
    read.push_back(places.reads);
    if (places.reads != places.target) read.push_back(places.target);
  }
  SharedPass pass(trained, read);
  std::vector<sparse::TrainJob> jobs;
  jobs.reserve(all.size());
  for (const Places& places : all)
    jobs.push_back({std::filesystem::path(o.out) / places.target.name(), places.target.name(),
                    source_of(trained, places, pass), places.reads.name()});
  const std::vector<sparse::TrainResult> results = sparse::train_coders(jobs, o.train, context.reporter);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const sparse::Coder coder = sparse::Coder::load(jobs[i].folder, {.device = o.common.device});
    print_result(context, jobs[i].folder, o, results[i], measure(trained, all[i], coder, context.reporter));
  }
  return kDone;
}

}  // namespace

Runner setup_train_sae(CLI::App& cli) {
  auto o = std::make_shared<TrainCommand>();
  cli.add_option("out", o->out,
                 "folder for the coder: OUT/HOOKPOINT/cfg.json and sae.safetensors (topk: sparsify's layout) or "
                 "sae_weights.safetensors (others: SAELens' jumprelu)")
      ->required();
  cli.add_option("--hookpoint", o->hookpoints,
                 "where to train, e.g. layers.5, layers.5.mlp, layers.5.attn; several share each forward pass")
      ->required();
  cli.add_flag("--transcode", o->transcode,
               "train transcoders: from the input of the hookpoint's module to its output");
  add_model_input(cli, o->input, false);
  add_quantity(cli, "--tokens", o->train_tokens, "tokens to train on; the text is gone round as often as needed");
  cli.add_option("--latents", o->train.latents, "latents (F)")->check(CLI::Range(1U, 1U << 24));
  cli.add_option("--activation", o->activation,
                 "topk: the K largest of each token; batchtopk: the K largest a token of a whole batch, later a "
                 "threshold; jumprelu: above thresholds that are learned, one a latent");
  cli.add_option("--k", o->train.k,
                 "active latents a token (K); batchtopk: in the mean; jumprelu: in the mean, where training starts and "
                 "without --sparsity also where it is held")
      ->check(CLI::Range(1, 4096));
  cli.add_option("--sparsity", o->train.sparsity,
                 "jumprelu: lambda of the penalty lambda * L0 beside the FVU: begin at 0.001, more of it gives a lower "
                 "L0; 0 = (L0 / K - 1)^2 instead, which holds L0 near --k");
  cli.add_option("--sparsity-warmup", o->train.sparsity_warmup_steps,
                 "jumprelu: steps in which the penalty grows to its full weight; 0 = a tenth of the steps");
  cli.add_option("--bandwidth", o->train.bandwidth,
                 "jumprelu: how near a threshold a value must be to move it, in root mean squares of the activations' "
                 "distance from their mean; the paper's 0.001 needs very long trainings");
  cli.add_option("--batch", o->batch, "contexts a forward pass")->check(CLI::Range(1, 4096));
  cli.add_option("--batch-tokens", o->train.batch_tokens, "tokens an optimizer step")->check(CLI::Range(1, 1 << 20));
  cli.add_option("--optimizer", o->optimizer,
                 "adam; or signum: schedule-free descent along the gradient's sign, with a constant rate");
  cli.add_option("--learning-rate,--lr", o->train.learning_rate,
                 "0 = 2e-4 / sqrt(latents / 2^14), times 512 / width where the hookpoint is narrower than 512; with "
                 "signum 5e-3 / sqrt(latents / 2^14) at any width");
  cli.add_option("--warmup-steps", o->train.warmup_steps, "0 = the smaller of 1000 and a tenth of the steps");
  cli.add_option("--auxk-alpha", o->train.auxk_alpha, "weight of the auxiliary loss against dead latents");
  cli.add_flag("--multi-topk", o->train.multi_topk,
               "topk: the loss also counts the FVU with 4 K latents, weight 1/8: K may then be raised after training");
  add_quantity(cli, "--dead-after", o->train.dead_after_tokens,
               "tokens of silence that make a latent dead; 0 = 5 % of the tokens, at most 10M");
  add_quantity(cli, "--checkpoint-every", o->train.checkpoint_every_tokens, "tokens between checkpoints");
  add_seed(cli, o->common);
  add_threads(cli, o->common);
  add_device(cli, o->common);
  return [o](Context& context) { return train(*o, context); };
}

}  // namespace gloss::app
