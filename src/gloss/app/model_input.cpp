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

}  // namespace

void add_model_input(CLI::App& cli, ModelInput& input, bool with_tokens) {
  cli.add_option("--model", input.model, "Hugging Face model folder")->required();
  cli.add_option("--text", input.text, "text: .txt, .jsonl, either as .gz or .zst, or a folder of these")->required();
  cli.add_option("--text-field", input.text_field, "field of a JSON line that holds the text");
  cli.add_option("--ctx-len", input.ctx_len, "tokens a context")->check(CLI::Range(2, 1 << 20));
  if (with_tokens) add_quantity(cli, "--tokens", input.tokens, "tokens to take of the text at most; 0 = all");
}

text::TokenFile tokens_of_run(const ModelInput& input, const CommonOptions& common, const RunFolder& run,
                              Reporter& reporter) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(input.model);
  const text::SpecialTokens special = text::special_tokens(tokenizer, input.model);
  text::Corpus corpus = text::Corpus::open({input.text.begin(), input.text.end()}, input.text_field);
  const Inputs inputs = {{"text", corpus.fingerprint()},
                         {"tokenizer", tokenizer.fingerprint()},
                         {"ctx-len", std::to_string(input.ctx_len)},
                         {"tokens", std::to_string(input.tokens)},
                         {"bos", describe(special.bos)},
                         {"separator", describe(special.separator)}};
  if (stage_state(run, "tokens", inputs) == StageState::done) return text::TokenFile::open(run.tokens());
  text::PackOptions options;
  options.ctx_len = input.ctx_len;
  options.max_tokens = input.tokens;
  options.bos = special.bos;
  options.separator = special.separator;
  options.threads = common.thread_count();
  const text::Packed packed = text::pack(corpus, tokenizer, options, reporter);
  std::filesystem::create_directories(run.root());
  text::write_token_file(run.tokens(), packed.tokens, packed.documents, input.ctx_len);
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
