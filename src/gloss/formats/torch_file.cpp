#include "gloss/formats/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/byte_cursor.h"
#include "gloss/formats/torch_state.h"
#include "gloss/formats/zip_file.h"

namespace gloss::formats {
namespace {

using Kind = PickleNode::Kind;

constexpr std::uint64_t kMaxPickle = std::uint64_t{256} << 20;
constexpr std::uint64_t kLeastCopied = std::uint64_t{1} << 20;
constexpr std::string_view kLegacyHead = "\x80\x02\x8a\x0a";  // protocol 2, a whole number of ten bytes
constexpr std::string_view kLegacyMagic = "0x1950a86a20f9469cfc6c";
constexpr std::int64_t kLegacyVersion = 1001;
constexpr std::string_view kDamaged = "the file is cut off or damaged: download or copy it again";
constexpr std::string_view kSaveAgain = "load it in PyTorch and save its state dict with torch.save";

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_size(const StorageId& id, std::uint64_t found, const std::string& where) {
  if (found != id.count * id.element_bytes())
    fail_input(where,
               fmt::format("storage '{}' has {} bytes, wanted {} ({} elements of {})", shown_name(id.key), found,
                           id.count * id.element_bytes(), id.count, id.dtype ? name_of(*id.dtype) : "a byte"),
               kDamaged);
}

/// The zip form: TOP/data.pkl, TOP/data/KEY, TOP/byteorder.
class ZipCheckpoint {
 public:
  explicit ZipCheckpoint(const MappedFile& file) : zip_(ZipFile::parse(file)), name_(file.name()) {
    for (const ZipEntry& entry : zip_.entries()) {
      const std::size_t slash = entry.name.find('/');
      if (slash == std::string::npos || entry.name.substr(slash) != "/data.pkl") continue;
      if (pickle_ != nullptr)
        fail_input(name_, fmt::format("holds two checkpoints, '{}' and '{}'", shown_name(pickle_->name),
                                      shown_name(entry.name)));
      pickle_ = &entry;
      top_ = entry.name.substr(0, slash + 1);
    }
    if (pickle_ == nullptr)
      fail_input(name_, fmt::format("is a zip archive of {} entries without a 'data.pkl'", zip_.entries().size()),
                 "wanted a checkpoint written by torch.save");
    if (zip_.find(top_ + "constants.pkl") != nullptr)
      fail_input(name_, "is a TorchScript program, wanted a checkpoint of tensors", kSaveAgain);
    check_byte_order();
  }

  TorchState read(std::vector<Owned>& owned, std::uint64_t max_copied) {
    const std::string where = fmt::format("{}: {}", name_, shown_name(pickle_->name));
    if (pickle_->size > kMaxPickle)
      fail_input(where, fmt::format("{} bytes, wanted at most {}", pickle_->size, kMaxPickle));
    std::vector<std::byte> unpacked;
    std::span<const std::byte> bytes = pickle_->bytes;
    if (pickle_->deflated) bytes = unpacked = zip_.unpack(*pickle_);
    const Pickle pickle = Pickle::read(bytes, torch_globals(), where);
    const StorageBytes storage = [&](const StorageId& id) { return bytes_of(id, owned); };
    return read_state(pickle, where, storage, max_copied);
  }

 private:
  void check_byte_order() const {
    const ZipEntry* entry = zip_.find(top_ + "byteorder");
    if (entry == nullptr) return;
    constexpr std::size_t kLongest = 64;
    if (entry->size > kLongest)
      fail_input(name_, fmt::format("'{}' has {} bytes", shown_name(entry->name), entry->size), kDamaged);
    const std::vector<std::byte> bytes = zip_.unpack(*entry);
    if (as_text(bytes) != "little")
      fail_input(name_, fmt::format("was written with byte order '{}', wanted 'little'", shown_name(as_text(bytes))),
                 kSaveAgain);
  }

  std::span<const std::byte> bytes_of(const StorageId& id, std::vector<Owned>& owned) {
    const ZipEntry* entry = zip_.find(fmt::format("{}data/{}", top_, id.key));
    if (entry == nullptr)
      fail_input(name_, fmt::format("has no entry '{}data/{}'", shown_name(top_), shown_name(id.key)), kDamaged);
    check_size(id, entry->size, name_);
    if (!entry->deflated) return entry->bytes;
    const auto [it, fresh] = inflated_.try_emplace(entry->name);
    if (fresh) {
      owned.push_back(std::make_shared<const std::vector<std::byte>>(zip_.unpack(*entry)));
      it->second = *owned.back();
    }
    return it->second;
  }

  ZipFile zip_;
  std::string name_;
  const ZipEntry* pickle_ = nullptr;
  std::string top_;  // with its '/'
  std::unordered_map<std::string, std::span<const std::byte>> inflated_;
};

/// The older form: five pickles - magic, version, system, the object, the keys of its storages - then the storages.
class LegacyCheckpoint {
 public:
  explicit LegacyCheckpoint(const MappedFile& file) : bytes_(file.bytes()), name_(file.name()) {}

  TorchState read(std::uint64_t max_copied) {
    const Pickle magic = next();
    if (magic.root().kind != Kind::string || magic.root().text != kLegacyMagic)
      fail_input(name_, "byte 0: not the number that PyTorch checkpoints begin with", kDamaged);
    const Pickle version = next();
    if (version.root().kind != Kind::integer || version.root().integer != kLegacyVersion)
      fail_input(name_, fmt::format("is not of version {} of its form", kLegacyVersion), kSaveAgain);
    check_system(next());
    const Pickle object = next();
    find_storages(object, next());
    const StorageBytes storage = [&](const StorageId& id) {
      const auto it = storages_.find(id.key);
      if (it == storages_.end()) fail_input(name_, fmt::format("has no storage '{}'", shown_name(id.key)), kDamaged);
      check_size(id, it->second.size(), name_);
      return it->second;
    };
    return read_state(object, name_, storage, max_copied);
  }

 private:
  Pickle next() {
    Pickle pickle = Pickle::read(bytes_.subspan(at_), torch_globals(), name_, at_);
    at_ += pickle.size_bytes();
    return pickle;
  }

  void check_system(const Pickle& system) const {
    const PickleNode& dict = system.root();
    for (std::size_t i = 0; dict.kind == Kind::dict && i + 1 < dict.items.size(); i += 2) {
      const PickleNode& value = system.node(dict.items[i + 1]);
      if (system.node(dict.items[i]).text == "little_endian" && (value.kind != Kind::boolean || value.integer == 0))
        fail_input(name_, "was written on a big-endian machine", kSaveAgain);
    }
  }

  void find_storages(const Pickle& object, const Pickle& keys) {
    std::map<std::string_view, std::size_t> element_bytes;
    for (const std::uint32_t id : object.persistent()) {
      const StorageId storage = storage_id(object, id, name_);
      element_bytes[storage.key] = storage.element_bytes();
    }
    if (keys.root().kind != Kind::list) fail_input(name_, "has no list of storages", kDamaged);
    ByteCursor cursor(bytes_.subspan(at_), name_, at_);
    for (const std::uint32_t item : keys.root().items) {
      const std::string_view key = keys.node(item).text;
      const auto known = element_bytes.find(key);
      if (known == element_bytes.end())
        cursor.fail(fmt::format("a storage '{}' that no tensor uses", shown_name(key)), kDamaged);
      const auto count = cursor.number<std::uint64_t>("the size of a storage");
      if (count > cursor.left() / known->second)
        cursor.fail(
            fmt::format("storage '{}' of {} elements, but {} bytes are left", shown_name(key), count, cursor.left()),
            kDamaged);
      storages_[known->first] = cursor.take(count * known->second, "a storage");
    }
  }

  std::span<const std::byte> bytes_;
  std::string name_;
  std::size_t at_ = 0;
  std::map<std::string_view, std::span<const std::byte>> storages_;  // keys: views into the object's pickle
};

[[noreturn]] void fail_unknown(const MappedFile& file) {
  constexpr std::size_t kTarMagic = 257;
  const std::string_view text = as_text(file.bytes());
  if (text.starts_with("version https://git-lfs"))
    fail_input(file.name(), "is a Git LFS pointer, wanted the checkpoint itself", "fetch it with git lfs pull");
  if (text.size() > kTarMagic && text.substr(kTarMagic).starts_with("ustar"))
    fail_input(file.name(), "is a tar archive, the form of PyTorch before 0.2, which is not read", kSaveAgain);
  fail_input(file.name(), fmt::format("{} bytes that do not begin as a PyTorch checkpoint does", text.size()),
             "wanted a file written by torch.save (zip, or the older form)");
}

}  // namespace

TorchFile TorchFile::open(const std::filesystem::path& path) { return parse(MappedFile::open(path)); }

TorchFile TorchFile::parse(MappedFile file) {
  TorchFile result;
  result.file_ = std::move(file);
  const std::span<const std::byte> bytes = result.file_.bytes();
  const std::uint64_t max_copied = std::max<std::uint64_t>(bytes.size(), kLeastCopied);
  TorchState state;
  if (ZipFile::looks_like(bytes))
    state = ZipCheckpoint(result.file_).read(result.owned_, max_copied);
  else if (as_text(bytes).starts_with(kLegacyHead))
    state = LegacyCheckpoint(result.file_).read(max_copied);
  else
    fail_unknown(result.file_);
  result.tensors_ = std::move(state.tensors);
  result.owned_.insert(result.owned_.end(), state.owned.begin(), state.owned.end());
  result.values_ = std::make_shared<const nlohmann::json>(std::move(state.values));
  return result;
}

bool TorchFile::contains(std::string_view name) const {
  return std::any_of(tensors_.begin(), tensors_.end(), [&](const TensorView& t) { return t.name == name; });
}

const TensorView& TorchFile::tensor(std::string_view name) const {
  const auto it = std::find_if(tensors_.begin(), tensors_.end(), [&](const TensorView& t) { return t.name == name; });
  if (it != tensors_.end()) return *it;
  std::vector<std::string> names;
  for (const TensorView& t : tensors_) names.push_back(t.name);
  const std::string nearest = nearest_name(name, names);
  fail_input(file_.name(), fmt::format("has no tensor '{}' among its {}", name, tensors_.size()),
             nearest.empty() ? std::string() : fmt::format("the nearest name in it is '{}'", nearest));
}

}  // namespace gloss::formats
