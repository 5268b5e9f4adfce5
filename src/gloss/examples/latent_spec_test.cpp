#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/examples/examples.h"
#include "gloss/index/index_testing.h"

namespace gloss::examples {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::uint32_t> select(std::string_view spec, std::uint32_t count, std::uint64_t seed = 1,
                                  std::vector<bool> eligible = {}, std::string_view hookpoint = "layers.1") {
  if (eligible.empty()) eligible.assign(count, true);
  std::vector<std::uint32_t> result;
  for (const LatentId f : LatentSpec::parse(spec).select(hookpoint, count, seed, eligible))
    result.push_back(to_index(f));
  return result;
}

std::string error_of(const std::function<void()>& body, ErrorKind kind = ErrorKind::usage) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "no error";
}

TEST(LatentSpec, ReadsNumbersAndRanges) {
  EXPECT_THAT(select("5", 10), ElementsAre(5));
  EXPECT_THAT(select("0-3,7", 10), ElementsAre(0, 1, 2, 3, 7));
  EXPECT_THAT(select("7,0-3,2-4,7", 10), ElementsAre(0, 1, 2, 3, 4, 7)) << "ascending, each once";
  EXPECT_THAT(select("all", 4), ElementsAre(0, 1, 2, 3));
}

TEST(LatentSpec, SaysWhereItCannotBeRead) {
  const auto error = [](std::string_view spec) { return error_of([&] { LatentSpec::parse(spec); }); };
  EXPECT_EQ(error("0-3,x7"),
            "latents '0-3,x7': character 5: 'x7' is not a latent's number\n"
            "hint: write 0-99,512 or random:300 or all or density:1e-4..1e-2 or alive or dead or file:LIST.csv or a "
            "condition (not positional and density<0.01), or several with commas");
  EXPECT_THAT(error(""), HasSubstr("character 1: ''"));
  EXPECT_THAT(error("3-"), HasSubstr("character 3: ''"));
  EXPECT_THAT(error("-3"), HasSubstr("character 1: ''"));
  EXPECT_THAT(error("1,,2"), HasSubstr("character 3: ''"));
  EXPECT_THAT(error("1,"), HasSubstr("character 3: ''"));
  EXPECT_THAT(error("9-2"), HasSubstr("9-2 runs backwards"));
  EXPECT_THAT(error("4294967296"), HasSubstr("'4294967296' is not a latent's number"));
  EXPECT_THAT(error("alll"), HasSubstr("'alll' is not a latent's number"));
  EXPECT_THAT(error("random:x"), HasSubstr("--latents random:"));
  EXPECT_THAT(error("random:0"), HasSubstr("asks for no latents"));
  EXPECT_THAT(error_of([] { select("8-10", 10); }), HasSubstr("latents '8-10': latent 10: layers.1 has 10"));
}

// docs/methods.md 21, fault 18.
TEST(MethodsFault18, RandomLatentsAreNotTheFirst) {
  const std::vector<std::uint32_t> chosen = select("random:50", 1000);
  EXPECT_EQ(chosen.size(), 50U);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_GT(chosen.back(), 500U);
  EXPECT_EQ(select("random:50", 1000), chosen) << "the same seed gives the same latents";
  EXPECT_NE(select("random:50", 1000, 2), chosen);
  EXPECT_NE(select("random:50", 1000, 1, {}, "layers.2"), chosen);
}

TEST(LatentSpec, RandomLatentsAreEligibleOnes) {
  std::vector<bool> eligible(100, false);
  for (const std::size_t f : {3U, 50U, 99U}) eligible[f] = true;
  EXPECT_THAT(select("random:2", 100, 1, eligible), ::testing::SizeIs(2));
  EXPECT_THAT(select("random:1k", 100, 1, eligible), ElementsAre(3, 50, 99)) << "fewer than asked for: all there are";
}

std::vector<std::uint32_t> select_by_density(std::string_view spec, const std::vector<double>& density,
                                             std::vector<bool> eligible = {}) {
  if (eligible.empty()) eligible.assign(density.size(), true);
  std::vector<std::uint32_t> result;
  for (const LatentId f :
       LatentSpec::parse(spec).select("layers.1", static_cast<std::uint32_t>(density.size()), 1, eligible,
                                      {.density = [&](LatentId latent) { return density[to_index(latent)]; }}))
    result.push_back(to_index(f));
  return result;
}

TEST(LatentSpec, KeepsThoseOfADensity) {
  const std::vector<double> density{0.0, 1e-5, 1e-4, 5e-3, 1e-2, 0.2, 0.0, 1.0};
  EXPECT_THAT(select_by_density("density:1e-4..1e-2", density), ElementsAre(2, 3, 4)) << "both ends are in";
  EXPECT_THAT(select_by_density("density:1e-2..", density), ElementsAre(4, 5, 7));
  EXPECT_THAT(select_by_density("density:..1e-5", density), ElementsAre(0, 1, 6));
  EXPECT_THAT(select_by_density("alive", density), ElementsAre(1, 2, 3, 4, 5, 7));
  EXPECT_THAT(select_by_density("dead", density), ElementsAre(0, 6));
  EXPECT_THAT(select_by_density("0-3,7,alive,density:..0.1", density), ElementsAre(1, 2, 3));
  EXPECT_THAT(select_by_density("density:1e-4..0.5,3-7", density), ElementsAre(3, 4, 5)) << "in any order";
}

TEST(LatentSpec, RandomDrawsFromWhatTheOtherPartsLeave) {
  std::vector<double> density(1000, 0.5);
  for (std::size_t f = 400; f < 600; ++f) density[f] = 1e-3;
  const std::vector<std::uint32_t> chosen = select_by_density("random:50,density:1e-4..1e-2", density);
  EXPECT_EQ(chosen.size(), 50U);
  EXPECT_THAT(chosen, ::testing::Each(::testing::AllOf(::testing::Ge(400U), ::testing::Lt(600U))));
  EXPECT_EQ(select_by_density("density:1e-4..1e-2,random:50", density), chosen);
  EXPECT_GT(chosen.back(), 500U) << "not the first of the band";
  std::vector<bool> eligible(1000, false);
  eligible[3] = eligible[450] = true;
  EXPECT_THAT(select_by_density("random:50,density:1e-4..1e-2", density, eligible), ElementsAre(450));
  EXPECT_THAT(select_by_density("random:5,0-9", density, eligible), ElementsAre(3));
}

TEST(LatentSpec, SaysWhatIsWrongWithABand) {
  const auto error = [](std::string_view spec) { return error_of([&] { LatentSpec::parse(spec); }); };
  EXPECT_THAT(error("0-3,density:0.1"), HasSubstr("character 5: 'density:0.1' is no band of densities, such as "));
  EXPECT_THAT(error("density:a..1"), HasSubstr("'density:a..1' has an end that is not a fraction of tokens, 0 to 1"));
  EXPECT_THAT(error("density:0..1.5"), HasSubstr("has an end that is not a fraction"));
  EXPECT_THAT(error("density:nan..1"), HasSubstr("has an end that is not a fraction"));
  EXPECT_THAT(error("density:0.2..0.1"), HasSubstr("'density:0.2..0.1' runs backwards"));
  EXPECT_THAT(error("random:3,random:4"), HasSubstr("has random: twice"));
}

/// Ten latents: density f/10, 100 f firings, maximum f; even ones positional, 3 and 4 unigram.
std::vector<std::uint32_t> select_by_condition(std::string_view spec) {
  LatentProperties of;
  of.density = [](LatentId f) { return to_index(f) / 10.0; };
  of.firings = [](LatentId f) { return to_index(f) * 100.0; };
  of.max = [](LatentId f) { return to_index(f) * 1.0; };
  of.is_kind = [](index::LatentKind kind, LatentId f) {
    if (kind == index::LatentKind::positional) return to_index(f) % 2 == 0;
    if (kind == index::LatentKind::unigram) return to_index(f) == 3 || to_index(f) == 4;
    return false;
  };
  std::vector<std::uint32_t> result;
  for (const LatentId f : LatentSpec::parse(spec).select("layers.1", 10, 1, std::vector<bool>(10, true), of))
    result.push_back(to_index(f));
  return result;
}

TEST(LatentSpec, KeepsThoseForWhichAConditionHolds) {
  EXPECT_THAT(select_by_condition("positional"), ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(select_by_condition("not positional and density<0.6"), ElementsAre(1, 3, 5));
  EXPECT_THAT(select_by_condition("not (positional or density < 0.6)"), ElementsAre(7, 9));
  EXPECT_THAT(select_by_condition("not positional or density >= 0.8"), ElementsAre(1, 3, 5, 7, 8, 9));
  EXPECT_THAT(select_by_condition("unigram and not not positional"), ElementsAre(4));
  EXPECT_THAT(select_by_condition("unigram or positional and max>7"), ElementsAre(3, 4, 8)) << "'and' binds closer";
  EXPECT_THAT(select_by_condition("firings <= 100"), ElementsAre(0, 1));
  EXPECT_THAT(select_by_condition("alive and firings<3e2"), ElementsAre(1, 2));
  EXPECT_THAT(select_by_condition("dead or max>8"), ElementsAre(0, 9));
  EXPECT_THAT(select_by_condition("3-7,not positional,max<6.5"), ElementsAre(3, 5)) << "several parts all hold";
  EXPECT_THAT(select_by_condition("random:1,unigram and positional"), ElementsAre(4));
  EXPECT_THAT(select_by_condition("previous-token"), ElementsAre());
}

TEST(LatentSpec, SaysWhatIsWrongWithACondition) {
  const auto error = [](std::string_view spec) { return error_of([&] { LatentSpec::parse(spec); }); };
  EXPECT_THAT(error("0-3,not positionel"),
              HasSubstr("character 9: 'positionel' is not known; did you mean 'positional'?"));
  EXPECT_THAT(error("positional and"), HasSubstr("character 15: wanted one of alive, density, "));
  EXPECT_THAT(error("positional unigram"), HasSubstr("character 12: 'unigram' follows a whole condition"));
  EXPECT_THAT(error("(positional or unigram"), HasSubstr("character 23: a ')' is missing"));
  EXPECT_THAT(error("not density"), HasSubstr("character 12: wanted <, <=, > or >="));
  EXPECT_THAT(error("density<x"), HasSubstr("character 9: wanted a number from 0"));
  EXPECT_THAT(error("density<nan"), HasSubstr("wanted a number from 0"));
  EXPECT_THAT(error("density<-1"), HasSubstr("wanted a number from 0"));
  EXPECT_THAT(error("density<1k"), HasSubstr("wanted a number from 0"));
  EXPECT_THAT(error(std::string(1000, '(')), HasSubstr("is nested too deeply"));
  EXPECT_THAT(error_of([] { select("not positional", 4); }), HasSubstr("asks for 'positional', which is not known"));
  EXPECT_THAT(error_of([] { select("density<0.1", 4); }), HasSubstr("asks for density, which is not known"));
  EXPECT_THAT(error_of([] { select("alive", 4); }), HasSubstr("asks for densities, which are not known"));
}

TEST(LatentSpec, AListMayFollowOtherParts) {
  const index::testing::Folder folder;
  const std::string path = (folder.path() / "list,of.csv").string();
  write_file(path, "layers.1,4\nlayers.1,2\n");
  EXPECT_THAT(select("8,file:" + path, 10), ElementsAre(2, 4, 8)) << "a comma in its name is the file's";
  EXPECT_THAT(select_by_density("density:0.4..1,file:" + path, {0, 0, 0, 0, 0.5}), ElementsAre(4));
}

// docs/methods.md 21, fault 15.
TEST(MethodsFault15, AHookpointIsFoundByItsWholeName) {
  const index::testing::Folder folder;
  const std::string path = (folder.path() / "list.csv").string();
  write_file(path, "hookpoint,latent\r\nlayers.1,4\nlayers.10,5\n\nlayers.1,2\n layers.1.mlp , 6\n");
  EXPECT_THAT(select("file:" + path, 10), ElementsAre(2, 4));
  EXPECT_THAT(select("file:" + path, 10, 1, {}, "layers.10"), ElementsAre(5));
  EXPECT_THAT(select("file:" + path, 10, 1, {}, "layers.1.mlp"), ElementsAre(6));
  EXPECT_THAT(select("file:" + path, 10, 1, {}, "layers"), ElementsAre());
}

TEST(LatentSpec, SaysWhichLineOfAListIsWrong) {
  const index::testing::Folder folder;
  const std::string path = (folder.path() / "list.csv").string();
  write_file(path, "layers.1,4\nlayers.1;5\n");
  EXPECT_THAT(error_of([&] { LatentSpec::parse("file:" + path); }, ErrorKind::bad_input),
              HasSubstr("list.csv: line 2: 'layers.1;5' is not hookpoint,latent\nhint: for example: layers.5,1234"));
  write_file(path, "layers.1,-4");
  EXPECT_THAT(error_of([&] { LatentSpec::parse("file:" + path); }, ErrorKind::bad_input), HasSubstr("line 1"));
  EXPECT_THAT(error_of([&] { LatentSpec::parse("file:/no/such/list.csv"); }, ErrorKind::bad_input),
              HasSubstr("/no/such/list.csv: cannot be opened"));
  write_file(path, "layers.1,10");
  EXPECT_THAT(error_of([&] { select("file:" + path, 10); }), HasSubstr("latent 10: layers.1 has 10"));
}

}  // namespace
}  // namespace gloss::examples
