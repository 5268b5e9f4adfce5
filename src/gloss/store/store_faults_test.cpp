#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "gloss/base/output_file.h"
#include "gloss/store/store.h"
#include "gloss/store/store_test_util.h"

namespace gloss::store {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(StoreFaults, AFileThatIsNoDatabaseSaysSo) {
  for (const std::string& content :
       {std::string("hello"), std::string(5000, 'x'), std::string("SQLite format 2") + std::string(2000, '\0')}) {
    const TestFolder folder;
    write_file(folder.file(), content);
    EXPECT_THAT(
        message_of([&] { Store store(folder.file()); }),
        AllOf(HasSubstr("results.db: is not an SQLite database"), HasSubstr("hint: results.db is written by gloss")));
    EXPECT_EQ(read_file(folder.file()), content) << "a file that is not ours was changed";
  }
}

TEST(StoreFaults, ADatabaseOfAnotherProgramSaysSo) {
  const TestFolder folder;
  Outsider(folder.file()).execute("CREATE TABLE bookmarks (url TEXT)");
  EXPECT_THAT(message_of([&] { Store store(folder.file()); }),
              HasSubstr("is an SQLite database of another program, wanted results of gloss"));
}

TEST(StoreFaults, ANewerSchemaIsRefused) {
  const TestFolder folder;
  { Store store(folder.file()); }
  Outsider(folder.file()).execute("PRAGMA user_version = 9");
  EXPECT_THAT(
      message_of([&] { Store store(folder.file()); }),
      AllOf(HasSubstr("has schema 9, this gloss knows up to 8"), HasSubstr("hint: it was written by a newer gloss")));
}

TEST(StoreFaults, AFolderThatIsNotThereSaysSo) {
  EXPECT_THAT(message_of([] { Store store("/no/such/run/results.db"); }),
              HasSubstr("/no/such/run/results.db: cannot be made: its folder does not exist"));
}

TEST(StoreFaults, AFolderInPlaceOfTheFileSaysSo) {
  const TestFolder folder;
  std::filesystem::create_directory(folder.file());
  EXPECT_THAT(message_of([&] { Store store(folder.file()); }), HasSubstr("results.db: cannot be opened"));
}

TEST(StoreFaults, AFullDiskKeepsWhatWasCommitted) {
  const TestFolder folder;
  StoreOptions options;
  options.max_bytes = 400'000;
  Store store(folder.file(), options);
  std::uint32_t committed = 0;
  const std::string message = message_of(
      [&] {
        for (std::uint32_t latent = 0; latent < 10'000; ++latent) {
          put(store, "h", latent, "e", "s", make_judgements(latent, 100));
          ++committed;
        }
      },
      ErrorKind::failed);
  EXPECT_THAT(message, AllOf(HasSubstr("results.db: cannot grow: the disk is full"),
                             HasSubstr("hint: free some space and give the same command again")));
  EXPECT_GT(committed, 10U);
  EXPECT_EQ(store.scores("", "", "").size(), committed);
  EXPECT_EQ(count_rows(folder.file(), "judgement"), 100 * committed);
}

TEST(StoreFaults, ATransactionInWhichAWriteFailedIsNotCommitted) {
  const TestFolder folder;
  StoreOptions options;
  options.max_bytes = 300'000;
  Store store(folder.file(), options);
  store.put_setting("before", "1");
  const std::string message = message_of(
      [&] {
        Store::Transaction transaction(store);
        for (std::uint32_t latent = 0; latent < 1000; ++latent) {
          try {
            put(store, "h", latent, "e", "s", make_judgements(latent, 100));
          } catch (const Error&) {
            break;  // a caller that looks away
          }
        }
        transaction.commit();
      },
      ErrorKind::failed);
  EXPECT_THAT(message, HasSubstr("nothing of this transaction was kept"));
  EXPECT_TRUE(store.scores("", "", "").empty());
  EXPECT_EQ(store.setting("before"), "1");
  store.put_setting("after", "1");
  EXPECT_EQ(store.setting("after"), "1");
}

TEST(StoreFaults, AFailedPartThatWasUndoneDoesNotSpoilTheRest) {
  const TestFolder folder;
  { const Store store(folder.file()); }
  // Stands for any write that fails inside a transaction that goes on.
  Outsider(folder.file())
      .execute(
          "CREATE TRIGGER refuse BEFORE INSERT ON setting WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END");
  Store store(folder.file());
  Store::Transaction outer(store);
  store.put_setting("outer", "1");
  {
    const Store::Transaction inner(store);
    store.put_setting("inner", "1");
    EXPECT_THROW(store.put_setting("bad", "1"), Error);
  }
  outer.commit();
  EXPECT_EQ(store.setting("outer"), "1");
  EXPECT_FALSE(store.setting("inner"));
}

TEST(StoreFaults, AnotherWriterIsWaitedForAndThenNamed) {
  const TestFolder folder;
  StoreOptions options;
  options.busy_timeout_ms = 20;
  Store store(folder.file(), options);
  Outsider other(folder.file());
  other.execute("BEGIN IMMEDIATE");
  EXPECT_THAT(message_of([&] { store.put_setting("a", "1"); }, ErrorKind::failed),
              AllOf(HasSubstr("results.db: is being written by another process"),
                    HasSubstr("hint: one gloss command may write a run at a time")));
  EXPECT_FALSE(store.setting("a")) << "reading goes on meanwhile";
  other.execute("COMMIT");
  store.put_setting("a", "1");
  EXPECT_TRUE(store.setting("a"));
}

TEST(StoreFaults, ReadersSeeWhatIsCommittedWhileAnotherWrites) {
  const TestFolder folder;
  Store writer(folder.file());
  writer.put_setting("a", "1");
  Store::Transaction transaction(writer);
  writer.put_setting("a", "2");
  EXPECT_EQ(Store(folder.file()).setting("a"), "1");
  transaction.commit();
  EXPECT_EQ(Store(folder.file()).setting("a"), "2");
}

/// Writes scores in transactions of ten, tells of each commit by a byte, and never stops by itself.
[[noreturn]] void write_for_ever(const std::filesystem::path& file, int pipe) {
  Store store(file);
  for (std::uint32_t latent = 0;;) {
    Store::Transaction transaction(store);
    for (int i = 0; i < 10; ++i, ++latent) put(store, "h", latent, "e", "s", make_judgements(latent, 50));
    transaction.commit();
    if (write(pipe, "c", 1) != 1) _exit(1);
  }
}

TEST(StoreFaults, AKilledWriterLosesNothingCommittedAndLeavesNothingHalf) {
  for (const int commits : {1, 3, 8}) {
    const TestFolder folder;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_for_ever(folder.file(), ends[1]);
    close(ends[1]);
    char byte = 0;
    std::uint32_t seen = 0;
    while (seen < static_cast<std::uint32_t>(commits) && read(ends[0], &byte, 1) == 1) ++seen;
    usleep(1500);  // into the middle of the next one
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    while (read(ends[0], &byte, 1) == 1) ++seen;
    close(ends[0]);

    const Store store(folder.file());
    const std::vector<ScoreRow> scores = store.scores("", "", "");
    EXPECT_GE(scores.size(), 10U * seen);
    EXPECT_EQ(scores.size() % 10, 0U) << "half a transaction is there";
    for (const ScoreRow& row : scores) {
      const std::uint32_t latent = to_index(row.score.latent);
      EXPECT_EQ(store.judgements("h", row.score.latent, "e", "s", "judge").size(), 50U) << latent;
      EXPECT_EQ(row.score.tp, score::summarize(row.score.latent, make_judgements(latent, 50), 10).tp);
    }
    EXPECT_EQ(
        Outsider(folder.file()).execute("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
        0);
  }
}

TEST(StoreFaults, AFileSizeLimitIsNamedAsAPossibleReason) {
  const TestFolder folder;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{300'000, 300'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    int code = 1;
    try {
      Store store(folder.file());
      for (std::uint32_t latent = 0; latent < 10'000; ++latent)
        put(store, "h", latent, "e", "s", make_judgements(latent, 100));
    } catch (const Error& e) {
      code = std::string(e.what()).find("a limit on file sizes may be used up") != std::string::npos ? 42 : 2;
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

/// Everything a reader may ask of a file.
void read_everything(const std::filesystem::path& file) {
  Store store(file);
  store.latents("");
  store.explanations("", "");
  for (const ScoreRow& row : store.scores("", "", ""))
    store.judgements(row.hookpoint, row.score.latent, row.explainer, row.scorer, row.judge);
  store.find(std::string(32, 'a'));
  store.setting("x");
}

std::string small_file() {
  const TestFolder folder;
  {
    Store store(folder.file());
    store.put_latent({"layers.2", LatentId{1}, 10, 0.5, 1.0F, 9, examples::Status::ok});
    store.put_explanation(explanation_row("layers.2", 1, "pattern", "the token \"a\""));
    put(store, "layers.2", 1, "pattern", "detection", make_judgements(1, 60));
    llm::Reply reply;
    reply.hash = std::string(32, 'a');
    reply.text = std::string(3000, 'y');
    reply.probabilities = {0.25, 0.75};
    store.put(reply);
  }
  return read_file(folder.file());
}

TEST(StoreFaults, ACutFileIsAnError) {
  const std::string good = small_file();
  const TestFolder folder;
  for (std::size_t n = 2; n < good.size(); n += 509) {  // SQLite takes one byte for an empty file
    std::ofstream(folder.file(), std::ios::binary | std::ios::trunc) << good.substr(0, n);
    EXPECT_THROW(read_everything(folder.file()), Error) << "accepted a file cut at byte " << n;
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(folder.file().string() + suffix);
  }
}

TEST(StoreFaults, FlippedBytesNeverCrash) {
  const std::string good = small_file();
  const TestFolder folder;
  Random random(1);
  std::size_t survivors = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int flips = 0; flips < 8; ++flips)
      bad[100 + random.below(bad.size() - 100)] = static_cast<char>(random.below(256));
    std::ofstream(folder.file(), std::ios::binary | std::ios::trunc) << bad;
    try {
      read_everything(folder.file());
      ++survivors;
    } catch (const Error&) {
    }
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(folder.file().string() + suffix);
  }
  EXPECT_LT(survivors, 300U);
}

TEST(StoreFaults, ValuesThatGlossNeverWritesAreNamed) {
  struct Case {
    const char* sql;
    const char* message;
  };
  for (const Case& c :
       {Case{"UPDATE judgement SET verdict = 9", "judgement.verdict is 9, wanted 0 to 2"},
        Case{"UPDATE judgement SET quantile = 1000", "judgement.quantile is 1000, wanted 0 to 255"},
        Case{"UPDATE judgement SET truth = -1", "judgement.truth is -1, wanted 0 to 1"},
        Case{"UPDATE latent SET status = 3", "latent.status is 3, wanted 0 to 2"},
        Case{"UPDATE score SET per_quantile = x'00'", "score.per_quantile has 1 bytes, wanted a multiple of 24"},
        Case{"UPDATE score SET tp = -5", "score count is -5"},
        Case{"UPDATE reply SET text = x'0102030405'", "holds a text that is no zstd frame"},
        Case{"UPDATE reply SET probabilities = x'00'", "reply.probabilities has 1 bytes, wanted a multiple of 8"},
        Case{"UPDATE reply SET probabilities = x'0000000000000040'", "reply.probabilities holds 2, wanted 0 to 1"}}) {
    const TestFolder folder;
    write_file(folder.file(), small_file());
    Outsider(folder.file()).execute(c.sql);
    EXPECT_THAT(message_of([&] { read_everything(folder.file()); }), HasSubstr(c.message)) << c.sql;
  }
}

}  // namespace
}  // namespace gloss::store
