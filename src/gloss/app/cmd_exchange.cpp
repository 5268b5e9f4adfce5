// gloss export, gloss import: a run in the files of other tools, and theirs as a run or as explanations of one.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string_view>

#include "gloss/app/command.h"
#include "gloss/app/example_options.h"
#include "gloss/app/exchange.h"
#include "gloss/app/model_input.h"
#include "gloss/app/run_data.h"
#include "gloss/app/statistics_stage.h"
#include "gloss/app/version.h"
#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/index/delphi_cache.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer_source.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;

/// The table of formats. A function that is missing: this way is not known.
using Exchange = int (*)(const ExchangeOptions&, Context&);
struct FormatRow {
  const char* name;
  Exchange to, from;
};

std::string count(std::uint64_t n) { return format_count(static_cast<double>(n)); }

int export_delphi(const ExchangeOptions& o, Context& context) {
  const RunData data = RunData::open(RunFolder(o.run));
  for (const std::string& hookpoint : data.run.select_hookpoints(o.hookpoints)) {
    const index::Reader reader = data.index(hookpoint);
    const auto model = reader.metadata().find("model");
    index::DelphiExport options;
    options.model_name = !o.model_name.empty() || model == reader.metadata().end() ? o.model_name : model->second;
    options.splits = o.splits;
    const fs::path folder = fs::path(o.other) / "latents" / hookpoint;
    const index::DelphiLosses losses =
        index::export_delphi(reader, data.tokens.tokens(), folder, options, context.reporter);
    context.reporter.info(
        fmt::format("{}: {} firings written to {}", hookpoint, count(losses.written), folder.string()));
    if (losses.too_large > 0)
      context.reporter.warn(fmt::format("{}: {} activations above 65,504 are written as 65,504: delphi keeps f16",
                                        hookpoint, losses.too_large));
    if (losses.too_small > 0)
      context.reporter.warn(fmt::format("{}: {} activations up to 1e-5 are left out, as delphi leaves them out",
                                        hookpoint, losses.too_small));
  }
  context.reporter.info(
      "not in delphi's cache: firings at special tokens, statistics, logit weights; --format delphi-explanations "
      "writes explanations and scores");
  return kDone;
}

/// The folders of a cache by hookpoint: `root` itself, those in it, or those in root/latents.
std::vector<std::pair<std::string, fs::path>> delphi_hookpoints(const fs::path& root,
                                                                const std::vector<std::string>& wanted) {
  const fs::path inside = fs::is_directory(root / "latents") ? root / "latents" : root;
  std::vector<std::pair<std::string, fs::path>> found;
  if (fs::exists(inside / "config.json")) {
    found.emplace_back(fs::absolute(inside).lexically_normal().filename().string(), inside);
  } else if (fs::is_directory(inside)) {
    for (const auto& entry : fs::directory_iterator(inside)) {
      if (fs::exists(entry.path() / "config.json")) found.emplace_back(entry.path().filename().string(), entry.path());
    }
  }
  if (found.empty())
    fail_input(root.string(), "holds no delphi cache: no config.json beside FIRST_LAST.safetensors",
               "give delphi's results folder, its latents folder, or one hookpoint's");
  std::sort(found.begin(), found.end());
  if (wanted.empty()) return found;
  std::vector<std::string> names;
  names.reserve(found.size());
  for (const auto& [name, path] : found) names.push_back(name);
  for (const std::string& name : wanted) {
    if (std::find(names.begin(), names.end(), name) == names.end()) fail_unknown_name("hookpoint", name, names);
  }
  std::erase_if(
      found, [&](const auto& entry) { return std::find(wanted.begin(), wanted.end(), entry.first) == wanted.end(); });
  return found;
}

/// Documents in which contexts begin: a special token ends one. Without any, each context counts as its own, which is
/// what a split by document can go by then.
std::vector<std::uint32_t> guess_documents(std::span<const TokenId> tokens, std::uint32_t ctx_len,
                                           const std::vector<bool>& special, Reporter& reporter) {
  std::vector<std::uint32_t> documents;
  std::uint32_t document = 0;
  bool ended = false;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool is_special = to_index(tokens[i]) < special.size() && special[to_index(tokens[i])];
    if (ended && !is_special) ++document;
    ended = is_special;
    if (i % ctx_len == 0) documents.push_back(document);
  }
  if (document > 0) return documents;
  reporter.warn("the tokens hold no special token that ends a document: every context counts as a document of its own");
  for (std::size_t c = 0; c < documents.size(); ++c) documents[c] = static_cast<std::uint32_t>(c);
  return documents;
}

/// Writes tokens and tokenizer, or checks those that are there. Errors: bad_input when those are others.
text::TokenFile take_tokens(const ExchangeOptions& o, const RunFolder& run, const index::DelphiCache& cache,
                            const text::Tokenizer& tokenizer, const std::vector<bool>& special, Reporter& reporter) {
  const std::vector<TokenId> tokens = cache.tokens();
  for (const TokenId id : tokens) {
    if (to_index(id) >= special.size())
      fail_input(
          cache.file_name(),
          fmt::format("holds token {}, and the tokenizer of {} ends at {}", to_index(id), o.tokenizer, special.size()),
          "name the folder of the model that was cached");
  }
  if (!fs::exists(run.tokens())) {
    const auto documents = guess_documents(tokens, cache.ctx_len(), special, reporter);
    text::write_token_file(run.tokens(), tokens, documents, cache.ctx_len(),
                           {{"text", "imported from delphi"}, {"tokenizer", tokenizer.fingerprint()}});
    write_file(run.tokenizer(), text::read_tokenizer(o.tokenizer).json);
  }
  text::TokenFile file = text::TokenFile::open(run.tokens());
  if (file.ctx_len() != cache.ctx_len() ||
      !std::equal(tokens.begin(), tokens.end(), file.tokens().begin(), file.tokens().end()))
    fail_input(cache.file_name(), fmt::format("has other tokens than {}", run.tokens().string()),
               "import hookpoints that were cached apart into runs of their own");
  return file;
}

void import_hookpoint(const ExchangeOptions& o, const RunFolder& run, const std::string& hookpoint,
                      const index::DelphiCache& cache, Context& context) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(o.tokenizer);
  const std::vector<bool> special = special_tokens(tokenizer, tokenizer.vocabulary_size());
  const text::TokenFile tokens = take_tokens(o, run, cache, tokenizer, special, context.reporter);
  index::WriterOptions options;
  options.hookpoint = hookpoint;
  options.latent_count = cache.latent_count();
  options.ctx_len = cache.ctx_len();
  options.memory_bytes = o.memory;
  options.metadata = {{"model", cache.model_name()},
                      {"coder_format", "delphi"},
                      {"coder_activation", "unknown"},
                      {"tokens_fingerprint", tokens.fingerprint()},
                      {"gloss_version", version_short()}};
  const Inputs inputs = {{"delphi", fs::absolute(cache.file_name()).lexically_normal().string()},
                         {"firings", std::to_string(cache.firing_count())},
                         {"tokens", tokens.fingerprint()},
                         {"hookpoint", hookpoint}};
  const std::string stage = "cache-" + hookpoint;
  if (stage_state(run, stage, inputs) == StageState::done) {
    context.reporter.info(fmt::format("{}: already imported, nothing to do", hookpoint));
    return;
  }
  write_manifest(run, stage, inputs, false);
  fs::create_directories(run.latents(hookpoint));
  index::Writer writer(run.latents(hookpoint), options);
  std::vector<index::Firing> kept, at_special;
  const index::DelphiCache::Losses losses =
      cache.each_block([&](std::span<const index::Firing> block, std::uint64_t end) {
        if (end <= writer.resume_position()) return;
        kept.clear();
        at_special.clear();
        for (const index::Firing& f : block) {
          if (f.position < writer.resume_position()) continue;
          (special[to_index(tokens.tokens()[f.position])] ? at_special : kept).push_back(f);
        }
        writer.append(kept, end, at_special);
        context.reporter.progress({"import " + hookpoint, end, tokens.token_count(), "tokens", ""});
      });
  const auto excluded = static_cast<std::uint64_t>(
      std::count_if(tokens.tokens().begin(), tokens.tokens().end(), [&](TokenId id) { return special[to_index(id)]; }));
  const index::IndexedTokens indexed = indexed_tokens(run, tokens, o.common.thread_count());
  writer.finish(tokens.token_count(), excluded, context.reporter, &indexed);
  write_manifest(run, stage, inputs, true);
  context.reporter.info(describe_line(hookpoint, index::StatisticsReader::open(run.statistics(hookpoint))));
  if (losses.negative + losses.zero > 0)
    context.reporter.warn(fmt::format("{}: {} negative activations and {} of 0 are left out: a latent fires above 0",
                                      hookpoint, losses.negative, losses.zero));
  if (losses.infinite > 0)
    context.reporter.warn(
        fmt::format("{}: {} infinite activations are kept as 65,504, the most that delphi's f16 holds", hookpoint,
                    losses.infinite));
  if (cache.missing_latents() > 0)
    context.reporter.info(
        fmt::format("{}: {} latents are in no file, and never fire", hookpoint, cache.missing_latents()));
}

int import_delphi(const ExchangeOptions& o, Context& context) {
  if (o.tokenizer.empty())
    throw Error(ErrorKind::usage, "", "--format delphi holds token ids without their texts",
                "name the folder of the model or its tokenizer with --tokenizer DIR");
  if (o.files.size() != 1)
    throw Error(ErrorKind::usage, "", fmt::format("--format delphi takes one folder, not {}", o.files.size()));
  const RunFolder run(o.run);
  std::vector<std::pair<std::string, index::DelphiCache>> caches;  // all faults of form show before the work
  for (const auto& [hookpoint, folder] : delphi_hookpoints(o.files.front(), o.hookpoints))
    caches.emplace_back(hookpoint, index::DelphiCache::open(folder));
  fs::create_directories(run.root());
  for (const auto& [hookpoint, cache] : caches) import_hookpoint(o, run, hookpoint, cache, context);
  return kDone;
}

constexpr std::array<FormatRow, 9> kFormats{
    {{"csv", export_csv, import_csv},
     {"delphi", export_delphi, import_delphi},
     {"delphi-explanations", export_delphi_explanations, import_delphi_explanations},
     {"jsonl", export_lines, import_lines},
     {"neuronpedia", export_neuronpedia, import_neuronpedia},
     {"openai", export_openai, import_openai},
     {"parquet", export_parquet, import_parquet},
     {"sae-dashboard", export_sae_dashboard, nullptr},
     {"saebench", export_saebench, import_saebench}}};

int exchange(const ExchangeOptions& o, Context& context, Exchange FormatRow::*way) {
  std::vector<std::string> known;
  for (const FormatRow& row : kFormats) {
    if (row.*way == nullptr) continue;
    if (o.format == row.name) return (row.*way)(o, context);
    known.emplace_back(row.name);
  }
  fail_unknown_name("format", o.format, known);
}

}  // namespace

Runner setup_export(CLI::App& cli) {
  auto o = std::make_shared<ExchangeOptions>();
  cli.add_option("run", o->run, "run folder with a finished cache; for sae-dashboard also one of its files")
      ->required();
  cli.add_option("out", o->other,
                 "folder (delphi, delphi-explanations, neuronpedia, openai, sae-dashboard, saebench) or file to write; "
                 "nothing is replaced")
      ->required();
  cli.add_option(
         "--format", o->format,
         "csv: explanations with their scores as a table; delphi: its activation cache, latents/HOOKPOINT in the "
         "folder; delphi-explanations: its explanations and scores in the folder, which may hold that cache; jsonl: "
         "explanations with their scores, one a "
         "line; neuronpedia: its bulk files, v1/MODEL/LAYER-SET in the folder; openai: the neuron explainer's "
         "explanations/LAYER/LATENT.jsonl and collated-activations; parquet: the table of csv, where gloss is built "
         "with Apache Arrow; sae-dashboard: its batch-N.json, HOOKPOINT/batch-N.json in the folder; saebench: its "
         "autointerp result, autointerp/SET_HOOKPOINT_eval_results.json in the folder")
      ->required();
  cli.add_option("--hookpoint", o->hookpoints, "hookpoint; all of the run by default");
  cli.add_option("--latents", o->latents, std::string("for neuronpedia, openai and sae-dashboard: ") + kLatentsHelp);
  cli.add_option("--sae-set", o->sae_set,
                 "for neuronpedia, sae-dashboard and saebench: name of the set of coders, of which a layer has one");
  cli.add_option("--explainer", o->explainer,
                 "for saebench and delphi-explanations: whose explanations, when there are several");
  cli.add_option("--judge", o->judge, "for saebench and delphi-explanations: whose judgements, when several judged");
  cli.add_option("--creator", o->creator, "for neuronpedia: the account there whose rows they are");
  cli.add_option("--splits", o->splits, "for delphi: files a hookpoint, delphi's n_splits")
      ->check(CLI::Range(1, 100'000));
  cli.add_option("--model-name", o->model_name,
                 "for delphi, what it loads the tokenizer by; for the others, the model's id; by "
                 "default the name "
                 "of the model's folder");
  add_seed(cli, o->common);
  return [o](Context& context) { return exchange(*o, context, &FormatRow::to); };
}

Runner setup_import(CLI::App& cli) {
  auto o = std::make_shared<ExchangeOptions>();
  cli.add_option("run", o->run, "run folder to make, or to add a hookpoint to")->required();
  cli.add_option(
         "from", o->files,
         "for delphi: its results folder, its latents folder, or one hookpoint's; for delphi-explanations: its results "
         "folder; else files, .gz or not")
      ->required();
  cli.add_option(
         "--format", o->format,
         "csv: a table whose first row names hookpoint, latent, explainer and explanation (.tsv with tabs); delphi: "
         "its activation cache; delphi-explanations: its explanations and scores; jsonl: explanations as gloss export "
         "writes them; neuronpedia: its bulk files explanations/batch-N.jsonl.gz; openai: its "
         "explanations/LAYER/NEURON.jsonl; parquet: the table of csv, where gloss is built with Apache Arrow; "
         "saebench: its autointerp result")
      ->required();
  cli.add_option("--explainer", o->explainer, "name of the explanations; by default what the file says");
  cli.add_flag("--no-scores", o->no_scores, "leave out the scores that the files give their explanations");
  cli.add_option("--tokenizer", o->tokenizer, "folder of the model or tokenizer whose tokens they are");
  cli.add_option("--hookpoint", o->hookpoints, "hookpoint; all that are there by default");
  add_quantity(cli, "--memory", o->memory, "memory of the sort, in bytes");
  add_threads(cli, o->common);
  return [o](Context& context) { return exchange(*o, context, &FormatRow::from); };
}

}  // namespace gloss::app
