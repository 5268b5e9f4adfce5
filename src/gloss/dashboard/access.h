#pragma once
/// Who may ask: the rules that keep other people, and other pages in the same browser, away from a run.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gloss/dashboard/http.h"

namespace gloss::dashboard {

/// 32 random bytes of the system's generator, as 64 hexadecimal digits. Errors: failed.
std::string random_token();
/// Whether two secrets are the same, in a time that tells only their lengths.
bool same_secret(std::string_view a, std::string_view b);
/// Whether an address is this machine's own alone: localhost, 127.0.0.0/8, ::1.
bool is_loopback(std::string_view host);

/// What is asked of every request before any route sees it.
struct Access {
  std::string host;         // as --host gave it
  std::uint16_t port = 0;   // the one listened on
  std::string token;        // "" = none is wanted
  std::string page_secret;  // X-Gloss-Token of what changes something
  bool read_only = false;   // what changes a run is refused, by the routes

  /// The answer to a request that may not be: a method other than GET and POST, a Host or Origin of another site, no
  /// token, a change without the page's secret or of another type than JSON. Nothing when it may. An address that
  /// carries ?token= rightly is answered with the cookie and the address without it.
  std::optional<Response> refuse(const Request& request, const Target& target) const;
  /// The cookie that carries the token; named by the port, since cookies are not.
  std::string cookie_name() const;
  /// What stands for the host in the printed address: this machine where it listens everywhere.
  std::string url_host() const;

 private:
  bool is_own_host(std::string_view host) const;
  bool has_token(const Request& request) const;
};

/// Headers that every answer has: a policy under which nothing but the page's own scripts and styles is loaded, no
/// guessing of types, no referrer, no frames, no cache.
void add_safety_headers(Response& response);

}  // namespace gloss::dashboard
