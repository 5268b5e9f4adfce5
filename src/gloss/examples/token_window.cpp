#include "gloss/examples/token_window.h"

#include <utility>

#include "gloss/base/utf8.h"

namespace gloss::examples {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// One character of a window's text (or one ill-formed part of it, as U+FFFD), and the tokens its bytes come from.
struct Character {
  std::string_view text;
  std::uint32_t first, last;
};

/// The text of a window, token by token. Tokens and characters may begin and end anywhere in each other.
class Text {
 public:
  Text(const text::Tokenizer& tokenizer, std::span<const TokenId> ids) {
    end_.reserve(ids.size());
    for (const TokenId id : ids) {
      // A token file made with another tokenizer may hold numbers this one does not know.
      bytes_ += to_index(id) < tokenizer.vocabulary_size() ? tokenizer.token_bytes(id) : kReplacement;
      end_.push_back(bytes_.size());
    }
  }

  const std::string& bytes() const { return bytes_; }
  /// Where token t ends in bytes().
  std::size_t end(std::size_t t) const { return end_[t]; }

  template <class Each>
  void for_each_character(Each each) const {
    std::uint32_t first = 0;
    for (std::size_t at = 0; at < bytes_.size();) {
      const Decoded decoded = decode_utf8(std::string_view(bytes_).substr(at));
      const std::size_t stop = at + decoded.size_bytes;
      while (end_[first] <= at) ++first;
      std::uint32_t last = first;
      while (end_[last] < stop) ++last;
      const std::string_view whole = std::string_view(bytes_).substr(at, decoded.size_bytes);
      each(Character{decoded.valid ? whole : kReplacement, first, last}, stop);
      at = stop;
    }
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> end_;
};

bool any_marked(const std::vector<bool>& marked, const Character& c) {
  for (std::uint32_t t = c.first; t <= c.last; ++t) {
    if (t < marked.size() && marked[t]) return true;
  }
  return false;
}

}  // namespace

std::vector<bool> marked_tokens(const Window& w, float tau) {
  std::vector<bool> marked(w.activation.size());
  for (std::size_t i = 0; i < marked.size(); ++i) marked[i] = is_marked(w, i, tau);
  return marked;
}

std::string marked_text(const text::Tokenizer& tokenizer, std::span<const TokenId> ids, const std::vector<bool>& marked,
                        std::string_view open, std::string_view close) {
  std::string out;
  bool inside = false;
  Text(tokenizer, ids).for_each_character([&](const Character& c, std::size_t) {
    const bool mark = any_marked(marked, c);
    if (mark != inside) out += mark ? open : close;
    inside = mark;
    out += c.text;
  });
  if (inside) out += close;
  return out;
}

std::string plain_text(const text::Tokenizer& tokenizer, std::span<const TokenId> ids) {
  return replace_invalid_utf8(Text(tokenizer, ids).bytes());
}

std::vector<Piece> pieces(const text::Tokenizer& tokenizer, std::span<const TokenId> ids) {
  const Text text(tokenizer, ids);
  std::vector<Piece> result;
  Piece piece{{}, 0, 0};
  // A piece ends behind a token that ends where a character does; tokens without bytes are pieces of their own.
  const auto end_pieces = [&](std::size_t stop) {
    while (piece.last < ids.size() && text.end(piece.last) <= stop) {
      const std::uint32_t next = piece.last + 1;
      const bool whole = text.end(piece.last) == stop;
      if (whole) {
        result.push_back(std::move(piece));
        piece = {{}, next, next};
      } else {
        piece.last = next;
      }
    }
  };
  end_pieces(0);
  text.for_each_character([&](const Character& c, std::size_t stop) {
    piece.text += c.text;
    end_pieces(stop);
  });
  return result;
}

}  // namespace gloss::examples
