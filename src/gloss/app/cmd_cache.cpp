// gloss cache: text -> tokens -> activations -> firings -> the activation index of every hookpoint.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "gloss/app/command.h"
#include "gloss/app/model_input.h"
#include "gloss/app/run_folder.h"
#include "gloss/app/settings.h"
#include "gloss/app/version.h"
#include "gloss/app/weights_stage.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/index/reader.h"
#include "gloss/index/writer.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"

namespace gloss::app {
namespace {

struct CacheOptions {
  CommonOptions common;
  std::string run;
  std::string sae;
  std::vector<std::string> hookpoints;
  ModelInput input;
  std::uint64_t memory = std::uint64_t{1} << 30;
  std::uint32_t batch = 32;
  std::string activations = "auto";
  bool no_weights = false;
};

/// One hookpoint being cached: its coder, where that reads, where its firings go.
struct Cached {
  std::string hookpoint;
  sparse::Coder coder;
  model::Hookpoint reads, reconstructs;
  std::unique_ptr<index::Writer> writer;  // null when this index is already complete
};

/// FVU and L0 over the first batches: the quickest sign of a coder that does not belong to this model or hookpoint.
struct Quality {
  double fvu_sum = 0.0;
  std::uint64_t batches = 0, kept = 0, rows = 0;

  double fvu() const { return fvu_sum / static_cast<double>(batches); }
  double l0() const { return static_cast<double>(kept) / static_cast<double>(rows); }
};
constexpr std::uint64_t kQualityBatches = 8;
constexpr double kSuspectFvu = 0.8;
/// Contexts between saves of what is buffered: an interrupted cache repeats less than that.
constexpr std::uint32_t kCheckpointTokens = 4'000'000;

std::vector<Cached> load_coders(const CacheOptions& o, const model::SubjectModel& subject) {
  std::vector<std::string> names = o.hookpoints;
  if (names.empty()) names = sparse::Coder::hookpoints(o.sae);
  if (names.empty())
    throw Error(ErrorKind::usage, o.sae, "is one coder, and does not say where in the model it belongs",
                "name its place with --hookpoint, for example --hookpoint layers.5");
  std::vector<Cached> all;
  for (const std::string& name : names) {
    const model::Hookpoint place = subject.hookpoint(name);
    sparse::Coder coder = sparse::Coder::load(sparse::Coder::find(o.sae, name), o.common.device);
    const model::Hookpoint reads = coder.info().transcoder ? model::input_of(place) : place;
    if (coder.info().input_width != subject.width(reads))
      fail_input(o.sae,
                 fmt::format("the coder for {} reads vectors of width {}, but the model gives {} there", name,
                             coder.info().input_width, subject.width(reads)),
                 "is it a coder of another model or hookpoint?");
    all.push_back({place.name(), std::move(coder), reads, place, nullptr});
  }
  return all;
}

Inputs inputs_of(const CacheOptions& o, const text::TokenFile& tokens, const model::SubjectModel& subject,
                 const Cached& cached) {
  return {{"tokens", tokens.fingerprint()},
          {"model", subject.fingerprint()},
          {"coder", cached.coder.fingerprint()},
          {"hookpoint", cached.hookpoint},
          {"activations", o.activations}};
}

std::string stage_name(const Cached& cached) { return "cache-" + cached.hookpoint; }

/// Whether this hookpoint's index is complete. An index in place whose manifest does not say so (the command was killed
/// between the two commits) counts when it was made from the same things.
bool is_cached(const CacheOptions& o, const RunFolder& run, const text::TokenFile& tokens,
               const model::SubjectModel& subject, const Cached& cached) {
  const Inputs inputs = inputs_of(o, tokens, subject, cached);
  const StageState state = stage_state(run, stage_name(cached), inputs);
  if (state == StageState::done) return true;
  if (state == StageState::fresh || !std::filesystem::exists(run.index(cached.hookpoint))) return false;
  const auto metadata = index::Reader::open(run.index(cached.hookpoint)).metadata();
  const auto is = [&](const char* key, const std::string& value) {
    const auto it = metadata.find(key);
    return it != metadata.end() && it->second == value;
  };
  if (!is("tokens_fingerprint", tokens.fingerprint()) || !is("coder_fingerprint", cached.coder.fingerprint()) ||
      !is("model_fingerprint", subject.fingerprint()))
    return false;
  write_manifest(run, stage_name(cached), inputs, true);
  return true;
}

index::WriterOptions writer_options(const CacheOptions& o, const text::TokenFile& tokens,
                                    const model::SubjectModel& subject, const Cached& cached, std::size_t share) {
  const sparse::CoderInfo& info = cached.coder.info();
  index::WriterOptions w;
  w.hookpoint = cached.hookpoint;
  w.latent_count = info.latents;
  w.ctx_len = tokens.ctx_len();
  w.memory_bytes = o.memory / share;
  w.full_precision = o.activations == "f32";
  w.metadata = {{"model", std::filesystem::path(o.input.model).filename().string()},
                {"model_fingerprint", subject.fingerprint()},
                {"coder_format", info.format},
                {"coder_activation", fmt::format("{} k={}", info.activation, info.k)},
                {"coder_fingerprint", cached.coder.fingerprint()},
                {"tokens_fingerprint", tokens.fingerprint()},
                {"gloss_version", version_short()}};
  return w;
}

/// Firings of a batch that begins at `first_position`, special tokens left out.
void collect_firings(const sparse::Encoded& encoded, std::span<const TokenId> ids, const std::vector<bool>& special,
                     std::uint64_t first_position, std::vector<index::Firing>& out) {
  out.clear();
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (special[to_index(ids[row])]) continue;
    for (std::size_t j = row * encoded.k; j < (row + 1) * encoded.k; ++j) {
      if (encoded.value[j] > 0)
        out.push_back({encoded.latent[j], static_cast<std::uint32_t>(first_position + row), encoded.value[j]});
    }
  }
}

void report_quality(const Cached& cached, const Quality& q, Reporter& report) {
  const std::string facts =
      fmt::format("{}: FVU {:.3f}, L0 {:.1f} over the first {} tokens", cached.hookpoint, q.fvu(), q.l0(), q.rows);
  report.info(facts);
  if (q.fvu() > kSuspectFvu)
    report.warn(
        fmt::format("warning: {} explains little of this hookpoint's variance (FVU above {}): another model, "
                    "hookpoint or scaling?",
                    cached.hookpoint, kSuspectFvu));
}

struct Pass {
  const CacheOptions& options;
  const text::TokenFile& tokens;
  const model::SubjectModel& subject;
  std::vector<Cached>& cached;
  std::vector<bool> special;
  Reporter& report;
};

std::vector<model::Hookpoint> places_of(const std::vector<Cached>& cached) {
  std::vector<model::Hookpoint> places;
  for (const Cached& c : cached) {
    if (!c.writer) continue;
    places.push_back(c.reads);
    places.push_back(c.reconstructs);
  }
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

/// Encodes contexts [first, first + count) for every hookpoint that still needs them.
void encode_batch(Pass& pass, std::uint32_t first, std::uint32_t count, std::span<const model::Hookpoint> places,
                  std::vector<Quality>& quality, std::vector<index::Firing>& firings) {
  const std::uint32_t ctx_len = pass.tokens.ctx_len();
  const std::uint64_t begin = std::uint64_t{first} * ctx_len;
  const std::uint64_t end = begin + std::uint64_t{count} * ctx_len;
  const auto ids = pass.tokens.tokens().subspan(begin, end - begin);
  const std::vector<model::Tensor> activations = pass.subject.activations(ids, count, places);
  const auto at = [&](model::Hookpoint place) -> const model::Tensor& {
    return activations[static_cast<std::size_t>(std::lower_bound(places.begin(), places.end(), place) -
                                                places.begin())];
  };
  for (std::size_t i = 0; i < pass.cached.size(); ++i) {
    Cached& c = pass.cached[i];
    if (!c.writer || c.writer->resume_position() >= end) continue;
    const model::Tensor& x = at(c.reads);
    const sparse::Encoded encoded = c.coder.encode(x);
    if (quality[i].batches < kQualityBatches) {
      Quality& q = quality[i];
      q.fvu_sum += c.coder.fvu(x, at(c.reconstructs), encoded);
      q.kept += static_cast<std::uint64_t>(
          std::count_if(encoded.value.begin(), encoded.value.end(), [](float v) { return v > 0; }));
      q.rows += ids.size();
      if (++q.batches == kQualityBatches) report_quality(c, q, pass.report);
    }
    collect_firings(encoded, ids, pass.special, begin, firings);
    std::erase_if(firings, [&](const index::Firing& f) { return f.position < c.writer->resume_position(); });
    c.writer->append(firings, end);
  }
}

void run_pass(Pass& pass) {
  const std::uint32_t contexts = pass.tokens.context_count();
  const std::uint32_t ctx_len = pass.tokens.ctx_len();
  std::uint64_t resume = pass.tokens.token_count();
  for (const Cached& c : pass.cached) {
    if (c.writer) resume = std::min(resume, c.writer->resume_position());
  }
  auto first = static_cast<std::uint32_t>(resume / ctx_len);
  if (first > 0) pass.report.info(fmt::format("going on at token {}", format_count(static_cast<double>(resume))));
  const std::vector<model::Hookpoint> places = places_of(pass.cached);
  std::vector<Quality> quality(pass.cached.size());
  std::vector<index::Firing> firings;
  std::uint64_t since_checkpoint = 0;
  const auto checkpoint = [&] {
    for (Cached& c : pass.cached) {
      if (c.writer) c.writer->checkpoint();
    }
    since_checkpoint = 0;
  };
  while (first < contexts) {
    if (interrupted()) checkpoint();
    stop_if_interrupted();
    const std::uint32_t count = std::min(pass.options.batch, contexts - first);
    encode_batch(pass, first, count, places, quality, firings);
    first += count;
    since_checkpoint += std::uint64_t{count} * ctx_len;
    if (since_checkpoint >= kCheckpointTokens) checkpoint();
    pass.report.progress({"cache", std::uint64_t{first} * ctx_len, pass.tokens.token_count(), "tokens", ""});
  }
  for (std::size_t i = 0; i < quality.size(); ++i) {
    if (quality[i].batches > 0 && quality[i].batches < kQualityBatches)
      report_quality(pass.cached[i], quality[i], pass.report);
  }
}

void report_index(const index::Reader& reader, Reporter& report) {
  std::uint32_t dead = 0;
  std::uint64_t firings = 0;
  for (std::uint32_t f = 0; f < reader.latent_count(); ++f) {
    dead += reader.count(LatentId{f}) == 0 ? 1 : 0;
    firings += reader.count(LatentId{f});
  }
  const std::uint64_t indexed = reader.token_count() - reader.excluded_token_count();
  report.info(fmt::format("{}: {} latents, {} dead, {} firings at {} tokens ({} special tokens left out)",
                          reader.hookpoint(), reader.latent_count(), dead, format_count(static_cast<double>(firings)),
                          format_count(static_cast<double>(indexed)), reader.excluded_token_count()));
}

/// What latents write and which are near, of every hookpoint that lacks it; false when none did.
bool add_weights(const CacheOptions& o, const RunFolder& run, const text::TokenFile& tokens,
                 const model::SubjectModel& subject, const std::vector<Cached>& cached, Reporter& report) {
  bool any = false;
  for (const Cached& c : cached) {
    if (o.no_weights) break;
    any |=
        make_latent_weights({run, subject, c.coder, c.reconstructs, tokens, o.common.thread_count(), o.memory}, report);
  }
  return any;
}

int cache(const CacheOptions& o, const CLI::App& cli, Context& context) {
  if (o.activations != "auto" && o.activations != "f32")
    throw Error(ErrorKind::usage, "--activations", fmt::format("'{}' is not auto or f32", o.activations));
  const RunFolder run(o.run);
  std::filesystem::create_directories(run.root());
  model::set_threads(o.common.thread_count());
  const model::SubjectModel subject = model::SubjectModel::load(o.input.model, {o.common.device, o.common.dtype});
  std::vector<Cached> cached = load_coders(o, subject);
  const text::TokenFile tokens = tokens_of_run(o.input, o.common, run, context.reporter);

  std::vector<Cached*> pending;
  for (Cached& c : cached) {
    if (!is_cached(o, run, tokens, subject, c)) pending.push_back(&c);
  }
  save_settings(run, "cache", cli);
  if (pending.empty()) {
    if (!add_weights(o, run, tokens, subject, cached, context.reporter))
      context.reporter.info(fmt::format("{}: already cached, nothing to do", o.run));
    return kDone;
  }
  const text::Tokenizer tokenizer = text::Tokenizer::load(run.tokenizer());
  for (Cached* c : pending) {
    write_manifest(run, stage_name(*c), inputs_of(o, tokens, subject, *c), false);
    std::filesystem::create_directories(run.latents(c->hookpoint));
    c->writer = std::make_unique<index::Writer>(run.latents(c->hookpoint),
                                                writer_options(o, tokens, subject, *c, pending.size()));
  }
  Pass pass{o, tokens, subject, cached, special_tokens(tokenizer, subject.config().vocabulary), context.reporter};
  run_pass(pass);

  const auto excluded = static_cast<std::uint64_t>(std::count_if(
      tokens.tokens().begin(), tokens.tokens().end(), [&](TokenId id) { return pass.special[to_index(id)]; }));
  for (Cached* c : pending) {
    c->writer->finish(tokens.token_count(), excluded, context.reporter);
    c->writer.reset();
    write_manifest(run, stage_name(*c), inputs_of(o, tokens, subject, *c), true);
    report_index(index::Reader::open(run.index(c->hookpoint)), context.reporter);
  }
  add_weights(o, run, tokens, subject, cached, context.reporter);
  return kDone;
}

}  // namespace

Runner setup_cache(CLI::App& cli) {
  auto o = std::make_shared<CacheOptions>();
  cli.add_option("run", o->run, "run folder, made when missing")->required();
  cli.add_option("--sae", o->sae, "coder folder, or a folder with one coder per hookpoint")->required();
  cli.add_option("--hookpoint", o->hookpoints,
                 "hookpoint, e.g. layers.5, layers.5.mlp, layers.5.attn; all that --sae has by default");
  add_model_input(cli, o->input);
  add_quantity(cli, "--memory", o->memory, "memory for firings before they are spilled to disk, in bytes");
  cli.add_option("--batch", o->batch, "contexts a forward pass")->check(CLI::Range(1, 4096));
  cli.add_option("--activations", o->activations, "auto (f16, f32 where a value leaves its range) or f32");
  cli.add_flag("--no-weights", o->no_weights,
               "leave out what latents write and which are near (added by the same command without)");
  add_seed(cli, o->common);
  add_threads(cli, o->common);
  add_device(cli, o->common);
  return [o, &cli](Context& context) { return cache(*o, cli, context); };
}

}  // namespace gloss::app
