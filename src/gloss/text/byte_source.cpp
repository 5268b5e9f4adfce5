#include "gloss/text/byte_source.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "gloss/base/error.h"

namespace gloss::text {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
constexpr std::string_view kDamaged = "the file is cut off or damaged: download or copy it again";

std::string_view as_text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(MappedFile file) : file_(std::move(file)), rest_(as_text(file_)) {}

  bool read_more(std::string& out) override {
    const std::string_view block = rest_.substr(0, kBlock);
    out += block;
    rest_.remove_prefix(block.size());
    return !block.empty();
  }

 private:
  MappedFile file_;
  std::string_view rest_;
};

/// Gzip members, one behind the other. Source: RFC 1952, through zlib.
class GzipSource : public ByteSource {
 public:
  explicit GzipSource(MappedFile file) : file_(std::move(file)), rest_(as_text(file_)) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  bool read_more(std::string& out) override {
    const std::size_t before = out.size();
    while (out.size() == before) {
      if (rest_.empty() && !in_member_) return false;
      out.resize(before + kBlock);
      const std::size_t made = inflate_into(out.data() + before);
      out.resize(before + made);
    }
    return true;
  }

 private:
  std::size_t inflate_into(char* out) {
    const std::string_view part = rest_.substr(0, kBlock);
    // zlib only reads through next_in
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
    stream_.avail_in = static_cast<uInt>(part.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(kBlock);
    in_member_ = true;
    const int rc = inflate(&stream_, Z_NO_FLUSH);
    if (rc == Z_BUF_ERROR && part.empty()) fail_input(file_.name(), "the gzip data end in the middle", kDamaged);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
      fail_input(file_.name(),
                 fmt::format("byte {}: no gzip data ({})", as_text(file_).size() - rest_.size(),
                             stream_.msg != nullptr ? stream_.msg : "unknown"),
                 kDamaged);
    rest_.remove_prefix(part.size() - stream_.avail_in);
    const std::size_t made = kBlock - stream_.avail_out;
    if (rc == Z_STREAM_END) {
      in_member_ = false;
      inflateReset(&stream_);
    }
    return made;
  }

  MappedFile file_;
  std::string_view rest_;
  z_stream stream_{};
  bool in_member_ = true;  // an empty file is no gzip file
};

/// Zstandard frames, one behind the other. Source: RFC 8878, through libzstd.
class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(MappedFile file) : file_(std::move(file)), input_{file_.bytes().data(), file_.bytes().size(), 0} {
    if (stream_ == nullptr) throw std::bad_alloc();
  }

  bool read_more(std::string& out) override {
    const std::size_t before = out.size();
    while (out.size() == before) {
      if (input_.pos == input_.size && !in_frame_) return false;
      out.resize(before + kBlock);
      ZSTD_outBuffer block{out.data() + before, kBlock, 0};
      const std::size_t start = input_.pos;
      const std::size_t rc = ZSTD_decompressStream(stream_.get(), &block, &input_);
      if (ZSTD_isError(rc) != 0)
        fail_input(file_.name(), fmt::format("byte {}: no zstd data ({})", start, ZSTD_getErrorName(rc)), kDamaged);
      in_frame_ = rc != 0;
      if (in_frame_ && block.pos == 0 && start == input_.size)
        fail_input(file_.name(), "the zstd data end in the middle", kDamaged);
      out.resize(before + block.pos);
    }
    return true;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* s) const { ZSTD_freeDStream(s); }
  };
  MappedFile file_;
  ZSTD_inBuffer input_;
  std::unique_ptr<ZSTD_DStream, Free> stream_{ZSTD_createDStream()};
  bool in_frame_ = true;  // an empty file is no zstd file
};

}  // namespace

std::unique_ptr<ByteSource> open_source(MappedFile file, Packing packing) {
  switch (packing) {
    case Packing::gzip:
      return std::make_unique<GzipSource>(std::move(file));
    case Packing::zstd:
      return std::make_unique<ZstdSource>(std::move(file));
    case Packing::none:
      break;
  }
  return std::make_unique<PlainSource>(std::move(file));
}

LineReader::LineReader(std::unique_ptr<ByteSource> source, std::string name, std::size_t max_line)
    : source_(std::move(source)), name_(std::move(name)), max_line_(max_line) {}

std::optional<std::string_view> LineReader::next() {
  std::size_t searched = begin_;
  std::size_t end = buffer_.find('\n', searched);
  while (end == std::string::npos && !ended_) {
    buffer_.erase(0, begin_);
    searched = buffer_.size();
    begin_ = 0;
    ended_ = !source_->read_more(buffer_);
    end = buffer_.find('\n', searched);
    if (std::min(end, buffer_.size()) > max_line_) break;
  }
  const std::size_t stop = std::min(end, buffer_.size());
  if (end == std::string::npos && begin_ == buffer_.size()) return {};
  ++line_;
  if (stop - begin_ > max_line_)
    fail_input(fmt::format("{}:{}", name_, line_), fmt::format("the line is longer than {} bytes", max_line_),
               "is this a file of JSON lines?");
  std::string_view line = std::string_view(buffer_).substr(begin_, stop - begin_);
  begin_ = end == std::string::npos ? stop : end + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace gloss::text
