#include "gloss/formats/zip_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/byte_cursor.h"

namespace gloss::formats {
namespace {

constexpr std::uint32_t kLocalMagic = 0x04034b50;
constexpr std::uint32_t kEntryMagic = 0x02014b50;
constexpr std::uint32_t kEndMagic = 0x06054b50;
constexpr std::uint32_t kEnd64Magic = 0x06064b50;
constexpr std::uint32_t kLocator64Magic = 0x07064b50;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kEnd64Size = 56;
constexpr std::size_t kLocator64Size = 20;
constexpr std::size_t kEntrySize = 46;
constexpr std::size_t kLocalSize = 30;
constexpr std::size_t kMaxComment = 0xFFFF;
constexpr std::uint16_t kSee64 = 0xFFFF;
constexpr std::uint32_t kSee64Long = 0xFFFFFFFF;
constexpr std::uint64_t kMaxRatio = 1032;  // RFC 1951: 258 bytes from 2 bits
constexpr std::string_view kCut = "the file is cut off or damaged: download or copy it again";

struct Directory {
  std::uint64_t offset = 0, size = 0, entries = 0;
};

std::uint32_t magic_at(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t magic = 0;
  std::memcpy(&magic, bytes.data() + at, sizeof(magic));
  return magic;
}

/// Where the end record lies: the last place whose comment reaches exactly to the end of the file.
std::size_t find_end(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.size() >= kEndSize) {
    const std::size_t last = bytes.size() - kEndSize;
    const std::size_t first = last - std::min(last, kMaxComment);
    for (std::size_t at = last + 1; at-- > first;) {
      if (magic_at(bytes, at) != kEndMagic) continue;
      std::uint16_t comment = 0;
      std::memcpy(&comment, bytes.data() + at + kEndSize - sizeof(comment), sizeof(comment));
      if (comment == last - at) return at;
    }
  }
  fail_input(name, fmt::format("{} bytes without the end record of a zip archive", bytes.size()), kCut);
}

/// The ZIP64 end record, when a locator stands right before the end record.
std::optional<Directory> find_directory64(std::span<const std::byte> bytes, std::size_t end, const std::string& name) {
  if (end < kLocator64Size || magic_at(bytes, end - kLocator64Size) != kLocator64Magic) return {};
  const std::size_t locator_at = end - kLocator64Size;
  ByteCursor locator(bytes.subspan(locator_at, kLocator64Size), name, locator_at);
  locator.take(8, "the ZIP64 locator");  // magic, disk
  const auto at = locator.number<std::uint64_t>("the ZIP64 locator");
  if (at > locator_at || locator_at - at < kEnd64Size || magic_at(bytes, at) != kEnd64Magic)
    fail_input(name, fmt::format("byte {}: no ZIP64 end record at byte {}", locator_at, at), kCut);
  ByteCursor record(bytes.subspan(at, kEnd64Size), name, at);
  record.take(24, "the ZIP64 end record");  // magic, size, versions, disks
  Directory d;
  const auto here = record.number<std::uint64_t>("the ZIP64 end record");
  d.entries = record.number<std::uint64_t>("the ZIP64 end record");
  d.size = record.number<std::uint64_t>("the ZIP64 end record");
  d.offset = record.number<std::uint64_t>("the ZIP64 end record");
  if (here != d.entries) fail_input(name, fmt::format("byte {}: an archive of several disks", at));
  return d;
}

Directory find_directory(std::span<const std::byte> bytes, const std::string& name) {
  const std::size_t end = find_end(bytes, name);
  ByteCursor record(bytes.subspan(end, kEndSize), name, end);
  record.take(4, "the end record");
  const auto disk = record.number<std::uint16_t>("the end record");
  record.take(2, "the end record");
  const auto here = record.number<std::uint16_t>("the end record");
  Directory d;
  d.entries = record.number<std::uint16_t>("the end record");
  d.size = record.number<std::uint32_t>("the end record");
  d.offset = record.number<std::uint32_t>("the end record");
  if (const std::optional<Directory> d64 = find_directory64(bytes, end, name)) {
    d = *d64;
  } else if ((disk != 0 && disk != kSee64) || here != d.entries) {
    fail_input(name, fmt::format("byte {}: an archive of several disks", end));
  }
  if (d.offset > end || d.size > end - d.offset)
    fail_input(name,
               fmt::format("byte {}: a directory of {} bytes at byte {}, but it must end before byte {}", end, d.size,
                           d.offset, end),
               kCut);
  if (d.entries > d.size / kEntrySize)
    fail_input(name, fmt::format("byte {}: {} entries in a directory of {} bytes", end, d.entries, d.size), kCut);
  return d;
}

/// An entry of the directory before its local header was read.
struct Listed {
  ZipEntry entry;
  std::uint64_t packed = 0;  // bytes in the file
  std::uint64_t local = 0;   // offset of the local header
};

/// Sizes and offset that the directory leaves to the ZIP64 extra field, in its fixed order.
void read_extra64(ByteCursor extra, Listed& listed) {
  const bool size = listed.entry.size == kSee64Long;
  const bool packed = listed.packed == kSee64Long;
  const bool local = listed.local == kSee64Long;
  if (!size && !packed && !local) return;
  while (extra.left() >= 4) {
    const auto id = extra.number<std::uint16_t>("an extra field");
    const auto length = extra.number<std::uint16_t>("an extra field");
    const std::uint64_t at = extra.offset();
    ByteCursor field(extra.take(length, "an extra field"), extra.where(), at);
    if (id != 1) continue;
    if (size) listed.entry.size = field.number<std::uint64_t>("the ZIP64 extra field");
    if (packed) listed.packed = field.number<std::uint64_t>("the ZIP64 extra field");
    if (local) listed.local = field.number<std::uint64_t>("the ZIP64 extra field");
    return;
  }
}

Listed read_listed(ByteCursor& c) {
  const std::uint64_t at = c.offset();
  if (c.number<std::uint32_t>("a directory entry") != kEntryMagic) c.fail_at(at, "no directory entry", kCut);
  c.take(4, "a directory entry");  // versions
  const auto flags = c.number<std::uint16_t>("a directory entry");
  const auto method = c.number<std::uint16_t>("a directory entry");
  c.take(4, "a directory entry");  // time, date
  Listed listed;
  listed.entry.crc = c.number<std::uint32_t>("a directory entry");
  listed.packed = c.number<std::uint32_t>("a directory entry");
  listed.entry.size = c.number<std::uint32_t>("a directory entry");
  const auto name_length = c.number<std::uint16_t>("a directory entry");
  const auto extra_length = c.number<std::uint16_t>("a directory entry");
  const auto comment_length = c.number<std::uint16_t>("a directory entry");
  c.take(8, "a directory entry");  // disk, attributes
  listed.local = c.number<std::uint32_t>("a directory entry");
  listed.entry.name = c.text(name_length, "the name of an entry");
  const std::uint64_t extra_at = c.offset();
  read_extra64(ByteCursor(c.take(extra_length, "the extra field of an entry"), c.where(), extra_at), listed);
  c.take(comment_length, "the comment of an entry");
  const std::string shown = shown_name(listed.entry.name);
  if ((flags & 1U) != 0) c.fail_at(at, fmt::format("entry '{}' is encrypted", shown));
  if (method != 0 && method != 8)
    c.fail_at(at, fmt::format("entry '{}' is packed by method {}, wanted 0 (stored) or 8 (deflated)", shown, method));
  listed.entry.deflated = method == 8;
  if (!listed.entry.deflated && listed.packed != listed.entry.size)
    c.fail_at(at, fmt::format("entry '{}' is stored in {} bytes, but is said to hold {}", shown, listed.packed,
                              listed.entry.size));
  if (listed.entry.deflated && listed.entry.size / kMaxRatio > listed.packed)
    c.fail_at(at, fmt::format("entry '{}' is said to hold {} bytes, more than {} deflated ones can", shown,
                              listed.entry.size, listed.packed));
  return listed;
}

/// Finds the entry's bytes behind its local header. `limit`: where the directory begins.
void locate(Listed& listed, std::span<const std::byte> bytes, std::uint64_t limit, const std::string& name) {
  const std::string shown = shown_name(listed.entry.name);
  if (listed.local > limit || limit - listed.local < kLocalSize)
    fail_input(name, fmt::format("entry '{}' is said to begin at byte {}, but the entries end at byte {}", shown,
                                 listed.local, limit));
  ByteCursor c(bytes.subspan(listed.local, limit - listed.local), name, listed.local);
  if (c.number<std::uint32_t>("a local header") != kLocalMagic)
    c.fail_at(listed.local, fmt::format("no local header of entry '{}'", shown), kCut);
  c.take(22, "a local header");  // what the directory said already
  const auto name_length = c.number<std::uint16_t>("a local header");
  const auto extra_length = c.number<std::uint16_t>("a local header");
  if (c.text(name_length, "the name of an entry") != listed.entry.name)
    c.fail_at(listed.local, fmt::format("the local header has another name than the directory's '{}'", shown));
  c.take(extra_length, "the extra field of an entry");
  listed.entry.offset = c.offset();
  listed.entry.bytes = c.take(listed.packed, fmt::format("entry '{}'", shown));
}

void check_apart(std::vector<Listed>& all, const std::string& name) {
  std::sort(all.begin(), all.end(), [](const Listed& a, const Listed& b) { return a.local < b.local; });
  for (std::size_t i = 1; i < all.size(); ++i) {
    const Listed& before = all[i - 1];
    if (all[i].local < before.entry.offset + before.packed)
      fail_input(name, fmt::format("entries '{}' and '{}' overlap at byte {}", shown_name(before.entry.name),
                                   shown_name(all[i].entry.name), all[i].local));
  }
}

}  // namespace

bool ZipFile::looks_like(std::span<const std::byte> bytes) {
  return bytes.size() >= sizeof(kLocalMagic) && (magic_at(bytes, 0) == kLocalMagic || magic_at(bytes, 0) == kEndMagic);
}

ZipFile ZipFile::open(const std::filesystem::path& path) { return parse(MappedFile::open(path)); }

ZipFile ZipFile::parse(MappedFile file) {
  ZipFile result;
  result.file_ = std::move(file);
  const std::span<const std::byte> bytes = result.file_.bytes();
  const std::string& name = result.file_.name();
  const Directory d = find_directory(bytes, name);
  ByteCursor cursor(bytes.subspan(d.offset, d.size), name, d.offset);
  std::vector<Listed> all;
  for (std::uint64_t i = 0; i < d.entries; ++i) {
    const std::uint64_t at = cursor.offset();
    Listed listed = read_listed(cursor);
    locate(listed, bytes, d.offset, name);
    if (!result.by_name_.emplace(listed.entry.name, i).second)
      cursor.fail_at(at, fmt::format("a second entry '{}'", shown_name(listed.entry.name)));
    result.entries_.push_back(listed.entry);
    all.push_back(std::move(listed));
  }
  check_apart(all, name);
  return result;
}

const ZipEntry* ZipFile::find(std::string_view name) const {
  const auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : &entries_[it->second];
}

std::vector<std::byte> ZipFile::unpack(const ZipEntry& entry) const {
  if (!entry.deflated) return {entry.bytes.begin(), entry.bytes.end()};
  const std::string where = fmt::format("{}: entry '{}'", file_.name(), shown_name(entry.name));
  std::vector<std::byte> out(entry.size);
  z_stream stream{};
  constexpr int kRaw = -MAX_WBITS;
  if (inflateInit2(&stream, kRaw) != Z_OK) throw std::bad_alloc();
  struct End {
    z_stream* stream;
    ~End() { inflateEnd(stream); }
  } const end{&stream};
  std::size_t read = 0;
  std::size_t made = 0;
  std::byte beyond{};  // room for one byte too many, so that a longer stream shows itself
  int rc = Z_OK;
  while (rc == Z_OK) {
    constexpr std::size_t kStep = std::numeric_limits<uInt>::max();
    const std::size_t in = std::min(entry.bytes.size() - read, kStep);
    const std::size_t room = std::min(out.size() - made, kStep);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(entry.bytes.data() + read));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(room == 0 ? &beyond : out.data() + made);
    stream.avail_out = static_cast<uInt>(room == 0 ? 1 : room);
    rc = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    if (room == 0 && stream.avail_out == 0)
      fail_input(where, fmt::format("inflates to more than the {} bytes it is said to hold", entry.size), kCut);
    if (room != 0) made += room - stream.avail_out;
  }
  if (rc != Z_STREAM_END)
    fail_input(where,
               fmt::format("byte {} of the file: no deflated data ({})", entry.offset + read,
                           stream.msg != nullptr ? stream.msg : "they end in the middle"),
               kCut);
  if (made != out.size())
    fail_input(where, fmt::format("inflates to {} bytes, but is said to hold {}", made, entry.size), kCut);
  std::uint32_t crc = 0;
  for (std::size_t done = 0; done < made;) {
    const std::size_t step = std::min<std::size_t>(made - done, std::numeric_limits<uInt>::max());
    crc = static_cast<std::uint32_t>(
        crc32(crc, reinterpret_cast<const Bytef*>(out.data() + done), static_cast<uInt>(step)));
    done += step;
  }
  if (crc != entry.crc) fail_input(where, "its sum (CRC-32) is wrong", kCut);
  return out;
}

}  // namespace gloss::formats
