#include "gloss/formats/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/byte_cursor.h"

namespace gloss::formats {

using Kind = PickleNode::Kind;
using Index = std::uint32_t;

namespace {

constexpr std::size_t kMaxStack = std::size_t{1} << 22;
constexpr std::size_t kMaxItems = std::size_t{1} << 23;  // of all lists, tuples and dicts together
constexpr std::string_view kOnlyData =
    "only tensors and plain values are read, and nothing is executed: save a state dict with "
    "torch.save(model.state_dict(), FILE), or convert it to safetensors";
constexpr std::string_view kDamaged = "the file is damaged, or is no pickle";

/// Opcodes that Python knows and we do not, for a message that says more than a number.
constexpr std::array<std::pair<unsigned, std::string_view>, 17> kRefused{{{'i', "INST"},
                                                                          {'o', "OBJ"},
                                                                          {0x92, "NEWOBJ_EX"},
                                                                          {0x82, "EXT1"},
                                                                          {0x83, "EXT2"},
                                                                          {0x84, "EXT4"},
                                                                          {'P', "PERSID"},
                                                                          {'I', "INT"},
                                                                          {'L', "LONG"},
                                                                          {'F', "FLOAT"},
                                                                          {'S', "STRING"},
                                                                          {'V', "UNICODE"},
                                                                          {'g', "GET"},
                                                                          {'p', "PUT"},
                                                                          {0x97, "NEXT_BUFFER"},
                                                                          {0x98, "READONLY_BUFFER"},
                                                                          {0x96, "BYTEARRAY8"}}};

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return "a boolean";
    case Kind::integer:
    case Kind::natural:
      return "a whole number";
    case Kind::real:
      return "a number";
    case Kind::string:
      return "a string";
    case Kind::list:
      return "a list";
    case Kind::tuple:
      return "a tuple";
    case Kind::dict:
      return "a dict";
    case Kind::global:
      return "a class or function";
    case Kind::call:
      return "an object";
    case Kind::persistent:
      return "a storage";
  }
  return "something else";
}

/// One run over one pickle. The stack holds indices of nodes; marks_ holds where in it the open marks stand.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, std::span<const PickleGlobal> allowed, const std::string& where,
                std::uint64_t base)
      : cursor_(bytes, where, base), allowed_(allowed) {}

  Pickle run() {
    while (!stopped_) step();
    result_.size_bytes_ = cursor_.position();
    return std::move(result_);
  }

 private:
  void step() {
    at_ = cursor_.offset();
    const unsigned op = std::to_integer<unsigned>(cursor_.take(1, "an opcode")[0]);
    if (!step_value(op) && !step_collection(op) && !step_memo(op) && !step_object(op)) refuse(op);
  }

  [[noreturn]] void refuse(unsigned op) const {
    const auto* const known =
        std::find_if(kRefused.begin(), kRefused.end(), [&](const auto& row) { return row.first == op; });
    if (known == kRefused.end()) cursor_.fail_at(at_, fmt::format("0x{:02x} is no opcode of a pickle", op), kDamaged);
    cursor_.fail_at(at_, fmt::format("opcode {} is not read", known->second), kOnlyData);
  }
  [[noreturn]] void fail(std::string_view what, std::string_view hint = kDamaged) const {
    cursor_.fail_at(at_, what, hint);
  }

  bool step_value(unsigned op) {
    switch (op) {
      case 'N':
        push(made(Kind::none));
        return true;
      case 0x88:
      case 0x89:
        push(integer_node(Kind::boolean, op == 0x88 ? 1 : 0));
        return true;
      case 'J':
        push(integer_node(Kind::integer, cursor_.number<std::int32_t>("a number")));
        return true;
      case 'K':
        push(integer_node(Kind::integer, cursor_.number<std::uint8_t>("a number")));
        return true;
      case 'M':
        push(integer_node(Kind::integer, cursor_.number<std::uint16_t>("a number")));
        return true;
      case 0x8a:
        push_long(cursor_.number<std::uint8_t>("a number"));
        return true;
      case 0x8b:
        push_long(cursor_.number<std::uint32_t>("a number"));
        return true;
      case 'G':
        push_real();
        return true;
      case 'X':
      case 'T':
      case 'B':
        push_text(cursor_.number<std::uint32_t>("a string"));
        return true;
      case 0x8c:
      case 'U':
      case 'C':
        push_text(cursor_.number<std::uint8_t>("a string"));
        return true;
      case 0x8d:
      case 0x8e:
        push_text(cursor_.number<std::uint64_t>("a string"));
        return true;
      default:
        return false;
    }
  }

  bool step_collection(unsigned op) {
    switch (op) {
      case '(':
        if (marks_.size() >= kMaxStack) fail("too many marks");
        marks_.push_back(stack_.size());
        return true;
      case ')':
        push(made(Kind::tuple));
        return true;
      case ']':
      case 0x8f:
        push(made(Kind::list));
        return true;
      case '}':
        push(made(Kind::dict));
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push_collection(Kind::tuple, pop_last(op - 0x84));
        return true;
      case 't':
        push_collection(Kind::tuple, pop_to_mark());
        return true;
      case 'l':
      case 0x91:
        push_collection(Kind::list, pop_to_mark());
        return true;
      case 'd':
        push_collection(Kind::dict, pop_to_mark());
        return true;
      case 'a':
        extend(Kind::list, pop_last(1));
        return true;
      case 'e':
      case 0x90:
        extend(Kind::list, pop_to_mark());
        return true;
      case 's':
        extend(Kind::dict, pop_last(2));
        return true;
      case 'u':
        extend(Kind::dict, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool step_memo(unsigned op) {
    switch (op) {
      case 'q':
        memo_[cursor_.number<std::uint8_t>("a memo")] = top();
        return true;
      case 'r':
        memo_[cursor_.number<std::uint32_t>("a memo")] = top();
        return true;
      case 0x94: {
        const Index value = top();  // before the map grows
        memo_[static_cast<std::uint32_t>(memo_.size())] = value;
        return true;
      }
      case 'h':
        push(recall(cursor_.number<std::uint8_t>("a memo")));
        return true;
      case 'j':
        push(recall(cursor_.number<std::uint32_t>("a memo")));
        return true;
      case '0':
        pop_or_mark();
        return true;
      case '1':
        pop_to_mark();
        return true;
      case '2':
        push(top());
        return true;
      default:
        return false;
    }
  }

  bool step_object(unsigned op) {
    switch (op) {
      case 0x80:
        check_protocol(cursor_.number<std::uint8_t>("the protocol"));
        return true;
      case 0x95:
        check_frame(cursor_.number<std::uint64_t>("a frame"));
        return true;
      case 'c': {
        const std::string_view module = cursor_line();
        push_global(module, cursor_line());
        return true;
      }
      case 0x93:
        push_stack_global();
        return true;
      case 'R':
      case 0x81:
        reduce();
        return true;
      case 'b':
        build();
        return true;
      case 'Q':
        push_persistent();
        return true;
      case '.':
        if (!marks_.empty()) fail("the pickle ends inside a mark");
        result_.root_ = pop_last(1)[0];
        stopped_ = true;
        return true;
      default:
        return false;
    }
  }

  void check_protocol(unsigned protocol) const {
    constexpr unsigned kNewest = 5;
    if (protocol < 2 || protocol > kNewest)
      fail(fmt::format("pickle protocol {}, wanted 2 to {}", protocol, kNewest), kOnlyData);
  }

  void check_frame(std::uint64_t size) const {
    if (size > cursor_.left())
      fail(fmt::format("a frame of {} bytes, but {} are left", size, cursor_.left()),
           "the file is cut off or damaged: download or copy it again");
  }

  // ---- the stack: never read below the last open mark
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  void push(Index value) {
    if (stack_.size() >= kMaxStack) fail(fmt::format("a stack of more than {} values", kMaxStack));
    stack_.push_back(value);
  }
  Index top() const {
    if (stack_.size() <= floor()) fail("an opcode needs a value, but the stack is empty");
    return stack_.back();
  }
  std::vector<Index> pop_last(std::size_t count) {
    if (stack_.size() - floor() < count)
      fail(fmt::format("an opcode needs {} values, but the stack holds {}", count, stack_.size() - floor()));
    std::vector<Index> values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  std::vector<Index> pop_to_mark() {
    if (marks_.empty()) fail("an opcode needs a mark, but there is none");
    std::vector<Index> values(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return values;
  }
  void pop_or_mark() {
    if (!marks_.empty() && stack_.size() == marks_.back())
      marks_.pop_back();
    else
      pop_last(1);
  }

  // ---- nodes
  PickleNode& node(Index index) { return result_.nodes_[index]; }
  Index made(Kind kind) {
    if (result_.nodes_.size() >= Pickle::kMaxNodes)
      fail(fmt::format("more than {} values", Pickle::kMaxNodes), "keep long lists of numbers as tensors");
    PickleNode& n = result_.nodes_.emplace_back();
    n.kind = kind;
    n.byte = at_;
    return static_cast<Index>(result_.nodes_.size() - 1);
  }
  Index integer_node(Kind kind, std::int64_t value) {
    const Index index = made(kind);
    node(index).integer = value;
    return index;
  }
  void push_text(std::uint64_t size) {
    const std::string_view text = cursor_.text(size, "a string");
    push_string(text);
  }
  void push_string(std::string_view text) {
    const Index index = made(Kind::string);
    node(index).text = text;
    push(index);
  }
  void push_real() {
    auto bits = cursor_.number<std::uint64_t>("a number");
    std::uint64_t swapped = 0;  // BINFLOAT is big-endian
    for (int i = 0; i < 8; ++i, bits >>= 8) swapped = (swapped << 8) | (bits & 0xFF);
    const Index index = made(Kind::real);
    node(index).real = std::bit_cast<double>(swapped);
    push(index);
  }
  /// Two's complement, little-endian, of any length.
  void push_long(std::uint64_t size) {
    const std::span<const std::byte> bytes = cursor_.take(size, "a number");
    const bool negative = !bytes.empty() && (bytes.back() & std::byte{0x80}) != std::byte{0};
    std::uint64_t low = negative ? ~std::uint64_t{0} : 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 8); ++i) {
      low &= ~(std::uint64_t{0xFF} << (8 * i));
      low |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    }
    if (bytes.size() <= 8) {
      push(integer_node(Kind::integer, static_cast<std::int64_t>(low)));
    } else if (bytes.size() == 9 && bytes[8] == std::byte{0}) {
      const Index index = made(Kind::natural);
      node(index).natural = low;
      push(index);
    } else {
      constexpr std::size_t kLongest = 64;
      if (bytes.size() > kLongest) fail(fmt::format("a whole number of {} bytes", bytes.size()));
      std::string text = "0x";
      for (std::size_t i = bytes.size(); i-- > 0;) text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
      push_string(result_.made_.emplace_back(std::move(text)));
    }
  }

  void count_items(std::size_t more) {
    items_ += more;
    if (items_ > kMaxItems)
      fail(fmt::format("more than {} values in lists", kMaxItems), "keep long lists of numbers as tensors");
  }
  void push_collection(Kind kind, std::vector<Index> items) {
    check_pairs(kind, items);
    count_items(items.size());
    const Index index = made(kind);
    node(index).items = std::move(items);
    push(index);
  }
  void extend(Kind kind, const std::vector<Index>& items) {
    check_pairs(kind, items);
    const Index target = top();
    if (node(target).kind != kind)
      fail(fmt::format("an opcode adds to {}, but finds {}", name_of(kind), name_of(node(target).kind)));
    count_items(items.size());
    std::vector<Index>& all = node(target).items;
    all.insert(all.end(), items.begin(), items.end());
  }
  void check_pairs(Kind kind, const std::vector<Index>& items) const {
    if (kind == Kind::dict && items.size() % 2 != 0) fail("a dict with a key that has no value");
  }

  // ---- memo: a map, so that an index costs nothing by being large
  Index recall(std::uint32_t key) const {
    const auto it = memo_.find(key);
    if (it == memo_.end()) fail(fmt::format("memo {} was never written", key));
    return it->second;
  }

  // ---- globals and what stands for calling them
  std::string_view cursor_line() {
    const std::size_t most = std::min<std::size_t>(cursor_.left(), kMaxName + 1);
    ByteCursor ahead = cursor_;
    const std::string_view part = ahead.text(most, "a name");
    const std::size_t end = part.find('\n');
    if (end == std::string_view::npos) fail(fmt::format("a global whose name does not end within {} bytes", kMaxName));
    cursor_.take(end + 1, "a name");
    return part.substr(0, end);
  }
  void push_stack_global() {
    const std::vector<Index> names = pop_last(2);
    if (node(names[0]).kind != Kind::string || node(names[1]).kind != Kind::string)
      fail("a global whose name is no string");
    push_global(node(names[0]).text, node(names[1]).text);
  }
  void push_global(std::string_view module, std::string_view name) {
    if (module.size() > kMaxName || name.size() > kMaxName)
      fail(fmt::format("a global with a name of more than {} bytes", kMaxName));
    std::string dotted(module);
    dotted += '.';
    dotted += name;
    const auto row =
        std::find_if(allowed_.begin(), allowed_.end(), [&](const PickleGlobal& g) { return g.name == dotted; });
    if (row == allowed_.end()) fail(fmt::format("the pickle imports '{}'", shown_name(dotted)), kOnlyData);
    const Index index = made(Kind::global);
    node(index).text = row->name;
    node(index).role = row->role;
    push(index);
  }
  void reduce() {
    const std::vector<Index> both = pop_last(2);
    if (node(both[0]).kind != Kind::global)
      fail(fmt::format("a call of {}, wanted a known function", name_of(node(both[0]).kind)));
    if (node(both[1]).kind != Kind::tuple)
      fail(fmt::format("a call with {}, wanted a tuple of arguments", name_of(node(both[1]).kind)));
    const std::vector<Index>& arguments = node(both[1]).items;
    switch (node(both[0]).role) {
      case PickleRole::call:
        push_collection(Kind::call, both);
        return;
      case PickleRole::dict:
        push_collection(Kind::dict, pairs_of(arguments));
        return;
      case PickleRole::list:
        push_collection(Kind::list, items_of(arguments, Kind::list));
        return;
      case PickleRole::tuple:
        push_collection(Kind::tuple, items_of(arguments, Kind::tuple));
        return;
      case PickleRole::name:
        fail(fmt::format("a call of '{}', which is read as a name only", node(both[0]).text), kOnlyData);
    }
  }
  std::vector<Index> items_of(const std::vector<Index>& arguments, Kind wanted) {
    if (arguments.empty()) return {};
    const Kind kind = node(arguments[0]).kind;
    if (arguments.size() != 1 || (kind != wanted && kind != Kind::list))
      fail(fmt::format("{} made of {} arguments, the first {}", name_of(wanted), arguments.size(), name_of(kind)));
    return node(arguments[0]).items;
  }
  std::vector<Index> pairs_of(const std::vector<Index>& arguments) {
    std::vector<Index> flat;
    for (const Index pair : items_of(arguments, Kind::list)) {
      const PickleNode& n = node(pair);
      if ((n.kind != Kind::list && n.kind != Kind::tuple) || n.items.size() != 2)
        fail(fmt::format("a dict made of {}, wanted pairs", name_of(n.kind)));
      flat.insert(flat.end(), n.items.begin(), n.items.end());
    }
    return flat;
  }
  /// Sets an object's attributes. A dict has some (the _metadata of a state dict), which say nothing to us.
  void build() {
    pop_last(1);
    if (node(top()).kind != Kind::dict)
      fail(fmt::format("attributes are set on {}, wanted a dict", name_of(node(top()).kind)), kOnlyData);
  }
  void push_persistent() {
    push_collection(Kind::persistent, pop_last(1));
    result_.persistent_.push_back(stack_.back());
  }

  static constexpr std::size_t kMaxName = 1000;

  ByteCursor cursor_;
  std::span<const PickleGlobal> allowed_;
  Pickle result_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, Index> memo_;
  std::size_t items_ = 0;
  std::uint64_t at_ = 0;  // of the opcode under way
  bool stopped_ = false;
};

Pickle Pickle::read(std::span<const std::byte> bytes, std::span<const PickleGlobal> allowed, const std::string& where,
                    std::uint64_t base) {
  return PickleMachine(bytes, allowed, where, base).run();
}

}  // namespace gloss::formats
