#include "gloss/text/post_processor.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxSpecial = 1024;  // around one text

TokenId read_id(const Json& json, std::uint32_t token_count, const std::string& where) {
  if (!json.is_number_unsigned() || json.get<std::uint64_t>() >= token_count)
    fail_input(where, fmt::format("token id {} around a text, but there are {} tokens",
                                  json.is_structured() ? json.type_name() : json.dump(), token_count));
  return TokenId{json.get<std::uint32_t>()};
}

/// ["<s>", 0] under `key`.
TokenId read_pair(const formats::Fields& processor, const char* key, std::uint32_t token_count) {
  const Json& pair = processor.at(key);
  if (!pair.is_array() || pair.size() != 2) fail_input(processor.where(), fmt::format("'{}' is not [token, id]", key));
  return read_id(pair[1], token_count, processor.where());
}

/// The ids of a special token of a template.
std::vector<TokenId> ids_of(const formats::Fields& processor, const std::string& name, std::uint32_t token_count) {
  const Json& all = processor.at("special_tokens");
  const auto token = all.is_object() ? all.find(name) : all.end();
  if (token == all.end() || !token->is_object() || !token->contains("ids") || !(*token)["ids"].is_array())
    fail_input(processor.where(), fmt::format("special token '{}' of the template has no ids", name));
  std::vector<TokenId> ids;
  for (const Json& id : (*token)["ids"]) ids.push_back(read_id(id, token_count, processor.where()));
  return ids;
}

}  // namespace

PostProcessor PostProcessor::parse(const Json& json, std::uint32_t token_count, const std::string& where) {
  PostProcessor p;
  if (!json.is_null()) p.add(json, token_count, where, 0);
  return p;
}

void PostProcessor::add(const Json& json, std::uint32_t token_count, const std::string& where, int depth) {
  const formats::Fields fields(json, where);
  const std::string type = fields.string("type");
  if (type == "Sequence" && depth < kMaxDepth) {
    const Json& list = fields.at("processors");
    if (!list.is_array()) fail_input(where, "'processors' is no array");
    for (std::size_t i = 0; i < list.size(); ++i)
      add(list[i], token_count, fmt::format("{}.processors[{}]", where, i), depth + 1);
  } else if (type == "TemplateProcessing") {
    add_template(json, token_count, where);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    before_.insert(before_.begin(), read_pair(fields, "cls", token_count));
    behind_.push_back(read_pair(fields, "sep", token_count));
  } else if (type != "ByteLevel") {
    fail_input(where, fmt::format("type '{}' is not supported; supported: TemplateProcessing, ByteLevel, "
                                  "RobertaProcessing, BertProcessing, Sequence",
                                  type));
  }
  if (before_.size() + behind_.size() > kMaxSpecial)
    fail_input(where, fmt::format("more than {} tokens around a text", kMaxSpecial));
}

void PostProcessor::add_template(const Json& json, std::uint32_t token_count, const std::string& where) {
  const formats::Fields fields(json, where);
  const Json& single = fields.at("single");
  if (!single.is_array()) fail_input(where, "'single' is no array");
  std::vector<TokenId> before;
  std::vector<TokenId> behind;
  std::size_t texts = 0;
  for (std::size_t i = 0; i < single.size(); ++i) {
    const std::string here = fmt::format("{}.single[{}]", where, i);
    const formats::Fields piece(single[i], here);
    if (piece.has("Sequence")) {
      ++texts;
      continue;
    }
    const std::string name = formats::Fields(piece.at("SpecialToken"), here + ".SpecialToken").string("id");
    const std::vector<TokenId> ids = ids_of(fields, name, token_count);
    std::vector<TokenId>& side = texts == 0 ? before : behind;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (texts != 1) fail_input(where, fmt::format("'single' holds the text {} times, wanted once", texts));
  before_.insert(before_.begin(), before.begin(), before.end());
  behind_.insert(behind_.end(), behind.begin(), behind.end());
}

}  // namespace gloss::text
