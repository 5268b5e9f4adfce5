#pragma once
/// Help for tests of the index and of what reads it: made-up firings, and an index that lies in a folder of its own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/base/random.h"
#include "gloss/base/reporter.h"
#include "gloss/index/writer.h"

namespace gloss::index::testing {

/// Where tests put their files: in memory where the system offers that, since each spill waits for the disk.
inline std::filesystem::path scratch() {
  const char* memory = "/dev/shm";
  return ::access(memory, W_OK | X_OK) == 0 ? std::filesystem::path(memory)
                                            : std::filesystem::path(::testing::TempDir());
}

/// A new, empty folder that goes away with the object.
class Folder {
 public:
  Folder() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    const std::string name = test == nullptr ? "none" : std::string(test->test_suite_name()) + "." + test->name();
    static int serial = 0;
    path_ = scratch() / ("gloss-" + name + "-" + std::to_string(::getpid()) + "-" + std::to_string(serial++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string index_bytes() const { return read_file(path_ / "index.safetensors"); }

 private:
  std::filesystem::path path_;
};

/// About one firing in `1 / density` per latent and token, in token order; latents within a token in no order.
inline std::vector<Firing> random_firings(std::uint64_t seed, std::uint32_t latents, std::uint32_t tokens,
                                          double density) {
  Random random = Random::for_purpose(seed, "firings");
  std::vector<Firing> firings;
  for (std::uint32_t position = 0; position < tokens; ++position) {
    const std::size_t begin = firings.size();
    for (std::uint32_t f = 0; f < latents; ++f) {
      if (random.uniform() < density * 2.0 * f / latents)
        firings.push_back({f, position, static_cast<float>(0.01 + 5.0 * random.uniform())});
    }
    random.shuffle(std::span(firings).subspan(begin));
  }
  return firings;
}

inline WriterOptions options(std::uint32_t latents, std::uint32_t ctx_len, std::uint64_t memory_bytes = 1 << 20) {
  WriterOptions result;
  result.hookpoint = "layers.1";
  result.latent_count = latents;
  result.ctx_len = ctx_len;
  result.memory_bytes = memory_bytes;
  result.metadata = {{"model", "made up"}};
  return result;
}

/// Appends what is missing from the writer's resume position on, `batch` tokens at a time.
inline void append_from(Writer& writer, std::span<const Firing> firings, std::uint64_t tokens, std::uint64_t batch) {
  std::uint64_t position = writer.resume_position();
  while (position < tokens) {
    const std::uint64_t end = std::min(position + batch, tokens);
    const auto at = [&](std::uint64_t p) {
      return std::lower_bound(firings.begin(), firings.end(), p,
                              [](const Firing& f, std::uint64_t wanted) { return f.position < wanted; });
    };
    writer.append(std::span(at(position), at(end)), end);
    position = end;
  }
}

inline void write_index(const std::filesystem::path& folder, const WriterOptions& options,
                        std::span<const Firing> firings, std::uint64_t tokens, std::uint64_t batch = 7) {
  SilentReporter reporter;
  Writer writer(folder, options);
  append_from(writer, firings, tokens, batch);
  writer.finish(tokens, 0, reporter);
}

}  // namespace gloss::index::testing
