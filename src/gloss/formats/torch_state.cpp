#include "gloss/formats/torch_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/byte_cursor.h"

namespace gloss::formats {
namespace {

using Json = nlohmann::json;
using Kind = PickleNode::Kind;
using Index = std::uint32_t;

constexpr std::size_t kMaxRank = 16;
constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxName = 1000;

constexpr std::array<PickleGlobal, 50> kGlobals{{
    {"collections.OrderedDict", PickleRole::dict},
    {"builtins.set", PickleRole::list},
    {"__builtin__.set", PickleRole::list},
    {"torch.Size", PickleRole::tuple},
    {"torch.device", PickleRole::call},
    {"torch._utils._rebuild_tensor", PickleRole::call},
    {"torch._utils._rebuild_tensor_v2", PickleRole::call},
    {"torch._utils._rebuild_tensor_v3", PickleRole::call},
    {"torch._utils._rebuild_parameter", PickleRole::call},
    {"torch._utils._rebuild_parameter_with_state", PickleRole::call},
    {"torch.storage.UntypedStorage", PickleRole::name},
    {"torch.storage._UntypedStorage", PickleRole::name},
    {"torch.storage.TypedStorage", PickleRole::name},
    {"torch.storage._TypedStorage", PickleRole::name},
    {"torch.UntypedStorage", PickleRole::name},
    {"torch.FloatStorage", PickleRole::name},
    {"torch.DoubleStorage", PickleRole::name},
    {"torch.HalfStorage", PickleRole::name},
    {"torch.BFloat16Storage", PickleRole::name},
    {"torch.LongStorage", PickleRole::name},
    {"torch.IntStorage", PickleRole::name},
    {"torch.ShortStorage", PickleRole::name},
    {"torch.CharStorage", PickleRole::name},
    {"torch.ByteStorage", PickleRole::name},
    {"torch.BoolStorage", PickleRole::name},
    {"torch.float32", PickleRole::name},
    {"torch.float", PickleRole::name},
    {"torch.float64", PickleRole::name},
    {"torch.double", PickleRole::name},
    {"torch.float16", PickleRole::name},
    {"torch.half", PickleRole::name},
    {"torch.bfloat16", PickleRole::name},
    {"torch.int64", PickleRole::name},
    {"torch.long", PickleRole::name},
    {"torch.int32", PickleRole::name},
    {"torch.int", PickleRole::name},
    {"torch.int16", PickleRole::name},
    {"torch.short", PickleRole::name},
    {"torch.int8", PickleRole::name},
    {"torch.uint8", PickleRole::name},
    {"torch.uint16", PickleRole::name},
    {"torch.uint32", PickleRole::name},
    {"torch.uint64", PickleRole::name},
    {"torch.bool", PickleRole::name},
    {"torch.strided", PickleRole::name},
    {"torch.contiguous_format", PickleRole::name},
    {"torch.preserve_format", PickleRole::name},
    {"torch.per_tensor_affine", PickleRole::name},
    {"torch.complex64", PickleRole::name},
    {"torch.complex128", PickleRole::name},
}};

struct NamedDtype {
  std::string_view name;
  Dtype dtype;
};
constexpr std::array<NamedDtype, 23> kDtypes{
    {{"torch.FloatStorage", Dtype::f32}, {"torch.DoubleStorage", Dtype::f64},
     {"torch.HalfStorage", Dtype::f16},  {"torch.BFloat16Storage", Dtype::bf16},
     {"torch.LongStorage", Dtype::i64},  {"torch.IntStorage", Dtype::i32},
     {"torch.ShortStorage", Dtype::i16}, {"torch.CharStorage", Dtype::i8},
     {"torch.ByteStorage", Dtype::u8},   {"torch.BoolStorage", Dtype::boolean},
     {"torch.float32", Dtype::f32},      {"torch.float64", Dtype::f64},
     {"torch.float16", Dtype::f16},      {"torch.bfloat16", Dtype::bf16},
     {"torch.int64", Dtype::i64},        {"torch.int32", Dtype::i32},
     {"torch.int16", Dtype::i16},        {"torch.int8", Dtype::i8},
     {"torch.uint8", Dtype::u8},         {"torch.uint16", Dtype::u16},
     {"torch.uint32", Dtype::u32},       {"torch.uint64", Dtype::u64},
     {"torch.bool", Dtype::boolean}}};

std::optional<Dtype> dtype_named(std::string_view name) {
  const auto* const row =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const NamedDtype& d) { return d.name == name; });
  return row == kDtypes.end() ? std::nullopt : std::optional(row->dtype);
}

[[noreturn]] void fail_at(const std::string& where, const PickleNode& node, std::string_view what,
                          std::string_view hint = {}) {
  fail_input(where, fmt::format("byte {}: {}", node.byte, what), hint);
}

std::uint64_t natural(const PickleNode& node, const std::string& where, std::string_view what) {
  if (node.kind != Kind::integer || node.integer < 0)
    fail_at(where, node,
            fmt::format("{} is {}, wanted a whole number from 0", what,
                        node.kind == Kind::integer ? std::to_string(node.integer) : std::string(name_of(node.kind))));
  return static_cast<std::uint64_t>(node.integer);
}

/// A tensor as the pickle describes it, all of it checked.
struct Described {
  Dtype dtype = Dtype::f32;
  std::vector<std::uint64_t> shape, strides;  // strides in elements
  std::span<const std::byte> bytes;           // of the storage, from the tensor's first element
  std::uint64_t elements = 0;
  bool row_by_row = true;
};

/// Bytes of a tensor's elements in row-major order, gathered by their strides.
std::vector<std::byte> gather(const Described& t) {
  const std::size_t element = size_bytes(t.dtype);
  std::vector<std::byte> out(t.elements * element);
  std::vector<std::uint64_t> index(t.shape.size(), 0);
  std::uint64_t from = 0;  // element of the storage
  for (std::uint64_t i = 0; i < t.elements; ++i) {
    std::memcpy(out.data() + i * element, t.bytes.data() + from * element, element);
    for (std::size_t d = t.shape.size(); d-- > 0;) {
      from += t.strides[d];
      if (++index[d] < t.shape[d]) break;
      from -= t.strides[d] * t.shape[d];
      index[d] = 0;
    }
  }
  return out;
}

/// Goes through the nodes once, from the root: tensors to a list, everything else to JSON.
class StateReader {
 public:
  StateReader(const Pickle& pickle, std::string where, const StorageBytes& storage, std::uint64_t max_copied)
      : pickle_(pickle), where_(std::move(where)), storage_(storage), max_copied_(max_copied) {}

  TorchState run() {
    state_.values = visit(pickle_.root_index(), "", 0);
    return std::move(state_);
  }

 private:
  const PickleNode& node(Index i) const { return pickle_.node(i); }

  bool is_tensor(const PickleNode& n) const {
    return n.kind == Kind::call && node(n.items[0]).text.starts_with("torch._utils._rebuild_");
  }

  Json visit(Index index, const std::string& path, std::size_t depth) {
    const PickleNode& n = node(index);
    if (depth > kMaxDepth) fail_at(where_, n, fmt::format("values nested deeper than {}", kMaxDepth));
    if (++visited_ > Pickle::kMaxNodes)
      fail_at(where_, n, fmt::format("more than {} values, counting shared ones again", Pickle::kMaxNodes));
    switch (n.kind) {
      case Kind::none:
      case Kind::persistent:
        return nullptr;
      case Kind::boolean:
        return n.integer != 0;
      case Kind::integer:
        return n.integer;
      case Kind::natural:
        return n.natural;
      case Kind::real:
        return n.real;
      case Kind::string:
      case Kind::global:
        return text_of(n);
      case Kind::list:
      case Kind::tuple:
        return visit_list(n, path, depth);
      case Kind::dict:
        return visit_dict(n, path, depth);
      case Kind::call:
        break;
    }
    if (!is_tensor(n)) return device(n);
    add_tensor(n, path, 0);
    return nullptr;
  }

  /// Strings that many values share are counted at their length, so that a small pickle stays small.
  std::string text_of(const PickleNode& n) {
    text_bytes_ += n.text.size();
    constexpr std::uint64_t kMaxText = std::uint64_t{64} << 20;
    if (text_bytes_ > kMaxText) fail_at(where_, n, fmt::format("more than {} bytes of strings", kMaxText));
    return replace_invalid_utf8(n.text);
  }

  Json visit_list(const PickleNode& n, const std::string& path, std::size_t depth) {
    Json list = Json::array();
    for (std::size_t i = 0; i < n.items.size(); ++i)
      list.push_back(visit(n.items[i], joined(path, std::to_string(i), n), depth + 1));
    return list;
  }

  Json visit_dict(const PickleNode& n, const std::string& path, std::size_t depth) {
    std::unordered_map<std::string, std::size_t> last;  // where in items the value of a key stands
    for (std::size_t i = 0; i + 1 < n.items.size(); i += 2) last[key_of(node(n.items[i]))] = i + 1;
    Json dict = Json::object();
    for (std::size_t i = 0; i + 1 < n.items.size(); i += 2) {
      const std::string key = key_of(node(n.items[i]));
      if (last[key] != i + 1) continue;
      const PickleNode& value = node(n.items[i + 1]);
      Json made = visit(n.items[i + 1], joined(path, key, n), depth + 1);
      if (!is_tensor(value)) dict[key] = std::move(made);
    }
    return dict;
  }

  std::string key_of(const PickleNode& key) {
    if (key.kind == Kind::string) {
      if (key.text.size() > kMaxName) fail_at(where_, key, fmt::format("a key of {} bytes", key.text.size()));
      return text_of(key);
    }
    if (key.kind == Kind::integer) return std::to_string(key.integer);
    fail_at(where_, key, fmt::format("a key of a dict is {}, wanted a string or a whole number", name_of(key.kind)));
  }

  std::string joined(const std::string& path, const std::string& key, const PickleNode& n) const {
    std::string name = path.empty() ? key : fmt::format("{}.{}", path, key);
    if (name.size() > kMaxName) fail_at(where_, n, fmt::format("a name of more than {} bytes", kMaxName));
    return name;
  }

  /// torch.device("cuda", 0) -> "cuda:0".
  Json device(const PickleNode& call) {
    const std::vector<Index>& arguments = node(call.items[1]).items;
    if (arguments.empty() || arguments.size() > 2)
      fail_at(where_, call, fmt::format("a device of {} arguments", arguments.size()));
    std::string text;
    for (const Index i : arguments) {
      const PickleNode& part = node(i);
      if (!text.empty()) text += ':';
      text += part.kind == Kind::string ? text_of(part) : std::to_string(part.integer);
    }
    return text;
  }

  std::string tensor_where(const std::string& name) const {
    return fmt::format("{}: tensor '{}'", where_, shown_name(name));
  }

  void add_tensor(const PickleNode& call, const std::string& name, std::size_t depth) {
    const std::string_view function = node(call.items[0]).text;
    const std::vector<Index>& arguments = node(call.items[1]).items;
    if (function.starts_with("torch._utils._rebuild_parameter")) {
      if (arguments.empty() || !is_tensor(node(arguments[0])) || depth >= kMaxDepth)
        fail_at(where_, call, "a parameter that is no tensor");
      add_tensor(node(arguments[0]), name, depth + 1);
      return;
    }
    if (!names_.insert(name).second)
      fail_at(where_, call, fmt::format("two tensors are named '{}' when names are joined", shown_name(name)));
    const Described t = describe(call, function, arguments, tensor_where(name));
    TensorView view;
    view.name = name;
    view.dtype = t.dtype;
    view.shape = t.shape;
    if (t.row_by_row) {
      view.bytes = t.bytes.first(t.elements * size_bytes(t.dtype));
    } else {
      copied_ += t.elements * size_bytes(t.dtype);
      if (copied_ > max_copied_)
        fail_input(tensor_where(name),
                   fmt::format("does not lie row by row (strides {}), and copies of such tensors would take more than "
                               "the {} bytes of the file",
                               format_shape(t.strides), max_copied_),
                   "save them with .contiguous()");
      state_.owned.push_back(std::make_shared<const std::vector<std::byte>>(gather(t)));
      view.bytes = *state_.owned.back();
    }
    state_.tensors.push_back(std::move(view));
  }

  std::vector<std::uint64_t> sizes(Index index, const std::string& where, std::string_view what) const {
    const PickleNode& n = node(index);
    if ((n.kind != Kind::tuple && n.kind != Kind::list) || n.items.size() > kMaxRank)
      fail_at(where, n,
              fmt::format("its {} is {} of {}, wanted a tuple of at most {}", what, name_of(n.kind), n.items.size(),
                          kMaxRank));
    std::vector<std::uint64_t> values;
    for (const Index i : n.items) values.push_back(natural(node(i), where, fmt::format("its {}", what)));
    return values;
  }

  Dtype dtype_of(const StorageId& id, std::string_view function, const std::vector<Index>& arguments,
                 const PickleNode& call, const std::string& where) const {
    if (function != "torch._utils._rebuild_tensor_v3") {
      if (!id.dtype) fail_at(where, call, "its storage is a row of bytes without a dtype");
      return *id.dtype;
    }
    if (arguments.size() < 7) fail_at(where, call, fmt::format("is made of {} arguments", arguments.size()));
    const PickleNode& named = node(arguments[6]);
    const std::optional<Dtype> dtype = named.kind == Kind::global ? dtype_named(named.text) : std::nullopt;
    if (!dtype)
      fail_at(where, named,
              fmt::format("its dtype is {}, which is not known",
                          named.kind == Kind::global ? named.text : name_of(named.kind)));
    return *dtype;
  }

  Described describe(const PickleNode& call, std::string_view function, const std::vector<Index>& arguments,
                     const std::string& where) const {
    if (arguments.size() < 4 || node(arguments[0]).kind != Kind::persistent)
      fail_at(where, call,
              fmt::format("is made of {} arguments, the first of them {}", arguments.size(),
                          arguments.empty() ? "nothing" : name_of(node(arguments[0]).kind)));
    const std::size_t metadata = function == "torch._utils._rebuild_tensor_v3" ? 7 : 6;
    if (arguments.size() > metadata &&
        (node(arguments[metadata]).kind != Kind::dict || !node(arguments[metadata]).items.empty()) &&
        node(arguments[metadata]).kind != Kind::none)
      fail_at(where, call, "carries a negated or conjugated view", "save it with .clone()");
    const StorageId id = storage_id(pickle_, arguments[0], where);
    Described t;
    t.dtype = dtype_of(id, function, arguments, call, where);
    const std::uint64_t offset = natural(node(arguments[1]), where, "its offset");
    t.shape = sizes(arguments[2], where, "shape");
    t.strides = sizes(arguments[3], where, "strides");
    if (t.shape.size() != t.strides.size())
      fail_at(where, call, fmt::format("shape {} but strides {}", format_shape(t.shape), format_shape(t.strides)));
    const std::size_t element = size_bytes(t.dtype);
    const std::uint64_t room = id.view_count * id.element_bytes() / element;  // elements of the tensor's dtype
    if (!measure(t) || !fits(t, offset, room))
      fail_at(where, call,
              fmt::format("shape {} with strides {} from element {} leaves its storage of {} elements",
                          format_shape(t.shape), format_shape(t.strides), offset, room),
              "the file is damaged");
    if (t.elements == 0) return t;
    const std::span<const std::byte> all = storage_(id);
    t.bytes =
        all.subspan(id.view_offset * id.element_bytes(), id.view_count * id.element_bytes()).subspan(offset * element);
    return t;
  }

  /// Counts the elements; false when that leaves 64 bits.
  static bool measure(Described& t) {
    t.elements = 1;
    t.row_by_row = true;
    if (std::find(t.shape.begin(), t.shape.end(), 0U) != t.shape.end()) {
      t.elements = 0;
      return true;
    }
    for (std::size_t d = t.shape.size(); d-- > 0;) {
      if (t.shape[d] > 1 && t.strides[d] != t.elements) t.row_by_row = false;
      if (__builtin_mul_overflow(t.elements, t.shape[d], &t.elements)) return false;
    }
    return t.elements <= std::numeric_limits<std::uint64_t>::max() / 16;
  }

  /// Whether the last element lies in the storage.
  static bool fits(const Described& t, std::uint64_t offset, std::uint64_t room) {
    if (t.elements == 0) return offset <= room;
    std::uint64_t last = offset;
    for (std::size_t d = 0; d < t.shape.size(); ++d) {
      std::uint64_t step = 0;
      if (__builtin_mul_overflow(t.shape[d] - 1, t.strides[d], &step) || __builtin_add_overflow(last, step, &last))
        return false;
    }
    return last < room;
  }

  const Pickle& pickle_;
  std::string where_;
  const StorageBytes& storage_;
  std::uint64_t max_copied_;
  TorchState state_;
  std::unordered_set<std::string> names_;
  std::size_t visited_ = 0;
  std::uint64_t copied_ = 0;
  std::uint64_t text_bytes_ = 0;
};

}  // namespace

std::span<const PickleGlobal> torch_globals() { return kGlobals; }

StorageId storage_id(const Pickle& pickle, std::uint32_t persistent, const std::string& where) {
  const PickleNode& n = pickle.node(persistent);
  const PickleNode& tuple = pickle.node(n.items.at(0));
  const auto part = [&](std::size_t i) -> const PickleNode& { return pickle.node(tuple.items[i]); };
  if (tuple.kind != Kind::tuple || tuple.items.size() < 5 || tuple.items.size() > 6 || part(0).kind != Kind::string ||
      part(0).text != "storage" || part(1).kind != Kind::global || part(2).kind != Kind::string)
    fail_at(where, n, "a persistent id that names no storage");
  StorageId id;
  id.key = part(2).text;
  id.dtype = dtype_named(part(1).text);
  if (!id.dtype && !part(1).text.ends_with("Storage"))
    fail_at(where, n, fmt::format("a storage of class '{}'", part(1).text));
  id.count = natural(part(4), where, "the size of a storage");
  if (id.count > std::numeric_limits<std::uint64_t>::max() / 16)
    fail_at(where, n, fmt::format("a storage of {} elements", id.count));
  id.view_count = id.count;
  if (tuple.items.size() == 6 && part(5).kind != Kind::none) {
    const PickleNode& view = part(5);
    if (view.kind != Kind::tuple || view.items.size() != 3) fail_at(where, view, "a part of a storage that is none");
    id.view_offset = natural(pickle.node(view.items[1]), where, "the offset of a storage");
    id.view_count = natural(pickle.node(view.items[2]), where, "the size of a storage");
    if (id.view_offset > id.count || id.view_count > id.count - id.view_offset)
      fail_at(where, view,
              fmt::format("elements {} to {} of a storage of {}", id.view_offset, id.view_offset + id.view_count,
                          id.count));
  }
  return id;
}

TorchState read_state(const Pickle& pickle, const std::string& where, const StorageBytes& storage,
                      std::uint64_t max_copied) {
  return StateReader(pickle, where, storage, max_copied).run();
}

}  // namespace gloss::formats
