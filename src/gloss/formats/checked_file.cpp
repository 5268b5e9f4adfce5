#include "gloss/formats/checked_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"

namespace gloss::formats {
namespace {

constexpr std::uint64_t kDataAlignment = 64;
constexpr std::size_t kDigits = 32;  // of an XXH3-128 in hexadecimal
constexpr std::string_view kPrefix = "xxh3.";
constexpr std::string_view kHeaderKey = "xxh3.header";
const std::string kNoDigits(kDigits, '0');

std::uint64_t bytes_of(const SafeTensorsWriter::Declared& array) {
  std::uint64_t bytes = size_bytes(array.dtype);
  for (const std::uint64_t n : array.shape) bytes *= n;
  return bytes;
}

/// Where in a header the digits of its own checksum stand.
std::optional<std::size_t> find_own_digits(std::string_view header) {
  const std::string before = fmt::format("\"{}\":\"", kHeaderKey);
  const std::size_t at = header.find(before);
  if (at == std::string_view::npos || header.size() - at - before.size() < kDigits) return {};
  return at + before.size();
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string hash_of(std::string_view text) { return hash_hex(std::as_bytes(std::span(text.data(), text.size()))); }

}  // namespace

std::string checksum_key(std::string_view array) { return fmt::format("{}{}", kPrefix, array); }

bool is_checksum_key(std::string_view key) { return key.starts_with(kPrefix); }

std::vector<CheckedFileWriter::Array> CheckedFileWriter::plan(std::vector<Declared> declared) {
  std::vector<Array> arrays;
  std::uint64_t end = 0;
  for (Declared& d : declared) {
    const std::uint64_t size = bytes_of(d);
    arrays.push_back({std::move(d), end, size, 0, {}});
    end += size;
  }
  return arrays;
}

CheckedFileWriter::CheckedFileWriter(std::filesystem::path path, std::vector<Declared> arrays,
                                     std::map<std::string, std::string> metadata)
    : metadata_(std::move(metadata)),
      arrays_(plan(std::move(arrays))),
      header_bytes_(header().size()),
      file_(std::move(path), header_bytes_ + (arrays_.empty() ? 0 : arrays_.back().begin + arrays_.back().size)) {
  for (const auto& [key, value] : metadata_) {
    if (is_checksum_key(key)) throw std::logic_error("checksums are set by the writer, not given: '" + key + "'");
  }
}

/// The size depends on the lengths of names and metadata only, so it is known before the checksums are.
/// Source: huggingface/safetensors README, "Format".
std::string CheckedFileWriter::header() const {
  nlohmann::json json = nlohmann::json::object();
  nlohmann::json& meta = json["__metadata__"] = nlohmann::json::object();
  for (const auto& [key, value] : metadata_) meta[key] = replace_invalid_utf8(value);
  meta[std::string(kHeaderKey)] = kNoDigits;
  for (const Array& array : arrays_) {
    meta[checksum_key(array.declared.name)] = array.hash.digest_hex();
    nlohmann::json& entry = json[array.declared.name];
    entry["dtype"] = name_of(array.declared.dtype);
    entry["shape"] = array.declared.shape;
    entry["data_offsets"] = {array.begin, array.begin + array.size};
  }
  std::string text = json.dump();
  while ((sizeof(std::uint64_t) + text.size()) % kDataAlignment != 0) text.push_back(' ');
  const std::uint64_t size = text.size();
  std::string whole = std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + text;
  const std::optional<std::size_t> own = find_own_digits(whole);
  if (!own) throw std::logic_error("a header without its own checksum");
  return whole.replace(*own, kDigits, hash_of(whole));
}

void CheckedFileWriter::append(std::size_t number, std::span<const std::byte> bytes) {
  Array& array = arrays_.at(number);
  if (bytes.size() > array.size - array.written)
    throw std::logic_error(fmt::format("array '{}' has {} bytes, {} were given", array.declared.name, array.size,
                                       array.written + bytes.size()));
  array.hash.add_bytes(bytes);
  file_.write_at(header_bytes_ + array.begin + array.written, bytes);
  array.written += bytes.size();
}

void CheckedFileWriter::commit() {
  for (const Array& array : arrays_) {
    if (array.written != array.size)
      throw std::logic_error(
          fmt::format("array '{}' has {} bytes, {} were given", array.declared.name, array.size, array.written));
  }
  const std::string text = header();
  if (text.size() != header_bytes_) throw std::logic_error("the header changed its size");
  file_.write_at(0, std::as_bytes(std::span(text)));
  file_.commit();
}

void check_header(const SafeTensors& file, std::string_view hint) {
  std::string header(text_of(file.header_bytes()));
  const std::optional<std::size_t> own = find_own_digits(header);
  if (!own) fail_input(file.file_name(), fmt::format("metadata has no '{}'", kHeaderKey), hint);
  const std::string wanted = header.substr(*own, kDigits);
  header.replace(*own, kDigits, kNoDigits);
  const std::string found = hash_of(header);
  if (found != wanted)
    fail_input(fmt::format("{}: header (bytes 0 to {})", file.file_name(), header.size() - 1),
               fmt::format("has checksum {}, wanted '{}'", found, wanted), hint);
}

void check_arrays(const SafeTensors& file, std::string_view hint) {
  for (const TensorView& tensor : file.tensors()) {
    const auto it = file.metadata().find(checksum_key(tensor.name));
    const std::string wanted = it == file.metadata().end() ? std::string() : it->second;
    const std::string found = hash_hex(tensor.bytes);
    if (found != wanted)
      fail_input(fmt::format("{}: tensor '{}'", file.file_name(), tensor.name),
                 fmt::format("has checksum {}, wanted '{}'", found, wanted), hint);
  }
}

}  // namespace gloss::formats
