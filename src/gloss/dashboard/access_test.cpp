#include "gloss/dashboard/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/dashboard/dashboard_testing.h"

namespace gloss::dashboard {
namespace {

using testing::get;
using ::testing::HasSubstr;
using testing::loopback;
using testing::post;

int status_of(const Access& access, const Request& request) {
  const auto refused = access.refuse(request, parse_target(request.target));
  return refused ? refused->status : 200;
}

Request with(Request request, const std::string& name, const std::string& value) {
  request.headers.erase(name);
  request.headers.emplace(name, value);
  return request;
}

TEST(Access, OnlyThisMachinesNamesAreAnswered) {
  for (const char* host : {"localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:8080"})
    EXPECT_EQ(status_of(loopback(), with(get("/"), "host", host)), 200) << host;
  for (const char* host : {"evil.example:8080", "localhost", "localhost:80", "localhost:8080.evil.example", "",
                           "127.0.0.1", "localhost:8080, evil.example", "192.168.1.5:8080", "[::1]", "127.0.0.2:8080"})
    EXPECT_EQ(status_of(loopback(), with(get("/"), "host", host)), 403) << host;
  Request twice = get("/");
  twice.headers.emplace("host", "localhost:8080");
  EXPECT_EQ(status_of(loopback(), twice), 403);
  Request none = get("/");
  none.headers.clear();
  EXPECT_EQ(status_of(loopback(), none), 403);
}

TEST(Access, TheGivenHostIsAnsweredToo) {
  Access access = loopback();
  access.host = "gpu-box";
  EXPECT_EQ(status_of(access, with(get("/"), "host", "gpu-box:8080")), 200);
  EXPECT_EQ(status_of(access, with(get("/"), "host", "other-box:8080")), 403);
  access.host = "0.0.0.0";
  EXPECT_EQ(status_of(access, with(get("/"), "host", "192.168.1.5:8080")), 200);
  EXPECT_EQ(status_of(access, with(get("/"), "host", "[fe80::1]:8080")), 200);
  EXPECT_EQ(status_of(access, with(get("/"), "host", "rebound.example:8080")), 403) << "a name may be anyone's";
}

TEST(Access, OtherSitesPagesAreRefused) {
  EXPECT_EQ(status_of(loopback(), with(get("/api/v1/runs"), "origin", "http://localhost:8080")), 200);
  for (const char* origin : {"http://evil.example", "null", "https://localhost:8080", "http://localhost:8081", ""})
    EXPECT_EQ(status_of(loopback(), with(get("/api/v1/runs"), "origin", origin)), 403) << origin;
  EXPECT_EQ(status_of(loopback(), with(get("/api/v1/runs"), "sec-fetch-site", "cross-site")), 403);
  EXPECT_EQ(status_of(loopback(), with(get("/"), "sec-fetch-site", "cross-site")), 200) << "a link to the page";
}

TEST(Access, ChangesWantThePagesSecretAndJson) {
  EXPECT_EQ(status_of(loopback(), post("/api/v1/x", "{}")), 200);
  EXPECT_EQ(status_of(loopback(), with(post("/api/v1/x", "{}"), "x-gloss-token", "0123456789abcdee")), 403);
  EXPECT_EQ(status_of(loopback(), with(post("/api/v1/x", "{}"), "x-gloss-token", "")), 403);
  EXPECT_EQ(status_of(loopback(), with(post("/api/v1/x", "{}"), "content-type", "text/plain")), 415);
  EXPECT_EQ(status_of(loopback(), with(post("/api/v1/x", "{}"), "content-type", "application/jsonx")), 415);
  EXPECT_EQ(status_of(loopback(), with(post("/api/v1/x", "{}"), "content-type", "application/json; charset=utf-8")),
            200);
  for (const char* method : {"PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "get", ""}) {
    Request request = get("/");
    request.method = method;
    EXPECT_EQ(status_of(loopback(), request), 405) << method;
  }
}

TEST(Access, ATokenIsWantedOnceAndKeptAsACookie) {
  Access access = loopback();
  access.token = "a-token-of-letters";
  EXPECT_EQ(status_of(access, get("/")), 401);
  EXPECT_EQ(status_of(access, get("/api/v1/runs?token=a-token-of-letterz")), 401);
  EXPECT_EQ(status_of(access, with(get("/"), "cookie", "gloss_8080=a-token-of-letterz")), 401);
  EXPECT_EQ(status_of(access, with(get("/"), "cookie", "gloss_8081=a-token-of-letters")), 401);
  EXPECT_EQ(status_of(access, with(get("/"), "cookie", "xgloss_8080=a-token-of-letters")), 401);
  EXPECT_EQ(status_of(access, with(get("/"), "cookie", "a=b; gloss_8080=a-token-of-letters; c")), 200);
  EXPECT_EQ(status_of(access, with(get("/"), "authorization", "Bearer a-token-of-letters")), 200);
  EXPECT_EQ(status_of(access, with(get("/"), "authorization", "Bearer a-token-of-letter")), 401);
  const auto response = access.refuse(get("/?token=a-token-of-letters"), parse_target("/?token=a-token-of-letters"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 303);
  ASSERT_EQ(response->headers.size(), 2U);
  EXPECT_EQ(response->headers[0].second, "/") << "the address loses the token";
  EXPECT_EQ(response->headers[1].second, "gloss_8080=a-token-of-letters; HttpOnly; SameSite=Strict; Path=/");
}

TEST(Access, TokensAreLongAndDiffer) {
  EXPECT_EQ(random_token().size(), 64U);
  EXPECT_NE(random_token(), random_token());
  EXPECT_TRUE(same_secret("abc", "abc"));
  EXPECT_FALSE(same_secret("abc", "abd"));
  EXPECT_FALSE(same_secret("abc", "ab"));
}

TEST(Access, LoopbackIsThisMachineAlone) {
  for (const char* host : {"localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]"})
    EXPECT_TRUE(is_loopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "127.evil.example", "localhost.evil.example", "192.168.1.5", ""})
    EXPECT_FALSE(is_loopback(host)) << host;
}

TEST(Access, EveryAnswerForbidsWhatThePageDoesNotNeed) {
  Response response;
  add_safety_headers(response);
  std::map<std::string, std::string> headers(response.headers.begin(), response.headers.end());
  EXPECT_THAT(headers["Content-Security-Policy"], HasSubstr("default-src 'none'; script-src 'self';"));
  EXPECT_THAT(headers["Content-Security-Policy"], HasSubstr("frame-ancestors 'none'"));
  EXPECT_EQ(headers["X-Content-Type-Options"], "nosniff");
  EXPECT_EQ(headers["Referrer-Policy"], "no-referrer");
  EXPECT_FALSE(headers.contains("Access-Control-Allow-Origin"));
}

}  // namespace
}  // namespace gloss::dashboard
