#include "gloss/text/corpus.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/mapped_file.h"
#include "gloss/text/document_order.h"
#include "gloss/text/document_reader.h"

namespace gloss::text {
namespace {

namespace fs = std::filesystem;

std::string known_suffixes() {
  std::vector<std::string_view> names;
  names.reserve(std::size(file_kinds()));
  for (const FileKind& k : file_kinds()) names.push_back(k.suffix);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && kind_of(entry.path()) != nullptr) files.push_back(entry.path());
  }
  if (files.empty()) fail_input(folder.string(), "holds no text files", "wanted files ending in " + known_suffixes());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

struct Corpus::Impl {
  std::vector<fs::path> files;
  std::string field;
  std::size_t next_file = 0;
  std::unique_ptr<DocumentReader> reader;  // of the file being read
  std::optional<ShuffledDocuments> shuffled;

  std::optional<std::string> next_in_files() {
    for (;;) {
      if (reader) {
        if (std::optional<std::string> text = reader->next()) return text;
        reader.reset();
      }
      if (next_file == files.size()) return {};
      const fs::path& path = files[next_file++];
      const FileKind& kind = *kind_of(path);
      reader = kind.open(path, kind, field);
    }
  }
};

Corpus::Corpus(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Corpus::Corpus(Corpus&&) noexcept = default;
Corpus& Corpus::operator=(Corpus&&) noexcept = default;
Corpus::~Corpus() = default;

Corpus Corpus::open(const std::vector<fs::path>& paths, std::string text_field) {
  auto impl = std::make_unique<Impl>();
  impl->field = std::move(text_field);
  if (paths.empty()) fail_input("text", "no files are named");
  for (const fs::path& path : paths) {
    if (fs::is_directory(path)) {
      const std::vector<fs::path> below = files_below(path);
      impl->files.insert(impl->files.end(), below.begin(), below.end());
      continue;
    }
    if (!fs::exists(path)) fail_input(path.string(), "there is no such file or folder");
    if (kind_of(path) == nullptr)
      fail_input(path.string(), "is no text file by its name", "wanted " + known_suffixes());
    impl->files.push_back(path);
  }
  return Corpus(std::move(impl));
}

void Corpus::shuffle(std::uint64_t seed, const fs::path& scratch) {
  impl_->shuffled.emplace([this] { return impl_->next_in_files(); }, seed, scratch);
}

std::optional<std::string> Corpus::next() { return impl_->shuffled ? impl_->shuffled->next() : impl_->next_in_files(); }

std::string Corpus::fingerprint() const {
  Hasher hash;
  hash.add(impl_->field);
  for (const fs::path& path : impl_->files) {
    const MappedFile file = MappedFile::open(path);
    hash.add(kind_of(path)->suffix);
    hash.add_number(file.bytes().size());
    hash.add_bytes(file.bytes());
  }
  return hash.digest_hex();
}

const std::vector<fs::path>& Corpus::files() const { return impl_->files; }

}  // namespace gloss::text
