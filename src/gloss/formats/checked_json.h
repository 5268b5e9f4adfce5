#pragma once
/// Small JSON files that hold a checksum of every byte of themselves. How it lies there: docs/formats/checksums.md.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace gloss::formats {

/// The text of an object, two spaces a level, with two keys more: "checksums": 1 and last "xxh3", XXH3-128 of the whole
/// text with these 32 digits as 0. Requires: an object without such keys.
std::string checked_json_text(nlohmann::ordered_json object);

/// Whether `text` holds a checksum; one that an older gloss wrote does not. Errors: bad_input naming `where`: it is not
/// the text's, or the text says that there is one and there is none.
bool check_json_text(std::string_view text, const std::string& where);

}  // namespace gloss::formats
