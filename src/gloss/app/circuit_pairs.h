#pragma once
/// Pairs of prompts as files have them: JSON lines (also .gz, .zst, and the .json of Sparse Feature Circuits), CSV,
/// TSV.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gloss/circuit/graph.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {

/// One line: "clean" and "patch" (or clean_prefix, patch_prefix) and, where the metric is the line's own, clean_answer
/// and patch_answer.
struct WrittenPair {
  std::string clean, patch, clean_answer, patch_answer;
  std::uint64_t line = 0;
};

/// Errors: bad_input naming file and line: no JSON, no such field or column, or the file holds no pair.
std::vector<WrittenPair> read_pairs(const std::filesystem::path& file);

/// The pairs of a file as tokens.
struct TokenPairs {
  std::vector<circuit::Pair> pairs;
  std::uint64_t skipped = 0;
  std::string first_reason;  // why the first of those was
};

/// Answers are taken as they go on after the clean prompt: " she" after "... Lily." Pairs whose prompts have different
/// numbers of tokens, or whose answers are not one token more, are skipped. `metric`: the answers of all pairs, clean
/// one first; none: each line's own. Errors: bad_input when nothing is left (with the first reason), or a line has no
/// answers and there is no metric.
TokenPairs to_tokens(const std::vector<WrittenPair>& written, const std::string& file, const text::Tokenizer& tokenizer,
                     std::optional<TokenId> bos, const std::optional<std::pair<std::string, std::string>>& metric);

/// "A/B" into its two texts. Errors: usage when it is not of that form.
std::pair<std::string, std::string> parse_metric(const std::string& text);

}  // namespace gloss::app
