#include "gloss/formats/gzip_text.h"

#include <zlib.h>

#include <cstddef>
#include <limits>
#include <new>
#include <string>

#include "gloss/base/output_file.h"

namespace gloss::formats {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;

}  // namespace

struct GzipText::Impl {
  explicit Impl(const std::filesystem::path& path) : file(path), block(kBlock, '\0') {
    constexpr int kGzip = 16 + MAX_WBITS, kMemoryLevel = 8;
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Impl() { deflateEnd(&stream); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Packs what next_in holds, to the end of the member with Z_FINISH.
  void pack(int flush) {
    do {
      stream.next_out = reinterpret_cast<Bytef*>(block.data());
      stream.avail_out = static_cast<uInt>(block.size());
      deflate(&stream, flush);
      file.write(std::string_view(block).substr(0, block.size() - stream.avail_out));
    } while (stream.avail_out == 0);
  }

  OutputFile file;
  z_stream stream{};
  std::string block;
};

GzipText::GzipText(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {}
GzipText::~GzipText() = default;

void GzipText::write(std::string_view text) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, std::numeric_limits<uInt>::max());
    // zlib only reads through next_in
    impl_->stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
    impl_->stream.avail_in = static_cast<uInt>(part.size());
    impl_->pack(Z_NO_FLUSH);
    text.remove_prefix(part.size());
  }
}

void GzipText::commit() {
  impl_->pack(Z_FINISH);
  impl_->file.commit();
}

}  // namespace gloss::formats
