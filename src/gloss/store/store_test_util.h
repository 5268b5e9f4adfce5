#pragma once
/// Things that the tests of the store share.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/store/store.h"

namespace gloss::store {

/// A folder of one test, removed at its end.
class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gloss-store-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::filesystem::path file() const { return path_ / "results.db"; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline ExplanationRow explanation_row(std::string hookpoint, std::uint32_t latent, std::string explainer,
                                      std::string text) {
  ExplanationRow row;
  row.hookpoint = std::move(hookpoint);
  row.explainer = std::move(explainer);
  row.explanation.latent = LatentId{latent};
  row.explanation.text = std::move(text);
  return row;
}

/// `count` judgements of different windows in random order, with probabilities, five to a call.
inline std::vector<score::Judgement> make_judgements(std::uint64_t seed, std::size_t count) {
  Random random = Random::for_purpose(seed, "test-judgements");
  std::vector<score::Judgement> all;
  std::string hash;
  for (const std::uint64_t window : random.sample(300'000, count)) {
    if (all.size() % 5 == 0) {
      hash.clear();
      for (int i = 0; i < 32; ++i) hash += "0123456789abcdef"[random.below(16)];
    }
    score::Judgement j;
    j.start = static_cast<std::uint32_t>(32 * window);
    j.truth = random.below(2) == 1;
    j.kind = j.truth ? examples::WindowKind::activating : examples::WindowKind::silent_random;
    j.quantile = static_cast<std::uint8_t>(j.truth ? 1 + random.below(10) : 0);
    j.verdict = static_cast<score::Verdict>(random.below(2));
    j.probability = static_cast<float>(random.uniform());
    j.call_hash = hash;
    all.push_back(j);
  }
  return all;
}

inline void put(Store& store, std::string hookpoint, std::uint32_t latent, std::string explainer, std::string scorer,
                const std::vector<score::Judgement>& judgements) {
  store.put_score({std::move(hookpoint), std::move(explainer), std::move(scorer), "judge",
                   score::summarize(LatentId{latent}, judgements, 10)},
                  judgements);
}

inline std::string message_of(const std::function<void()>& action, ErrorKind kind = ErrorKind::bad_input) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.kind()), static_cast<int>(kind)) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

/// A connection that knows nothing of gloss, as another program would have.
class Outsider {
 public:
  explicit Outsider(const std::filesystem::path& file) {
    if (sqlite3_open(file.c_str(), &handle_) != SQLITE_OK) throw std::runtime_error("sqlite3_open");
  }
  ~Outsider() { sqlite3_close(handle_); }
  Outsider(const Outsider&) = delete;
  Outsider& operator=(const Outsider&) = delete;

  /// Runs `sql`; gives the first value, as a number.
  std::int64_t execute(const std::string& sql) {
    std::int64_t value = 0;
    char* message = nullptr;
    const auto take = [](void* out, int columns, char** values, char**) {
      if (columns > 0 && values[0] != nullptr) *static_cast<std::int64_t*>(out) = std::stoll(values[0]);
      return 0;
    };
    if (sqlite3_exec(handle_, sql.c_str(), take, &value, &message) != SQLITE_OK) {
      const std::string text = message == nullptr ? "?" : message;
      sqlite3_free(message);
      throw std::runtime_error(sql + ": " + text);
    }
    return value;
  }

 private:
  sqlite3* handle_ = nullptr;
};

inline std::int64_t count_rows(const std::filesystem::path& file, const std::string& table) {
  return Outsider(file).execute("SELECT count(*) FROM " + table);
}

}  // namespace gloss::store
