// gloss merge: joins the parts of a sharded cache to the run that one process would have written, byte for byte.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <sstream>

#include "gloss/app/command.h"
#include "gloss/app/run_folder.h"
#include "gloss/app/shards.h"
#include "gloss/app/statistics_stage.h"
#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/formats/checked_file.h"
#include "gloss/index/layout.h"
#include "gloss/index/reader.h"
#include "gloss/index/writer.h"
#include "gloss/text/token_file.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;

struct MergeOptions {
  CommonOptions common;
  std::string run;
  std::vector<std::string> shards;
  std::uint64_t memory = std::uint64_t{1} << 30;
};

/// One part of one hookpoint.
struct Part {
  std::uint32_t number = 0, count = 0;
  index::Reader reader;
};

Part open_part(const std::string& folder, const std::string& hookpoint) {
  index::Reader reader = index::Reader::open(RunFolder(folder).index(hookpoint));
  const auto it = reader.metadata().find(kShardKey);
  if (it == reader.metadata().end())
    fail_input(reader.file_name(), "is no part of a sharded cache", "gloss cache RUN ... --shard I/N makes parts");
  Part part{0, 0, reader};
  char slash = 0;
  std::istringstream in(it->second);
  if (!(in >> part.number >> slash >> part.count) || part.number < 1 || part.number > part.count)
    fail_input(reader.file_name(), fmt::format("says it is shard '{}', wanted I/N", it->second));
  return part;
}

/// All parts in order. Errors: bad_input when one is missing, is there twice, or was made from something else.
std::vector<Part> open_parts(const MergeOptions& o, const std::string& hookpoint) {
  std::vector<Part> parts;
  for (const std::string& folder : o.shards) parts.push_back(open_part(folder, hookpoint));
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.number < b.number; });
  const Part& first = parts.front();
  auto wanted = first.reader.metadata();
  const auto same = [&](const Part& part) {
    auto found = part.reader.metadata();
    for (auto* map : {&found, &wanted}) {
      map->erase(kShardKey);
      map->erase("excluded_token_count");
      std::erase_if(*map, [](const auto& entry) { return formats::is_checksum_key(entry.first); });
    }
    for (const auto& [key, value] : wanted) {
      if (found[key] != value)
        fail_input(part.reader.file_name(),
                   fmt::format("has {} '{}', but {} has '{}'", key, found[key], first.reader.file_name(), value),
                   "the shards were not made by the same command");
    }
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    same(parts[i]);
    if (parts[i].count != parts.size() || parts[i].number != i + 1)
      fail_input(parts[i].reader.file_name(),
                 fmt::format("is shard {} of {}, but {} folders are given and shard {} of {} is wanted next",
                             parts[i].number, parts[i].count, parts.size(), i + 1, first.count),
                 "give every shard once");
  }
  return parts;
}

/// Contexts of the batches between which the parts were cut.
std::uint64_t batch_of(const index::Reader& part) {
  const auto it = part.metadata().find(kShardBatchKey);
  if (it == part.metadata().end()) return 1;
  std::uint64_t batch = 0;
  const std::string& text = it->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), batch);
  if (error != std::errc() || end != text.data() + text.size() || batch == 0)
    fail_input(part.file_name(),
               fmt::format("metadata '{}' is '{}', wanted a number of contexts", kShardBatchKey, text));
  return batch;
}

void merge_hookpoint(const MergeOptions& o, const RunFolder& run, const std::string& hookpoint,
                     const index::IndexedTokens& tokens, Reporter& reporter) {
  if (fs::exists(run.index(hookpoint))) {
    reporter.info(fmt::format("{}: already merged, nothing to do", hookpoint));
    return;
  }
  const std::vector<Part> parts = open_parts(o, hookpoint);
  const index::Reader& first = parts.front().reader;
  index::WriterOptions options;
  options.hookpoint = hookpoint;
  options.latent_count = first.latent_count();
  options.ctx_len = first.ctx_len();
  options.memory_bytes = o.memory;
  options.metadata = first.metadata();
  for (std::uint32_t f = 0; f < first.latent_count(); ++f)
    options.cached.push_back(first.is_cached(LatentId{f}) ? 1 : 0);
  options.full_precision = options.metadata[kShardActivationsKey] == "f32";
  std::erase_if(options.metadata, [](const auto& entry) {
    return index::is_reserved_key(entry.first) || entry.first == kShardKey || entry.first == kShardActivationsKey ||
           entry.first == kShardBatchKey;
  });
  fs::create_directories(run.latents(hookpoint));
  index::Writer writer(run.latents(hookpoint), options);
  const std::uint64_t contexts = first.token_count() / first.ctx_len();
  const std::uint64_t batch = batch_of(first);
  std::uint64_t excluded = 0;
  for (const Part& part : parts) {
    writer.append_index(part.reader, shard_end(contexts, batch, part.number, part.count) * first.ctx_len());
    excluded += part.reader.excluded_token_count();
    reporter.progress({"merge " + hookpoint, part.number, part.count, "shards", ""});
  }
  // Each part left out the tokens of all others as well.
  excluded -= (parts.size() - 1) * first.token_count();
  writer.finish(first.token_count(), excluded, reporter, &tokens);
  reporter.info(describe_line(hookpoint, index::StatisticsReader::open(run.statistics(hookpoint))));
}

/// The manifest of the whole, from that of a part.
void write_whole_manifest(const RunFolder& run, const RunFolder& part, const std::string& stage, Reporter& reporter) {
  if (!fs::exists(part.manifest(stage))) return;
  Inputs inputs = read_inputs(part, stage);
  inputs.erase("shard");
  write_manifest(run, stage, inputs, true);
  reporter.info(fmt::format("{}: merged", stage));
}

void copy_whole(const fs::path& from, const fs::path& to) {
  const MappedFile bytes = MappedFile::open(from);
  OutputFile file(to);
  file.write(bytes.bytes());
  file.commit();
}

int merge(const MergeOptions& o, Context& context) {
  const RunFolder run(o.run);
  const RunFolder first(o.shards.front());
  const text::TokenFile tokens = text::TokenFile::open(first.tokens());
  for (const std::string& folder : o.shards) {
    if (text::TokenFile::open(RunFolder(folder).tokens()).fingerprint() != tokens.fingerprint())
      fail_input(folder, fmt::format("has other tokens than {}", o.shards.front()),
                 "the shards were not made by the same command");
  }
  const std::vector<std::string> hookpoints = first.hookpoints();
  for (const std::string& hookpoint : hookpoints) open_parts(o, hookpoint);  // all faults show before the work
  fs::create_directories(run.root());
  for (const fs::path& file : {run.tokens(), run.tokenizer()}) {
    if (!fs::exists(file)) copy_whole(first.root() / file.filename(), file);
  }
  write_whole_manifest(run, first, "tokens", context.reporter);
  const index::IndexedTokens indexed = indexed_tokens(run, tokens, o.common.thread_count());
  for (const std::string& hookpoint : hookpoints) {
    merge_hookpoint(o, run, hookpoint, indexed, context.reporter);
    const fs::path about = first.latents(hookpoint) / "coder.json";  // measured on the same tokens by every part
    if (fs::exists(about)) copy_whole(about, run.latents(hookpoint) / "coder.json");
    write_whole_manifest(run, first, "cache-" + hookpoint, context.reporter);
  }
  context.reporter.info(
      "what latents write and which are near is not in the parts: the gloss cache command without --shard adds it");
  return kDone;
}

}  // namespace

Runner setup_merge(CLI::App& cli) {
  auto o = std::make_shared<MergeOptions>();
  cli.add_option("run", o->run, "run folder to make")->required();
  cli.add_option("shards", o->shards, "run folders that gloss cache --shard I/N made, in any order")->required();
  add_quantity(cli, "--memory", o->memory, "memory of the merge, in bytes");
  add_threads(cli, o->common);
  return [o](Context& context) { return merge(*o, context); };
}

}  // namespace gloss::app
