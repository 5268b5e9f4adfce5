#pragma once
/// Documents to contexts: what the model sees (docs/methods.md, 1).
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/base/reporter.h"
#include "gloss/text/corpus.h"
#include "gloss/text/tokenizer.h"

namespace gloss::text {

/// How documents become contexts.
enum class ContextLayout {
  /// The documents, the separator between two of them, cut into contexts; the last, short one is dropped.
  joined,
  /// As sparsify's chunk_and_tokenize with one worker does: groups of 2,048 documents, the separator before each of
  /// them, cut into contexts; the last of each group is dropped, even when it is whole. Documents without tokens keep
  /// their separator. Source: EleutherAI/sparsify, sparsify/data.py.
  sparsify,
  /// No context holds two documents: each document is cut into contexts of its own, and its last, short one is dropped.
  document,
};
/// "joined", "sparsify", "document". Errors: usage, an unknown name with the nearest.
ContextLayout context_layout(std::string_view name);

struct PackOptions {
  ContextLayout layout = ContextLayout::joined;
  std::uint32_t ctx_len = 256;
  /// At most this many tokens (whole contexts of them); 0 = all there are.
  std::uint64_t max_tokens = 0;
  /// First token of every context, when the model was trained with one.
  std::optional<TokenId> bos;
  /// Stands between two documents (layout joined) or before each (sparsify).
  std::optional<TokenId> separator;
  std::size_t threads = 1;
};

/// The bos and separator of PackOptions, as the files beside a model say.
struct SpecialTokens {
  std::optional<TokenId> bos;  // the family's own choice: none where it does not begin texts with one
  std::optional<TokenId> separator;
  std::optional<TokenId> known_bos;  // the token meant, used by the family or not
};

/// Reads them for the model in `folder` (files that are missing are passed over).
/// bos: tokenizer_config.json's bos_token when its add_bos_token is true, none when it is false, else Tokenizer::bos().
/// known_bos: bos, else tokenizer_config.json's bos_token.
/// separator: tokenizer_config.json's eos_token, else config.json's eos_token_id (the first, if several), else the
/// first of <|endoftext|>, </s>, <|end_of_text|>, <eos> that the tokenizer knows. Errors: bad_input when a file is
/// malformed or names a token the tokenizer has not.
SpecialTokens special_tokens(const Tokenizer& tokenizer, const std::filesystem::path& folder);

/// Shapes: tokens [contexts * ctx_len]; documents [contexts].
struct Packed {
  std::vector<TokenId> tokens;
  /// Index, in the corpus, of the document in which each context begins.
  std::vector<std::uint32_t> documents;
};

/// Tokenizes documents until `max_tokens` are reached or the corpus ends, and cuts them into contexts as options.layout
/// says. With a bos every context is bos and ctx_len - 1 tokens of the stream. In layout joined a document without
/// tokens adds nothing, no separator either, and a separator belongs to the document before it; in layout sparsify it
/// belongs to the one behind it.
/// The result does not depend on `threads`. Stops between blocks of documents when interrupted.
/// Errors: usage when the options allow no context; bad_input when the corpus holds no text, or too little for one
/// context.
Packed pack(Corpus& corpus, const Tokenizer& tokenizer, const PackOptions& options, Reporter& reporter);

}  // namespace gloss::text
