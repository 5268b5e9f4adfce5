#pragma once
/// Sentence embeddings of explanations, and how near each is to a question: search by meaning.
/// The file: docs/formats/explanation-embeddings.md.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/formats/safetensors.h"

namespace gloss::dashboard {

/// By which a text's row is found again: the low half of XXH3-128 of its length and bytes.
std::uint64_t text_key(std::string_view text);

/// A row as the file has it: value = scale * code, of the nearest code.
struct CodedRow {
  float scale = 0.0F;  // of the largest value 127
  std::vector<std::int8_t> codes;
};
/// Shapes: row [D], finite -> codes [D].
CodedRow code_row(std::span<const float> row);

/// Who embedded: metadata of the file.
struct EmbeddedBy {
  std::string embedder;      // an absolute folder, or URL#MODEL
  std::string fingerprint;   // of what it does with a text
  std::string query_prefix;  // goes before a question, and before no explanation
};

/// One row of a file. Shapes: codes [D].
struct CodedView {
  float scale = 0.0F;
  std::span<const std::int8_t> codes;
};
/// Writes the file; whole or not there. `row` is asked for each key in turn, twice. Shapes: keys [n].
/// Errors: failed (disk).
void write_text_embeddings(const std::filesystem::path& path, const EmbeddedBy& by, std::uint32_t width,
                           std::span<const std::uint64_t> keys, const std::function<CodedView(std::size_t)>& row);

/// RUN/explanation-embeddings.safetensors, mapped. Immutable; copies share it, any thread may read.
class TextEmbeddings {
 public:
  using Place = std::uint32_t;
  static constexpr Place kNone = ~Place{0};

  /// Errors: bad_input: no such file, malformed, or rows that do not fit together.
  static TextEmbeddings open(const std::filesystem::path& path);

  const EmbeddedBy& by() const { return by_; }
  Place size() const { return static_cast<Place>(keys_.size()); }
  std::uint32_t width() const { return width_; }
  std::span<const std::uint64_t> keys() const& { return keys_; }  // [n], no two the same, in the order embedded
  CodedView row(Place place) const& { return {scales_[place], codes_.subspan(std::size_t{place} * width_, width_)}; }

  /// A question in whole numbers, so that its cosines depend on no order of sums.
  struct Query {
    float scale = 0.0F;
    std::vector<std::int16_t> codes;  // [D]
  };
  /// Shapes: row [D]. Errors: bad_input when it is no such row: another embedder.
  Query query(std::span<const float> row) const;
  /// In [-1, 1]. Requires: place < size().
  float cosine(const Query& query, Place place) const;

 private:
  formats::SafeTensors file_;
  EmbeddedBy by_;
  std::uint32_t width_ = 0;
  std::span<const std::uint64_t> keys_;
  std::span<const float> scales_;
  std::span<const std::int8_t> codes_;
};

/// Finds rows by their texts. Quick when texts come in the order in which they were embedded.
class TextPlaces {
 public:
  explicit TextPlaces(std::span<const std::uint64_t> keys) : keys_(keys) {}
  /// TextEmbeddings::kNone when there is none.
  TextEmbeddings::Place find(std::uint64_t key);

 private:
  std::span<const std::uint64_t> keys_;
  std::size_t next_ = 0;
  std::vector<std::pair<std::uint64_t, TextEmbeddings::Place>> sorted_;  // made when first wanted
};

/// What answers questions by meaning.
struct MeaningSearch {
  std::string name;  // of the embedder, to be shown
  TextEmbeddings texts;
  /// [D], unit norm, of a question. Threads: any.
  std::function<std::vector<float>(const std::string& question)> embed;
};

}  // namespace gloss::dashboard
