#pragma once
/// Python pickles as data: a bounded stack machine that imports, calls and executes nothing.
/// Source: CPython, Lib/pickletools.py (what each opcode does), protocols 2 to 5.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gloss::formats {

/// What a name that a pickle imports stands for here. A name that the caller does not list is refused.
enum class PickleRole : std::uint8_t {
  name,   // nothing but a name (a dtype, a class used as one)
  dict,   // called, it gives a dict: of nothing, or of a list of pairs
  list,   // called, it gives the list in its argument (sets too)
  tuple,  // called, it gives the tuple in its argument
  call,   // called, it gives a `call` node, for the caller to understand
};
struct PickleGlobal {
  std::string_view name;  // "collections.OrderedDict"
  PickleRole role;
};

/// One value. Which fields hold depends on `kind`.
struct PickleNode {
  enum class Kind : std::uint8_t {
    none,
    boolean,     // integer: 0 or 1
    integer,     // integer
    natural,     // natural: above 2^63 - 1
    real,        // real
    string,      // text (bytes too, and whole numbers beyond 64 bits as "0x...")
    list,        // items
    tuple,       // items
    dict,        // items: key, value, key, value ... ; a later key replaces an earlier one
    global,      // text: the dotted name; role
    call,        // items: the global, its tuple of arguments
    persistent,  // items: the persistent id, which is one value
  };
  Kind kind = Kind::none;
  PickleRole role = PickleRole::name;
  std::uint64_t byte = 0;  // where in the file the opcode stands that made it
  std::int64_t integer = 0;
  std::uint64_t natural = 0;
  double real = 0;
  std::string_view text;
  std::vector<std::uint32_t> items;  // indices of nodes
};

/// A pickle that was read: its nodes, one of them the root. Nodes may be shared and may hold themselves: whoever goes
/// through them bounds depth and count.
class Pickle {
 public:
  static constexpr std::size_t kMaxNodes = std::size_t{1} << 22;

  /// Reads one pickle from the head of `bytes`. `where` begins messages, bytes in them count from `base`.
  /// Errors: bad_input: cut or damaged, an opcode outside the subset or a global outside `allowed` (by its name), a
  /// stack that runs empty, a memo never written, more than kMaxNodes values.
  /// Lifetime: strings are views into `bytes`.
  static Pickle read(std::span<const std::byte> bytes, std::span<const PickleGlobal> allowed, const std::string& where,
                     std::uint64_t base = 0);

  const PickleNode& root() const { return nodes_[root_]; }
  const PickleNode& node(std::uint32_t index) const { return nodes_[index]; }
  std::uint32_t root_index() const { return root_; }
  /// Of every persistent id met, in order.
  std::span<const std::uint32_t> persistent() const { return persistent_; }
  /// Bytes that the pickle takes.
  std::size_t size_bytes() const { return size_bytes_; }

 private:
  friend class PickleMachine;
  std::vector<PickleNode> nodes_;
  std::deque<std::string> made_;  // strings that are not in the bytes as they are
  std::vector<std::uint32_t> persistent_;
  std::uint32_t root_ = 0;
  std::size_t size_bytes_ = 0;
};

/// "list", "dict" ... for messages.
std::string_view name_of(PickleNode::Kind kind);

}  // namespace gloss::formats
