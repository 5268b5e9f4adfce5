#pragma once
/// A window as tokens and bytes: what explainers, judges and reports are made of.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/examples/examples.h"
#include "gloss/text/tokenizer.h"

namespace gloss::examples {

/// Token ids of a window. Lifetime: as long as any copy of `tokens`.
inline std::span<const TokenId> window_tokens(const text::TokenFile& tokens, const Window& w) {
  return tokens.tokens().subspan(w.start, w.activation.size());
}

/// Which tokens of an activating window are marked (is_marked) at `tau`. Shape: [W].
std::vector<bool> marked_tokens(const Window& w, float tau);

/// A window's text with its marked tokens inside delimiters; a run of adjacent marked tokens shares one pair, a
/// character split over tokens is marked as a whole. Ill-formed bytes become U+FFFD. Shapes: ids [W], marked [W].
std::string marked_text(const text::Tokenizer& tokenizer, std::span<const TokenId> ids, const std::vector<bool>& marked,
                        std::string_view open, std::string_view close);
/// The text without marks.
std::string plain_text(const text::Tokenizer& tokenizer, std::span<const TokenId> ids);

/// Display pieces: one per token, except that tokens sharing a character are one piece (first..last token).
struct Piece {
  std::string text;           // valid UTF-8
  std::uint32_t first, last;  // token offsets in the window, inclusive
};
std::vector<Piece> pieces(const text::Tokenizer& tokenizer, std::span<const TokenId> ids);

}  // namespace gloss::examples
