#include "gloss/text/corpus.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/mapped_file.h"
#include "gloss/text/byte_source.h"

namespace gloss::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMaxPlainText = std::size_t{1} << 30;

struct FileKind {
  std::string_view suffix;
  bool lines;  // JSON lines; else one document
  Packing packing;
};
constexpr std::array<FileKind, 6> kKinds{{{".txt", false, Packing::none},
                                          {".jsonl", true, Packing::none},
                                          {".txt.gz", false, Packing::gzip},
                                          {".jsonl.gz", true, Packing::gzip},
                                          {".txt.zst", false, Packing::zstd},
                                          {".jsonl.zst", true, Packing::zstd}}};

const FileKind* kind_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const auto it =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const FileKind& k) { return name.ends_with(k.suffix); });
  return it == kKinds.end() ? nullptr : &*it;
}

std::string known_suffixes() {
  std::vector<std::string_view> names;
  names.reserve(std::size(kKinds));
  for (const FileKind& k : kKinds) names.push_back(k.suffix);
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

/// The keys of an object, for a message: the first few of them.
std::string keys_of(const Json& object) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    if (keys.size() < kShown) keys.push_back(fmt::format("'{}'", key));
  }
  return keys.empty() ? "nothing" : fmt::format("{}", fmt::join(keys, ", "));
}

std::string text_of_line(std::string_view line, const std::string& field, const std::string& where) {
  Json object;
  try {
    object = Json::parse(line);
  } catch (const Json::parse_error& e) {
    fail_input(where, fmt::format("is not JSON: byte {} of {}", e.byte, line.size()));
  } catch (const Json::exception& e) {  // a number beyond f64
    fail_input(where, fmt::format("is not JSON that can be read: {}", e.what()));
  }
  if (!object.is_object()) fail_input(where, fmt::format("is {}, wanted an object", object.type_name()));
  const auto it = object.find(field);
  if (it == object.end())
    fail_input(where, fmt::format("has no '{}', but {}", field, keys_of(object)), "name the field that holds the text");
  if (!it->is_string()) fail_input(where, fmt::format("'{}' is {}, wanted a string", field, it->type_name()));
  return std::move(it->get_ref<std::string&>());
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

struct Corpus::Impl {
  std::vector<fs::path> files;
  std::string field;
  std::size_t next_file = 0;
  std::optional<LineReader> lines;  // of the JSON lines being read

  std::string read_plain(const fs::path& path, const FileKind& kind) const {
    const std::unique_ptr<ByteSource> source = open_source(MappedFile::open(path), kind.packing);
    std::string text;
    while (source->read_more(text)) {
      if (text.size() > kMaxPlainText)
        fail_input(path.string(), fmt::format("one document of more than {} bytes", kMaxPlainText),
                   "write its documents as JSON lines");
    }
    return text;
  }

  std::optional<std::string> next_line() {
    while (const std::optional<std::string_view> line = lines->next()) {
      if (!is_blank(*line)) return text_of_line(*line, field, fmt::format("{}:{}", lines->name(), lines->line()));
    }
    return {};
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

std::optional<std::string> Corpus::next() {
  for (;;) {
    if (impl_->lines) {
      if (std::optional<std::string> text = impl_->next_line()) return text;
      impl_->lines.reset();
    }
    if (impl_->next_file == impl_->files.size()) return {};
    const fs::path& path = impl_->files[impl_->next_file++];
    const FileKind& kind = *kind_of(path);
    if (!kind.lines) return impl_->read_plain(path, kind);
    impl_->lines.emplace(open_source(MappedFile::open(path), kind.packing), path.string());
  }
}

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
