#include "gloss/explain/pattern_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"

namespace gloss::explain {
namespace {

using Json = nlohmann::json;
using formats::Fields;

constexpr std::string_view kFormat = "gloss-pattern-1";
constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr std::uint64_t kMostTokens = 0xFFFFFFFF;

Json test_to_json(const Vocabulary::Impl& vocabulary, const Test& test) {
  Json out{{"where", name_of(test.where)}, {"what", name_of(test.what)}};
  if (test.where != Where::here) out["distance"] = test.distance;
  if (test.what == What::any) return out;
  Json values = Json::array();
  for (const std::uint32_t id : test.ids) {
    if (test.what == What::token_class) {
      values.push_back(name_of(static_cast<TokenClass>(id)));
    } else {
      values.push_back(test.what == What::text ? vocabulary.token_of_text[id] : id);
    }
  }
  for (const std::string& text : test.texts) values.push_back(text);
  out["values"] = std::move(values);
  return out;
}

Json tests_to_json(const Vocabulary::Impl& vocabulary, const std::vector<Test>& tests) {
  Json out = Json::array();
  for (const Test& test : tests) out.push_back(test_to_json(vocabulary, test));
  return out;
}

/// One of `count` names, numbered from 0. Errors: bad_input, lists them.
template <class T>
T named(const std::string& name, std::size_t count, const std::string& where, std::string_view what) {
  std::vector<std::string> known;
  for (std::size_t i = 0; i < count; ++i) {
    known.emplace_back(name_of(static_cast<T>(i)));
    if (known.back() == name) return static_cast<T>(i);
  }
  fail_input(where, fmt::format("'{}' is no {}, wanted one of {}", name, what, fmt::join(known, ", ")));
}

const Json& array_of(const Fields& fields, std::string_view key, std::size_t low, std::size_t high) {
  const Json& value = fields.at(key);
  if (!value.is_array() || value.size() < low || value.size() > high) {
    fail_input(
        fields.where(),
        fmt::format("'{}' is {}, wanted an array of {} to {}", key,
                    value.is_array() ? fmt::format("an array of {}", value.size()) : value.type_name(), low, high));
  }
  return value;
}

/// Which tests there are at a place: words before have no tokens, and `within` looks at whole words and other tokens.
bool exists(Where where, What what) {
  if (where == Where::within) return what == What::word || what == What::text;
  if (where == Where::word_before) return what != What::token && what != What::text && what != What::so_far;
  return true;
}

class Parser {
 public:
  explicit Parser(const Vocabulary::Impl& vocabulary) : vocabulary_(vocabulary) {}

  std::vector<Rule> rules(const Json& document) const {
    const Fields fields(document, "pattern");
    if (fields.string("format") != kFormat) {
      fail_input("pattern", fmt::format("'format' is '{}', wanted '{}'", fields.string("format"), kFormat),
                 "it was written by another version of gloss");
    }
    if (fields.string("vocabulary") != vocabulary_.fingerprint) {
      fail_input("pattern",
                 fmt::format("is of another vocabulary ('{}', this one is '{}')", fields.string("vocabulary"),
                             vocabulary_.fingerprint),
                 "a pattern holds for the tokenizer it was learned with");
    }
    std::vector<Rule> rules;
    for (const Json& item : array_of(fields, "rules", 1, kMaxRules)) {
      rules.push_back(rule(item, fmt::format("pattern: rule {}", rules.size() + 1)));
    }
    return rules;
  }

 private:
  Rule rule(const Json& item, const std::string& where) const {
    const Fields fields(item, where);
    Rule rule;
    rule.tests = tests(array_of(fields, "tests", 1, kMaxTests), where + ", test");
    if (rule.tests[0].where != Where::here) fail_input(where, "begins with a test of another token, wanted 'here'");
    if (fields.has("except")) rule.exceptions = tests(array_of(fields, "except", 1, 1), where + ", except");
    rule.support = static_cast<std::uint32_t>(fields.integer("support", 0, kMostTokens));
    rule.matched = static_cast<std::uint32_t>(fields.integer("matched", rule.support, kMostTokens));
    rule.level = fields.number("level");
    if (!(rule.level > 0.0 && rule.level <= 1.0)) {
      fail_input(where, fmt::format("'level' is {}, wanted more than 0 and at most 1", rule.level));
    }
    return rule;
  }

  std::vector<Test> tests(const Json& array, const std::string& where) const {
    std::vector<Test> out;
    for (const Json& item : array) out.push_back(test(item, fmt::format("{} {}", where, out.size() + 1)));
    return out;
  }

  Test test(const Json& item, const std::string& where) const {
    const Fields fields(item, where);
    Test test;
    test.where = named<Where>(fields.string("where"), kWhereCount, where, "place");
    test.what = named<What>(fields.string("what"), kWhatCount, where, "kind of test");
    if (!exists(test.where, test.what)) {
      fail_input(where, fmt::format("'{}' cannot be asked of '{}'", name_of(test.what), name_of(test.where)));
    }
    if (test.where != Where::here) {
      const std::uint64_t most = test.where == Where::within ? kWidest : kFarthest;
      test.distance = static_cast<std::uint8_t>(fields.integer("distance", 1, most));
    }
    if (test.what == What::any) return test;
    for (const Json& value : array_of(fields, "values", 1, kMaxValues)) take(value, where, test);
    return test;
  }

  void take(const Json& value, const std::string& where, Test& test) const {
    const bool is_id = test.what == What::token || test.what == What::text;
    if (is_id) {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= vocabulary_.tokens.size()) {
        fail_input(where,
                   fmt::format("a value is {}, wanted a token from 0 to {}",
                               value.is_number() ? value.dump() : value.type_name(), vocabulary_.tokens.size() - 1));
      }
      const auto id = value.get<std::uint32_t>();
      test.ids.push_back(test.what == What::text ? vocabulary_.tokens[id].text : id);
      return;
    }
    if (!value.is_string()) fail_input(where, fmt::format("a value is {}, wanted a string", value.type_name()));
    const auto& text = value.get_ref<const std::string&>();
    if (test.what == What::token_class) {
      test.ids.push_back(static_cast<std::uint32_t>(named<TokenClass>(text, kClassCount, where, "class")));
      return;
    }
    if (text.empty() || text.size() > kLongestText) {
      fail_input(where, fmt::format("a value has {} bytes, wanted 1 to {}", text.size(), kLongestText));
    }
    test.texts.push_back(text);
  }

  const Vocabulary::Impl& vocabulary_;
};

}  // namespace

std::string rules_to_json(const Vocabulary::Impl& vocabulary, std::span<const Rule> rules) {
  Json out{{"format", kFormat}, {"vocabulary", vocabulary.fingerprint}, {"rules", Json::array()}};
  for (const Rule& rule : rules) {
    Json item{{"tests", tests_to_json(vocabulary, rule.tests)},
              {"support", rule.support},
              {"matched", rule.matched},
              {"level", rule.level}};
    if (!rule.exceptions.empty()) item["except"] = tests_to_json(vocabulary, rule.exceptions);
    out["rules"].push_back(std::move(item));
  }
  return out.dump();
}

std::vector<Rule> rules_from_json(const Vocabulary::Impl& vocabulary, std::string_view json) {
  if (json.size() > kMostBytes) {
    fail_input("pattern", fmt::format("has {} bytes, wanted at most {}", json.size(), kMostBytes));
  }
  return Parser(vocabulary).rules(formats::parse_json(json, "pattern"));
}

}  // namespace gloss::explain
