// gloss cache: text -> tokens -> activations -> firings -> the activation index of every hookpoint.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "gloss/app/coder_input.h"
#include "gloss/app/command.h"
#include "gloss/app/firing_selection.h"
#include "gloss/app/job_file.h"
#include "gloss/app/model_input.h"
#include "gloss/app/run_folder.h"
#include "gloss/app/settings.h"
#include "gloss/app/shards.h"
#include "gloss/app/statistics_stage.h"
#include "gloss/app/version.h"
#include "gloss/app/weights_stage.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/formats/checked_json.h"
#include "gloss/index/reader.h"
#include "gloss/index/writer.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"

namespace gloss::app {
namespace {

/// A part of the contexts, number 1 to count.
struct Shard {
  std::uint32_t number = 1, count = 1, first = 0, last = 0;
};

struct CacheOptions {
  CommonOptions common;
  std::string run;
  CoderInput sae;
  std::vector<std::string> hookpoints;
  ModelInput input;
  std::uint64_t memory = std::uint64_t{1} << 30;
  std::uint32_t batch = 32;
  std::string activations = "auto";
  FiringSelection selection;
  std::string shard;  // "" or "I/N"
  bool no_weights = false;
  bool json = false;
};

/// Contexts [first, last) of `contexts`: all of them, or the part that --shard names.
Shard shard_of(const CacheOptions& o, std::uint32_t contexts) {
  if (o.shard.empty()) return {0, 1, 0, contexts};
  Shard shard;
  char slash = 0;
  std::istringstream in(o.shard);
  if (!(in >> shard.number >> slash >> shard.count) || slash != '/' || !in.eof() || shard.number < 1 ||
      shard.number > shard.count)
    throw Error(ErrorKind::usage, "--shard", fmt::format("is '{}', wanted I/N with I from 1 to N", o.shard),
                "for example --shard 2/8 in the second of eight jobs");
  if (const std::uint64_t batches = batches_of(contexts, o.batch); shard.count > batches)
    throw Error(ErrorKind::usage, "--shard",
                fmt::format("asks for {} parts of {} contexts, which are {} batches of {}", shard.count, contexts,
                            batches, o.batch),
                "take fewer parts, or a smaller --batch in all of them");
  shard.first = static_cast<std::uint32_t>(shard_end(contexts, o.batch, shard.number - 1, shard.count));
  shard.last = static_cast<std::uint32_t>(shard_end(contexts, o.batch, shard.number, shard.count));
  return shard;
}

/// One hookpoint being cached: its coder, where that reads, where its firings go.
struct Cached {
  std::string hookpoint;
  sparse::Coder coder;
  model::Hookpoint reads, reconstructs;
  KeptFirings kept;
  std::unique_ptr<index::Writer> writer;  // null when this index is already complete
};

/// Tokens on which a coder's fit is measured before anything is cached: FVU, L0 and the input's norm are the quickest
/// sign of one that does not belong to this model or hookpoint.
constexpr std::uint64_t kMeasuredTokens = 8192;
/// Contexts between saves of what is buffered: an interrupted cache repeats less than that.
constexpr std::uint32_t kCheckpointTokens = 4'000'000;

std::vector<Cached> load_coders(const CacheOptions& o, const model::SubjectModel& subject, Reporter& report) {
  std::vector<Cached> all;
  for (PlacedCoder& placed : place_coders(o.sae, o.hookpoints, subject, o.common.device, report)) {
    KeptFirings kept(o.selection, placed.hookpoint, placed.coder.info().latents, o.common.seed);
    if (kept.none()) {
      report.info(fmt::format("{}: left out, --latents names none of it", placed.hookpoint));
      continue;
    }
    all.push_back(
        {placed.hookpoint, std::move(placed.coder), placed.reads, placed.reconstructs, std::move(kept), nullptr});
  }
  if (all.empty())
    throw Error(ErrorKind::usage, "--latents",
                fmt::format("'{}' names no latent of any hookpoint", o.selection.latents));
  return all;
}

Inputs inputs_of(const CacheOptions& o, const text::TokenFile& tokens, const model::SubjectModel& subject,
                 const Cached& cached) {
  Inputs inputs = {{"tokens", tokens.fingerprint()},
                   {"model", subject.fingerprint()},
                   {"coder", cached.coder.fingerprint()},
                   {"hookpoint", cached.hookpoint},
                   {"activations", o.activations}};
  if (!o.shard.empty()) inputs["shard"] = o.shard;
  inputs.insert(cached.kept.settings().begin(), cached.kept.settings().end());
  return inputs;
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
  for (const auto& [key, value] : cached.kept.settings()) {
    if (!is(key.c_str(), value)) return false;
  }
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
  // The parts of a sharded cache are exact, so that what is merged of them is what one process would write.
  w.full_precision = o.activations == "f32" || !o.shard.empty();
  w.metadata = {{"model", std::filesystem::path(o.input.model).filename().string()},
                {"model_fingerprint", subject.fingerprint()},
                {"coder_format", info.format},
                {"coder_activation", info.k == 0 ? info.activation : fmt::format("{} k={}", info.activation, info.k)},
                {"coder_fingerprint", cached.coder.fingerprint()},
                {"tokens_fingerprint", tokens.fingerprint()},
                {"gloss_version", version_short()}};
  w.metadata.insert(cached.kept.settings().begin(), cached.kept.settings().end());
  w.cached = cached.kept.latents();
  if (!o.shard.empty()) {
    w.metadata[kShardKey] = o.shard;
    w.metadata[kShardBatchKey] = std::to_string(o.batch);
    w.metadata[kShardActivationsKey] = o.activations;
  }
  return w;
}

struct Pass {
  const CacheOptions& options;
  const text::TokenFile& tokens;
  const model::SubjectModel& subject;
  std::vector<Cached>& cached;
  std::vector<bool> special;
  Shard shard;
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

/// Contexts [first, first + count), and what the model computes of them. Shapes: ids [count * ctx_len].
struct Batch {
  std::uint64_t begin = 0;
  std::span<const TokenId> ids;
  std::vector<model::Tensor> activations;
  std::span<const model::Hookpoint> places;

  Batch(const Pass& pass, std::uint32_t first, std::uint32_t count, std::span<const model::Hookpoint> at)
      : begin(std::uint64_t{first} * pass.tokens.ctx_len()),
        ids(pass.tokens.tokens().subspan(begin, std::size_t{count} * pass.tokens.ctx_len())),
        activations(pass.subject.activations(ids, count, at)),
        places(at) {}
  const model::Tensor& at(model::Hookpoint place) const {
    return activations[static_cast<std::size_t>(std::lower_bound(places.begin(), places.end(), place) -
                                                places.begin())];
  }
};

std::filesystem::path fit_file(const RunFolder& run, const Cached& c) {
  return run.latents(c.hookpoint) / "coder.json";
}

void report_fit(const RunFolder& run, const Cached& c, const sparse::Fit& fit, Reporter& report) {
  report.info(describe_line(c.hookpoint, c.coder.info(), fit));
  for (const std::string& doubt : doubts(c.coder.info(), fit))
    report.warn(fmt::format("warning: {}: {}", c.hookpoint, doubt));
  write_file(fit_file(run, c), formats::checked_json_text(describe(c.coder.info(), fit)));
}

/// Measures every coder on the first tokens, special ones left out, always the same ones however often the command was
/// stopped: a pass of its own, which costs little beside the whole.
void measure_fits(Pass& pass, const RunFolder& run) {
  std::vector<const Cached*> unmeasured;
  for (const Cached& c : pass.cached) {
    if (c.writer && !std::filesystem::exists(fit_file(run, c))) unmeasured.push_back(&c);
  }
  if (unmeasured.empty()) return;
  const std::vector<model::Hookpoint> places = places_of(pass.cached);
  std::vector<sparse::Fit> fits(unmeasured.size());
  std::uint64_t tokens = 0;
  for (std::uint32_t first = 0; first < pass.tokens.context_count() && tokens < kMeasuredTokens;) {
    stop_if_interrupted();
    const std::uint32_t count = std::min(pass.options.batch, pass.tokens.context_count() - first);
    const Batch batch(pass, first, count, places);
    std::vector<bool> counted(batch.ids.size());
    for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = !pass.special[to_index(batch.ids[i])];
    for (std::size_t i = 0; i < fits.size(); ++i) {
      const Cached& c = *unmeasured[i];
      const model::Tensor& x = batch.at(c.reads);
      fits[i] += c.coder.fit(x, batch.at(c.reconstructs), c.coder.encode(x), counted);
    }
    first += count;
    tokens += batch.ids.size();
  }
  for (std::size_t i = 0; i < fits.size(); ++i) report_fit(run, *unmeasured[i], fits[i], pass.report);
}

/// What contexts [first, first + count) encode to, for every hookpoint that still needs them.
struct EncodedBatch {
  std::uint32_t count = 0;
  std::uint64_t begin = 0, end = 0;
  std::span<const TokenId> ids;
  std::vector<std::optional<sparse::Encoded>> of;  // [cached]
};

/// Model and coders. Shapes: resume [cached]. Threads: beside keep_batch() of an earlier batch.
EncodedBatch encode_batch(const Pass& pass, std::uint32_t first, std::span<const model::Hookpoint> places,
                          const std::vector<std::uint64_t>& resume) {
  const std::uint32_t count = std::min(pass.options.batch, pass.shard.last - first);
  const Batch batch(pass, first, count, places);
  EncodedBatch encoded{count, batch.begin, batch.begin + batch.ids.size(), batch.ids, {}};
  for (std::size_t i = 0; i < pass.cached.size(); ++i) {
    const bool wanted = resume[i] < encoded.end;
    encoded.of.push_back(wanted ? std::optional(pass.cached[i].coder.encode(batch.at(pass.cached[i].reads)))
                                : std::nullopt);
  }
  return encoded;
}

void keep_batch(Pass& pass, const EncodedBatch& batch, const std::vector<std::uint64_t>& resume,
                std::vector<index::Firing>& firings, std::vector<index::Firing>& at_special) {
  for (std::size_t i = 0; i < pass.cached.size(); ++i) {
    if (!batch.of[i]) continue;
    Cached& c = pass.cached[i];
    c.kept.collect(*batch.of[i], batch.ids, pass.special, batch.begin, resume[i], firings, at_special);
    c.writer->append(firings, batch.end, at_special);
  }
}

void run_pass(Pass& pass) {
  const std::uint32_t contexts = pass.shard.last;
  const std::uint32_t ctx_len = pass.tokens.ctx_len();
  const std::uint64_t done = std::uint64_t{contexts} * ctx_len;
  std::vector<std::uint64_t> resumes;  // where each hookpoint goes on; those that are complete need nothing
  for (const Cached& c : pass.cached) resumes.push_back(c.writer ? c.writer->resume_position() : done);
  const std::uint64_t resume = std::min(done, *std::min_element(resumes.begin(), resumes.end()));
  const std::uint32_t begin = pass.shard.first;
  // Batches begin where they would have: a product's last bits may depend on the row's place in it.
  const std::uint32_t whole = std::max(begin, static_cast<std::uint32_t>(resume / ctx_len)) - begin;
  std::uint32_t first = begin + whole >= contexts ? contexts : begin + whole / pass.options.batch * pass.options.batch;
  if (first > begin) pass.report.info(fmt::format("going on at token {}", format_count(static_cast<double>(resume))));
  const std::vector<model::Hookpoint> places = places_of(pass.cached);
  std::vector<index::Firing> firings, at_special;
  std::uint64_t since_checkpoint = 0;
  const auto checkpoint = [&] {
    for (Cached& c : pass.cached) {
      if (c.writer) c.writer->checkpoint();
    }
    since_checkpoint = 0;
  };
  // An accelerator encodes the next batch while the firings of this one are kept, which is work of one thread. A
  // processor is busy with either.
  const auto when = pass.options.common.device == "cpu" ? std::launch::deferred : std::launch::async;
  const auto encode = [&](std::uint32_t at) {
    return std::async(when, [&, at] { return encode_batch(pass, at, places, resumes); });
  };
  std::future<EncodedBatch> next;
  if (first < contexts) next = encode(first);
  while (first < contexts) {
    if (interrupted()) checkpoint();
    stop_if_interrupted();
    const EncodedBatch batch = next.get();
    first += batch.count;
    if (first < contexts) next = encode(first);
    keep_batch(pass, batch, resumes, firings, at_special);
    since_checkpoint += batch.end - batch.begin;
    if (since_checkpoint >= kCheckpointTokens) checkpoint();
    pass.report.progress(
        {"cache", std::uint64_t{first - begin} * ctx_len, std::uint64_t{contexts - begin} * ctx_len, "tokens", ""});
  }
}

/// A shard has no statistics: it knows a part of the tokens alone.
void report_shard(const index::Reader& reader, Reporter& report) {
  std::uint64_t firings = 0;
  for (std::uint32_t f = 0; f < reader.latent_count(); ++f) firings += reader.count(LatentId{f});
  report.info(fmt::format("{}: {} latents, {} firings at {} tokens of this shard", reader.hookpoint(),
                          reader.latent_count(), format_count(static_cast<double>(firings)),
                          format_count(static_cast<double>(reader.token_count() - reader.excluded_token_count()))));
}

/// Statistics of every hookpoint that lacks them; false when none did.
bool add_statistics(const CacheOptions& o, const RunFolder& run, const text::TokenFile& tokens,
                    const std::vector<Cached>& cached, Reporter& report) {
  bool any = false;
  for (const Cached& c : cached) {
    if (o.shard.empty()) any |= make_statistics(run, c.hookpoint, tokens, o.common.thread_count(), report);
  }
  return any;
}

int print_summary(const CacheOptions& o, const RunFolder& run, const std::vector<Cached>& cached, Context& context) {
  if (!o.json) return kDone;
  nlohmann::ordered_json hookpoints = nlohmann::ordered_json::array();
  for (const Cached& c : cached) {
    if (o.shard.empty())
      hookpoints.push_back(to_json(c.hookpoint, index::StatisticsReader::open(run.statistics(c.hookpoint))));
  }
  context.out << nlohmann::ordered_json{{"run", run.root().string()}, {"hookpoints", hookpoints}}.dump(2) << "\n";
  return kDone;
}

/// What latents write and which are near, of every hookpoint that lacks it; false when none did.
bool add_weights(const CacheOptions& o, const RunFolder& run, const text::TokenFile& tokens,
                 const model::SubjectModel& subject, const std::vector<Cached>& cached, Reporter& report) {
  bool any = false;
  for (const Cached& c : cached) {
    if (o.no_weights || !o.shard.empty()) break;  // a part does not know which latents fire together
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
  std::vector<Cached> cached = load_coders(o, subject, context.reporter);
  const text::TokenFile tokens = tokens_of_run(o.input, o.common, run, context.reporter);

  std::vector<Cached*> pending;
  for (Cached& c : cached) {
    if (!is_cached(o, run, tokens, subject, c)) pending.push_back(&c);
  }
  save_settings(run, "cache", cli);
  if (pending.empty()) {
    const bool statistics = add_statistics(o, run, tokens, cached, context.reporter);
    if (!add_weights(o, run, tokens, subject, cached, context.reporter) && !statistics)
      context.reporter.info(fmt::format("{}: already cached, nothing to do", o.run));
    return print_summary(o, run, cached, context);
  }
  const text::Tokenizer tokenizer = text::Tokenizer::load(run.tokenizer());
  for (Cached* c : pending) {
    write_manifest(run, stage_name(*c), inputs_of(o, tokens, subject, *c), false);
    std::filesystem::create_directories(run.latents(c->hookpoint));
    c->writer = std::make_unique<index::Writer>(run.latents(c->hookpoint),
                                                writer_options(o, tokens, subject, *c, pending.size()));
  }
  Pass pass{o,
            tokens,
            subject,
            cached,
            special_tokens(tokenizer, subject.config().vocabulary),
            shard_of(o, tokens.context_count()),
            context.reporter};
  measure_fits(pass, run);
  run_pass(pass);

  // Of a shard the tokens of the others are left out as well.
  const auto own = tokens.tokens().subspan(std::uint64_t{pass.shard.first} * tokens.ctx_len(),
                                           std::uint64_t{pass.shard.last - pass.shard.first} * tokens.ctx_len());
  const auto excluded = tokens.token_count() - own.size() +
                        static_cast<std::uint64_t>(std::count_if(
                            own.begin(), own.end(), [&](TokenId id) { return pass.special[to_index(id)]; }));
  const index::IndexedTokens indexed = indexed_tokens(run, tokens, o.common.thread_count());
  for (Cached* c : pending) {
    c->writer->append({}, tokens.token_count());
    c->writer->finish(tokens.token_count(), excluded, context.reporter, o.shard.empty() ? &indexed : nullptr);
    c->writer.reset();
    write_manifest(run, stage_name(*c), inputs_of(o, tokens, subject, *c), true);
    if (o.shard.empty()) {
      context.reporter.info(describe_line(c->hookpoint, index::StatisticsReader::open(run.statistics(c->hookpoint))));
    } else {
      report_shard(index::Reader::open(run.index(c->hookpoint)), context.reporter);
    }
  }
  add_statistics(o, run, tokens, cached, context.reporter);
  add_weights(o, run, tokens, subject, cached, context.reporter);
  return print_summary(o, run, cached, context);
}

}  // namespace

Runner setup_cache(CLI::App& cli) {
  auto o = std::make_shared<CacheOptions>();
  cli.add_option("run", o->run, "run folder, made when missing")->required();
  add_coder_input(cli, o->sae)->required();
  cli.add_option(
      "--hookpoint", o->hookpoints,
      "hookpoint, e.g. layers.5, layers.5.mlp, layers.5.attn; all that --sae has, or the one its files name, by "
      "default");
  add_model_input(cli, o->input);
  add_quantity(cli, "--memory", o->memory, "memory for firings before they are spilled to disk, in bytes");
  cli.add_option("--batch", o->batch, "contexts a forward pass")->check(CLI::Range(1, 4096));
  cli.add_option("--activations", o->activations, "auto (f16, f32 where a value leaves its range) or f32");
  add_firing_selection(cli, o->selection);
  cli.add_option("--shard", o->shard,
                 "I/N: cache the I-th of N parts of the contexts, in a run folder of its own; gloss merge joins them");
  cli.add_flag("--no-weights", o->no_weights,
               "leave out what latents write and which are near (added by the same command without)");
  cli.add_flag("--json", o->json, "print how many latents of each hookpoint are of which kind, as one JSON document");
  add_seed(cli, o->common);
  add_threads(cli, o->common);
  add_device(cli, o->common);
  return [o, &cli](Context& context) {
    return as_job(o->run, "cache", context, [&](Context& c) { return cache(*o, cli, c); });
  };
}

}  // namespace gloss::app
