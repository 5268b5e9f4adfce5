#pragma once
/// The inside of torch_file.h: what the nodes of a checkpoint's pickle mean. Not for other modules.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/formats/pickle.h"
#include "gloss/formats/safetensors.h"

namespace gloss::formats {

/// Everything a checkpoint's pickle may import.
std::span<const PickleGlobal> torch_globals();

/// A storage as a pickle names it: ("storage", class, key, device, count[, view]).
struct StorageId {
  std::string_view key;
  std::optional<Dtype> dtype;     // none: a row of bytes
  std::uint64_t count = 0;        // elements of the storage that `key` names
  std::uint64_t view_offset = 0;  // the part meant, in elements: older files only
  std::uint64_t view_count = 0;

  std::size_t element_bytes() const { return dtype ? size_bytes(*dtype) : 1; }
};
/// Errors: bad_input when it is none of these, or its sizes leave 64 bits.
StorageId storage_id(const Pickle& pickle, std::uint32_t persistent, const std::string& where);

using Owned = std::shared_ptr<const std::vector<std::byte>>;
struct TorchState {
  std::vector<TensorView> tensors;
  std::vector<Owned> owned;  // copies of tensors that do not lie row by row
  nlohmann::json values;
};
/// The bytes of the storage that `id.key` names; as many as id.count says, checked.
using StorageBytes = std::function<std::span<const std::byte>(const StorageId& id)>;
/// `max_copied`: bytes of all copies together. Errors: as TorchFile::open.
TorchState read_state(const Pickle& pickle, const std::string& where, const StorageBytes& storage,
                      std::uint64_t max_copied);

}  // namespace gloss::formats
