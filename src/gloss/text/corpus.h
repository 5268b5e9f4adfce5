#pragma once
/// Documents from files: plain text (one document a file), JSON lines, tables (.csv, .tsv), each also as .gz or .zst,
/// and Parquet.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gloss::text {

/// A stream of documents in a fixed order. One thread at a time. Memory: one line, row or document and small buffers;
/// of Parquet, 1,024 rows of the column.
class Corpus {
 public:
  /// Takes files in the order given; a folder stands for the files in it and below it, sorted by path, whose names end
  /// as one of file_kinds() does: .txt, .jsonl, .csv, .tsv, each also with .gz or .zst behind it, and .parquet (others
  /// in it are passed over). `text_field` names the field of a JSON line, or the column of a table, that holds the
  /// text. Errors: bad_input when a path is missing, of another kind, or a folder without such files.
  static Corpus open(const std::vector<std::filesystem::path>& paths, std::string text_field = "text");
  Corpus(Corpus&&) noexcept;
  Corpus& operator=(Corpus&&) noexcept;
  ~Corpus();

  /// From now on the documents come in an order drawn from `seed`: reads all of them and keeps them in `scratch` as
  /// ShuffledDocuments says. Requires: next() was not called yet. Errors: failed when the disk is full; and those of
  /// next().
  void shuffle(std::uint64_t seed, const std::filesystem::path& scratch);

  /// The next document, or nothing at the end. Blank lines between JSON lines or rows are passed over; a document may
  /// be "", and is where a Parquet column has null.
  /// Errors: bad_input naming file and line or row: damaged or cut compressed data, no JSON, no such field or column, a
  /// row of too few or too many fields, a line or row above 64 MiB, a plain text above 1 GiB, a Parquet file in a build
  /// without Arrow.
  std::optional<std::string> next();

  /// Hash of the files' bytes in order, their kinds and the field's name; not of where they lie. 32 hexadecimal digits.
  /// Reads every file once.
  std::string fingerprint() const;
  /// Every file, in the order of its documents.
  const std::vector<std::filesystem::path>& files() const;

 private:
  struct Impl;
  explicit Corpus(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::text
