#pragma once
/// What the tests of this module share.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/ids.h"

namespace gloss::text {

/// An empty folder of the running test, removed with its files at the end.
class TestFolder {
 public:
  TestFolder() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(::testing::TempDir()) /
            (std::string("gloss-text-") + info->test_suite_name() + "-" + info->name());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(std::string_view name, std::string_view content) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;  // not write_file: tests write many, and need no sync
    return file;
  }

 private:
  std::filesystem::path path_;
};

/// The message of the gloss::Error that `work` throws, or a note that it threw none.
template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& e) {
    return e.what();
  }
  return "(no error)";
}

inline std::vector<std::uint32_t> numbers(const std::vector<TokenId>& ids) {
  std::vector<std::uint32_t> result;
  result.reserve(ids.size());
  for (const TokenId id : ids) result.push_back(to_index(id));
  return result;
}

inline std::filesystem::path test_data(std::string_view name) {
  return std::filesystem::path(GLOSS_SOURCE_DIR) / "src/gloss/text/testdata" / name;
}

/// A folder beside the checkout with data that is not part of the project.
inline std::filesystem::path shared_data(std::string_view name) {
  return std::filesystem::path(GLOSS_SOURCE_DIR) / "../shared/data" / name;
}

}  // namespace gloss::text
