#pragma once
/// Numbers that must not be mixed up are types of their own.
#include <cstdint>

namespace gloss {

/// One latent of a sparse coder, in [0, F).
enum class LatentId : std::uint32_t {};
/// One token of a vocabulary, in [0, V).
enum class TokenId : std::uint32_t {};

constexpr std::uint32_t to_index(LatentId id) { return static_cast<std::uint32_t>(id); }
constexpr std::uint32_t to_index(TokenId id) { return static_cast<std::uint32_t>(id); }

}  // namespace gloss
