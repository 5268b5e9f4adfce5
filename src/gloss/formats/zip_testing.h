#pragma once
/// For tests and fuzz seeds: zip archives and pickles put together byte by byte, right ones and wrong ones.
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace gloss::formats {

template <class T>
void append_number(std::string& out, T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  out += bytes;
}

inline std::string raw_deflate(std::string_view text) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()), '\0');
  std::string in(text);
  z.next_in = reinterpret_cast<Bytef*>(in.data());
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

/// One entry; the fields after `deflate` are lies that a test may tell.
struct ZipPart {
  std::string name = {};
  std::string data = {};
  bool deflate = false;
  bool zip64 = false;           // sizes and offset in the ZIP64 extra field
  std::uint64_t more_size = 0;  // added to the unpacked size
  std::uint64_t more_packed = 0;
  std::int64_t shift = 0;  // added to the offset of the local header
  std::uint32_t crc_xor = 0;
  std::uint16_t flags = 0;
  std::uint16_t method_xor = 0;
  std::string local_name = {};  // when not `name`
};

inline std::string make_zip(const std::vector<ZipPart>& parts, bool end64 = false) {
  std::string file;
  std::string directory;
  for (const ZipPart& p : parts) {
    const std::string packed = p.deflate ? raw_deflate(p.data) : p.data;
    const auto crc = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(p.data.data()), static_cast<uInt>(p.data.size())));
    const std::uint64_t local = file.size() + static_cast<std::uint64_t>(p.shift);
    const std::uint64_t packed_size = packed.size() + p.more_packed;
    const std::uint64_t size = p.data.size() + p.more_size;
    const auto method = static_cast<std::uint16_t>((p.deflate ? 8 : 0) ^ p.method_xor);
    const std::string& local_name = p.local_name.empty() ? p.name : p.local_name;
    append_number<std::uint32_t>(file, 0x04034b50);
    for (const unsigned field : {20U, unsigned{p.flags}, unsigned{method}, 0U, 0U})
      append_number(file, static_cast<std::uint16_t>(field));
    append_number<std::uint32_t>(file, crc);
    append_number(file, static_cast<std::uint32_t>(packed_size));
    append_number(file, static_cast<std::uint32_t>(size));
    append_number(file, static_cast<std::uint16_t>(local_name.size()));
    append_number<std::uint16_t>(file, 6);
    file += local_name + std::string("FB\2\0\0\0", 6) + packed;

    std::string extra;
    if (p.zip64) {
      append_number<std::uint16_t>(extra, 1);
      append_number<std::uint16_t>(extra, 24);
      append_number(extra, size);
      append_number(extra, packed_size);
      append_number(extra, local);
    }
    append_number<std::uint32_t>(directory, 0x02014b50);
    for (const unsigned field : {20U, 20U, unsigned{p.flags}, unsigned{method}, 0U, 0U})
      append_number(directory, static_cast<std::uint16_t>(field));
    append_number<std::uint32_t>(directory, crc ^ p.crc_xor);
    append_number(directory, p.zip64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(packed_size));
    append_number(directory, p.zip64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(size));
    append_number(directory, static_cast<std::uint16_t>(p.name.size()));
    append_number(directory, static_cast<std::uint16_t>(extra.size()));
    directory += std::string(10, '\0');
    append_number(directory, p.zip64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(local));
    directory += p.name + extra;
  }
  const std::uint64_t at = file.size();
  file += directory;
  if (end64) {
    const std::uint64_t record = file.size();
    append_number<std::uint32_t>(file, 0x06064b50);
    append_number<std::uint64_t>(file, 44);
    file += std::string(12, '\0');
    append_number<std::uint64_t>(file, parts.size());
    append_number<std::uint64_t>(file, parts.size());
    append_number<std::uint64_t>(file, directory.size());
    append_number(file, at);
    append_number<std::uint32_t>(file, 0x07064b50);
    append_number<std::uint32_t>(file, 0);
    append_number(file, record);
    append_number<std::uint32_t>(file, 1);
  }
  append_number<std::uint32_t>(file, 0x06054b50);
  append_number<std::uint32_t>(file, 0);
  for (int i = 0; i < 2; ++i)
    append_number(file, end64 ? std::uint16_t{0xFFFF} : static_cast<std::uint16_t>(parts.size()));
  append_number(file, end64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(directory.size()));
  append_number(file, end64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(at));
  append_number<std::uint16_t>(file, 0);
  return file;
}

// ---- pickles, protocol 2
inline std::string pickle_text(std::string_view text) {
  std::string out = "X";
  append_number(out, static_cast<std::uint32_t>(text.size()));
  return out.append(text);
}
inline std::string pickle_number(std::int64_t value) {
  std::string out = "\x8a\x08";
  append_number(out, value);
  return out;
}
inline std::string pickle_global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string pickle_numbers(const std::vector<std::int64_t>& values) {
  std::string out = "(";
  for (const std::int64_t v : values) out += pickle_number(v);
  return out + "t";
}
inline std::string pickle_storage(const std::string& type, const std::string& key, std::int64_t count) {
  return "(" + pickle_text("storage") + pickle_global("torch", type) + pickle_text(key) + pickle_text("cpu") +
         pickle_number(count) + "tQ";
}
struct PickledTensor {
  std::vector<std::int64_t> shape = {}, strides = {};
  std::int64_t offset = 0;
  std::string type = "FloatStorage";
  std::string key = "0";
  std::int64_t count = 0;
};
inline std::string pickle_tensor(const PickledTensor& t) {
  return pickle_global("torch._utils", "_rebuild_tensor_v2") + "(" + pickle_storage(t.type, t.key, t.count) +
         pickle_number(t.offset) + pickle_numbers(t.shape) + pickle_numbers(t.strides) + "\x89" + "}tR";
}
/// A pickle of {name: value}, `value` being opcodes that push one.
inline std::string pickle_dict(const std::string& name, const std::string& value) {
  return "\x80\x02}" + pickle_text(name) + value + "s.";
}

}  // namespace gloss::formats
