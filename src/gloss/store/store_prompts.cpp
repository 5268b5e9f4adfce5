// What models were asked: each message once, since the prompts of a stage begin alike.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <span>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/store/store.h"
#include "gloss/store/store_impl.h"

namespace gloss::store {
namespace {

static_assert(std::endian::native == std::endian::little, "the messages of a prompt are stored as they lie in memory");

std::vector<llm::Message> messages_of(const llm::Request& request) {
  std::vector<llm::Message> messages = request.messages;
  if (request.choices.empty()) return messages;
  if (request.is_read()) {
    messages.push_back({"text to read", request.choices.front()});
  } else {
    messages.push_back({"choices", fmt::format("{}", fmt::join(request.choices, "\n"))});
  }
  return messages;
}

}  // namespace

std::int64_t Store::Impl::make_message(std::string_view role, std::string_view text) {
  Hasher hasher;
  hasher.add(role);
  hasher.add(text);
  const std::string hash = packed_hash(hasher.digest_hex());
  const auto key = std::as_bytes(std::span(hash.data(), hash.size()));
  {
    Query query(db.kept("SELECT id FROM message WHERE hash = ?1"), key);
    if (query.next()) return query.integer(0);
  }
  constexpr const char* kInsert = "INSERT INTO message (hash, role, text) VALUES (?1, ?2, ?3)";
  const std::int64_t role_id = make_name(NameKind::role, role);
  if (const std::string frame = packed_text(text); !frame.empty()) {
    Query(db.kept(kInsert), key, role_id, std::as_bytes(std::span(frame.data(), frame.size()))).run();
  } else {
    Query(db.kept(kInsert), key, role_id, text).run();
  }
  return db.last_id();
}

void Store::keep_prompts(bool keep) { impl_->keep_prompts = keep; }

bool Store::keeps_prompts() const { return impl_->keep_prompts; }

void Store::put_prompt(std::string_view hash, const llm::Request& request) {
  if (!impl_->keep_prompts) return;
  Impl::Write write(*impl_);
  const std::int64_t call = impl_->make_call(hash);
  bool there = false;
  {
    Query query(impl_->db.kept("SELECT 1 FROM prompt WHERE call = ?1"), call);
    there = query.next();
  }
  if (!there) {
    std::vector<std::int64_t> ids;
    for (const llm::Message& m : messages_of(request)) ids.push_back(impl_->make_message(m.role, m.content));
    Query(impl_->db.kept("INSERT INTO prompt (call, messages) VALUES (?1, ?2)"), call,
          std::as_bytes(std::span<const std::int64_t>(ids)))
        .run();
  }
  write.done();
}

std::vector<std::int64_t> Store::Impl::message_ids(std::string_view packed) const {
  if (packed.size() % sizeof(std::int64_t) != 0)
    fail_input(db.name(), fmt::format("prompt.messages has {} bytes, wanted a multiple of {}", packed.size(),
                                      sizeof(std::int64_t)));
  std::vector<std::int64_t> read(packed.size() / sizeof(std::int64_t));
  if (!packed.empty()) std::memcpy(read.data(), packed.data(), packed.size());
  return read;
}

llm::Message Store::message(std::int64_t id) const {
  Query query(impl_->db.kept("SELECT r.text, m.text FROM message m JOIN name r ON r.id = m.role WHERE m.id = ?1"), id);
  if (!query.next())
    fail_input(impl_->db.name(), fmt::format("a prompt has message {}, which is not there", id), "the file is damaged");
  return {std::string(query.bytes(0)), unpacked_text(query, 1, impl_->db.name())};
}

}  // namespace gloss::store
