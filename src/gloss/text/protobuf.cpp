#include "gloss/text/protobuf.h"

#include <fmt/format.h>

#include <bit>
#include <limits>

#include "gloss/base/error.h"

namespace gloss::text {

void ProtobufReader::fail(std::string_view what) const {
  fail_input(where_, fmt::format("byte {}: {}", all_.size() - rest_.size(), what), "is it a SentencePiece model?");
}

std::uint64_t ProtobufReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) fail("the file ends inside a number");
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  fail("a number of more than 64 bits");
}

std::string_view ProtobufReader::take(std::uint64_t size) {
  if (size > rest_.size()) fail(fmt::format("field {} has {} bytes, {} are left", field_, size, rest_.size()));
  const std::string_view value = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return value;
}

bool ProtobufReader::next() {
  if (rest_.empty()) return false;
  const std::uint64_t key = varint();
  if (key >> 3 == 0 || key >> 3 > std::numeric_limits<std::uint32_t>::max()) fail("no number of a field");
  field_ = static_cast<std::uint32_t>(key >> 3);
  switch (key & 7U) {
    case 0:
      kind_ = Kind::varint;
      number_ = varint();
      break;
    case 1:
      kind_ = Kind::fixed64;
      value_ = take(8);
      break;
    case 2:
      kind_ = Kind::bytes;
      value_ = take(varint());
      break;
    case 5:
      kind_ = Kind::fixed32;
      value_ = take(4);
      break;
    default:
      fail(fmt::format("field {} is of kind {}, which is not known", field_, key & 7U));
  }
  return true;
}

void ProtobufReader::wants(Kind kind) const {
  if (kind_ != kind)
    fail(fmt::format("field {} is of kind {}, wanted {}", field_, static_cast<int>(kind_), static_cast<int>(kind)));
}

std::uint64_t ProtobufReader::number() const {
  wants(Kind::varint);
  return number_;
}

float ProtobufReader::real() const {
  wants(Kind::fixed32);
  std::uint32_t bits = 0;
  for (std::size_t i = 4; i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(value_[i]);
  return std::bit_cast<float>(bits);
}

std::string_view ProtobufReader::bytes() const {
  wants(Kind::bytes);
  return value_;
}

}  // namespace gloss::text
