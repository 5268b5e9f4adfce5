/// results.db at the size of a large run: 170,000 latents, two scorers, 20M judgements, a call for every five of them.
/// Bytes a judgement, rows written a second against plain inserts of the same rows, the time of one latent's page and
/// of one sorted page of all latents. What is read back is checked first.
///
///   bench_store_size [--folder DIR] [LATENTS]
///
/// Not on Google Benchmark: it takes minutes and a gigabyte of disk, once.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/store/database.h"
#include "gloss/store/store.h"

namespace gloss {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kEach = 59;  // judgements of a latent and scorer
constexpr std::uint32_t kTransaction = 256;
const std::vector<std::string> kScorers = {"detection", "fuzz"};

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The same for a latent and scorer whenever asked.
std::vector<score::Judgement> judgements(std::uint32_t latent, std::uint32_t scorer) {
  Random random = Random::for_purpose(scorer, "bench-store-size", latent);
  std::vector<score::Judgement> made;
  std::string hash;
  for (const std::uint64_t window : random.sample(300'000, kEach)) {
    if (made.size() % 5 == 0) {
      hash.clear();
      for (int i = 0; i < 32; ++i) hash += "0123456789abcdef"[random.below(16)];
    }
    score::Judgement j;
    j.start = static_cast<std::uint32_t>(32 * window);
    j.kind = made.size() % 2 == 0 ? examples::WindowKind::activating : examples::WindowKind::silent_random;
    j.quantile = static_cast<std::uint8_t>(made.size() % 2 == 0 ? 1 + made.size() % 10 : 0);
    j.truth = made.size() % 2 == 0;
    j.verdict = static_cast<score::Verdict>(random.below(2));
    j.probability = static_cast<float>(random.uniform());
    j.call_hash = hash;
    made.push_back(std::move(j));
  }
  return made;
}

std::uint64_t size_of(const fs::path& file) {
  std::uint64_t bytes = 0;
  for (const char* suffix : {"", "-wal"})
    if (fs::exists(file.string() + suffix)) bytes += fs::file_size(file.string() + suffix);
  return bytes;
}

void remove_store(const fs::path& file) {
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(file.string() + suffix);
}

double write_store(const fs::path& file, std::uint32_t latents) {
  double spent = 0;
  store::Store store(file);
  for (std::uint32_t first = 0; first < latents; first += kTransaction) {
    const std::uint32_t end = std::min(first + kTransaction, latents);
    std::vector<std::vector<score::Judgement>> made;
    for (std::uint32_t f = first; f < end; ++f) {
      for (std::uint32_t s = 0; s < kScorers.size(); ++s) made.push_back(judgements(f, s));
    }
    const double begin = seconds();
    store::Store::Transaction transaction(store);
    for (std::uint32_t f = first; f < end; ++f) {
      explain::Explanation e;
      e.latent = LatentId{f};
      e.text = fmt::format("the word number {} and what comes right after it, at the beginning of a sentence", f);
      store.put_explanation({"layers.5", "default", e});
      for (std::uint32_t s = 0; s < kScorers.size(); ++s) {
        const std::vector<score::Judgement>& j = made[(f - first) * kScorers.size() + s];
        store.put_score({"layers.5", "default", kScorers[s], "llm:m", score::summarize(LatentId{f}, j, 10)}, j);
      }
    }
    transaction.commit();
    spent += seconds() - begin;
  }
  return spent;
}

/// As many rows of as many columns into a table of its own, in the order of its key: what SQLite itself takes.
double write_plain(const fs::path& file, std::uint64_t rows) {
  store::Database database(file, 5'000);
  database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  database.execute(
      "CREATE TABLE plain (score INTEGER, start INTEGER, kind INTEGER, quantile INTEGER, truth INTEGER, "
      "verdict INTEGER, probability REAL, call INTEGER, PRIMARY KEY (score, start, kind)) WITHOUT ROWID");
  const double begin = seconds();
  store::Statement& insert = database.kept("INSERT INTO plain VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  for (std::uint64_t i = 0; i < rows;) {
    database.execute("BEGIN");
    for (std::uint64_t n = 0; n < 30'000 && i < rows; ++n, ++i)
      store::Query(insert, i / kEach, (i % kEach) * 5000, i % 2, i % 10, i % 2, i % 2, 0.5, i / 5).run();
    database.execute("COMMIT");
  }
  return seconds() - begin;
}

template <class Act>
double percentile95(int times, const Act& act) {
  std::vector<double> spent;
  for (int i = 0; i < times; ++i) {
    const double begin = seconds();
    act(i);
    spent.push_back(seconds() - begin);
  }
  std::sort(spent.begin(), spent.end());
  return 1e3 * spent[static_cast<std::size_t>(0.95 * (times - 1))];
}

void check(const store::Store& store, std::uint32_t latent) {
  for (std::uint32_t s = 0; s < kScorers.size(); ++s) {
    std::vector<score::Judgement> wanted = judgements(latent, s);
    std::sort(wanted.begin(), wanted.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
    const auto found = store.judgements("layers.5", LatentId{latent}, "default", kScorers[s], "llm:m");
    const bool same =
        std::equal(found.begin(), found.end(), wanted.begin(), wanted.end(), [](const auto& a, const auto& b) {
          return a.start == b.start && a.truth == b.truth && a.verdict == b.verdict && a.call_hash == b.call_hash &&
                 a.probability == b.probability;
        });
    if (!same) throw std::logic_error(fmt::format("latent {} came back otherwise", latent));
  }
}

int run(const fs::path& folder, std::uint32_t latents) {
  const fs::path file = folder / "gloss-bench-store-size.db", plain = folder / "gloss-bench-store-plain.db";
  remove_store(file);
  remove_store(plain);
  const std::uint64_t rows = std::uint64_t{latents} * kScorers.size() * kEach;
  const double spent = write_store(file, latents);
  const store::Store store(file);
  Random random = Random::for_purpose(1, "bench-store-pages");
  for (int i = 0; i < 20; ++i) check(store, static_cast<std::uint32_t>(random.below(latents)));
  const double bytes = static_cast<double>(size_of(file));
  const double alone = write_plain(plain, std::min<std::uint64_t>(rows, 5'000'000)) * static_cast<double>(rows) /
                       static_cast<double>(std::min<std::uint64_t>(rows, 5'000'000));
  fmt::print(
      "{} latents, {} judgements: {:.1f} bytes a judgement in all, {:.0f} judgements/s, {:.2f} of plain inserts\n",
      latents, rows, bytes / static_cast<double>(rows), static_cast<double>(rows) / spent, alone / spent);
  const double page = percentile95(200, [&](int) {
    const LatentId f{static_cast<std::uint32_t>(random.below(latents))};
    if (!store.explanation("layers.5", f, "default")) throw std::logic_error("no explanation");
    for (const std::string& scorer : kScorers) {
      if (store.judgements("layers.5", f, "default", scorer, "llm:m").size() != kEach) throw std::logic_error("lost");
    }
  });
  store::Database database(file, 5'000);
  const double sorted = percentile95(20, [&](int i) {
    store::Query query(
        database.kept("SELECT latent, balanced_accuracy FROM named_score WHERE explainer = 'default' AND "
                      "scorer = 'detection' ORDER BY balanced_accuracy DESC, latent LIMIT 50 OFFSET ?1"),
        50 * i);
    int found = 0;
    while (query.next()) ++found;
    if (found != 50) throw std::logic_error("a page is short");
  });
  fmt::print("95th percentile: a latent's page {:.2f} ms, a sorted page of all latents {:.0f} ms\n", page, sorted);
  remove_store(file);
  remove_store(plain);
  return 0;
}

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  std::filesystem::path folder = std::filesystem::temp_directory_path();
  std::uint32_t latents = 170'000;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--folder" && i + 1 < argc) {
      folder = argv[++i];
    } else {
      latents = static_cast<std::uint32_t>(std::strtoul(argv[i], nullptr, 10));
    }
  }
  return gloss::run(folder, std::max<std::uint32_t>(latents, 1100));
}
