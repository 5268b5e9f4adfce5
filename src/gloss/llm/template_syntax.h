#pragma once
/// A chat template as a tree. Source: Jinja 3.1, "Template Designer Documentation", in the part that chat templates
/// use; white space as transformers sets it (trim_blocks, lstrip_blocks). Private to the module.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/llm/template_value.h"

namespace gloss::llm {

enum class ExprKind : std::uint8_t {
  literal,     // value
  name,        // text
  list,        // items
  map,         // items: key, value, key, value ...
  attribute,   // items[0] . text
  item,        // items[0] [ items[1] ]
  slice,       // items[0] [ items[1] : items[2] : items[3] ], null where left out
  call,        // items[0] ( the others ), named
  filter,      // items[0] | text ( the others ), named
  test,        // items[0] is text ( the others )
  negation,    // not items[0]
  minus,       // - items[0]
  operation,   // items[0] text items[1]: + - ~ * / // % **
  comparison,  // items[0] text items[1]: == != < <= > >= in "not in"
  both,        // items[0] and items[1]
  either,      // items[0] or items[1]
  choice,      // items[0] if items[1] else items[2], null where left out
};

struct Expr {
  ExprKind kind = ExprKind::literal;
  std::uint32_t line = 0;
  std::uint32_t depth = 1;  // of the tree below
  std::string text = {};
  Value value = {};
  std::vector<std::unique_ptr<Expr>> items = {};
  std::vector<std::pair<std::string, std::unique_ptr<Expr>>> named = {};
};
using ExprPtr = std::unique_ptr<Expr>;

enum class NodeKind : std::uint8_t {
  text,         // text as it is
  output,       // expr
  condition,    // branches: (expr or null for else, body)
  loop,         // for names in expr if filter: body, else other
  assign,       // names = expr; with attribute: names[0].attribute = expr
  assign_body,  // names[0] = what body gives
  macro,
  leave,  // break
  next,   // continue
  group,  // body, in place (generation)
};

struct Node;
using Body = std::vector<Node>;

struct MacroNode {
  std::string name;
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // with their defaults, or null
  std::unique_ptr<Body> body;
};

struct Branch {
  ExprPtr condition;
  std::unique_ptr<Body> body;
};

struct Node {
  NodeKind kind = NodeKind::text;
  std::uint32_t line = 0;
  std::string text = {};
  ExprPtr expr = {}, filter = {};
  std::vector<std::string> names = {};
  std::string attribute = {};
  std::vector<Branch> branches = {};
  std::unique_ptr<Body> body = {}, other = {};
  std::unique_ptr<MacroNode> macro = {};
};

/// Errors: bad_input naming `where`, line and construct: what is malformed, not supported or nested too deeply.
Body parse_template(std::string_view source, const std::string& where);

}  // namespace gloss::llm
