#pragma once
/// Documents from files: plain text (one document a file) and JSON lines, each also as .gz or .zst.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gloss::text {

/// A stream of documents in a fixed order. One thread at a time. Memory: one line or document and small buffers.
class Corpus {
 public:
  /// Takes files in the order given; a folder stands for the files in it and below it, sorted by path, whose names end
  /// in .txt, .jsonl, .txt.gz, .jsonl.gz, .txt.zst or .jsonl.zst (others in it are passed over).
  /// `text_field` names the field of a JSON line that holds the text.
  /// Errors: bad_input when a path is missing, of another kind, or a folder without such files.
  static Corpus open(const std::vector<std::filesystem::path>& paths, std::string text_field = "text");
  Corpus(Corpus&&) noexcept;
  Corpus& operator=(Corpus&&) noexcept;
  ~Corpus();

  /// The next document, or nothing at the end. Blank lines between JSON lines are passed over; a document may be "".
  /// Errors: bad_input naming file and line: damaged or cut compressed data, no JSON, no such field, a line above
  /// 64 MiB, a plain text above 1 GiB.
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
