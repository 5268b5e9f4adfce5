#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/index/index_testing.h"
#include "gloss/index/reader.h"
#include "gloss/index/writer.h"

namespace gloss::index {
namespace {

using ::testing::AllOf;
using testing::append_from;
using testing::Folder;
using ::testing::HasSubstr;
using testing::random_firings;
using testing::write_index;
namespace fs = std::filesystem;

constexpr std::uint32_t kLatents = 30;
constexpr std::uint64_t kTokens = 960;

const std::vector<Firing>& firings() {
  static const std::vector<Firing> made = random_firings(11, kLatents, kTokens, 0.1);
  return made;
}

WriterOptions small_memory() { return testing::options(kLatents, 16, 2000); }

std::string wanted_bytes() {
  const Folder folder;
  write_index(folder.path(), testing::options(kLatents, 16), firings(), kTokens);
  return folder.index_bytes();
}

std::string error_of(const std::function<void()>& body, ErrorKind kind = ErrorKind::bad_input) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "no error";
}

/// Runs `body` in a child process. Returns its exit code.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Leaves a folder with several runs and no index.
void abandon_half_way(const fs::path& folder) {
  Writer writer(folder, small_memory());
  append_from(writer, firings(), kTokens / 2, 16);
  writer.checkpoint();
}

TEST(IndexWriterFaults, KilledAtRandomMomentsGivesTheSameBytes) {
  constexpr int kKills = 40;
  const std::string wanted = wanted_bytes();
  Random random = Random::for_purpose(1, "kill");
  int kills = 0;
  for (int trial = 0; trial < 100 && kills < kKills; ++trial) {
    const Folder folder;
    bool done = false;
    for (int round = 0; round < 8 && !done; ++round) {
      const pid_t child = ::fork();
      if (child == 0) {
        write_index(folder.path(), small_memory(), firings(), kTokens);
        ::_exit(0);
      }
      ::usleep(static_cast<useconds_t>(random.below(15000)));
      ::kill(child, SIGKILL);
      int status = 0;
      ::waitpid(child, &status, 0);
      done = WIFEXITED(status);
      kills += done ? 0 : 1;
    }
    if (!done) write_index(folder.path(), small_memory(), firings(), kTokens);
    EXPECT_EQ(folder.index_bytes(), wanted);
    EXPECT_FALSE(fs::exists(folder.path() / "spill"));
  }
  EXPECT_GE(kills, kKills);
}

/// Six million firings, 96 MB of buffer if it were unbounded, with 8 MiB.
TEST(IndexWriterFaults, MemoryDoesNotGrowWithTheTokens) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep memory of their own";
#endif
  constexpr std::uint32_t kMany = 1000;
  constexpr std::uint32_t kBatch = 4096;
  constexpr std::uint32_t kBatches = 200;
  const Folder folder;
  const int grown_mib = in_child([&] {
    const auto peak_kib = [] {
      rusage usage{};
      ::getrusage(RUSAGE_SELF, &usage);
      return usage.ru_maxrss;
    };
    const long before = peak_kib();
    SilentReporter reporter;
    Writer writer(folder.path(), testing::options(kMany, 16, 8 << 20));
    std::vector<Firing> batch;
    for (std::uint32_t b = 0; b < kBatches; ++b) {
      batch.clear();
      for (std::uint32_t p = b * kBatch; p < (b + 1) * kBatch; ++p) {
        for (std::uint32_t i = 0; i < 8; ++i)
          batch.push_back({(p * 7 + i * 31) % kMany, p, 1.0F + static_cast<float>(p % 5)});
      }
      writer.append(batch, std::uint64_t{b + 1} * kBatch);
    }
    writer.finish(std::uint64_t{kBatch} * kBatches, 0, reporter);
    return static_cast<int>((peak_kib() - before) / 1024);
  });
  EXPECT_LE(grown_mib, 16);
  const Reader reader = Reader::open(folder.path() / "index.safetensors");
  EXPECT_NO_THROW(reader.verify());
}

/// A limit on the size of files stands for a full disk: both make write() fail.
TEST(IndexWriterFaults, AFullDiskLeavesWhatWasSpilledBefore) {
  const std::string wanted = wanted_bytes();
  const Folder folder;
  abandon_half_way(folder.path());
  const std::uint64_t safe = Writer(folder.path(), small_memory()).resume_position();
  const int code = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_index(folder.path(), small_memory(), firings(), kTokens);
    } catch (const Error& error) {
      const std::string text = error.what();
      return error.kind() == ErrorKind::failed && text.find("cannot be written: File too large") != text.npos ? 7 : 8;
    }
    return 0;
  });
  EXPECT_EQ(code, 7);
  EXPECT_EQ(Writer(folder.path(), small_memory()).resume_position(), safe);
  write_index(folder.path(), small_memory(), firings(), kTokens);
  EXPECT_EQ(folder.index_bytes(), wanted);
}

TEST(IndexWriterFaults, AFullDiskInTheMergeLeavesTheRuns) {
  const std::string wanted = wanted_bytes();
  const Folder folder;
  const int code = in_child([&] {
    SilentReporter reporter;
    Writer writer(folder.path(), small_memory());
    append_from(writer, firings(), kTokens, 16);
    writer.checkpoint();
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{5000, 5000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      writer.finish(kTokens, 0, reporter);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::failed ? 7 : 8;
    }
    return 0;
  });
  EXPECT_EQ(code, 7);
  EXPECT_FALSE(fs::exists(folder.path() / "index.safetensors"));
  EXPECT_FALSE(fs::exists(folder.path() / "index.safetensors.tmp"));
  EXPECT_EQ(Writer(folder.path(), small_memory()).resume_position(), kTokens);
  write_index(folder.path(), small_memory(), firings(), kTokens);
  EXPECT_EQ(folder.index_bytes(), wanted);
}

TEST(IndexWriterFaults, AnInterruptedMergeCanBeDoneAgain) {
  const Folder folder;
  SilentReporter reporter;
  Writer writer(folder.path(), small_memory());
  append_from(writer, firings(), kTokens, 16);
  set_interrupted(true);
  EXPECT_EQ(error_of([&] { writer.finish(kTokens, 0, reporter); }, ErrorKind::interrupted), "interrupted");
  set_interrupted(false);
  EXPECT_EQ(writer.resume_position(), kTokens);
  writer.finish(kTokens, 0, reporter);
  EXPECT_EQ(folder.index_bytes(), wanted_bytes());
}

TEST(IndexWriterFaults, AMergeFromMemoryThatIsInterruptedLosesNothing) {
  const Folder folder;
  {
    SilentReporter reporter;
    Writer writer(folder.path(), testing::options(kLatents, 16));
    append_from(writer, firings(), kTokens, 16);
    EXPECT_FALSE(fs::exists(folder.path() / "spill" / "run-0.bin")) << "all of it is in memory";
    set_interrupted(true);
    EXPECT_EQ(error_of([&] { writer.finish(kTokens, 0, reporter); }, ErrorKind::interrupted), "interrupted");
    set_interrupted(false);
  }
  EXPECT_EQ(Writer(folder.path(), small_memory()).resume_position(), kTokens);
  write_index(folder.path(), small_memory(), {}, kTokens);
  EXPECT_EQ(folder.index_bytes(), wanted_bytes());
}

TEST(IndexWriterFaults, AFullDiskInAMergeFromMemoryLeavesWhatWasSpilledBefore) {
  const Folder folder;
  const int code = in_child([&] {
    SilentReporter reporter;
    Writer writer(folder.path(), testing::options(kLatents, 16));
    append_from(writer, firings(), kTokens / 2, 16);
    writer.checkpoint();
    append_from(writer, firings(), kTokens, 16);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{5000, 5000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string error = error_of([&] { writer.finish(kTokens, 0, reporter); }, ErrorKind::failed);
    return error.find("index.safetensors.tmp: cannot be written: File too large") != error.npos ? 7 : 8;
  });
  EXPECT_EQ(code, 7);
  EXPECT_FALSE(fs::exists(folder.path() / "index.safetensors.tmp"));
  EXPECT_EQ(Writer(folder.path(), small_memory()).resume_position(), kTokens / 2);
  write_index(folder.path(), small_memory(), firings(), kTokens);
  EXPECT_EQ(folder.index_bytes(), wanted_bytes());
}

TEST(IndexWriterFaults, OtherOptionsAreRefusedAndNamed) {
  const Folder folder;
  abandon_half_way(folder.path());
  WriterOptions other = small_memory();
  other.memory_bytes = 1 << 20;
  EXPECT_NO_THROW(Writer(folder.path(), other)) << "memory may differ";
  other.ctx_len = 32;
  other.metadata["model"] = "another";
  other.metadata["coder"] = "new";
  EXPECT_THAT(
      error_of([&] { Writer(folder.path(), other); }),
      AllOf(HasSubstr("manifest.json: belongs to an interrupted cache with other settings: ctx_len was 16 and is "
                      "now 32; metadata coder was not given and is now \"new\"; metadata model was \"made up\" "
                      "and is now \"another\""),
            HasSubstr("hint: delete this spill folder to begin the cache of this hookpoint again, or choose "
                      "another run folder")));
}

TEST(IndexWriterFaults, RunsThatTheManifestDoesNotNameAreDeleted) {
  const Folder folder;
  abandon_half_way(folder.path());
  const fs::path spill = folder.path() / "spill";
  for (const char* name : {"run-99.bin", "run-7.bin.tmp", "manifest.json.tmp", "mine.txt", "run-x.bin"})
    write_file(spill / name, "left over");
  const Writer writer(folder.path(), small_memory());
  EXPECT_FALSE(fs::exists(spill / "run-99.bin"));
  EXPECT_FALSE(fs::exists(spill / "run-7.bin.tmp"));
  EXPECT_FALSE(fs::exists(spill / "manifest.json.tmp"));
  EXPECT_TRUE(fs::exists(spill / "mine.txt")) << "what is not ours stays";
  EXPECT_TRUE(fs::exists(spill / "run-x.bin"));
  EXPECT_TRUE(fs::exists(spill / "run-0.bin"));
}

TEST(IndexWriterFaults, AMissingOrCutRunIsNamed) {
  const Folder folder;
  abandon_half_way(folder.path());
  const fs::path run = folder.path() / "spill" / "run-1.bin";
  const std::string good = read_file(run);
  const auto open = [&] { Writer(folder.path(), small_memory()); };
  for (const std::size_t n : {std::size_t{0}, std::size_t{63}, std::size_t{64}, good.size() - 1}) {
    write_file(run, good.substr(0, n));
    EXPECT_THAT(error_of(open), AllOf(HasSubstr("run-1.bin: has "), HasSubstr(" bytes, wanted ")));
  }
  fs::remove(run);
  EXPECT_THAT(error_of(open), AllOf(HasSubstr("run-1.bin: is missing, though the manifest beside it names it"),
                                    HasSubstr("hint: delete the spill folder")));
}

TEST(IndexWriterFaults, AFlippedBitInARunIsFound) {
  const Folder folder;
  SilentReporter reporter;
  {
    Writer writer(folder.path(), small_memory());
    append_from(writer, firings(), kTokens, 16);
    writer.checkpoint();
  }
  const fs::path run = folder.path() / "spill" / "run-1.bin";
  const std::string good = read_file(run);
  for (std::size_t byte = 0; byte < good.size(); byte += 1 + byte / 40) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 4);
    write_file(run, bad);
    EXPECT_NE(error_of([&] { Writer(folder.path(), small_memory()).finish(kTokens, 0, reporter); }), "no error")
        << byte;
    EXPECT_FALSE(fs::exists(folder.path() / "index.safetensors")) << byte;
  }
  write_file(run, good);
  write_index(folder.path(), small_memory(), firings(), kTokens);
  EXPECT_EQ(folder.index_bytes(), wanted_bytes());
}

TEST(IndexWriterFaults, EveryTruncationOfTheManifestIsAnError) {
  const Folder folder;
  abandon_half_way(folder.path());
  const fs::path manifest = folder.path() / "spill" / "manifest.json";
  const std::string good = read_file(manifest);
  for (std::size_t n = 0; n + 2 < good.size(); ++n) {
    write_file(manifest, good.substr(0, n));
    EXPECT_THROW(Writer(folder.path(), small_memory()), Error) << n;
  }
}

TEST(IndexWriterFaults, AManifestWithWrongNumbersIsAnError) {
  const Folder folder;
  abandon_half_way(folder.path());
  const fs::path manifest = folder.path() / "spill" / "manifest.json";
  const std::string good = read_file(manifest);
  const auto error_with = [&](const std::string& from, const std::string& to) {
    std::string bad = good;
    const std::size_t at = bad.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    write_file(manifest, bad.replace(at, from.size(), to));
    return error_of([&] { Writer(folder.path(), small_memory()); });
  };
  EXPECT_THAT(error_with("\"resume_position\": 480", "\"resume_position\": -1"),
              HasSubstr("'resume_position' is -1, wanted a whole number from 0 to 4294967296"));
  EXPECT_THAT(error_with("\"resume_position\": 480", "\"resume_position\": 3"),
              HasSubstr("manifest.json: run 0: 'end_position' is "));
  EXPECT_THAT(error_with("\"firing_count\": ", "\"firing_count\": 1"), HasSubstr("run-0.bin: has "));
  EXPECT_THAT(error_with("\"largest\": ", "\"largest\": -"), HasSubstr("manifest.json: run 0: 'largest' is -"));
  EXPECT_THAT(error_with("gloss-spill-2", "gloss-spill-9"),
              HasSubstr("'format' is 'gloss-spill-9', wanted 'gloss-spill-2'"));
}

TEST(IndexWriterFaults, AFolderThatCannotBeMadeIsNamed) {
  const Folder folder;
  write_file(folder.path() / "file", "x");
  EXPECT_THAT(error_of([&] { Writer(folder.path() / "file", small_memory()); }, ErrorKind::failed),
              HasSubstr("spill: cannot be created: Not a directory"));
}

}  // namespace
}  // namespace gloss::index
