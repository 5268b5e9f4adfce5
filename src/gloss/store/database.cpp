#include "gloss/store/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <limits>

#include "gloss/base/error.h"

namespace gloss::store {
namespace {

constexpr std::string_view kStartAgain = "results.db is written by gloss; move this file away to begin a new one";

constexpr std::string_view kCommittedIsKept =
    "free some space and give the same command again; everything committed so far is kept";

}  // namespace

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Database::Database(const std::filesystem::path& file, std::uint32_t busy_timeout_ms, bool read_only)
    : name_(file.string()) {
  sqlite3* handle = nullptr;
  const int access = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int result = sqlite3_open_v2(name_.c_str(), &handle, access | SQLITE_OPEN_NOMUTEX, nullptr);
  handle_.reset(handle);
  if (result != SQLITE_OK) {
    std::error_code ignored;
    const bool folder_is_there =
        std::filesystem::is_directory(file.parent_path().empty() ? "." : file.parent_path(), ignored);
    if (!folder_is_there) fail_input(name_, "cannot be made: its folder does not exist", "is this a run of gloss?");
    fail(result);
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, static_cast<int>(busy_timeout_ms));
}

void Database::execute(const std::string& sql) const {
  const int result = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) fail(result);
}

Statement& Database::kept(const char* sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) return found->second;
  return statements_.emplace(sql, Statement(*this, sql)).first->second;
}

std::int64_t Database::pragma(std::string_view name) const {
  Statement statement(*this, fmt::format("PRAGMA {}", name));
  Query query(statement);
  return query.next() ? query.integer(0) : 0;
}

std::int64_t Database::last_id() const { return sqlite3_last_insert_rowid(handle_.get()); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
bool Database::read_only() const { return sqlite3_db_readonly(handle_.get(), "main") == 1; }

void Database::fail(int result) const {
  sqlite3* handle = handle_.get();
  const std::string reason = handle == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(handle);
  switch (result & 0xFF) {
    case SQLITE_FULL:
      fail_system(name_, "cannot grow: the disk is full", kCommittedIsKept);
    case SQLITE_IOERR:
      // A used-up quota and a limit on file sizes (ulimit -f) look like this, not like a full disk.
      fail_system(
          name_, fmt::format("the system refused to read or write it: {} (code {})", reason, result),
          "a quota or a limit on file sizes may be used up, or the disk be failing; everything committed so far is "
          "kept");
    case SQLITE_NOTADB:
      fail_input(name_, "is not an SQLite database", kStartAgain);
    case SQLITE_CORRUPT:
      fail_input(name_, fmt::format("is damaged: {}", reason), kStartAgain);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      fail_system(name_, "is being written by another process",
                  "one gloss command may write a run at a time: wait for it to end, or stop it");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      fail_system(name_, "cannot be written: it or its folder is read-only");
    case SQLITE_CANTOPEN:
      fail_input(name_, fmt::format("cannot be opened: {}", reason));
    default:
      fail_system(name_, fmt::format("SQLite says: {} (code {})", reason, result));
  }
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement::Statement(const Database& database, std::string_view sql) : database_(&database) {
  sqlite3_stmt* handle = nullptr;
  const int result = sqlite3_prepare_v3(database.handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  handle_.reset(handle);
  if (result != SQLITE_OK) database.fail(result);
}

Query::~Query() { sqlite3_reset(statement_->handle_.get()); }

void Query::check(int result) const {
  if (result != SQLITE_OK) statement_->database_->fail(result);
}

bool Query::next() {
  const int result = sqlite3_step(statement_->handle_.get());
  if (result != SQLITE_ROW && result != SQLITE_DONE) statement_->database_->fail(result);
  return result == SQLITE_ROW;
}

void Query::bind_null(int index) { check(sqlite3_bind_null(statement_->handle_.get(), index)); }

void Query::bind_integer(int index, std::int64_t value) {
  check(sqlite3_bind_int64(statement_->handle_.get(), index, value));
}

void Query::bind_real(int index, double value) { check(sqlite3_bind_double(statement_->handle_.get(), index, value)); }

// A null pointer would bind NULL, so empty views point at a literal.
void Query::bind_text(int index, std::string_view value) {
  check(sqlite3_bind_text64(statement_->handle_.get(), index, value.empty() ? "" : value.data(), value.size(),
                            SQLITE_STATIC, SQLITE_UTF8));
}

void Query::bind_blob(int index, std::span<const std::byte> value) {
  const void* data = value.empty() ? static_cast<const void*>("") : value.data();
  check(sqlite3_bind_blob64(statement_->handle_.get(), index, data, value.size(), SQLITE_STATIC));
}

std::int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_->handle_.get(), column); }

std::uint64_t Query::bounded(int column, std::uint64_t high, std::string_view what) const {
  const std::int64_t value = integer(column);
  if (value < 0 || static_cast<std::uint64_t>(value) > high) {
    fail_input(statement_->database_->name(), fmt::format("{} is {}, wanted 0 to {}", what, value, high),
               "the file was changed by something other than gloss");
  }
  return static_cast<std::uint64_t>(value);
}

double Query::real(int column) const {
  return is_null(column) ? std::numeric_limits<double>::quiet_NaN()
                         : sqlite3_column_double(statement_->handle_.get(), column);
}

std::string_view Query::bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_->handle_.get(), column);
  const int size = sqlite3_column_bytes(statement_->handle_.get(), column);
  return data == nullptr ? std::string_view{}
                         : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

bool Query::is_null(int column) const { return sqlite3_column_type(statement_->handle_.get(), column) == SQLITE_NULL; }

bool Query::is_blob(int column) const { return sqlite3_column_type(statement_->handle_.get(), column) == SQLITE_BLOB; }

}  // namespace gloss::store
