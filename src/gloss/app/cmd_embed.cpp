// gloss embed: sentence embeddings of a run's explanations, so that they can be searched by meaning.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "gloss/app/command.h"
#include "gloss/app/job_file.h"
#include "gloss/app/meaning_stage.h"
#include "gloss/app/run_folder.h"
#include "gloss/base/error.h"
#include "gloss/store/store.h"

namespace gloss::app {
namespace {

struct EmbedCommand {
  CommonOptions common;
  std::string run, embedder, query_prefix;
};

int embed(const EmbedCommand& o, Context& context) {
  const RunFolder run(o.run);
  run.hookpoints();  // a run at all
  if (!std::filesystem::exists(run.results()))
    fail_input(run.results().string(), "is not there: nothing was explained", "gloss explain RUN comes first");
  const store::Store store(run.results(), store::StoreOptions{.read_only = true});
  const TextEmbedder embedder = open_text_embedder(o.embedder, no_reply_cache());
  const EmbeddedExplanations done =
      embed_explanations(run, store, o.embedder, embedder, o.query_prefix, o.common.thread_count(), context.reporter);
  if (done.texts == 0) fail_input(run.results().string(), "holds no explanation", "gloss explain RUN comes first");
  context.reporter.info(fmt::format("{} different explanations embedded by {}, {} of them now: {}", done.texts,
                                    embedder.name, done.fresh, run.explanation_embeddings().string()));
  return kDone;
}

}  // namespace

Runner setup_embed(CLI::App& cli) {
  auto o = std::make_shared<EmbedCommand>();
  cli.add_option("run", o->run, "run folder")->required();
  cli.add_option(
         "--embedder", o->embedder,
         "folder of a sentence encoder, a BERT such as all-MiniLM-L6-v2, or URL#MODEL of an endpoint that speaks "
         "as OpenAI's /embeddings")
      ->required();
  cli.add_option("--query-prefix", o->query_prefix,
                 "goes before a question and before no explanation, for encoders that want it, for example 'query: '");
  add_threads(cli, o->common);
  return [o](Context& context) { return as_job(o->run, "embed", context, [&](Context& c) { return embed(*o, c); }); };
}

}  // namespace gloss::app
