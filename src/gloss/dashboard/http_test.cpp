#include "gloss/dashboard/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gloss::dashboard {
namespace {

using ::testing::ElementsAre;

int status_of(const std::string& target) {
  try {
    parse_target(target);
  } catch (const Fault& fault) {
    return fault.status();
  }
  return 200;
}

TEST(Target, IsSplitBeforeItIsDecoded) {
  const Target target = parse_target("/a%2Fb/c%20d/?where=density%3C0.01+and+not%20dead&empty=&flag");
  EXPECT_THAT(target.path, ElementsAre("a/b", "c d", ""));
  EXPECT_EQ(target.text("where"), "density<0.01 and not dead");
  EXPECT_EQ(target.text("empty"), "");
  EXPECT_TRUE(target.query.contains("flag"));
  EXPECT_EQ(target.text("missing"), "");
  EXPECT_THAT(parse_target("/a+b").path, ElementsAre("a+b")) << "a plus is a space in the query alone";
  EXPECT_THAT(parse_target("/%2e%2e/..").path, ElementsAre("..", "..")) << "names, not ways up";
}

TEST(Target, FaultsAreRefused) {
  for (const char* bad : {"", "x", "http://localhost/", "*", "/%", "/%2", "/%zz", "/a?b=%", "/%ff", "/%00", "/%C3%28",
                          "/?a=1&a=2", "/?%61=1&a=2"})
    EXPECT_EQ(status_of(bad), 400) << bad;
  EXPECT_EQ(status_of("/" + std::string(5000, 'a')), 414);
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "/a";
  EXPECT_EQ(status_of(deep), 404);
  std::string many = "/?x=1";
  for (int i = 0; i < 40; ++i) many += "&p" + std::to_string(i) + "=1";
  EXPECT_EQ(status_of(many), 400);
}

TEST(Target, NumbersAreChecked) {
  const Target target = parse_target("/?a=12&b=-1&c=1x&d=99999999999999999999&e=");
  EXPECT_EQ(target.number("a", 5, 0, 20), 12U);
  EXPECT_EQ(target.number("e", 5, 0, 20), 5U);
  EXPECT_EQ(target.number("missing", 5, 0, 20), 5U);
  for (const char* name : {"b", "c", "d"}) EXPECT_THROW(target.number(name, 5, 0, 20), Fault) << name;
  EXPECT_THROW(target.number("a", 5, 0, 11), Fault);
}

TEST(Target, EveryTruncationIsReadOrRefused) {
  const std::string whole = "/api/v1/runs/0/latents/layers.2%2Fx/3?where=density%3C0.01&sort=max&text=%E6%97%A5";
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    const int status = status_of(whole.substr(0, n));
    EXPECT_TRUE(status == 200 || status == 400) << whole.substr(0, n);
  }
}

}  // namespace
}  // namespace gloss::dashboard
