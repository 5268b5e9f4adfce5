#pragma once
/// Help for tests of examples: a small run (tokens and index) made from numbers.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gloss/examples/examples.h"
#include "gloss/index/index_testing.h"
#include "gloss/index/reader.h"
#include "gloss/text/token_file.h"

namespace gloss::examples::testing {

struct Sample {
  index::Reader reader;
  text::TokenFile tokens;
};

/// Tokens 0, 1, 2, ... in contexts of `ctx_len`, context c beginning in document documents[c], and these firings.
inline Sample make_run(std::vector<index::Firing> firings, const std::vector<std::uint32_t>& documents,
                       std::uint32_t ctx_len, std::uint32_t latents, const std::string& hookpoint = "layers.1",
                       std::map<std::string, std::string> metadata = {}) {
  const index::testing::Folder folder;
  std::vector<TokenId> tokens(documents.size() * ctx_len);
  for (std::uint32_t i = 0; i < tokens.size(); ++i) tokens[i] = TokenId{i};
  text::write_token_file(folder.path() / "tokens.safetensors", tokens, documents, ctx_len);
  index::WriterOptions options = index::testing::options(latents, ctx_len);
  options.hookpoint = hookpoint;
  options.metadata = std::move(metadata);
  index::testing::write_index(folder.path(), options, firings, tokens.size(), tokens.size());
  return {index::Reader::open(folder.path() / "index.safetensors"),
          text::TokenFile::open(folder.path() / "tokens.safetensors")};
}

/// Documents 0, 1, 2, ... of `contexts_each` contexts.
inline std::vector<std::uint32_t> documents_of(std::uint32_t contexts, std::uint32_t contexts_each) {
  std::vector<std::uint32_t> documents(contexts);
  for (std::uint32_t c = 0; c < contexts; ++c) documents[c] = c / contexts_each;
  return documents;
}

/// A latent 0 that fires once in each of the first `windows` windows of `window` tokens, more strongly in each.
inline std::vector<index::Firing> once_a_window(std::uint32_t windows, std::uint32_t window) {
  std::vector<index::Firing> firings;
  for (std::uint32_t w = 0; w < windows; ++w)
    firings.push_back({0, w * window + w % window, 1.0F + static_cast<float>(w)});
  return firings;
}

inline std::vector<std::uint32_t> starts(const std::vector<Window>& windows) {
  std::vector<std::uint32_t> result;
  for (const Window& w : windows) result.push_back(w.start);
  return result;
}

inline std::vector<std::uint32_t> sorted_starts(const std::vector<Window>& windows) {
  std::vector<std::uint32_t> result = starts(windows);
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace gloss::examples::testing
