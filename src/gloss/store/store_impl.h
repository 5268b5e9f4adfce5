#pragma once
/// What the store keeps between calls. Private to the store.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gloss/store/database.h"
#include "gloss/store/store.h"

namespace gloss::store {

enum class NameKind : std::uint8_t { hookpoint, explainer, scorer, judge, measure, stage, provider, kind, role };

struct Store::Impl {
  explicit Impl(const std::filesystem::path& file, const StoreOptions& options);

  /// A write that may stand alone: a transaction of its own unless one is open, and then a part of it.
  class Write {
   public:
    explicit Write(Impl& impl);
    ~Write();
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;
    void done();

   private:
    Impl& impl_;
    bool own_;
    bool done_ = false;
  };

  /// Id of a name, made when missing.
  std::int64_t make_name(NameKind kind, std::string_view text);
  /// Id of a name, or 0 when there is none: no row has it.
  std::int64_t find_name(NameKind kind, std::string_view text);
  const std::string& name_text(std::int64_t id);
  /// (id, name) of every hookpoint that the filter takes, in natural order.
  std::vector<std::pair<std::int64_t, std::string>> hookpoints(std::string_view filter);
  /// 0 for "take all"; no value when nothing has the name.
  std::optional<std::int64_t> filter_id(NameKind kind, std::string_view filter);

  std::int64_t make_call(std::string_view hash);
  std::int64_t find_call(std::string_view hash);
  void put_cost(std::int64_t call, const llm::Reply& reply);
  /// Id of a message, made when missing.
  std::int64_t make_message(std::string_view role, std::string_view text);
  /// Of prompt.messages. Errors: bad_input.
  std::vector<std::int64_t> message_ids(std::string_view packed) const;

  void begin();
  void commit(std::uint32_t depth);
  void roll_back(std::uint32_t depth) noexcept;
  void forget() noexcept;

  Database db;
  std::uint32_t depth = 0;   // of open transactions
  std::uint32_t broken = 0;  // the depth at which a write failed: that transaction must not be committed; 0 = none
  std::map<std::pair<NameKind, std::string>, std::int64_t, std::less<>> ids;
  std::unordered_map<std::int64_t, std::string> texts;
  std::string stage, stage_hookpoint;  // whose replies are put
  bool keep_prompts = false;
  bool has_prompts = false;  // a file of an older schema that may only be read has no tables of them
  std::string last_hash;
  std::int64_t last_call = 0;
};

/// A hash as stored (16 bytes for 32 hexadecimal digits, else itself) and back.
std::string packed_hash(std::string_view hash);
std::string unpacked_hash(std::string_view stored, bool is_blob);
/// The hash in two columns' worth of a query: NULL gives "".
std::string hash_column(const Query& query, int column);
/// The zstd frame of a reply's or a message's text, or "" when it is not smaller.
std::string packed_text(std::string_view text);
/// The text in a column, unpacked. Errors: bad_input when it cannot be; `where` names the file.
std::string unpacked_text(const Query& query, int column, const std::string& where);

}  // namespace gloss::store
