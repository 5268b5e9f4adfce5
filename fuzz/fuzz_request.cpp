/// A request from anywhere: its address is read or refused with 4xx, and so are its conditions; what is read can be
/// written again and read the same. The first byte of the data chooses what the rest is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/dashboard/access.h"
#include "gloss/dashboard/http.h"
#include "gloss/examples/latent_condition.h"

namespace {

using gloss::examples::LatentCondition;

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte / 16];
    out += kDigits[byte % 16];
  }
  return out;
}

void read_target(std::string_view text) {
  const gloss::dashboard::Target target = gloss::dashboard::parse_target(text);
  std::string again;
  for (const std::string& part : target.path) again += "/" + encoded(part);
  char separator = '?';
  for (const auto& [name, value] : target.query) {
    if (!gloss::is_valid_utf8(name) || !gloss::is_valid_utf8(value)) std::abort();
    again += separator + encoded(name) + "=" + encoded(value);
    separator = '&';
  }
  constexpr std::size_t kShort = 1000;  // coding makes it three times as long
  if (text.size() > kShort) return;
  const gloss::dashboard::Target same = gloss::dashboard::parse_target(again);
  if (same.path != target.path || same.query != target.query) std::abort();
}

void read_condition(std::string_view text) {
  const std::string numbers[] = {"detection", "detection.excess", "fuzz-matched.2"};
  const LatentCondition condition = LatentCondition::parse(
      text, [](std::size_t, std::string_view what) { throw gloss::Error(gloss::ErrorKind::usage, "where", what); },
      numbers);
  const LatentCondition::Rows rows = condition.rows([](const LatentCondition::Test& test) {
    return LatentCondition::Rows{LatentCondition::compare(0.5, test.order, test.number) ? std::uint8_t{1}
                                                                                        : std::uint8_t{0}};
  });
  if (rows.size() != 1 || rows[0] > 1) std::abort();
}

void judge_access(std::string_view text) {
  gloss::dashboard::Access access;
  access.host = "127.0.0.1";
  access.port = 8080;
  access.token = "0123456789abcdef";
  access.page_secret = "secret";
  const std::string value(text);
  const gloss::dashboard::Target root = gloss::dashboard::parse_target("/");
  // No Host, Origin or cookie that is made up may pass without the token.
  for (const char* name : {"host", "origin", "cookie", "authorization"}) {
    gloss::dashboard::Request request{"GET", "/", "", {}};
    if (std::string_view(name) != "host") request.headers.emplace("host", "localhost:8080");
    request.headers.emplace(name, value);
    if (!access.refuse(request, root) && value.find(access.token) == std::string::npos) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 3 == 0) read_target(text);
    if (data[0] % 3 == 1) read_condition(text);
    if (data[0] % 3 == 2) judge_access(text);
  } catch (const gloss::Error&) {
  } catch (const gloss::dashboard::Fault& fault) {
    if (fault.status() < 400 || fault.status() > 499) std::abort();
  }
  return 0;
}
