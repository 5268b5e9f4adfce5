#include "gloss/formats/npz_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "gloss/base/error.h"

namespace gloss::formats {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kLongestHeader = std::size_t{1} << 16;
constexpr std::size_t kMostDimensions = 32;
constexpr std::string_view kSuffix = ".npy";

struct DescrRow {
  std::string_view descr;
  Dtype dtype;
};
constexpr std::array<DescrRow, 12> kDescrs{{{"<f4", Dtype::f32},
                                            {"<f8", Dtype::f64},
                                            {"<f2", Dtype::f16},
                                            {"<i8", Dtype::i64},
                                            {"<i4", Dtype::i32},
                                            {"<i2", Dtype::i16},
                                            {"|i1", Dtype::i8},
                                            {"<u8", Dtype::u64},
                                            {"<u4", Dtype::u32},
                                            {"<u2", Dtype::u16},
                                            {"|u1", Dtype::u8},
                                            {"|b1", Dtype::boolean}}};

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

/// Reads the dict literal of a .npy header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  Header read() {
    Header header;
    std::array<bool, 3> seen{};
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      std::size_t field = 0;
      if (key == "descr") {
        header.descr = descr();
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
        field = 1;
      } else if (key == "shape") {
        header.shape = shape();
        field = 2;
      } else {
        fail(fmt::format("a key '{}'", key));
      }
      if (seen[field]) fail(fmt::format("'{}' twice", key));
      seen[field] = true;
      if (!accept(',') && !at('}')) fail("no comma between its keys");
    }
    if (!(seen[0] && seen[1] && seen[2])) fail("not all of descr, fortran_order and shape");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& found) const {
    fail_input(where_, fmt::format("its header has {} at byte {}", found, at_), "is the file damaged?");
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool at(char c) {
    skip();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool accept(char c) {
    if (!at(c)) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("no '{}'", c));
  }
  std::string quoted() {
    skip();
    if (!at('\'') && !at('"')) fail("no string");
    const char quote = text_[at_++];
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail("a string without an end");
    std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }
  std::string descr() {
    if (at('[')) fail("a structured dtype");
    return quoted();
  }
  bool boolean() {
    skip();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    fail("neither True nor False");
  }
  std::vector<std::uint64_t> shape() {
    std::vector<std::uint64_t> dimensions;
    expect('(');
    while (!accept(')')) {
      skip();
      std::uint64_t n = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), n);
      if (error != std::errc()) fail("no size");
      at_ = static_cast<std::size_t>(end - text_.data());
      accept('L');  // Python 2 wrote long integers so
      dimensions.push_back(n);
      if (dimensions.size() > kMostDimensions) fail("too many dimensions");
      if (!accept(',') && !at(')')) fail("no comma between sizes");
    }
    return dimensions;
  }

  std::string_view text_;
  std::string where_;
  std::size_t at_ = 0;
};

/// Bytes of an array of this shape; nothing when the product overflows.
std::optional<std::uint64_t> byte_count(const std::vector<std::uint64_t>& shape, std::uint64_t element) {
  std::uint64_t count = element;
  for (const std::uint64_t n : shape) {
    if (__builtin_mul_overflow(count, n, &count)) return std::nullopt;
  }
  return count;
}

/// From column order to row order.
std::vector<std::byte> in_row_order(std::span<const std::byte> bytes, const std::vector<std::uint64_t>& shape,
                                    std::size_t element) {
  std::vector<std::byte> out(bytes.size());
  const std::size_t count = bytes.size() / element;
  std::vector<std::uint64_t> index(shape.size(), 0);
  for (std::size_t from = 0; from < count; ++from) {
    std::uint64_t to = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) to = to * shape[d] + index[d];
    std::memcpy(out.data() + to * element, bytes.data() + from * element, element);
    for (std::size_t d = 0; d < shape.size() && ++index[d] == shape[d]; ++d) index[d] = 0;
  }
  return out;
}

struct Npy {
  Header header;
  Dtype dtype = Dtype::f32;
  std::span<const std::byte> data;
};

Npy parse_npy(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t fixed = kMagic.size() + 2;
  if (bytes.size() < fixed + 2 || !text.starts_with(kMagic))
    fail_input(where, fmt::format("{} bytes that do not begin as a .npy file does", bytes.size()));
  const auto major = static_cast<unsigned>(bytes[kMagic.size()]);
  if (major < 1 || major > 3) fail_input(where, fmt::format("is .npy version {}, known: 1 to 3", major));
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  if (bytes.size() < fixed + length_bytes) fail_input(where, "is cut inside its header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<std::size_t>(std::to_integer<unsigned>(bytes[fixed + i])) << (8 * i);
  const std::size_t begin = fixed + length_bytes;
  if (length > kLongestHeader || length > bytes.size() - begin)
    fail_input(where, fmt::format("says its header has {} bytes, but {} are left", length, bytes.size() - begin));
  Npy npy;
  npy.header = HeaderParser(text.substr(begin, length), where).read();
  const std::string& descr = npy.header.descr;
  const auto* row = std::find_if(kDescrs.begin(), kDescrs.end(), [&](const DescrRow& r) { return r.descr == descr; });
  if (row == kDescrs.end()) {
    if (descr.find('O') != std::string::npos)
      fail_input(where, fmt::format("holds Python objects (dtype '{}'), a pickle that would be run", descr),
                 "save plain arrays of numbers");
    fail_input(where, fmt::format("has dtype '{}', wanted little-endian numbers ('<f4' and the like)", descr),
               descr == "|V2" ? "bfloat16 has no name in .npy files: save it as float32" : "");
  }
  npy.dtype = row->dtype;
  npy.data = bytes.subspan(begin + length);
  const auto wanted = byte_count(npy.header.shape, size_bytes(npy.dtype));
  if (wanted != npy.data.size())
    fail_input(where, fmt::format("has {} bytes of data, but its shape {} of '{}' needs {}", npy.data.size(),
                                  format_shape(npy.header.shape), descr,
                                  wanted ? std::to_string(*wanted) : std::string("more than there can be")));
  return npy;
}

}  // namespace

NpzFile NpzFile::open(const std::filesystem::path& path) { return parse(MappedFile::open(path)); }

NpzFile NpzFile::parse(MappedFile file) {
  NpzFile result;
  result.file_ = file;
  const ZipFile zip = ZipFile::parse(std::move(file));
  for (const ZipEntry& entry : zip.entries()) {
    std::string name = entry.name;
    if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
    const std::string where = fmt::format("{}: array '{}'", result.file_.name(), name);
    std::span<const std::byte> bytes = entry.bytes;
    const auto keep = [&](std::vector<std::byte> owned) {
      result.owned_.push_back(std::make_shared<const std::vector<std::byte>>(std::move(owned)));
      return std::span<const std::byte>(*result.owned_.back());
    };
    if (entry.deflated) bytes = keep(zip.unpack(entry));
    Npy npy = parse_npy(bytes, where);
    if (npy.header.fortran_order && npy.header.shape.size() > 1)
      npy.data = keep(in_row_order(npy.data, npy.header.shape, size_bytes(npy.dtype)));
    result.tensors_.push_back({name, npy.dtype, npy.header.shape, npy.data});
  }
  return result;
}

bool NpzFile::contains(std::string_view name) const {
  return std::any_of(tensors_.begin(), tensors_.end(), [&](const TensorView& t) { return t.name == name; });
}

const TensorView& NpzFile::tensor(std::string_view name) const {
  const auto it = std::find_if(tensors_.begin(), tensors_.end(), [&](const TensorView& t) { return t.name == name; });
  if (it != tensors_.end()) return *it;
  std::vector<std::string> names;
  for (const TensorView& t : tensors_) names.push_back(t.name);
  const std::string nearest = nearest_name(name, names);
  fail_input(file_.name(), fmt::format("has no array '{}' among its {}", name, tensors_.size()),
             nearest.empty() ? std::string() : fmt::format("the nearest name in it is '{}'", nearest));
}

}  // namespace gloss::formats
