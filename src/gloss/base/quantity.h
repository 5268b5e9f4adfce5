#pragma once
/// Numbers as people write them: 5M tokens, 1GiB of memory, 2h 05m left.
#include <cstdint>
#include <string>
#include <string_view>

namespace gloss {

/// Reads "300", "5k", "10M", "1.5G" (powers of 1000) or "64KiB", "512MiB", "1GiB" (powers of 1024).
/// Errors: usage, naming `what`, when it is not such a number, is negative or not whole.
std::uint64_t parse_quantity(std::string_view text, std::string_view what);

std::string format_count(double count);        // 950, 12.3k, 4.56M
std::string format_bytes(std::uint64_t size);  // 950 B, 12.3 MiB
std::string format_seconds(double seconds);    // 0.4s, 12s, 3m 05s, 2h 05m

}  // namespace gloss
