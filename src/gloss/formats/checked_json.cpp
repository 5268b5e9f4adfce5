#include "gloss/formats/checked_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"

namespace gloss::formats {
namespace {

constexpr std::string_view kKey = "\"xxh3\": \"", kPromise = "\"checksums\": 1";
constexpr std::size_t kDigits = 32;

std::string hash_of(std::string_view text) { return hash_hex(std::as_bytes(std::span(text.data(), text.size()))); }

}  // namespace

std::string checked_json_text(nlohmann::ordered_json object) {
  object["checksums"] = 1;
  object["xxh3"] = std::string(kDigits, '0');
  std::string text = object.dump(2) + "\n";
  const std::string hash = hash_of(text);
  text.replace(text.rfind(kKey) + kKey.size(), kDigits, hash);
  return text;
}

bool check_json_text(std::string_view text, const std::string& where) {
  const std::size_t key = text.rfind(kKey);
  const std::size_t begin = key + kKey.size();
  const bool there = key != std::string_view::npos && begin + kDigits <= text.size();
  if (!there && text.find(kPromise) == std::string_view::npos) return false;
  std::string copy(text);
  if (there) copy.replace(begin, kDigits, kDigits, '0');
  if (!there || hash_of(copy) != text.substr(begin, kDigits))
    fail_input(where, "does not have the checksum that it holds of itself", "the file is damaged or was edited");
  return true;
}

}  // namespace gloss::formats
