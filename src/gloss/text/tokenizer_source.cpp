#include "gloss/text/tokenizer_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/sentencepiece.h"
#include "gloss/text/tiktoken.h"
#include "gloss/text/vocabulary.h"

namespace gloss::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMaxAdded = 16384;  // tokens of tokenizer_config.json: more than twice what any model has

// As the makers' own code has them (openai/tiktoken, QwenLM/Qwen).
constexpr const char* kLlama3Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwenWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// tokenizer_config.json beside a tokenizer; an empty object when there is none.
class Config {
 public:
  explicit Config(const fs::path& folder) : name_((folder / "tokenizer_config.json").string()) {
    json_ = fs::exists(name_) ? formats::read_json(name_) : Json::object();
  }

  formats::Fields fields() const { return {json_, name_}; }
  /// "GPT2Tokenizer", say; "" when it is not told.
  std::string tokenizer_class() const { return fields().string("tokenizer_class", ""); }
  bool is(std::string_view family) const { return tokenizer_class().starts_with(family); }

 private:
  std::string name_;
  Json json_;
};

Json added_token(std::uint64_t id, const std::string& content, bool special = true) {
  return {{"id", id},        {"content", content},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", !special}, {"special", special}};
}

std::uint64_t vocabulary_size(const Json& tokenizer) { return tokenizer["model"]["vocab"].size(); }

std::optional<std::uint64_t> added_id(const Json& tokenizer, const std::string& content) {
  for (const Json& token : tokenizer["added_tokens"]) {
    if (token["content"] == content) return token["id"].get<std::uint64_t>();
  }
  return {};
}

/// The id of an added token, or of one of the model's where those are read by name.
std::optional<std::uint64_t> known_id(const Json& tokenizer, const std::string& content) {
  if (const std::optional<std::uint64_t> id = added_id(tokenizer, content)) return id;
  const Json& vocab = tokenizer["model"]["vocab"];
  if (!vocab.is_object()) return {};
  const auto it = vocab.find(content);
  if (it == vocab.end() || !it->is_number_unsigned()) return {};
  return it->get<std::uint64_t>();
}

/// One more than the largest id: where new tokens go.
std::uint64_t next_id(const Json& tokenizer) {
  std::uint64_t next = vocabulary_size(tokenizer);
  for (const Json& token : tokenizer["added_tokens"]) next = std::max(next, token["id"].get<std::uint64_t>() + 1);
  return next;
}

/// Puts special tokens behind the vocabulary, but for those it has.
void add_special(Json& tokenizer, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::optional<std::uint64_t> known = known_id(tokenizer, name);
    tokenizer["added_tokens"].push_back(added_token(known.value_or(next_id(tokenizer)), name));
  }
}

std::uint64_t read_id(const std::string& text, const std::string& where) {
  if (text.empty() || text.size() > 7 ||
      !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    fail_input(where, fmt::format("'{}' is no token id below {}", text, kMaxTokens));
  return std::stoull(text);
}

/// The "added_tokens_decoder" of tokenizer_config.json, {"50256": {"content": ...}}; they take the place of those that
/// were there of the same names. Errors: bad_input for an id that is not the next one.
bool add_configured(Json& tokenizer, const Config& config) {
  const formats::Fields fields = config.fields();
  if (!fields.has("added_tokens_decoder")) return false;
  const Json& all = fields.at("added_tokens_decoder");
  const std::string where = fields.where() + ": added_tokens_decoder";
  if (!all.is_object()) fail_input(where, "is no object");
  if (all.size() > kMaxAdded) fail_input(where, fmt::format("{} tokens, more than {}", all.size(), kMaxAdded));
  std::vector<std::pair<std::uint64_t, Json>> tokens;
  for (const auto& [id, token] : all.items()) {
    const formats::Fields given(token, fmt::format("{}.{}", where, id));
    const bool special = given.boolean("special", false);
    Json added = added_token(read_id(id, where), given.string("content"), special);
    for (const char* flag : {"single_word", "lstrip", "rstrip"}) added[flag] = given.boolean(flag, false);
    added["normalized"] = given.boolean("normalized", !special);
    tokens.emplace_back(added["id"].get<std::uint64_t>(), std::move(added));
  }
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const Json before = std::exchange(tokenizer["added_tokens"], Json::array());
  for (auto& [id, token] : tokens) {
    const auto content = token["content"].get<std::string>();
    const bool is_the_models = id < vocabulary_size(tokenizer);
    if (!is_the_models && next_id(tokenizer) != id)
      fail_input(where, fmt::format("token '{}' has id {}, but {} comes next", content, id, next_id(tokenizer)));
    tokenizer["added_tokens"].push_back(std::move(token));
  }
  for (const Json& token : before) {
    if (!added_id(tokenizer, token["content"].get<std::string>())) tokenizer["added_tokens"].push_back(token);
  }
  return true;
}

/// A template that puts special tokens before and behind a text.
Json around(const Json& tokenizer, const std::optional<std::string>& before, const std::optional<std::string>& behind) {
  Json single = Json::array();
  Json special = Json::object();
  const auto add = [&](const std::optional<std::string>& name) {
    const std::optional<std::uint64_t> id = name ? known_id(tokenizer, *name) : std::nullopt;
    if (!id) return;
    single.push_back({{"SpecialToken", {{"id", *name}, {"type_id", 0}}}});
    special[*name] = {{"id", *name}, {"ids", Json::array({*id})}, {"tokens", Json::array({*name})}};
  };
  add(before);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add(behind);
  Json pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

/// SentencePiece: BPE models of this kind begin texts with <s>, Unigram models (T5) end them with </s>, unless the
/// configuration says otherwise.
Json read_sentencepiece(const std::string& bytes, const Config& config, const std::string& name) {
  Json tokenizer = from_sentencepiece(bytes, name);
  add_configured(tokenizer, config);
  const bool is_bpe = tokenizer["model"]["type"] == "BPE";
  const auto wanted = [&](const char* flag, bool otherwise, const char* modern, const char* older) {
    if (!config.fields().boolean(flag, otherwise)) return std::optional<std::string>();
    return std::optional<std::string>(known_id(tokenizer, modern) ? modern : older);
  };
  tokenizer["post_processor"] = around(tokenizer, wanted("add_bos_token", is_bpe, "<bos>", "<s>"),
                                       wanted("add_eos_token", !is_bpe, "<eos>", "</s>"));
  return tokenizer;
}

/// Llama 3's 256, as its first release named them.
std::vector<std::string> llama3_special() {
  std::vector<std::string> names = {"<|begin_of_text|>", "<|end_of_text|>"};
  int reserved = 0;
  const auto reserve = [&](int until) {
    for (; reserved < until; ++reserved) names.push_back(fmt::format("<|reserved_special_token_{}|>", reserved));
  };
  reserve(4);
  names.insert(names.end(), {"<|start_header_id|>", "<|end_header_id|>"});
  reserve(5);
  names.emplace_back("<|eot_id|>");
  reserve(251);
  return names;
}

std::vector<std::string> qwen_special() {
  std::vector<std::string> names = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int i = 0; i < 205; ++i) names.push_back(fmt::format("<|extra_{}|>", i));
  return names;
}

Json read_tiktoken(const std::string& text, const Config& config, const std::string& name) {
  const bool qwen = name.ends_with("qwen.tiktoken") || config.is("Qwen") || config.is("QWen");
  Json tokenizer = from_tiktoken(text, qwen ? Tiktoken{kQwenWords, true} : Tiktoken{kLlama3Words, false}, name);
  if (!add_configured(tokenizer, config)) add_special(tokenizer, qwen ? qwen_special() : llama3_special());
  if (!qwen) tokenizer["post_processor"] = around(tokenizer, "<|begin_of_text|>", {});
  return tokenizer;
}

std::vector<std::string_view> lines_of(const std::string& file) {
  std::string_view text = file;
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string_view> lines_of(std::string&&) = delete;

/// One merge a line, "a b"; the first line may be a comment.
Json merges_of(const std::string& text, const std::string& name) {
  Json merges = Json::array();
  std::size_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    if (line.empty() || line.starts_with("#version")) continue;
    const std::size_t space = line.find(' ');
    if (!is_valid_utf8(line) || space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      fail_input(fmt::format("{}, line {}", name, number), "is not two tokens with a space between them");
    merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return merges;
}

/// <s> text </s>, as RoBERTa and its kin have it.
void make_roberta(Json& tokenizer) {
  add_special(tokenizer, {"<s>", "<pad>", "</s>", "<unk>", "<mask>"});
  tokenizer["added_tokens"].back()["lstrip"] = true;
  tokenizer["post_processor"] = around(tokenizer, "<s>", "</s>");
}

Json read_gpt2(const fs::path& vocab, const fs::path& merges, const Config& config) {
  for (const char* other : {"CLIP", "OpenAIGPT", "XLM", "FSMT", "CTRL"}) {
    if (config.is(other))
      fail_input(config.fields().where(),
                 fmt::format("tokenizer_class '{}' is not supported without tokenizer.json", config.tokenizer_class()));
  }
  const bool qwen = config.is("Qwen");
  const bool prefix = config.fields().boolean("add_prefix_space", false);
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"trim_offsets", true}, {"use_regex", !qwen}};
  const Json words = {
      {"type", "Split"}, {"pattern", {{"Regex", kQwenWords}}}, {"behavior", "Isolated"}, {"invert", false}};
  Json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", Json::array()},
      {"normalizer", qwen ? Json{{"type", "NFC"}} : Json()},
      {"pre_tokenizer", qwen ? Json{{"type", "Sequence"}, {"pretokenizers", {words, byte_level}}} : byte_level},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"vocab", formats::read_json(vocab)},
        {"merges", merges_of(read_file(merges), merges.string())}}}};
  (void)Vocabulary::parse(tokenizer["model"]["vocab"], vocab.string());  // its faults are this file's
  const bool roberta = config.is("Roberta") || config.is("Bart") || config.is("Longformer") || config.is("LED");
  if (roberta) make_roberta(tokenizer);
  if (!add_configured(tokenizer, config) && !roberta) add_special(tokenizer, {"<|endoftext|>"});
  return tokenizer;
}

Json read_bert(const fs::path& file, const Config& config) {
  Json vocab = Json::object();
  std::uint32_t id = 0;
  const std::string text = read_file(file);
  for (const std::string_view line : lines_of(text)) {
    if (!is_valid_utf8(line)) fail_input(fmt::format("{}, line {}", file.string(), id + 1), "is no UTF-8");
    if (id == kMaxTokens) fail_input(file.string(), fmt::format("more than {} tokens", kMaxTokens));
    if (!line.empty()) vocab[std::string(line)] = id;
    ++id;
  }
  const formats::Fields fields = config.fields();
  const bool lowercase = fields.boolean("do_lower_case", true);
  const Json accents = fields.has("strip_accents") ? Json(fields.boolean("strip_accents")) : Json();
  Json tokenizer = {{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", Json::array()},
                    {"normalizer",
                     {{"type", "BertNormalizer"},
                      {"clean_text", true},
                      {"handle_chinese_chars", fields.boolean("tokenize_chinese_chars", true)},
                      {"strip_accents", accents},
                      {"lowercase", lowercase}}},
                    {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                    {"post_processor", nullptr},
                    {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
                    {"model",
                     {{"type", "WordPiece"},
                      {"unk_token", "[UNK]"},
                      {"continuing_subword_prefix", "##"},
                      {"max_input_chars_per_word", 100},
                      {"vocab", vocab}}}};
  if (!add_configured(tokenizer, config)) add_special(tokenizer, {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"});
  tokenizer["post_processor"] = around(tokenizer, "[CLS]", "[SEP]");
  return tokenizer;
}

/// The files of a folder that hold a tokenizer, the most telling first.
fs::path find_file(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  std::vector<fs::path> ranks;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".tiktoken") ranks.push_back(entry.path());
  }
  if (!ranks.empty()) return *std::min_element(ranks.begin(), ranks.end());
  for (const char* name : {"vocab.json", "encoder.json", "vocab.txt"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  fail_input(folder.string(), "has no tokenizer.json",
             "nor tokenizer.model, *.tiktoken, vocab.json with merges.txt, or vocab.txt; is it a model folder?");
}

fs::path merges_beside(const fs::path& vocab) {
  for (const char* name : {"merges.txt", "vocab.bpe"}) {
    if (fs::exists(vocab.parent_path() / name)) return vocab.parent_path() / name;
  }
  fail_input(vocab.string(), "has no merges.txt beside it", "the two belong together; or take a tokenizer.json");
}

Json convert(const fs::path& file, const std::string& bytes) {
  const Config config(file.parent_path());
  if (looks_like_tiktoken(bytes)) return read_tiktoken(bytes, config, file.string());
  return read_sentencepiece(bytes, config, file.string());
}

}  // namespace

TokenizerSource read_tokenizer(const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? find_file(path) : path;
  const std::string name = file.filename().string();
  if (name == "vocab.txt") return {read_bert(file, Config(file.parent_path())).dump(), file.string()};
  if (name == "vocab.json" || name == "encoder.json")
    return {read_gpt2(file, merges_beside(file), Config(file.parent_path())).dump(), file.string()};
  std::string bytes = read_file(file);
  if (file.extension() == ".json") return {std::move(bytes), file.string()};
  const bool ranks_or_pieces = name.find(".model") != std::string::npos || file.extension() == ".tiktoken";
  if (!ranks_or_pieces) return {std::move(bytes), file.string()};
  return {convert(file, bytes).dump(), file.string()};
}

}  // namespace gloss::text
