#include "gloss/index/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/formats/checked_file_testing.h"
#include "gloss/index/index_testing.h"

namespace gloss::index {
namespace {

using testing::Folder;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

/// The four firings of docs/methods.md 2, of latent 1 of 3; one at a special token is counted, latent 2 is left out.
std::string example_index(bool full_precision = false) {
  const Folder folder;
  WriterOptions options = testing::options(3, 8);
  options.full_precision = full_precision;
  options.cached = {1, 1, 0};
  const std::vector<Firing> firings{{1, 1, 2.0F}, {1, 2, 5.0F}, {1, 6, 1.0F}, {1, 8, 3.0F}};
  SilentReporter reporter;
  Writer writer(folder.path(), options);
  writer.append(firings, 16, std::vector<Firing>{{0, 0, 9.0F}, {1, 0, 9.0F}, {1, 8, 9.0F}});
  writer.finish(16, 2, reporter);
  return folder.index_bytes();
}

Reader parse(std::string bytes) { return Reader::parse(MappedFile::of_bytes(std::move(bytes), "ix")); }

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return error.what();
  }
  return "no error";
}

std::size_t data_begin(const std::string& bytes) {
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return sizeof(header) + header;
}

/// The example with one number of the data replaced. F = 3: offsets at 0, count 32, special_count 56,
/// sum 80, positions 104, max 120.
template <class T>
std::string with(std::size_t at, T value) {
  std::string bytes = example_index(true);
  std::memcpy(bytes.data() + data_begin(bytes) + at, &value, sizeof(value));
  return bytes;
}

std::string with_text(const std::string& from, const std::string& to) {
  std::string bytes = example_index();
  const std::size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(from.size(), to.size());
  return formats::testing::with_header_checksum(bytes.replace(at, from.size(), to));
}

TEST(ActivationIndex, GivesWhatWasWritten) {
  for (const bool full_precision : {false, true}) {
    const Reader reader = parse(example_index(full_precision));
    EXPECT_EQ(reader.latent_count(), 3U);
    EXPECT_EQ(reader.ctx_len(), 8U);
    EXPECT_EQ(reader.token_count(), 16U);
    EXPECT_EQ(reader.excluded_token_count(), 2U);
    EXPECT_EQ(reader.hookpoint(), "layers.1");
    EXPECT_EQ(reader.metadata().at("model"), "made up");
    const Firings firings = reader.firings(LatentId{1});
    EXPECT_THAT(firings.position, ::testing::ElementsAre(1, 2, 6, 8));
    EXPECT_EQ(firings.full.empty(), !full_precision);
    EXPECT_EQ(firings.half_bits.empty(), full_precision);
    EXPECT_EQ(firings.value(0), 2.0F);
    EXPECT_EQ(firings.value(1), 5.0F);
    EXPECT_EQ(firings.value(3), 3.0F);
    EXPECT_EQ(reader.count(LatentId{1}), 4U);
    EXPECT_EQ(reader.max(LatentId{1}), 5.0F);
    EXPECT_EQ(reader.sum(LatentId{1}), 11.0);
    EXPECT_DOUBLE_EQ(reader.density(LatentId{1}), 4.0 / 14.0);
    EXPECT_EQ(reader.firings(LatentId{0}).size(), 0U);
    EXPECT_EQ(reader.max(LatentId{0}), 0.0F);
    EXPECT_EQ(reader.density(LatentId{2}), 0.0);
    EXPECT_EQ(reader.special_count(LatentId{0}), 1U);
    EXPECT_EQ(reader.special_count(LatentId{1}), 2U);
    EXPECT_TRUE(reader.is_cached(LatentId{0}));
    EXPECT_FALSE(reader.is_cached(LatentId{2}));
    EXPECT_NO_THROW(reader.verify());
  }
}

TEST(ActivationIndex, EveryTruncationIsAnErrorNotACrash) {
  const std::string good = example_index();
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_THROW(parse(good.substr(0, n)), Error) << "accepted a file cut at byte " << n;
}

TEST(ActivationIndex, EveryFlippedBitIsFound) {
  const std::string good = example_index();
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[byte] = static_cast<char>(static_cast<unsigned char>(bad[byte]) ^ (1U << bit));
      EXPECT_THROW(parse(bad).verify(), Error) << "byte " << byte << ", bit " << bit;
    }
  }
}

TEST(ActivationIndex, SaysWhichElementIsWrong) {
  const std::uint64_t big = std::uint64_t{1} << 40;
  EXPECT_THAT(error_of([] { parse(with<std::uint64_t>(0, 1)); }), HasSubstr("tensor 'offsets': element 0 (byte "));
  EXPECT_THAT(error_of([] { parse(with<std::uint64_t>(24, 5)); }),
              HasSubstr("offsets run from 0 to 5, wanted 0 to 4, the number of positions"));
  EXPECT_THAT(error_of([big] { parse(with<std::uint64_t>(16, big)); }),
              HasSubstr("is 4, less than the one before, 1099511627776"));
  EXPECT_THAT(error_of([] { parse(with<std::uint64_t>(40, 3)); }), HasSubstr("is 3, but the offsets say 4"));
  EXPECT_THAT(error_of([] { parse(with<float>(124, 0.0F)); }),
              HasSubstr("tensor 'max': latent 1 has 4 firings and a maximum of 0"));
  EXPECT_THAT(error_of([] { parse(with<float>(120, 1.0F)); }), HasSubstr("latent 0 has 0 firings and a maximum of 1"));
  EXPECT_THAT(error_of([] { parse(with<double>(88, std::numeric_limits<double>::quiet_NaN())); }),
              HasSubstr("tensor 'sum': latent 1 has 4 firings and a sum of nan"));
  EXPECT_THAT(error_of([] { parse(with<std::uint64_t>(64, 3)); }),
              HasSubstr("tensor 'special_count': latent 1 fires at 3 special tokens, but 2 were left out"));
  EXPECT_THAT(error_of([] { parse(with<std::uint8_t>(132 + 16 + 1, 0)); }),
              HasSubstr("tensor 'cached': latent 1 has 0 and 4 firings"));
}

TEST(ActivationIndex, SaysWhatIsWrongWithTheHeader) {
  EXPECT_THAT(error_of([] { parse(with_text("gloss-index-2", "gloss-index-9")); }),
              HasSubstr("metadata 'format' is 'gloss-index-9', wanted 'gloss-index-2'"));
  EXPECT_THAT(error_of([] { parse(with_text(R"("ctx_len":"8")", R"("ctx_len":"0")")); }),
              HasSubstr("metadata 'ctx_len' is '0', wanted a whole number from 1"));
  EXPECT_THAT(error_of([] { parse(with_text(R"("ctx_len":"8")", R"("ctx_len":"7")")); }),
              HasSubstr("metadata 'token_count' is 16, wanted a multiple of ctx_len 7"));
  EXPECT_THAT(error_of([] { parse(with_text(R"("token_count":"16")", R"("token_counX":"16")")); }),
              HasSubstr("metadata has no 'token_count'"));
  EXPECT_THAT(error_of([] { parse(with_text(R"("excluded_token_count":"2")", R"("excluded_token_count":"x")")); }),
              HasSubstr("metadata 'excluded_token_count' is 'x'"));
  EXPECT_THAT(error_of([] { parse(with_text("\"dtype\":\"F16\"", "\"dtype\":\"I16\"")); }),
              HasSubstr("tensor 'activations': is I16 [4], wanted F32 [4]"));
  EXPECT_THAT(error_of([] { parse(with_text("\"sum\":", "\"suX\":")); }), HasSubstr("has no tensor 'sum'"));
  EXPECT_THAT(error_of([] {
                std::string bytes = example_index();
                parse(bytes.replace(bytes.find("made up"), 7, "made UP"));
              }),
              HasSubstr("ix: header (bytes 0 to "));
  EXPECT_THAT(error_of([] { Reader::open("/no/such/index.safetensors"); }), HasSubstr("/no/such/index.safetensors"));
}

/// What gloss wrote before firings at special tokens were counted.
std::string first_version() {
  const Folder folder;
  const fs::path path = folder.path() / "index.safetensors";
  std::map<std::string, std::string> metadata{
      {"format", "gloss-index-1"}, {"hookpoint", "layers.1"},     {"ctx_len", "8"},
      {"token_count", "16"},       {"excluded_token_count", "2"}, {"model", "made up"}};
  const std::vector<std::uint64_t> offsets{0, 0, 4, 4}, count{0, 4, 0};
  const std::vector<double> sum{0.0, 11.0, 0.0};
  const std::vector<std::uint32_t> positions{1, 2, 6, 8};
  const std::vector<float> max{0.0F, 5.0F, 0.0F}, activations{2.0F, 5.0F, 1.0F, 3.0F};
  const auto hash = [&](const char* name, auto values) {
    metadata[std::string("xxh3.") + name] = hash_hex(std::as_bytes(std::span(values)));
  };
  hash("offsets", offsets), hash("count", count), hash("sum", sum), hash("positions", positions), hash("max", max);
  hash("activations", activations);
  using formats::Dtype;
  formats::SafeTensorsWriter file(path,
                                  {{"offsets", Dtype::u64, {4}},
                                   {"count", Dtype::u64, {3}},
                                   {"sum", Dtype::f64, {3}},
                                   {"positions", Dtype::u32, {4}},
                                   {"max", Dtype::f32, {3}},
                                   {"activations", Dtype::f32, {4}}},
                                  metadata);
  file.write_values(std::span(offsets));
  file.write_values(std::span(count));
  file.write_values(std::span(sum));
  file.write_values(std::span(positions));
  file.write_values(std::span(max));
  file.write_values(std::span(activations));
  file.commit();
  return folder.index_bytes();
}

TEST(ActivationIndex, WhatAnOlderGlossWroteIsRead) {
  const Reader reader = parse(first_version());
  EXPECT_NO_THROW(reader.verify());
  EXPECT_THAT(reader.firings(LatentId{1}).position, ::testing::ElementsAre(1, 2, 6, 8));
  EXPECT_FALSE(reader.special_count(LatentId{1}).has_value());
  EXPECT_TRUE(reader.is_cached(LatentId{2}));
  const Folder folder;
  Writer writer(folder.path(), testing::options(3, 8));
  EXPECT_THAT(error_of([&] { writer.append_index(reader, 16); }),
              HasSubstr("ix: was written by an older gloss, which did not count firings at special tokens\n"
                        "hint: make this shard again"));
}

TEST(ActivationIndex, VerifyReadsWhatOpeningDoesNot) {
  const std::string bad = with<std::uint32_t>(108, 1);  // positions 1 1 6 8
  EXPECT_NO_THROW(parse(bad));
  EXPECT_THAT(error_of([&] { parse(bad).verify(); }), HasSubstr("ix: tensor 'positions': has checksum "));
}

}  // namespace
}  // namespace gloss::index
