#include "gloss/base/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"

namespace gloss {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(path.string(), "cannot be written", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_errno(temporary_.string(), "cannot be created", errno);
  buffer_.reserve(kBufferBytes);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  written_ += text.size();
  if (buffer_.size() + text.size() > kBufferBytes) flush();
  if (text.size() >= kBufferBytes) {
    write_all(fd_, text, temporary_);
  } else {
    buffer_.append(text);
  }
}

void OutputFile::flush() {
  write_all(fd_, buffer_, temporary_);
  buffer_.clear();
}

void OutputFile::commit() {
  flush();
  if (::fsync(fd_) != 0) fail_errno(temporary_.string(), "cannot be synced to disk", errno);
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  if (error) fail_errno(path_.string(), "cannot be put in place", error.value());
  if (::close(std::exchange(fd_, -1)) != 0) fail_errno(path_.string(), "cannot be closed", errno);
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  OutputFile file(path);
  file.write(content);
  file.commit();
}

std::string read_file(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace gloss
