#include "gloss/text/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/formats/json_file.h"

namespace gloss::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kBlockBytes = std::size_t{8} << 20;  // of text, tokenized before tokens are cut
constexpr std::size_t kBlockDocuments = 16384;
constexpr std::uint32_t kSparsifyGroup = 2048;  // documents
constexpr std::uint64_t kMaxPositions = (std::uint64_t{1} << 32) - 1;

/// Cuts the stream of tokens into contexts.
class Cutter {
 public:
  Cutter(const PackOptions& options, std::uint64_t max_contexts) : options_(options), max_contexts_(max_contexts) {}

  void add_document(std::uint32_t document, std::span<const TokenId> tokens) {
    switch (options_.layout) {
      case ContextLayout::joined:
        if (tokens.empty()) return;
        if (some_ && options_.separator) add(last_, *options_.separator);
        add_all(document, tokens);
        break;
      case ContextLayout::sparsify:
        if (document % kSparsifyGroup == 0) context_.clear();  // the last one of a group, whole or not
        if (options_.separator) add(document, *options_.separator);
        add_all(document, tokens);
        break;
      case ContextLayout::document:
        if (tokens.size() + (options_.bos ? 1 : 0) < options_.ctx_len) ++too_short_;
        add_all(document, tokens);
        context_.clear();
        break;
    }
    last_ = document;
    some_ = true;
  }

  bool full() const { return packed_.documents.size() >= max_contexts_ && context_.empty(); }
  /// Documents that gave no context because they are shorter than one (layout document).
  std::uint64_t too_short() const { return too_short_; }
  std::uint64_t context_count() const { return packed_.documents.size(); }
  std::uint64_t stream_tokens() const { return stream_tokens_; }
  Packed take() { return std::move(packed_); }

 private:
  void add_all(std::uint32_t document, std::span<const TokenId> tokens) {
    for (const TokenId t : tokens) add(document, t);
  }

  /// In layout sparsify a whole context is kept only when its group goes on behind it.
  void add(std::uint32_t document, TokenId token) {
    if (options_.layout == ContextLayout::sparsify && context_.size() == options_.ctx_len) keep();
    if (full()) return;
    ++stream_tokens_;
    if (context_.empty()) {
      first_document_ = document;
      if (options_.bos) context_.push_back(*options_.bos);
    }
    context_.push_back(token);
    if (context_.size() == options_.ctx_len && options_.layout != ContextLayout::sparsify) keep();
  }

  void keep() {
    packed_.tokens.insert(packed_.tokens.end(), context_.begin(), context_.end());
    packed_.documents.push_back(first_document_);
    context_.clear();
  }

  const PackOptions& options_;
  std::uint64_t max_contexts_;
  Packed packed_;
  std::vector<TokenId> context_;  // the one being filled
  std::uint32_t first_document_ = 0;
  std::uint32_t last_ = 0;  // the document added last
  bool some_ = false;
  std::uint64_t stream_tokens_ = 0;
  std::uint64_t too_short_ = 0;
};

/// The next documents, together not much more than a block.
std::vector<std::string> read_block(Corpus& corpus) {
  std::vector<std::string> block;
  for (std::size_t bytes = 0; bytes < kBlockBytes && block.size() < kBlockDocuments;) {
    std::optional<std::string> text = corpus.next();
    if (!text) break;
    bytes += text->size();
    block.push_back(std::move(*text));
  }
  return block;
}

std::uint64_t max_contexts(const PackOptions& o) {
  const std::uint32_t least = o.bos ? 2 : 1;
  if (o.ctx_len < least)
    throw Error(ErrorKind::usage, "ctx_len",
                fmt::format("contexts of {} tokens, wanted at least {}", o.ctx_len, least));
  const std::uint64_t most = kMaxPositions / o.ctx_len;
  if (o.max_tokens == 0) return most;
  if (o.max_tokens < o.ctx_len)
    throw Error(ErrorKind::usage, "tokens",
                fmt::format("{} tokens are less than one context of {}", o.max_tokens, o.ctx_len));
  return std::min(most, o.max_tokens / o.ctx_len);
}

std::string names_of(const Corpus& corpus) {
  const std::vector<fs::path>& files = corpus.files();
  if (files.size() == 1) return files[0].string();
  return fmt::format("{} and {} more", files[0].string(), files.size() - 1);
}

/// tokenizer_config.json spells a token as a string or as an object with its content.
std::optional<std::string> token_name(const formats::Fields& config, std::string_view key) {
  if (!config.has(key)) return {};
  const Json& value = config.at(key);
  if (value.is_object()) return formats::Fields(value, fmt::format("{}: {}", config.where(), key)).string("content");
  return config.string(key);
}

TokenId known_token(const Tokenizer& tokenizer, const std::string& name, const std::string& where,
                    std::string_view key) {
  const std::optional<TokenId> id = tokenizer.id_of(name);
  if (!id) fail_input(where, fmt::format("'{}' is '{}', which the tokenizer does not know", key, name));
  return *id;
}

std::optional<TokenId> eos_of_config(const Tokenizer& tokenizer, const fs::path& file) {
  const Json json = formats::read_json(file);
  const formats::Fields config(json, file.string());
  if (!config.has("eos_token_id")) return {};
  const Json& value = config.at("eos_token_id");
  const Json& id = value.is_array() && !value.empty() ? value[0] : value;
  if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= tokenizer.vocabulary_size())
    fail_input(file.string(),
               fmt::format("'eos_token_id' is {}, wanted a token id below {}",
                           id.is_structured() ? id.type_name() : id.dump(), tokenizer.vocabulary_size()));
  return TokenId{id.get<std::uint32_t>()};
}

}  // namespace

ContextLayout context_layout(std::string_view name) {
  const std::vector<std::string> known = {"joined", "sparsify", "document"};
  if (name == "joined") return ContextLayout::joined;
  if (name == "sparsify") return ContextLayout::sparsify;
  if (name == "document") return ContextLayout::document;
  fail_unknown_name("packing", name, known);
}

SpecialTokens special_tokens(const Tokenizer& tokenizer, const fs::path& folder) {
  SpecialTokens result{tokenizer.bos(), {}, tokenizer.bos()};
  const fs::path file = folder / "tokenizer_config.json";
  if (fs::exists(file)) {
    const Json json = formats::read_json(file);
    const formats::Fields config(json, file.string());
    const std::optional<std::string> bos = token_name(config, "bos_token");
    if (!result.known_bos && bos) result.known_bos = tokenizer.id_of(*bos);
    if (config.has("add_bos_token")) {
      result.bos.reset();
      if (config.boolean("add_bos_token") && bos) result.bos = known_token(tokenizer, *bos, file.string(), "bos_token");
    }
    if (const std::optional<std::string> eos = token_name(config, "eos_token"))
      result.separator = known_token(tokenizer, *eos, file.string(), "eos_token");
  }
  if (!result.separator && fs::exists(folder / "config.json"))
    result.separator = eos_of_config(tokenizer, folder / "config.json");
  if (result.bos) result.known_bos = result.bos;
  for (const char* name : {"<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>"}) {
    if (!result.separator) result.separator = tokenizer.id_of(name);
  }
  return result;
}

Packed pack(Corpus& corpus, const Tokenizer& tokenizer, const PackOptions& options, Reporter& reporter) {
  const std::uint64_t contexts = max_contexts(options);
  Cutter cutter(options, contexts);
  std::uint32_t documents = 0;
  while (!cutter.full()) {
    stop_if_interrupted();
    const std::vector<std::string> block = read_block(corpus);
    if (block.empty()) break;
    if (block.size() > std::numeric_limits<std::uint32_t>::max() - documents)
      fail_input(names_of(corpus), "more than 2^32 documents");
    std::vector<std::vector<TokenId>> tokens(block.size());
    parallel_for(block.size(), options.threads,
                 [&](std::size_t i, std::size_t) { tokens[i] = tokenizer.encode(block[i]); });
    for (const std::vector<TokenId>& t : tokens) cutter.add_document(documents++, t);
    reporter.progress({"tokens", cutter.context_count() * options.ctx_len,
                       options.max_tokens == 0 ? 0 : contexts * options.ctx_len, "tokens",
                       fmt::format("{} documents", documents)});
  }
  if (cutter.too_short() > 0)
    reporter.info(fmt::format("{} of {} documents are shorter than a context of {} tokens and left out",
                              cutter.too_short(), documents, options.ctx_len));
  if (cutter.stream_tokens() == 0)
    fail_input(names_of(corpus), fmt::format("no text in {} documents", documents), "is this the right file or field?");
  if (cutter.context_count() == 0)
    fail_input(names_of(corpus),
               fmt::format("{} tokens are too few for one context of {}", cutter.stream_tokens(), options.ctx_len),
               "give more text, or shorter contexts");
  return cutter.take();
}

}  // namespace gloss::text
