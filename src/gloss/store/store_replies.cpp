#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/store/store.h"
#include "gloss/store/store_impl.h"

namespace gloss::store {
namespace {

static_assert(std::endian::native == std::endian::little, "probabilities are stored as they lie in memory");

constexpr std::size_t kHashBytes = 16;
constexpr int kCompressionLevel = 3;
constexpr std::size_t kMostChoices = 4096;
constexpr unsigned long long kLargestText = 64ULL << 20;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool is_plain_hash(std::string_view hash) {
  return hash.size() == 2 * kHashBytes &&
         std::all_of(hash.begin(), hash.end(), [](char c) { return hex_value(c) >= 0; });
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string decompressed(std::string_view frame, const std::string& where) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > kLargestText) {
    fail_input(where, "holds a text that is no zstd frame of at most 64 MiB", "the file is damaged");
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  const std::size_t got = ZSTD_decompress(text.data(), text.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0 || got != text.size()) {
    fail_input(where,
               fmt::format("holds a text that cannot be unpacked: {}",
                           ZSTD_isError(got) != 0 ? ZSTD_getErrorName(got) : "its size is wrong"),
               "the file is damaged");
  }
  return text;
}

std::vector<double> unpack_probabilities(std::string_view packed, const std::string& where) {
  if (packed.size() % sizeof(double) != 0 || packed.size() / sizeof(double) > kMostChoices) {
    fail_input(where, fmt::format("reply.probabilities has {} bytes, wanted a multiple of {}, at most {} times",
                                  packed.size(), sizeof(double), kMostChoices));
  }
  std::vector<double> probabilities(packed.size() / sizeof(double));
  if (!packed.empty()) std::memcpy(probabilities.data(), packed.data(), packed.size());
  for (const double p : probabilities) {
    if (!(p >= 0.0 && p <= 1.0)) fail_input(where, fmt::format("reply.probabilities holds {}, wanted 0 to 1", p));
  }
  return probabilities;
}

}  // namespace

std::string packed_text(std::string_view text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size = ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), kCompressionLevel);
  if (ZSTD_isError(size) != 0 || size >= text.size()) return {};
  frame.resize(size);
  return frame;
}

std::string packed_hash(std::string_view hash) {
  if (!is_plain_hash(hash)) return std::string(hash);
  std::string packed(kHashBytes, '\0');
  for (std::size_t i = 0; i < kHashBytes; ++i)
    packed[i] = static_cast<char>(16 * hex_value(hash[2 * i]) + hex_value(hash[2 * i + 1]));
  return packed;
}

std::string unpacked_hash(std::string_view stored, bool is_blob) {
  if (!is_blob) return std::string(stored);
  std::string hash;
  for (const char c : stored) hash += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hash;
}

std::string hash_column(const Query& query, int column) {
  const bool blob = query.is_blob(column);
  return unpacked_hash(query.bytes(column), blob);
}

std::string unpacked_text(const Query& query, int column, const std::string& where) {
  return query.is_blob(column) ? decompressed(query.bytes(column), where) : std::string(query.bytes(column));
}

std::int64_t Store::Impl::find_call(std::string_view hash) {
  if (last_call != 0 && hash == last_hash) return last_call;
  constexpr const char* kFind = "SELECT id FROM call WHERE hash = ?1";
  const std::string packed = packed_hash(hash);
  std::int64_t id = 0;
  if (is_plain_hash(hash)) {
    Query query(db.kept(kFind), bytes_of(packed));
    if (query.next()) id = query.integer(0);
  } else {
    Query query(db.kept(kFind), packed);
    if (query.next()) id = query.integer(0);
  }
  if (id != 0) {
    last_hash = hash;
    last_call = id;
  }
  return id;
}

std::int64_t Store::Impl::make_call(std::string_view hash) {
  if (const std::int64_t id = find_call(hash); id != 0) return id;
  constexpr const char* kInsert = "INSERT INTO call (hash) VALUES (?1)";
  const std::string packed = packed_hash(hash);
  if (is_plain_hash(hash)) {
    Query(db.kept(kInsert), bytes_of(packed)).run();
  } else {
    Query(db.kept(kInsert), packed).run();
  }
  return db.last_id();
}

void Store::put(const llm::Reply& reply) {
  Impl::Write write(*impl_);
  const std::int64_t call = impl_->make_call(reply.hash);
  if (!reply.provider.empty()) impl_->put_cost(call, reply);
  if (!reply.ok() && find(reply.hash)) {
    write.done();
    return;
  }
  const std::string frame = packed_text(reply.text);
  const auto insert = [&](const auto& text, const auto& probabilities) {
    Query(impl_->db.kept("INSERT OR REPLACE INTO reply (call, text, failure, prompt_tokens, completion_tokens, "
                         "probabilities) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
          call, text, reply.failure, reply.prompt_tokens, reply.completion_tokens, probabilities)
        .run();
  };
  const auto insert_text = [&](const auto& probabilities) {
    if (frame.empty()) {
      insert(reply.text, probabilities);
    } else {
      insert(bytes_of(frame), probabilities);
    }
  };
  if (reply.probabilities.empty()) {
    insert_text(Query::Null{});
  } else {
    insert_text(std::as_bytes(std::span(reply.probabilities)));
  }
  write.done();
}

std::optional<llm::Reply> Store::find(std::string_view hash) {
  const std::int64_t call = impl_->find_call(hash);
  if (call == 0) return std::nullopt;
  Query query(impl_->db.kept("SELECT text, failure, prompt_tokens, completion_tokens, probabilities FROM reply "
                             "WHERE call = ?1"),
              call);
  if (!query.next() || !query.bytes(1).empty()) return std::nullopt;
  llm::Reply reply;
  reply.text = unpacked_text(query, 0, impl_->db.name());
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  reply.prompt_tokens = static_cast<std::uint32_t>(query.bounded(2, kMost, "reply.prompt_tokens"));
  reply.completion_tokens = static_cast<std::uint32_t>(query.bounded(3, kMost, "reply.completion_tokens"));
  reply.probabilities = unpack_probabilities(query.bytes(4), impl_->db.name());
  reply.from_cache = true;
  reply.hash = hash;
  return reply;
}

}  // namespace gloss::store
