#pragma once
/// The few things of Protocol Buffers' wire format that a SentencePiece model is made of.
/// Source: protobuf.dev/programming-guides/encoding.
#include <cstdint>
#include <string>
#include <string_view>

namespace gloss::text {

/// Reads the fields of one message in the order they stand in; each is skipped unless its value is asked for.
/// Lifetime: borrows the bytes.
class ProtobufReader {
 public:
  /// `where` begins every message.
  ProtobufReader(std::string_view bytes, std::string where) : all_(bytes), rest_(bytes), where_(std::move(where)) {}

  /// Goes to the next field; false at the end. Errors: bad_input naming the byte: a field cut short, of a kind that is
  /// not known, or of number 0.
  bool next();
  std::uint32_t field() const { return field_; }

  /// The value of the field. Errors: bad_input when it is of another kind.
  std::uint64_t number() const;
  bool boolean() const { return number() != 0; }
  float real() const;
  std::string_view bytes() const;

 private:
  enum class Kind : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  [[noreturn]] void fail(std::string_view what) const;
  void wants(Kind kind) const;
  std::uint64_t varint();
  std::string_view take(std::uint64_t size);

  std::string_view all_;
  std::string_view rest_;
  std::string where_;
  std::uint32_t field_ = 0;
  Kind kind_ = Kind::varint;
  std::uint64_t number_ = 0;  // of a varint
  std::string_view value_;    // of the others
};

}  // namespace gloss::text
