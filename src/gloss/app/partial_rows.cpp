#include "gloss/app/partial_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "gloss/base/error.h"

namespace gloss::app {

PartialRows::PartialRows(std::filesystem::path path, const std::map<std::string, std::string>& metadata,
                         std::size_t row_bytes, std::uint64_t most_rows)
    : path_(std::move(path)), row_bytes_(row_bytes) {
  for (const auto& [key, value] : metadata) header_ += fmt::format("{}={} ", key, value);
  header_ += "\n";
  std::string found(header_.size(), '\0');
  std::ifstream in(path_, std::ios::binary);
  const bool same = in.read(found.data(), static_cast<std::streamsize>(found.size())) && found == header_;
  in.close();
  if (same) {
    count_ = std::min<std::uint64_t>((std::filesystem::file_size(path_) - header_.size()) / row_bytes_, most_rows);
    std::error_code failed;
    std::filesystem::resize_file(path_, header_.size() + count_ * row_bytes_, failed);
    if (failed) fail_system(path_.string(), fmt::format("cannot be cut to whole rows: {}", failed.message()));
    out_.open(path_, std::ios::binary | std::ios::app);
  } else {
    out_.open(path_, std::ios::binary | std::ios::trunc);
    out_ << header_;
  }
  append({});
}

void PartialRows::append(std::span<const std::byte> rows) {
  out_.write(reinterpret_cast<const char*>(rows.data()), static_cast<std::streamsize>(rows.size()));
  if (!out_.flush()) fail_system(path_.string(), "cannot be written: is the disk full?");
  count_ += rows.size() / row_bytes_;
}

std::span<const std::byte> PartialRows::read() {
  mapped_ = MappedFile::open(path_);
  return mapped_.bytes().subspan(header_.size());
}

void PartialRows::remove() {
  out_.close();
  mapped_ = MappedFile();
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace gloss::app
