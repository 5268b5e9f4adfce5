#include "gloss/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "gloss/base/error.h"

namespace gloss {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

MappedFile MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail_errno(path.string(), "cannot be opened", errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail_errno(path.string(), "cannot be read", errno);
  if (!S_ISREG(info.st_mode)) fail_input(path.string(), "is not a regular file");

  MappedFile result;
  result.name_ = path.string();
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return result;  // mmap refuses empty ranges
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail_errno(path.string(), "cannot be mapped", errno);
  result.owner_ = std::shared_ptr<const void>(address, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  result.bytes_ = {static_cast<const std::byte*>(address), size};
  return result;
}

MappedFile MappedFile::of_bytes(std::string bytes, std::string name) {
  auto owned = std::make_shared<const std::string>(std::move(bytes));
  MappedFile result;
  result.bytes_ = std::as_bytes(std::span(owned->data(), owned->size()));
  result.owner_ = std::move(owned);
  result.name_ = std::move(name);
  return result;
}

}  // namespace gloss
