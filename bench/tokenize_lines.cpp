/// The ids of every line of a text and what they decode to, for compare_tokenizers.py; and how long encoding took.
///   tokenize_lines TOKENIZER TEXT OUT THREADS
/// OUT.ids: for each line the count (u32) and the ids (u32). OUT.text: for each line the size (u32) and the decoded
/// bytes.
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/parallel.h"
#include "gloss/text/tokenizer.h"

namespace {

using gloss::TokenId;

constexpr std::size_t kLinesAtOnce = 64;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

void append_u32(std::string& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xFFU);
}

std::vector<std::vector<TokenId>> encode(const gloss::text::Tokenizer& tokenizer,
                                         const std::vector<std::string_view>& lines, std::size_t threads) {
  std::vector<std::vector<TokenId>> ids(lines.size());
  gloss::parallel_for((lines.size() + kLinesAtOnce - 1) / kLinesAtOnce, threads, [&](std::size_t block, std::size_t) {
    const std::size_t end = std::min(lines.size(), (block + 1) * kLinesAtOnce);
    for (std::size_t i = block * kLinesAtOnce; i < end; ++i) ids[i] = tokenizer.encode(lines[i]);
  });
  return ids;
}

void run(const std::string& tokenizer_path, const std::string& text_path, const std::string& out, std::size_t threads) {
  const auto tokenizer = gloss::text::Tokenizer::load(tokenizer_path);
  const std::string text = gloss::read_file(text_path);
  const std::vector<std::string_view> lines = lines_of(text);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::vector<TokenId>> ids = encode(tokenizer, lines, threads);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::string id_bytes;
  std::string text_bytes;
  for (const std::vector<TokenId>& line : ids) {
    append_u32(id_bytes, static_cast<std::uint32_t>(line.size()));
    for (const TokenId id : line) append_u32(id_bytes, gloss::to_index(id));
    const std::string decoded = tokenizer.decode(line);
    append_u32(text_bytes, static_cast<std::uint32_t>(decoded.size()));
    text_bytes += decoded;
  }
  gloss::write_file(out + ".ids", id_bytes);
  gloss::write_file(out + ".text", text_bytes);
  std::fputs(fmt::format("{} {:.6f}\n", text.size(), seconds).c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("tokenize_lines TOKENIZER TEXT OUT THREADS\n", stderr);
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3], std::strtoull(argv[4], nullptr, 10));
  } catch (const gloss::Error& e) {
    std::fputs(fmt::format("{}\n", e.what()).c_str(), stderr);
    return 1;
  }
  return 0;
}
