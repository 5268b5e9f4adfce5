#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <csignal>
#include <limits>
#include <map>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/base/hash.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/mapped_file.h"
#include "gloss/base/natural_order.h"
#include "gloss/base/output_file.h"
#include "gloss/base/parallel.h"
#include "gloss/base/quantity.h"
#include "gloss/base/random.h"
#include "gloss/base/utf8.h"

namespace gloss {
namespace {

using ::testing::ElementsAre;

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() : path_(fs::path(::testing::TempDir()) / fmt::format("gloss-base-{}", name())) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path operator/(std::string_view file) const { return path_ / file; }
  const fs::path& path() const { return path_; }
  std::size_t file_count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  static std::string name() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    return fmt::format("{}-{}", info->test_suite_name(), info->name());
  }
  fs::path path_;
};

template <class Work>
std::pair<ErrorKind, std::string> error_of(const Work& work) {
  try {
    work();
  } catch (const Error& e) {
    return {e.kind(), e.what()};
  }
  return {ErrorKind::failed, "(no error)"};
}

using Failed = std::pair<ErrorKind, std::string>;

// --- error ---

TEST(Error, SaysWhereWhatAndHint) {
  EXPECT_EQ(error_of([] { fail_input("a.txt:3", "is bad", "mend it"); }),
            Failed(ErrorKind::bad_input, "a.txt:3: is bad\nhint: mend it"));
  EXPECT_EQ(error_of([] { fail_system("", "no memory"); }), Failed(ErrorKind::failed, "no memory"));
}

TEST(Error, AFullDiskGetsAHint) {
  EXPECT_EQ(error_of([] { fail_errno("f", "cannot be written", ENOSPC); }),
            Failed(ErrorKind::failed,
                   "f: cannot be written: No space left on device\nhint: free some space and run the "
                   "same command again: it goes on from its last save"));
  EXPECT_EQ(error_of([] { fail_errno("f", "cannot be opened", ENOENT); }),
            Failed(ErrorKind::bad_input, "f: cannot be opened: No such file or directory"));
}

TEST(NearestName, IsTheOneMeantOrNone) {
  const std::vector<std::string> known{"detection", "fuzz", "simulation"};
  EXPECT_EQ(nearest_name("detecton", known), "detection");
  EXPECT_EQ(nearest_name("FUZZ", known), "fuzz");
  EXPECT_EQ(nearest_name("fuz", known), "fuzz");
  EXPECT_EQ(nearest_name("embedding", known), "");
  EXPECT_EQ(nearest_name("", known), "");
}

TEST(NearestName, AnUnknownNameListsTheKnown) {
  const std::vector<std::string> known{"cache", "score"};
  EXPECT_EQ(error_of([&] { fail_unknown_name("command", "scor", known); }),
            Failed(ErrorKind::usage, "unknown command 'scor'; known: cache, score\nhint: did you mean 'score'?"));
  EXPECT_EQ(error_of([&] { fail_unknown_name("command", "xyz", known); }),
            Failed(ErrorKind::usage, "unknown command 'xyz'; known: cache, score"));
}

// --- half ---

bool is_nan_half(std::uint32_t bits) { return (bits & 0x7FFFU) > 0x7C00U; }

TEST(Half, EveryPatternComesBack) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const float value = float_from_half(static_cast<std::uint16_t>(bits));
    if (is_nan_half(bits)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_TRUE(is_nan_half(half_from_float(value))) << bits;
    } else {
      EXPECT_EQ(half_from_float(value), bits) << value;
    }
  }
}

TEST(Half, TheShorterWayForPositiveValuesGivesTheSame) {
  for (std::uint32_t bits = 0; bits < 0x7F800000U; bits += 997) {  // all of them take a minute
    const auto value = std::bit_cast<float>(bits);
    ASSERT_EQ(half_from_positive(value), half_from_float(value)) << value;
  }
  for (const std::uint32_t border : {0x387FFFFFU, 0x38800000U, 0x477FEFFFU, 0x477FF000U, 0x7F800000U}) {
    const auto value = std::bit_cast<float>(border);
    EXPECT_EQ(half_from_positive(value), half_from_float(value)) << value;
  }
}

TEST(Half, EveryPatternHasTheValueOfTheStandard) {
  for (std::uint32_t bits = 0; bits < 0x7C00; ++bits) {
    const int exponent = static_cast<int>(bits >> 10);
    const double fraction = bits & 0x3FFU;
    const double wanted = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, exponent - 25);
    EXPECT_EQ(float_from_half(static_cast<std::uint16_t>(bits)), wanted) << bits;
    EXPECT_EQ(float_from_half(static_cast<std::uint16_t>(bits | 0x8000U)), -wanted) << bits;
  }
  EXPECT_EQ(float_from_half(0x7C00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(float_from_half(0xFC00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::signbit(float_from_half(0x8000)));
  EXPECT_EQ(float_from_half(0x7BFF), kHalfMax);
}

TEST(Half, BetweenTwoValuesRoundsToTheNearerAndTiesToEven) {
  for (std::uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const float low = float_from_half(static_cast<std::uint16_t>(bits));
    const float high = float_from_half(static_cast<std::uint16_t>(bits + 1));
    const float middle = (low + high) / 2;  // exact: 13 bits of f32's fraction are free
    EXPECT_EQ(half_from_float(middle), bits + (bits & 1U)) << middle;
    EXPECT_EQ(half_from_float(std::nextafter(middle, low)), bits) << middle;
    EXPECT_EQ(half_from_float(std::nextafter(middle, high)), bits + 1) << middle;
    EXPECT_EQ(half_from_float(-std::nextafter(middle, high)), (bits + 1) | 0x8000U) << middle;
  }
}

TEST(Half, BeyondTheRangeIsInfinity) {
  EXPECT_EQ(half_from_float(65519.996F), 0x7BFF);
  EXPECT_EQ(half_from_float(65520.0F), 0x7C00);
  EXPECT_EQ(half_from_float(-1e30F), 0xFC00);
  EXPECT_EQ(half_from_float(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_EQ(half_from_float(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Bfloat16, IsTheUpperHalfOfAFloat) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits)
    EXPECT_EQ(std::bit_cast<std::uint32_t>(float_from_bfloat16(static_cast<std::uint16_t>(bits))), bits << 16);
}

// --- random ---

TEST(Random, GivesThePublishedNumbersOfPhilox) {
  // Random123's known answers, philox4x32-10, counter 0, key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8
  Random random(0);
  EXPECT_EQ(random.next_u64(), 0xE169C58D6627E8D5U);
  EXPECT_EQ(random.next_u64(), 0x9B00DBD8BC57AC4CU);
}

TEST(Random, StreamsDependOnEverythingTheyAreFor) {
  std::set<std::uint64_t> first;
  const auto take = [&](Random r) { EXPECT_TRUE(first.insert(r.next_u64()).second); };
  take(Random::for_latent(1, "layers.1", LatentId{3}, "explain"));
  take(Random::for_latent(2, "layers.1", LatentId{3}, "explain"));
  take(Random::for_latent(1, "layers.2", LatentId{3}, "explain"));
  take(Random::for_latent(1, "layers.1", LatentId{4}, "explain"));
  take(Random::for_latent(1, "layers.1", LatentId{3}, "test"));
  take(Random::for_latent(1, "layers.1", LatentId{3}, "explain", 1));
  take(Random::for_purpose(1, "explain"));
  EXPECT_EQ(Random::for_latent(1, "layers.1", LatentId{3}, "explain").next_u64(),
            Random::for_latent(1, "layers.1", LatentId{3}, "explain").next_u64());
}

TEST(Random, BelowIsUniform) {
  Random random(5);
  std::array<int, 7> counts{};
  constexpr int kDraws = 70000;
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.below(7));
  double chi_square = 0.0;
  for (const int c : counts) chi_square += (c - 10000.0) * (c - 10000.0) / 10000.0;
  EXPECT_LT(chi_square, 22.46);  // 6 degrees of freedom, p = 0.001
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0U);
  EXPECT_LT(random.below(~std::uint64_t{0}), ~std::uint64_t{0});
}

TEST(Random, UniformAndNormalHaveTheirMoments) {
  Random random(6);
  double sum = 0.0;
  double square = 0.0;
  double normal_sum = 0.0;
  double normal_square = 0.0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    square += u * u;
    const double z = random.normal();
    ASSERT_TRUE(std::isfinite(z));
    normal_sum += z;
    normal_square += z * z;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.003);
  EXPECT_NEAR(square / kDraws, 1.0 / 3.0, 0.003);
  EXPECT_NEAR(normal_sum / kDraws, 0.0, 0.01);
  EXPECT_NEAR(normal_square / kDraws, 1.0, 0.02);
}

TEST(Random, ShuffleReachesEveryOrderEquallyOften) {
  std::map<std::vector<int>, int> orders;
  Random random(9);
  for (int i = 0; i < 24000; ++i) {
    std::vector<int> items{0, 1, 2, 3};
    random.shuffle(std::span(items));
    ++orders[items];
  }
  ASSERT_EQ(orders.size(), 24U);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 1000, 130) << ::testing::PrintToString(order);
}

TEST(Random, SampleTakesDifferentNumbersFromAllOfThem) {
  Random random(3);
  for (const auto& [n, count] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {0, 0}, {0, 3}, {5, 0}, {5, 5}, {5, 9}, {10, 3}, {1000, 10}, {1'000'000'000'000, 50}}) {
    const std::vector<std::uint64_t> chosen = random.sample(n, count);
    EXPECT_EQ(chosen.size(), std::min(n, count));
    EXPECT_EQ(std::set<std::uint64_t>(chosen.begin(), chosen.end()).size(), chosen.size());
    for (const std::uint64_t c : chosen) EXPECT_LT(c, n);
  }
  std::array<int, 20> hits{};
  for (int i = 0; i < 20000; ++i) {
    for (const std::uint64_t c : random.sample(20, 2)) ++hits.at(c);
  }
  for (const int h : hits) EXPECT_NEAR(h, 2000, 200);
}

// --- hash ---

TEST(Hash, IsXxh3) {
  EXPECT_EQ(hash_hex({}), "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing, as published
}

TEST(Hash, BoundariesCount) {
  const auto of = [](const std::vector<std::string>& parts) {
    Hasher hash;
    for (const std::string& p : parts) hash.add(p);
    return hash.digest_hex();
  };
  EXPECT_NE(of({"ab", "c"}), of({"a", "bc"}));
  EXPECT_NE(of({"ab", ""}), of({"ab"}));
  EXPECT_EQ(of({"ab", "c"}), of({"ab", "c"}));
}

TEST(Hash, OfAFolderIsOfNamesAndContents) {
  const Folder folder;
  fs::create_directories(folder / "a");
  fs::create_directories(folder / "b");
  for (const char* name : {"a/x", "b/x"}) write_file(folder / name, "same");
  EXPECT_EQ(hash_path(folder / "a"), hash_path(folder / "b"));
  fs::rename(folder / "b/x", folder / "b/y");
  EXPECT_NE(hash_path(folder / "a"), hash_path(folder / "b"));
  EXPECT_EQ(hash_path(folder / "a/x"), hash_path(folder / "b/y"));
}

// --- files ---

TEST(OutputFile, IsThereOnlyAfterCommit) {
  const Folder folder;
  const fs::path path = folder / "out";
  {
    OutputFile file(path);
    file.write("half");
    EXPECT_FALSE(fs::exists(path));
    EXPECT_TRUE(fs::exists(folder / "out.tmp"));
  }
  EXPECT_EQ(folder.file_count(), 0U);
  OutputFile file(path);
  file.write("whole");
  EXPECT_EQ(file.size_bytes(), 5U);
  file.commit();
  EXPECT_EQ(read_file(path), "whole");
  EXPECT_EQ(folder.file_count(), 1U);
}

TEST(OutputFile, AnOldFileStaysUntilTheNewOneIsWhole) {
  const Folder folder;
  write_file(folder / "out", "old");
  {
    OutputFile file(folder / "out");
    file.write("new");
    EXPECT_EQ(read_file(folder / "out"), "old");
  }
  EXPECT_EQ(read_file(folder / "out"), "old");
  write_file(folder / "out", "new");
  EXPECT_EQ(read_file(folder / "out"), "new");
}

TEST(OutputFile, WritesAnyMixOfSizes) {
  const Folder folder;
  std::string wanted;
  Random random(1);
  OutputFile file(folder / "out");
  for (int i = 0; i < 60; ++i) {
    const std::string part(random.below(i % 10 == 0 ? 3'000'000 : 70'000), static_cast<char>('a' + i % 26));
    wanted += part;
    file.write(part);
  }
  file.commit();
  EXPECT_EQ(file.size_bytes(), wanted.size());
  EXPECT_TRUE(read_file(folder / "out") == wanted);
}

TEST(OutputFile, FailuresNameThePath) {
  const Folder folder;
  const fs::path missing = folder / "no/such/out";
  EXPECT_EQ(error_of([&] { OutputFile file(missing); }),
            Failed(ErrorKind::bad_input, missing.string() + ".tmp: cannot be created: No such file or directory"));
  fs::create_directories(folder / "out/inside");
  EXPECT_EQ(error_of([&] { write_file(folder / "out", "x"); }),
            Failed(ErrorKind::failed, (folder / "out").string() + ": cannot be put in place: Is a directory"));
  EXPECT_EQ(folder.file_count(), 1U);  // the temporary is gone
}

TEST(OutputFile, AFileTooLargeForTheSystemIsAnErrorAndLeavesNothing) {
  const Folder folder;
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100'000, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Failed result = error_of([&] { write_file(folder / "out", std::string(3'000'000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(result, Failed(ErrorKind::failed, (folder / "out.tmp").string() + ": cannot be written: File too large"));
  EXPECT_EQ(folder.file_count(), 0U);
}

TEST(MappedFile, MapsFilesAndOwnsBytes) {
  const Folder folder;
  write_file(folder / "f", "abc");
  const MappedFile copy = [&] { return MappedFile::open(folder / "f"); }();
  EXPECT_EQ(copy.bytes().size(), 3U);
  EXPECT_EQ(std::to_integer<char>(copy.bytes()[2]), 'c');
  write_file(folder / "empty", "");
  EXPECT_TRUE(MappedFile::open(folder / "empty").name().ends_with("empty"));
  const MappedFile bytes = MappedFile::of_bytes("xyz", "name");
  EXPECT_EQ(bytes.name(), "name");
  EXPECT_EQ(bytes.bytes().size(), 3U);
  EXPECT_EQ(error_of([&] { MappedFile::open(folder.path()); }),
            Failed(ErrorKind::bad_input, folder.path().string() + ": is not a regular file"));
  EXPECT_EQ(error_of([&] { MappedFile::open(folder / "none"); }),
            Failed(ErrorKind::bad_input, (folder / "none").string() + ": cannot be opened: No such file or directory"));
}

// --- quantity ---

TEST(Quantity, ReadsWhatPeopleWrite) {
  const std::vector<std::pair<const char*, std::uint64_t>> good = {{"0", 0},
                                                                   {"300", 300},
                                                                   {"5k", 5000},
                                                                   {"10M", 10'000'000},
                                                                   {"1.5G", 1'500'000'000},
                                                                   {"0.25k", 250},
                                                                   {"64KiB", 65536},
                                                                   {"512MiB", 536870912},
                                                                   {"1GiB", 1073741824},
                                                                   {"1.5GiB", 1610612736},
                                                                   {"2TiB", 2199023255552}};
  for (const auto& [text, value] : good) EXPECT_EQ(parse_quantity(text, "--n"), value) << text;
}

TEST(Quantity, RefusesTheRest) {
  for (const char* text :
       {"", "k", "-1", "1.5", "1.0001k", "5K", "5 k", "5kB", "0x10", "nan", "inf", "1e30", "5MM", " 5"}) {
    EXPECT_EQ(error_of([&] { (void)parse_quantity(text, "--tokens"); }),
              Failed(ErrorKind::usage,
                     fmt::format("--tokens: '{}' is not a number\nhint: write a whole number, alone or with "
                                 "k, M, G, KiB, MiB or GiB: 300, 5M, 1GiB",
                                 text)));
  }
}

TEST(Quantity, Formats) {
  EXPECT_EQ(format_count(950), "950");
  EXPECT_EQ(format_count(12345), "12.3k");
  EXPECT_EQ(format_count(999'499), "999k");
  EXPECT_EQ(format_count(999'999), "1M");
  EXPECT_EQ(format_count(4'560'000), "4.56M");
  EXPECT_EQ(format_count(2e9), "2G");
  EXPECT_EQ(format_bytes(950), "950 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(12'900'000), "12.3 MiB");
  EXPECT_EQ(format_bytes(std::uint64_t{3} << 30), "3.00 GiB");
  EXPECT_EQ(format_seconds(0.44), "0.4s");
  EXPECT_EQ(format_seconds(12.9), "12s");
  EXPECT_EQ(format_seconds(185), "3m 05s");
  EXPECT_EQ(format_seconds(7500), "2h 05m");
}

// --- utf8 ---

struct Utf8Case {
  std::string_view bytes;
  std::string_view replaced;  // U+FFFD written as ?
};

TEST(Utf8, IllFormedPartsAreReplacedOneByOne) {
  using namespace std::string_view_literals;
  const std::vector<Utf8Case> cases = {
      {"", ""},
      {"a\0b"sv, "a\0b"sv},
      {"\x7F", "\x7F"},
      {"\xC2\x80", "\xC2\x80"},
      {"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF", "\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF"},
      {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
      {"\x80", "?"},
      {"\xBF\xBF", "??"},
      {"\xC0\x80", "??"},  // overlong
      {"\xC1\xBF", "??"},  // overlong
      {"\xC2", "?"},       // cut
      {"\xC2"
       "a",
       "?a"},
      {"\xE0\x80\x80", "???"},  // overlong
      {"\xE0\xA0", "?"},        // cut: one part
      {"\xE2\x82"
       "a",
       "?a"},
      {"\xED\xA0\x80", "???"},       // surrogate
      {"\xED\xBF\xBF", "???"},       // surrogate
      {"\xF0\x80\x80\x80", "????"},  // overlong
      {"\xF0\x9F\x98", "?"},         // cut: one part
      {"\xF0\x9F"
       "a",
       "?a"},
      {"\xF4\x90\x80\x80", "????"},  // beyond U+10FFFF
      {"\xF5\x80", "??"},
      {"\xFE\xFF", "??"},
      // Unicode 15, table 3-8
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "????????A"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "????A"},
  };
  for (const Utf8Case& c : cases) {
    std::string wanted;
    for (const char b : c.replaced) wanted += b == '?' ? "\xEF\xBF\xBD" : std::string(1, b);
    EXPECT_EQ(replace_invalid_utf8(c.bytes), wanted) << ::testing::PrintToString(c.bytes);
    EXPECT_EQ(is_valid_utf8(c.bytes), c.replaced.find('?') == std::string_view::npos);
    EXPECT_TRUE(is_valid_utf8(replace_invalid_utf8(c.bytes)));
  }
}

TEST(Utf8, EveryCharacterComesBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string bytes;
    append_utf8(bytes, c);
    const Decoded d = decode_utf8(bytes);
    ASSERT_TRUE(d.valid && d.code_point == c && d.size_bytes == bytes.size()) << static_cast<std::uint32_t>(c);
    for (std::size_t n = 1; n < bytes.size(); ++n) {
      const Decoded cut = decode_utf8(std::string_view(bytes).substr(0, n));
      ASSERT_TRUE(!cut.valid && cut.size_bytes == n && cut.code_point == U'\uFFFD') << static_cast<std::uint32_t>(c);
    }
  }
}

// --- threads, interrupts, names ---

TEST(ParallelFor, DoesEveryItemOnce) {
  for (const std::size_t threads : {0U, 1U, 2U, 7U}) {
    std::vector<std::atomic<int>> done(1000);
    std::atomic<bool> worker_out_of_range{false};
    parallel_for(done.size(), threads, [&](std::size_t item, std::size_t worker) {
      ++done[item];
      if (worker >= std::max<std::size_t>(threads, 1)) worker_out_of_range = true;
    });
    for (const auto& d : done) EXPECT_EQ(d, 1);
    EXPECT_FALSE(worker_out_of_range);
  }
  parallel_for(0, 4, [](std::size_t, std::size_t) { FAIL(); });
}

TEST(ParallelFor, ThrowsTheErrorOfTheLowestItemThatFailed) {
  for (int round = 0; round < 20; ++round) {
    const Failed result = error_of([] {
      parallel_for(64, 4, [](std::size_t item, std::size_t) {
        if (item < 4) fail_input(fmt::format("item {}", item), "fails");
      });
    });
    EXPECT_EQ(result, Failed(ErrorKind::bad_input, "item 0: fails"));
  }
}

TEST(Interrupt, IsAFlagUntilAsked) {
  EXPECT_FALSE(interrupted());
  stop_if_interrupted();
  install_interrupt_handler();
  std::raise(SIGINT);
  EXPECT_TRUE(interrupted());
  EXPECT_EQ(error_of([] { stop_if_interrupted(); }), Failed(ErrorKind::interrupted, "interrupted"));
  set_interrupted(false);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  stop_if_interrupted();
}

TEST(NaturalOrder, CountsNumbersAsNumbers) {
  std::vector<std::string> names{"layers.10", "layers.2",      "layers.2.mlp", "a",  "",
                                 "layers.02", "layers.1.attn", "b9",           "b10"};
  natural_sort(names);
  EXPECT_THAT(names,
              ElementsAre("", "a", "b9", "b10", "layers.1.attn", "layers.02", "layers.2", "layers.2.mlp", "layers.10"));
  EXPECT_FALSE(natural_less("x1", "x1"));
  EXPECT_TRUE(natural_less("x99999999999999999999998", "x99999999999999999999999"));
}

}  // namespace
}  // namespace gloss
