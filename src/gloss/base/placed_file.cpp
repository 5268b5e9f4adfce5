#include "gloss/base/placed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "gloss/base/error.h"

namespace gloss {

PlacedFile::PlacedFile(std::filesystem::path path, std::uint64_t size_bytes)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_errno(temporary_.string(), "cannot be created", errno);
  if (::fallocate(fd_, 0, 0, static_cast<off_t>(size_bytes)) == 0) return;
  if (errno == EOPNOTSUPP || errno == ENOSYS) return;  // writing will tell
  const int error = errno;
  ::close(fd_);
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
  fail_errno(temporary_.string(), "cannot be written", error);
}

PlacedFile::~PlacedFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void PlacedFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(temporary_.string(), "cannot be written", errno);
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void PlacedFile::commit() {
  if (::fsync(fd_) != 0) fail_errno(temporary_.string(), "cannot be synced to disk", errno);
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) fail_errno(temporary_.string(), "cannot be closed", errno);
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  if (error) fail_errno(path_.string(), "cannot be put in place", error.value());
}

}  // namespace gloss
