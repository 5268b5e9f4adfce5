#include "gloss/index/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gloss/base/utf8.h"

namespace gloss::index {
namespace {

using formats::Dtype;

constexpr std::uint64_t kDataAlignment = 64;
constexpr std::string_view kChecksumPrefix = "xxh3.";
constexpr std::array<std::string_view, 5> kReserved{"format", "hookpoint", "ctx_len", "token_count",
                                                    "excluded_token_count"};

}  // namespace

std::string checksum_key(Array array) { return fmt::format("{}{}", kChecksumPrefix, kArrayNames.at(array)); }

bool is_reserved_key(std::string_view key) {
  return key.starts_with(kChecksumPrefix) || std::find(kReserved.begin(), kReserved.end(), key) != kReserved.end();
}

Layout::Layout(std::uint64_t latents, std::uint64_t firings, Dtype activation)
    : length_{latents + 1, latents, latents, firings, latents, firings}, dtype_{Dtype::u64, Dtype::u64, Dtype::f64,
                                                                                Dtype::u32, Dtype::f32, activation} {
  for (std::size_t a = 0; a < kArrays; ++a) {
    begin_.at(a) = data_bytes_;
    data_bytes_ += length_.at(a) * formats::size_bytes(dtype_.at(a));
  }
}

std::string Layout::header(const std::map<std::string, std::string>& metadata) const {
  nlohmann::json json = nlohmann::json::object();
  nlohmann::json& meta = json["__metadata__"] = nlohmann::json::object();
  for (const auto& [key, value] : metadata) meta[key] = replace_invalid_utf8(value);
  for (std::size_t a = 0; a < kArrays; ++a) {
    const std::uint64_t end = begin_.at(a) + length_.at(a) * formats::size_bytes(dtype_.at(a));
    nlohmann::json& entry = json[std::string(kArrayNames.at(a))];
    entry["dtype"] = formats::name_of(dtype_.at(a));
    entry["shape"] = {length_.at(a)};
    entry["data_offsets"] = {begin_.at(a), end};
  }
  std::string text = json.dump();
  while ((sizeof(std::uint64_t) + text.size()) % kDataAlignment != 0) text.push_back(' ');
  const std::uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + text;
}

}  // namespace gloss::index
