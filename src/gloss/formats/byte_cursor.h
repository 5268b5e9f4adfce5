#pragma once
/// Little-endian numbers out of bytes from outside, every read held against the end.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"

namespace gloss::formats {

/// Goes through `bytes`; `where` begins every message, and offsets in messages count from `base`.
/// Lifetime: `bytes` must outlive this and the views it gives.
class ByteCursor {
 public:
  ByteCursor(std::span<const std::byte> bytes, std::string where, std::uint64_t base = 0)
      : bytes_(bytes), where_(std::move(where)), base_(base) {}

  std::uint64_t offset() const { return base_ + at_; }
  std::size_t position() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }
  const std::string& where() const { return where_; }

  /// Errors: bad_input naming the byte when fewer than `count` are left.
  std::span<const std::byte> take(std::uint64_t count, std::string_view what) {
    if (count > left())
      fail(fmt::format("{} needs {} bytes, but {} are left", what, count, left()),
           "the file is cut off or damaged: download or copy it again");
    const auto part = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += part.size();
    return part;
  }
  std::string_view text(std::uint64_t count, std::string_view what) {
    const auto part = take(count, what);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  template <class T>
  T number(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  [[noreturn]] void fail(std::string_view what, std::string_view hint = {}) const { fail_at(offset(), what, hint); }
  [[noreturn]] void fail_at(std::uint64_t byte, std::string_view what, std::string_view hint = {}) const {
    fail_input(where_, fmt::format("byte {}: {}", byte, what), hint);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  std::uint64_t base_;
  std::size_t at_ = 0;
};

/// A name from outside as it may stand in a message: short, valid, without control characters.
inline std::string shown_name(std::string_view name) {
  constexpr std::size_t kShown = 100;
  std::string text = replace_invalid_utf8(name.substr(0, kShown));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return name.size() > kShown ? text + "..." : text;
}

}  // namespace gloss::formats
