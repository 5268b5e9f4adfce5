#include "gloss/formats/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/base/utf8.h"

namespace gloss::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian and mapped as they are");

using Json = nlohmann::json;

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array<DtypeRow, 13> kDtypes{{{Dtype::boolean, "BOOL", 1},
                                            {Dtype::u8, "U8", 1},
                                            {Dtype::i8, "I8", 1},
                                            {Dtype::u16, "U16", 2},
                                            {Dtype::i16, "I16", 2},
                                            {Dtype::f16, "F16", 2},
                                            {Dtype::bf16, "BF16", 2},
                                            {Dtype::u32, "U32", 4},
                                            {Dtype::i32, "I32", 4},
                                            {Dtype::f32, "F32", 4},
                                            {Dtype::u64, "U64", 8},
                                            {Dtype::i64, "I64", 8},
                                            {Dtype::f64, "F64", 8}}};

constexpr std::uint64_t kHeaderPrefix = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the reference implementation's limit
constexpr std::size_t kMaxRank = 16;
constexpr std::uint64_t kDataAlignment = 64;

/// Product of `shape` times `element`, or false when it does not fit 64 bits.
bool checked_size(std::span<const std::uint64_t> shape, std::uint64_t element, std::uint64_t& result) {
  result = element;
  for (const std::uint64_t n : shape) {
    if (n != 0 && result > std::numeric_limits<std::uint64_t>::max() / n) return false;
    result *= n;
  }
  return true;
}

std::uint64_t read_u64(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned()) fail_input(where, "wanted a whole number that is not negative");
  return value.get<std::uint64_t>();
}

TensorView parse_tensor(const std::string& name, const Json& entry, std::span<const std::byte> data,
                        const std::string& file) {
  const std::string where = fmt::format("{}: tensor '{}'", file, name);
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
    fail_input(where, "header entry is not {dtype, shape, data_offsets}");
  TensorView t;
  t.name = name;
  const std::string dtype = entry["dtype"].is_string() ? entry["dtype"].get<std::string>() : entry["dtype"].type_name();
  const auto row = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeRow& r) { return r.name == dtype; });
  if (row == kDtypes.end()) fail_input(where, fmt::format("dtype '{}' is not known", dtype));
  t.dtype = row->dtype;
  if (!entry["shape"].is_array() || entry["shape"].size() > kMaxRank) fail_input(where, "shape is not a short array");
  for (const Json& n : entry["shape"]) t.shape.push_back(read_u64(n, where + ": shape"));
  const Json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) fail_input(where, "data_offsets is not [begin, end]");
  const std::uint64_t begin = read_u64(offsets[0], where + ": data_offsets");
  const std::uint64_t end = read_u64(offsets[1], where + ": data_offsets");
  if (begin > end || end > data.size())
    fail_input(where,
               fmt::format("bytes {} to {} of the data, but the file holds {} bytes of data", begin, end, data.size()),
               "the file is cut off or damaged: download or copy it again");
  std::uint64_t wanted = 0;
  if (!checked_size(t.shape, row->size, wanted) || wanted != end - begin)
    fail_input(where,
               fmt::format("{} bytes, but {} of shape {} needs {}", end - begin, dtype, format_shape(t.shape), wanted));
  t.bytes = data.subspan(begin, end - begin);
  return t;
}

Json parse_header(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < kHeaderPrefix)
    fail_input(file, fmt::format("{} bytes are too few for a safetensors file", bytes.size()),
               "the file is cut off or is something else");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof(header_size));
  if (header_size > kMaxHeader || header_size > bytes.size() - kHeaderPrefix)
    fail_input(file, fmt::format("the header claims {} bytes, but the file has {}", header_size, bytes.size()),
               "the file is cut off, or is no safetensors file (a Git LFS pointer?)");
  const auto* begin = reinterpret_cast<const char*>(bytes.data() + kHeaderPrefix);
  Json header = Json::parse(begin, begin + header_size, nullptr, false);
  if (!header.is_object()) fail_input(file, fmt::format("bytes 8 to {}: the header is not JSON", 8 + header_size));
  return header;
}

void check_no_gaps(std::span<const TensorView> tensors, std::span<const std::byte> data, const std::string& file) {
  const std::byte* end = data.data();
  for (const TensorView& t : tensors) {
    if (t.bytes.empty()) continue;
    if (t.bytes.data() != end)
      fail_input(fmt::format("{}: tensor '{}'", file, t.name), "its bytes overlap another tensor's or leave a hole");
    end = t.bytes.data() + t.bytes.size();
  }
  if (end != data.data() + data.size())
    fail_input(file, fmt::format("{} bytes after the last tensor", data.data() + data.size() - end));
}

}  // namespace

std::size_t size_bytes(Dtype dtype) { return kDtypes.at(static_cast<std::size_t>(dtype)).size; }
std::string_view name_of(Dtype dtype) { return kDtypes.at(static_cast<std::size_t>(dtype)).name; }

std::string format_shape(std::span<const std::uint64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::uint64_t TensorView::element_count() const { return bytes.size() / size_bytes(dtype); }

SafeTensors SafeTensors::open(const std::filesystem::path& path) { return parse(MappedFile::open(path)); }

SafeTensors SafeTensors::parse(MappedFile file) {
  SafeTensors result;
  result.file_ = std::move(file);
  const std::string& name = result.file_.name();
  const std::span<const std::byte> bytes = result.file_.bytes();
  const Json header = parse_header(bytes, name);
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof(header_size));
  result.header_ = bytes.first(kHeaderPrefix + header_size);
  const auto data = bytes.subspan(kHeaderPrefix + header_size);
  for (const auto& [key, entry] : header.items()) {
    if (key != "__metadata__") {
      result.tensors_.push_back(parse_tensor(key, entry, data, name));
      continue;
    }
    if (!entry.is_object()) fail_input(name, "__metadata__ is not an object of strings");
    for (const auto& [k, v] : entry.items()) {
      if (!v.is_string()) fail_input(name, fmt::format("__metadata__ '{}' is not a string", k));
      result.metadata_[k] = v.get<std::string>();
    }
  }
  std::sort(result.tensors_.begin(), result.tensors_.end(), [](const TensorView& a, const TensorView& b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  check_no_gaps(result.tensors_, data, name);
  return result;
}

bool SafeTensors::contains(std::string_view name) const {
  return std::any_of(tensors_.begin(), tensors_.end(), [&](const TensorView& t) { return t.name == name; });
}

const TensorView& SafeTensors::tensor(std::string_view name) const {
  for (const TensorView& t : tensors_) {
    if (t.name == name) return t;
  }
  std::vector<std::string> names;
  for (const TensorView& t : tensors_) names.push_back(t.name);
  const std::string nearest = nearest_name(name, names);
  fail_input(file_.name(), fmt::format("has no tensor '{}' among its {}", name, tensors_.size()),
             nearest.empty() ? std::string() : fmt::format("the nearest name in it is '{}'", nearest));
}

const TensorView& SafeTensors::tensor(std::string_view name, Dtype dtype, std::span<const std::uint64_t> shape) const {
  const TensorView& t = tensor(name);
  if (t.dtype != dtype || !std::ranges::equal(t.shape, shape))
    fail_input(fmt::format("{}: tensor '{}'", file_.name(), name),
               fmt::format("is {} {}, wanted {} {}", name_of(t.dtype), format_shape(t.shape), name_of(dtype),
                           format_shape(shape)));
  return t;
}

void SafeTensors::check_view(const TensorView& t, Dtype dtype, std::size_t element_bytes, std::size_t alignment) const {
  const std::string where = fmt::format("{}: tensor '{}'", file_.name(), t.name);
  if (t.dtype != dtype || size_bytes(dtype) != element_bytes)
    fail_input(where, fmt::format("is {}, wanted {}", name_of(t.dtype), name_of(dtype)));
  if (reinterpret_cast<std::uintptr_t>(t.bytes.data()) % alignment != 0) fail_input(where, "its bytes are not aligned");
}

std::vector<float> to_floats(const TensorView& t) {
  std::vector<float> out(t.element_count());
  const std::byte* p = t.bytes.data();
  const auto each = [&]<class T>(T, auto convert) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      T value{};
      std::memcpy(&value, p + i * sizeof(T), sizeof(T));
      out[i] = convert(value);
    }
  };
  switch (t.dtype) {
    case Dtype::f32:
      if (!out.empty()) std::memcpy(out.data(), p, t.bytes.size());
      break;
    case Dtype::f16:
      each(std::uint16_t{}, float_from_half);
      break;
    case Dtype::bf16:
      each(std::uint16_t{}, float_from_bfloat16);
      break;
    case Dtype::f64:
      each(double{}, [](double v) { return static_cast<float>(v); });
      break;
    default:
      fail_input(fmt::format("tensor '{}'", t.name),
                 fmt::format("is {}, wanted a float type (F32, F16, BF16, F64)", name_of(t.dtype)));
  }
  return out;
}

SafeTensorsWriter::SafeTensorsWriter(const std::filesystem::path& path, const std::vector<Declared>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path) {
  Json header = Json::object();
  if (!metadata.empty()) {
    Json& meta = header["__metadata__"] = Json::object();
    for (const auto& [key, value] : metadata) meta[key] = replace_invalid_utf8(value);
  }
  for (const Declared& t : tensors) {
    std::uint64_t bytes = 0;
    if (!checked_size(t.shape, size_bytes(t.dtype), bytes)) throw std::logic_error("tensor too large: " + t.name);
    header[t.name] = {
        {"dtype", name_of(t.dtype)}, {"shape", t.shape}, {"data_offsets", {wanted_bytes_, wanted_bytes_ + bytes}}};
    wanted_bytes_ += bytes;
  }
  std::string text = header.dump();
  while ((kHeaderPrefix + text.size()) % kDataAlignment != 0) text.push_back(' ');
  const std::uint64_t size = text.size();
  file_.write(std::as_bytes(std::span(&size, 1)));
  file_.write(text);
}

void SafeTensorsWriter::write(std::span<const std::byte> bytes) {
  given_bytes_ += bytes.size();
  file_.write(bytes);
}

void SafeTensorsWriter::commit() {
  if (given_bytes_ != wanted_bytes_)
    throw std::logic_error(fmt::format("wrote {} bytes of {} declared", given_bytes_, wanted_bytes_));
  file_.commit();
}

}  // namespace gloss::formats
