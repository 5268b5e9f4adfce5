#include "gloss/index/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/index/index_testing.h"
#include "gloss/index/reader.h"

namespace gloss::index {
namespace {

using testing::append_from;
using ::testing::ElementsAre;
using testing::Folder;
using ::testing::HasSubstr;
using testing::options;
using testing::random_firings;
using testing::write_index;

std::string bytes_with(const WriterOptions& options, std::span<const Firing> firings, std::uint64_t tokens,
                       std::uint64_t batch) {
  const Folder folder;
  write_index(folder.path(), options, firings, tokens, batch);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "spill"));
  return folder.index_bytes();
}

/// What the index must hold, collected the obvious way.
void expect_same(const Reader& reader, std::span<const Firing> firings, bool half) {
  std::vector<std::vector<Firing>> by_latent(reader.latent_count());
  for (const Firing& f : firings) by_latent[f.latent].push_back(f);
  for (std::uint32_t f = 0; f < reader.latent_count(); ++f) {
    const Firings found = reader.firings(LatentId{f});
    ASSERT_EQ(found.size(), by_latent[f].size()) << f;
    double sum = 0.0;
    float max = 0.0F;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const float value = by_latent[f][i].activation;
      ASSERT_EQ(found.position[i], by_latent[f][i].position);
      ASSERT_EQ(found.value(i), half ? float_from_half(half_from_float(value)) : value);
      sum += double{value};
      max = std::max(max, value);
    }
    EXPECT_EQ(reader.sum(LatentId{f}), sum);
    EXPECT_EQ(reader.max(LatentId{f}), max);
    EXPECT_EQ(reader.count(LatentId{f}), found.size());
  }
}

TEST(IndexWriter, SortsFiringsByLatentLikeTheObviousWay) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const std::uint32_t latents = 1 + static_cast<std::uint32_t>(seed) * 9;
    const auto firings = random_firings(seed, latents, 240, 0.05);
    for (const bool full_precision : {false, true}) {
      const Folder folder;
      WriterOptions options = testing::options(latents, 8, 4096);
      options.full_precision = full_precision;
      write_index(folder.path(), options, firings, 240);
      const Reader reader = Reader::open(folder.path() / "index.safetensors");
      expect_same(reader, firings, !full_precision);
      EXPECT_NO_THROW(reader.verify());
    }
  }
}

TEST(IndexWriter, GivesTheSameBytesWhateverTheMemoryAndTheBatches) {
  const auto firings = random_firings(5, 40, 640, 0.1);
  const std::string wanted = bytes_with(testing::options(40, 16, 1 << 24), firings, 640, 640);
  for (const std::uint64_t memory : {0, 1000, 1700, 2500, 5000, 20000}) {
    for (const std::uint64_t batch : {1, 13, 100, 640})
      EXPECT_EQ(bytes_with(testing::options(40, 16, memory), firings, 640, batch), wanted) << memory << " " << batch;
  }
}

/// Runs that lie in a folder whenever a merge tells how far it is.
struct RunCounter : SilentReporter {
  explicit RunCounter(std::filesystem::path spill_) : spill(std::move(spill_)) {}
  void progress(const Progress&) override {
    runs = 0;
    while (std::filesystem::exists(spill / ("run-" + std::to_string(runs) + ".bin"))) ++runs;
  }
  std::filesystem::path spill;
  int runs = -1;
};

/// Most latents of many buckets, each in some of the runs and the last of them in the buffer only.
TEST(IndexWriter, MergesRunsWithWhatIsStillInMemory) {
  constexpr std::uint32_t kLatents = 3000;
  constexpr std::uint32_t kTokens = 320;
  const auto firings = random_firings(21, kLatents, kTokens, 0.02);
  const std::string wanted = bytes_with(testing::options(kLatents, 16, std::uint64_t{250} << 10), firings, kTokens, 7);
  for (const std::uint64_t memory : {std::uint64_t{300} << 10, std::uint64_t{500} << 10, std::uint64_t{1} << 24}) {
    const Folder folder;
    const WriterOptions options = testing::options(kLatents, 16, memory);
    RunCounter reporter(folder.path() / "spill");
    Writer writer(folder.path(), options);
    append_from(writer, firings, kTokens / 2, 5);
    writer.checkpoint();
    append_from(writer, firings, kTokens, 7);
    writer.finish(kTokens, 0, reporter);
    if (memory == std::uint64_t{1} << 24) {
      EXPECT_EQ(reporter.runs, 1) << "the second half was never spilled";
    } else {
      EXPECT_GE(reporter.runs, 1);
    }
    EXPECT_EQ(folder.index_bytes(), wanted) << memory;
    expect_same(Reader::open(folder.path() / "index.safetensors"), firings, true);
  }
}

TEST(IndexWriter, ALatentThatFiresEverywhereNeedsNoMoreMemory) {
  std::vector<Firing> firings;  // far more firings of latent 1 than the merge holds at once
  for (std::uint32_t p = 0; p < 4000; ++p) {
    firings.push_back({1, p, 1.0F + static_cast<float>(p % 7)});
    if (p % 100 == 0) firings.push_back({2, p, 0.5F});
  }
  const std::string wanted = bytes_with(testing::options(4, 8, 1 << 24), firings, 4000, 4000);
  EXPECT_EQ(bytes_with(testing::options(4, 8, 1200), firings, 4000, 10), wanted);
}

TEST(IndexWriter, GoesOnAfterBeingAbandonedAnywhere) {
  const auto firings = random_firings(3, 30, 480, 0.1);
  const std::string wanted = bytes_with(testing::options(30, 16, 1 << 24), firings, 480, 480);
  for (std::uint64_t trial = 0; trial < 40; ++trial) {
    Random random = Random::for_purpose(trial, "abandon");
    const Folder folder;
    const WriterOptions options = testing::options(30, 16, 2000);
    std::uint64_t resumed = 0;
    for (int session = 0; session < 6; ++session) {
      Writer writer(folder.path(), options);
      EXPECT_GE(writer.resume_position(), resumed);
      resumed = writer.resume_position();
      append_from(writer, firings, std::min<std::uint64_t>(480, resumed + random.below(200)), 1 + random.below(30));
      if (random.below(3) == 0) writer.checkpoint();
    }
    write_index(folder.path(), options, firings, 480);
    EXPECT_EQ(folder.index_bytes(), wanted) << trial;
  }
}

TEST(IndexWriter, ACheckpointMakesEverythingAppendedSafe) {
  const Folder folder;
  const WriterOptions options = testing::options(3, 4);
  {
    Writer writer(folder.path(), options);
    writer.append(std::vector<Firing>{{0, 0, 1.0F}, {2, 2, 2.0F}}, 4);
    EXPECT_EQ(writer.resume_position(), 0U);
    writer.checkpoint();
    EXPECT_EQ(writer.resume_position(), 4U);
    writer.append({}, 8);  // tokens without firings count too
    writer.checkpoint();
    writer.append(std::vector<Firing>{{1, 9, 3.0F}}, 12);
  }
  EXPECT_EQ(Writer(folder.path(), options).resume_position(), 8U);
}

TEST(IndexWriter, StoresHalvesUnlessAValueIsOutOfTheirRange) {
  const auto dtype = [](float a, float b, bool full_precision = false) {
    const Folder folder;
    WriterOptions options = testing::options(2, 2);
    options.full_precision = full_precision;
    write_index(folder.path(), options, std::vector<Firing>{{0, 0, a}, {1, 1, b}}, 2);
    const Reader reader = Reader::open(folder.path() / "index.safetensors");
    EXPECT_NO_THROW(reader.verify());
    return reader.firings(LatentId{0}).full.empty() ? "f16" : "f32";
  };
  EXPECT_STREQ(dtype(1.0F, 65504.0F), "f16");
  EXPECT_STREQ(dtype(1.0F, 65505.0F), "f32");
  EXPECT_STREQ(dtype(1.0F, 2.0F, true), "f32");
  EXPECT_STREQ(dtype(1e-12F, 0.0625F), "f16");
  EXPECT_STREQ(dtype(1e-12F, 0.0624F), "f32");
}

TEST(IndexWriter, WhatFiresStaysAboveZeroInHalves) {
  const Folder folder;
  write_index(folder.path(), testing::options(2, 4),
              std::vector<Firing>{{0, 0, 1e-30F}, {1, 1, 4.0F}, {0, 2, 0x1.8p-25F}}, 4);
  const Reader reader = Reader::open(folder.path() / "index.safetensors");
  const Firings firings = reader.firings(LatentId{0});
  EXPECT_EQ(firings.value(0), 0x1.0p-24F);
  EXPECT_EQ(firings.value(1), 0x1.0p-24F);
  EXPECT_EQ(reader.max(LatentId{0}), 0x1.8p-25F) << "the maximum is exact";
  EXPECT_NO_THROW(reader.verify());
}

TEST(IndexWriter, AnIndexWithoutFiringsIsAnIndex) {
  const Folder folder;
  write_index(folder.path(), testing::options(5, 4), {}, 8);
  const Reader reader = Reader::open(folder.path() / "index.safetensors");
  EXPECT_EQ(reader.latent_count(), 5U);
  EXPECT_EQ(reader.firings(LatentId{4}).size(), 0U);
  EXPECT_NO_THROW(reader.verify());
}

TEST(IndexWriter, ATokenWithMoreFiringsThanTheBufferHolds) {
  std::vector<Firing> firings;
  for (std::uint32_t p = 0; p < 6; ++p) {
    for (std::uint32_t f = 0; f < 100; ++f) firings.push_back({99 - f, p, 1.0F + static_cast<float>(f)});
  }
  const std::string wanted = bytes_with(testing::options(100, 2, 1 << 20), firings, 6, 6);
  EXPECT_EQ(bytes_with(testing::options(100, 2, 0), firings, 6, 4), wanted);
}

TEST(IndexWriter, RefusesFiringsThatAreNoNumbers) {
  const Folder folder;
  Writer writer(folder.path(), testing::options(3, 4));
  try {
    writer.append(std::vector<Firing>{{2, 1, std::nanf("")}}, 4);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("layers.1: latent 2 has activation nan at position 1, wanted a positive number"));
  }
  EXPECT_THROW(writer.append(std::vector<Firing>{{2, 1, 0.0F}}, 4), Error);
  EXPECT_THROW(writer.append(std::vector<Firing>{{3, 1, 1.0F}}, 4), std::logic_error);
  EXPECT_THROW(writer.append(std::vector<Firing>{{1, 4, 1.0F}}, 4), std::logic_error);
  EXPECT_THROW(writer.append(std::vector<Firing>{{1, 2, 1.0F}, {1, 1, 1.0F}}, 4), std::logic_error);
  EXPECT_NO_THROW(writer.append(std::vector<Firing>{{1, 2, 1.0F}}, 4)) << "a refused call changes nothing";
}

TEST(IndexWriter, RefusesMoreTokensThanPositionsCanNumber) {
  const Folder folder;
  Writer writer(folder.path(), testing::options(3, 4));
  try {
    writer.append({}, (std::uint64_t{1} << 32) + 4);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("4294967300 tokens; an index numbers at most 4294967296"));
  }
}

TEST(IndexWriter, RefusesToFinishBeforeAllTokensWereSeen) {
  const Folder folder;
  SilentReporter reporter;
  Writer writer(folder.path(), testing::options(3, 4));
  writer.append(std::vector<Firing>{{1, 2, 1.0F}}, 4);
  EXPECT_THROW(writer.finish(8, 0, reporter), std::logic_error);
  EXPECT_THROW(writer.finish(4, 5, reporter), std::logic_error);
  EXPECT_NO_THROW(writer.finish(4, 1, reporter));
}

TEST(IndexWriter, RefusesALatentTwiceAtOneToken) {
  const Folder folder;
  Writer writer(folder.path(), testing::options(3, 4));
  writer.append(std::vector<Firing>{{1, 2, 1.0F}, {0, 2, 1.0F}, {1, 2, 2.0F}}, 4);
  EXPECT_THROW(writer.checkpoint(), std::logic_error);
}

TEST(IndexWriter, CountsFiringsAtSpecialTokensWhereverItIsInterrupted) {
  const auto firings = random_firings(8, 20, 320, 0.1);
  const auto at_special = random_firings(9, 20, 320, 0.02);
  std::vector<std::uint64_t> wanted(20);
  for (const Firing& f : at_special) ++wanted[f.latent];
  std::string first_bytes;
  for (const std::uint64_t memory : {0, 900, 1300, 100000}) {
    const Folder folder;
    const auto end_of = [](const std::vector<Firing>& all, std::uint64_t p) {
      return std::lower_bound(all.begin(), all.end(), p,
                              [](const Firing& f, std::uint64_t at) { return f.position < at; });
    };
    for (int session = 0; session < 20; ++session) {
      Writer writer(folder.path(), testing::options(20, 16, memory));
      const std::uint64_t begin = writer.resume_position();
      const std::uint64_t end = std::min<std::uint64_t>(320, begin + 50);
      writer.append(std::span(end_of(firings, begin), end_of(firings, end)), end,
                    std::span(end_of(at_special, begin), end_of(at_special, end)));
      if (end < 320) {
        if (session % 2 == 0) writer.checkpoint();  // else what the buffer holds is lost and given again
        if (session % 2 == 1 && writer.resume_position() == begin) writer.checkpoint();
        continue;
      }
      SilentReporter reporter;
      writer.finish(320, 320, reporter);
      break;
    }
    const Reader reader = Reader::open(folder.path() / "index.safetensors");
    expect_same(reader, firings, true);
    for (std::uint32_t f = 0; f < 20; ++f) EXPECT_EQ(reader.special_count(LatentId{f}), wanted[f]) << f;
    EXPECT_NO_THROW(reader.verify());
    if (first_bytes.empty()) first_bytes = folder.index_bytes();
    EXPECT_EQ(folder.index_bytes(), first_bytes) << memory;
  }
}

TEST(IndexWriter, OnlySpecialFiringsAreSafeAfterACheckpointToo) {
  const Folder folder;
  SilentReporter reporter;
  {
    Writer writer(folder.path(), testing::options(3, 4));
    writer.append({}, 4, std::vector<Firing>{{2, 0, 1.0F}});
    writer.checkpoint();
  }
  Writer writer(folder.path(), testing::options(3, 4));
  EXPECT_EQ(writer.resume_position(), 4U);
  writer.finish(4, 1, reporter);
  EXPECT_EQ(Reader::open(folder.path() / "index.safetensors").special_count(LatentId{2}), 1U);
}

TEST(IndexWriter, RefusesFiringsOfALatentThatIsNotToBeCached) {
  const Folder folder;
  WriterOptions options = testing::options(3, 4);
  options.cached = {1, 0, 1};
  Writer writer(folder.path(), options);
  EXPECT_THROW(writer.append(std::vector<Firing>{{1, 1, 1.0F}}, 4), std::logic_error);
  EXPECT_THROW(writer.append({}, 4, std::vector<Firing>{{1, 1, 1.0F}}), std::logic_error);
  EXPECT_NO_THROW(writer.append(std::vector<Firing>{{2, 1, 1.0F}}, 4));
  options.cached = {1, 0};
  EXPECT_THROW(Writer(folder.path(), options), std::logic_error);
}

TEST(IndexWriter, TellsHowFarTheMergeIs) {
  struct Listener : SilentReporter {
    std::vector<std::uint64_t> done;
    void progress(const Progress& p) override {
      EXPECT_EQ(p.stage, "merge");
      EXPECT_EQ(p.unit, "firings");
      EXPECT_LE(p.done, p.total);
      done.push_back(p.done);
    }
  };
  const Folder folder;
  const auto firings = random_firings(1, 50, 320, 0.1);
  Listener listener;
  Writer writer(folder.path(), testing::options(50, 16, 3000));
  append_from(writer, firings, 320, 16);
  writer.finish(320, 0, listener);
  EXPECT_GT(listener.done.size(), 2U);
  EXPECT_TRUE(std::is_sorted(listener.done.begin(), listener.done.end()));
  EXPECT_EQ(listener.done.back(), firings.size());
}

TEST(IndexWriter, RefusesMetadataThatItSetsItself) {
  const Folder folder;
  WriterOptions options = testing::options(3, 4);
  options.metadata["ctx_len"] = "5";
  EXPECT_THROW(Writer(folder.path(), options), std::logic_error);
}

TEST(Writer, IndexesOfPartsGiveTheBytesOfTheWhole) {
  constexpr std::uint32_t kLatents = 37, kTokens = 640;
  const std::vector<Firing> firings = random_firings(21, kLatents, kTokens, 0.1);
  const Folder whole;
  write_index(whole.path(), options(kLatents, 16), firings, kTokens);
  const std::vector<std::uint64_t> borders{0, 160, 176, 640};
  const Folder merged;
  SilentReporter reporter;
  const auto part = [&](std::size_t i) {
    std::vector<Firing> own;
    for (const Firing& f : firings) {
      if (f.position >= borders[i] && f.position < borders[i + 1]) own.push_back(f);
    }
    const Folder folder;
    WriterOptions exact = options(kLatents, 16);
    exact.full_precision = true;
    write_index(folder.path(), exact, own, kTokens);
    return Reader::parse(MappedFile::open(folder.path() / "index.safetensors"));
  };
  {
    Writer writer(merged.path(), options(kLatents, 16));
    writer.append_index(part(0), borders[1]);
    EXPECT_THROW(writer.append_index(part(0), borders[2]), Error) << "the same part again";
    EXPECT_THROW(writer.append_index(part(2), borders[2]), Error) << "a part that comes later";
    writer.append_index(part(1), borders[2]);
  }
  Writer writer(merged.path(), options(kLatents, 16));  // goes on after a kill
  EXPECT_EQ(writer.resume_position(), borders[2]);
  writer.append_index(part(1), borders[2]);  // is there already
  writer.append_index(part(2), borders[3]);
  writer.finish(kTokens, 0, reporter);
  EXPECT_EQ(merged.index_bytes(), whole.index_bytes());
}

}  // namespace
}  // namespace gloss::index
