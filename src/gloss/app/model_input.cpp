#include "gloss/app/model_input.h"

#include <fmt/format.h>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/text/corpus.h"
#include "gloss/text/packing.h"
#include "gloss/text/tokenizer_source.h"

namespace gloss::app {
namespace {

std::string describe(const std::optional<TokenId>& id) { return id ? std::to_string(to_index(*id)) : "none"; }

std::optional<TokenId> chosen_bos(const ModelInput& input, const text::SpecialTokens& special) {
  if (input.bos == "auto") return special.bos;
  if (input.bos == "never") return {};
  const std::vector<std::string> known = {"auto", "always", "never"};
  if (input.bos != "always") fail_unknown_name("--bos", input.bos, known);
  if (!special.known_bos)
    fail_input(input.model, "--bos always, but its tokenizer names no beginning-of-sequence token",
               "tokenizer_config.json's bos_token would name it");
  return special.known_bos;
}

}  // namespace

void add_model_input(CLI::App& cli, ModelInput& input, bool with_tokens) {
  cli.add_option("--model", input.model, "Hugging Face model folder")->required();
  cli.add_option("--text", input.text,
                 "text: .txt, .jsonl, .csv, .tsv, each also as .gz or .zst; .parquet; or a folder of these")
      ->required();
  cli.add_option("--text-field", input.text_field, "field of a JSON line, or column of a table, that holds the text");
  cli.add_flag("--shuffle", input.shuffle,
               "take the documents in an order drawn from --seed; all text is read first and kept on disk meanwhile");
  cli.add_option(
      "--packing", input.packing,
      "joined: documents joined by the end-of-text token; sparsify: exactly as sparsify's chunk_and_tokenize; "
      "document: no context holds two documents");
  cli.add_option("--bos", input.bos,
                 "token at the beginning of every context: auto (as the model's family has it), always or never");
  cli.add_option("--ctx-len", input.ctx_len, "tokens a context")->check(CLI::Range(2, 1 << 20));
  if (with_tokens) add_quantity(cli, "--tokens", input.tokens, "tokens to take of the text at most; 0 = all");
}

text::TokenFile tokens_of_run(const ModelInput& input, const CommonOptions& common, const RunFolder& run,
                              Reporter& reporter) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(input.model);
  const text::SpecialTokens special = text::special_tokens(tokenizer, input.model);
  text::PackOptions options;
  options.layout = text::context_layout(input.packing);
  options.ctx_len = input.ctx_len;
  options.max_tokens = input.tokens;
  options.bos = chosen_bos(input, special);
  options.separator = special.separator;
  options.threads = common.thread_count();
  text::Corpus corpus = text::Corpus::open({input.text.begin(), input.text.end()}, input.text_field);
  const Inputs inputs = {{"text", corpus.fingerprint()},
                         {"tokenizer", tokenizer.fingerprint()},
                         {"ctx-len", std::to_string(input.ctx_len)},
                         {"tokens", std::to_string(input.tokens)},
                         {"packing", input.packing},
                         {"shuffle", input.shuffle ? fmt::format("seed {}", common.seed) : "none"},
                         {"bos", describe(options.bos)},
                         {"separator", describe(options.separator)}};
  if (stage_state(run, "tokens", inputs) == StageState::done) return text::TokenFile::open(run.tokens());
  std::filesystem::create_directories(run.root());
  if (input.shuffle) corpus.shuffle(common.seed, run.root());
  const text::Packed packed = text::pack(corpus, tokenizer, options, reporter);
  Inputs made_with = inputs;
  made_with.erase("ctx-len");  // the file says it already
  text::write_token_file(run.tokens(), packed.tokens, packed.documents, input.ctx_len, made_with);
  write_file(run.tokenizer(), text::read_tokenizer(input.model).json);
  write_manifest(run, "tokens", inputs, true);
  reporter.info(fmt::format("{} contexts of {} tokens from {} documents", packed.documents.size(), input.ctx_len,
                            packed.documents.empty() ? 0 : packed.documents.back() + 1));
  return text::TokenFile::open(run.tokens());
}

std::vector<bool> special_tokens(const text::Tokenizer& tokenizer, std::uint32_t vocabulary) {
  std::vector<bool> special(std::max(vocabulary, tokenizer.vocabulary_size()), false);
  for (std::uint32_t id = 0; id < tokenizer.vocabulary_size(); ++id) special[id] = tokenizer.is_special(TokenId{id});
  return special;
}

}  // namespace gloss::app
