#pragma once
/// For tests: a tokenizer whose 256 tokens are the bytes, and windows made from plain strings.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/utf8.h"
#include "gloss/examples/examples.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::explain {

/// tokenizer.json of the byte-level kind without merges; the id of a byte is its value.
inline text::Tokenizer byte_tokenizer() {
  nlohmann::json vocabulary;
  char32_t next = 256;  // bytes that are no visible Latin-1 letter are written as the letters from here
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    std::string name;
    append_utf8(name, visible ? static_cast<char32_t>(byte) : next++);
    vocabulary[name] = byte;
  }
  const nlohmann::json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const nlohmann::json json = {{"version", "1.0"},
                               {"added_tokens", nlohmann::json::array()},
                               {"normalizer", nullptr},
                               {"pre_tokenizer", byte_level},
                               {"post_processor", nullptr},
                               {"decoder", byte_level},
                               {"model",
                                {{"type", "BPE"},
                                 {"unk_token", nullptr},
                                 {"byte_fallback", false},
                                 {"vocab", vocabulary},
                                 {"merges", nlohmann::json::array()}}}};
  return text::Tokenizer::parse(json.dump(), "byte tokenizer");
}

inline constexpr std::uint32_t kFixtureWindow = 64;  // tokens, that is bytes, of each text; shorter ones end in spaces

/// Cut or filled up to the size of a window.
inline std::string window_text(std::string_view text) {
  std::string bytes(text.substr(0, kFixtureWindow));
  bytes.resize(kFixtureWindow, ' ');
  return bytes;
}

/// A token file with one window per text, in a file that is removed at once (it stays mapped).
inline text::TokenFile byte_tokens(std::span<const std::string> texts, const std::filesystem::path& folder) {
  std::vector<TokenId> ids;
  std::vector<std::uint32_t> documents;
  for (const std::string& text : texts) {
    for (const char c : window_text(text)) ids.push_back(TokenId{static_cast<unsigned char>(c)});
    documents.push_back(static_cast<std::uint32_t>(documents.size()));
  }
  static int serial = 0;
  const auto path = folder / ("gloss_text_fixture_" + std::to_string(serial++) + ".safetensors");
  text::write_token_file(path, ids, documents, kFixtureWindow);
  text::TokenFile file = text::TokenFile::open(path);
  std::filesystem::remove(path);
  return file;
}

/// The window of text `index`, firing with 1.0 on the bytes of `strong` and 0.1 on those of `weak`, where they stand
/// first.
inline examples::Window byte_window(std::span<const std::string> texts, std::size_t index, std::string_view strong,
                                    std::string_view weak = {}) {
  examples::Window w;
  w.start = static_cast<std::uint32_t>(index * kFixtureWindow);
  w.activation.assign(kFixtureWindow, 0.0F);
  w.kind = strong.empty() ? examples::WindowKind::silent_random : examples::WindowKind::activating;
  w.quantile = strong.empty() ? 0 : 1;
  w.max = strong.empty() ? 0.0F : 1.0F;
  const std::string text = window_text(texts[index]);
  const auto fire = [&](std::string_view part, float level) {
    const std::size_t at = part.empty() ? std::string::npos : text.find(part);
    for (std::size_t i = 0; at != std::string::npos && i < part.size(); ++i) w.activation[at + i] = level;
  };
  fire(weak, 0.1F);
  fire(strong, 1.0F);
  return w;
}

}  // namespace gloss::explain
