#pragma once
/// SentencePiece's table of character replacements, which tokenizer.json holds as normalizer "Precompiled".
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gloss::text {

/// A double-array trie of texts and what each becomes. Immutable; any thread may read.
/// Layout: size of the trie in bytes (u32), its units (u32 each), then the replacements, each ended by a zero byte; all
/// little-endian. Source: SentencePiece, builder.cc; S. Yata's darts-clone for the bits of a unit.
class Charsmap {
 public:
  /// Errors: bad_input, beginning with `where`: sizes that disagree, replacements that are no UTF-8.
  static Charsmap parse(std::string_view blob, const std::string& where);

  /// Replaces every user-perceived character of less than six bytes of which a beginning is in the table by what the
  /// shortest such beginning becomes, and otherwise the single characters alike. The peculiar rule is the reference's.
  /// Requires: well-formed UTF-8.
  std::string apply(std::string_view text) const;
  /// Replaces as SentencePiece itself does: from the left, always the longest beginning that is in the table.
  std::string apply_longest(std::string_view text) const;

 private:
  struct Match {
    std::size_t size;  // bytes of the text
    std::string_view replacement;
  };

  std::optional<Match> find(std::string_view text, bool longest) const;
  std::optional<std::string_view> replacement_at(std::size_t place) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace gloss::text
