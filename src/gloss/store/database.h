#pragma once
/// The little of SQLite that the store needs, with its failures as gloss errors. Private to the store.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace gloss::store {

class Database;

/// A prepared statement; kept and used again.
class Statement {
 public:
  Statement(const Database& database, std::string_view sql);

 private:
  friend class Query;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// One execution of a statement, from its arguments to its last row. Resets the statement at its end.
class Query {
 public:
  struct Null {};

  /// Arguments stand for ?1, ?2 ... Text and blobs must outlive the query.
  template <class... Args>
  explicit Query(Statement& statement, const Args&... args) : statement_(&statement) {
    int index = 0;
    (bind(++index, args), ...);
  }
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  /// Goes to the next row; false after the last.
  bool next();
  /// Runs a statement that gives no rows.
  void run() {
    while (next()) {
    }
  }

  std::int64_t integer(int column) const;
  /// An integer that must be at most `high`. Errors: bad_input naming `what`: the file holds what gloss never writes.
  std::uint64_t bounded(int column, std::uint64_t high, std::string_view what) const;
  /// NaN for NULL.
  double real(int column) const;
  /// Bytes of text or blob; "" for NULL. Lifetime: until the next row.
  std::string_view bytes(int column) const;
  bool is_null(int column) const;
  bool is_blob(int column) const;

 private:
  template <class T>
  void bind(int index, const T& value) {
    if constexpr (std::is_same_v<T, Null>) {
      bind_null(index);
    } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      bind_integer(index, static_cast<std::int64_t>(value));
    } else if constexpr (std::is_floating_point_v<T>) {
      bind_real(index, value);
    } else if constexpr (std::is_same_v<T, std::span<const std::byte>>) {
      bind_blob(index, value);
    } else {
      bind_text(index, value);
    }
  }
  void bind_null(int index);
  void bind_integer(int index, std::int64_t value);
  void bind_real(int index, double value);  // NaN becomes NULL
  void bind_text(int index, std::string_view value);
  void bind_blob(int index, std::span<const std::byte> value);
  void check(int result) const;

  Statement* statement_;
};

/// An open file. Threads: one at a time.
class Database {
 public:
  /// Errors: bad_input when it cannot be opened or is no SQLite file.
  Database(const std::filesystem::path& file, std::uint32_t busy_timeout_ms, bool read_only = false);

  /// Runs statements without arguments.
  void execute(const std::string& sql) const;
  /// The statement kept for `sql`, which must be a literal: it is looked up by its address.
  Statement& kept(const char* sql);
  std::int64_t pragma(std::string_view name) const;
  std::int64_t last_id() const;
  bool in_transaction() const;
  bool read_only() const;
  const std::string& name() const { return name_; }

  /// Throws what the last call's failure means to a user.
  [[noreturn]] void fail(int result) const;

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::string name_;
  std::unique_ptr<sqlite3, Close> handle_;  // outlives the statements
  std::unordered_map<const char*, Statement> statements_;
};

}  // namespace gloss::store
