#include "gloss/dashboard/access.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "gloss/base/error.h"

namespace gloss::dashboard {
namespace {

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src "
    "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

std::string bracketed(std::string_view host) {
  return host.find(':') != std::string_view::npos && !host.starts_with('[') ? fmt::format("[{}]", host)
                                                                            : std::string(host);
}

/// An address and not a name, so that no other site's name can stand behind it.
bool is_address(std::string_view host) {
  std::string text(host);
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

std::string cookie_value(std::string_view cookies, std::string_view name) {
  while (!cookies.empty()) {
    const std::size_t end = std::min(cookies.find(';'), cookies.size());
    std::string_view one = cookies.substr(0, end);
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    if (one.size() > name.size() && one.starts_with(name) && one[name.size()] == '=')
      return std::string(one.substr(name.size() + 1));
  }
  return {};
}

}  // namespace

std::string random_token() {
  std::array<unsigned char, 32> bytes{};
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t n = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
    if (n < 0 && errno != EINTR) fail_errno("serve", "no random bytes for a token", errno);
    if (n > 0) filled += static_cast<std::size_t>(n);
  }
  std::string text;
  for (const unsigned char b : bytes) text += fmt::format("{:02x}", b);
  return text;
}

bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference = static_cast<unsigned char>(difference | static_cast<unsigned char>(a[i] ^ b[i]));
  return difference == 0;
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1" || host == "[::1]") return true;
  return host.starts_with("127.") && is_address(host);
}

std::string Access::cookie_name() const { return fmt::format("gloss_{}", port); }

std::string Access::url_host() const {
  if (host == "0.0.0.0") return "127.0.0.1";
  return host == "::" || host == "[::]" ? "[::1]" : bracketed(host);
}

bool Access::is_own_host(std::string_view given) const {
  const std::string name = lower(given);
  const std::string suffix = fmt::format(":{}", port);
  std::string_view bare = name;
  if (bare.ends_with(suffix)) {
    bare.remove_suffix(suffix.size());
  } else if (port != 80) {
    return false;
  }
  if (bare == "localhost" || bare == "127.0.0.1" || bare == "[::1]" || bare == lower(bracketed(host))) return true;
  const bool everywhere = host == "0.0.0.0" || host == "::" || host == "[::]";
  return everywhere && is_address(bare);
}

bool Access::has_token(const Request& request) const {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string authorization = request.header("authorization");
  const bool bearer =
      authorization.starts_with(kBearer) && same_secret(std::string_view(authorization).substr(kBearer.size()), token);
  return bearer || same_secret(cookie_value(request.header("cookie"), cookie_name()), token);
}

std::optional<Response> Access::refuse(const Request& request, const Target& target) const {
  const bool changes = request.method == "POST";
  if (!changes && request.method != "GET") {
    Response response = fault_response(Fault(405, fmt::format("method {}", request.method), "GET or POST"));
    response.headers.emplace_back("Allow", "GET, POST");
    return response;
  }
  const auto no = [](int status, const std::string& found, const std::string& wanted, const std::string& hint = "") {
    return fault_response(Fault(status, found, wanted, "", hint));
  };
  const std::string asked_host = request.header("host");
  if (!is_own_host(asked_host))
    return no(403, fmt::format("Host '{}'", asked_host), fmt::format("localhost:{0} or 127.0.0.1:{0}", port),
              "another name must be given as --host");
  if (const std::string origin = request.header("origin"); request.headers.contains("origin")) {
    constexpr std::string_view kScheme = "http://";
    if (!origin.starts_with(kScheme) || !is_own_host(std::string_view(origin).substr(kScheme.size())))
      return no(403, fmt::format("Origin '{}'", origin), "this server's own pages");
  }
  const bool whole_page = target.path.size() == 1 && target.path.front().empty();
  if (request.header("sec-fetch-site") == "cross-site" && !whole_page)
    return no(403, "a request of another site's page", "this server's own pages");
  if (!token.empty() && !has_token(request)) {
    if (!same_secret(target.text("token"), token))
      return no(401, "no access token", "the address that gloss serve printed",
                "open it once; the browser keeps the token");
    // The address bar and the history lose the token at once.
    Response response{303, "text/plain; charset=utf-8", "", {}};
    response.headers.emplace_back("Location", "/");
    response.headers.emplace_back("Set-Cookie",
                                  fmt::format("{}={}; HttpOnly; SameSite=Strict; Path=/", cookie_name(), token));
    return response;
  }
  if (!changes) return std::nullopt;
  if (!same_secret(request.header("x-gloss-token"), page_secret))
    return no(403, "no X-Gloss-Token, or another page's", "the csrf of /api/v1/session");
  const std::string type = lower(request.header("content-type"));
  if (type != "application/json" && !type.starts_with("application/json;"))
    return no(415, fmt::format("Content-Type '{}'", type), "application/json");
  return std::nullopt;
}

void add_safety_headers(Response& response) {
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{"Content-Security-Policy", kPolicy},
                                    {"X-Content-Type-Options", "nosniff"},
                                    {"Referrer-Policy", "no-referrer"},
                                    {"X-Frame-Options", "DENY"},
                                    {"Cross-Origin-Opener-Policy", "same-origin"},
                                    {"Cross-Origin-Resource-Policy", "same-origin"},
                                    {"Cache-Control", "no-store"}})
    response.headers.emplace_back(name, value);
}

}  // namespace gloss::dashboard
