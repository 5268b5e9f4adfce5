#pragma once
/// HTTP exchanges, many at once, on one thread. Knows nothing of models: bytes out, bytes or a reason back.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gloss::llm {

/// A reply's body may hold this much; what is longer is cut off and failed.
inline constexpr std::size_t kMaxBodyBytes = std::size_t{16} << 20;

/// Why there is no whole answer.
enum class Fault : std::uint8_t {
  none,
  unreachable,  // no connection was made
  untrusted,    // the server's certificate was not accepted
  broken,       // the connection ended or spoke nonsense before the answer was whole
  timed_out,
  too_large,
};

/// One exchange that ended.
struct Exchange {
  void* tag = nullptr;
  Fault fault = Fault::none;
  std::string reason;                   // of the fault, in words
  long status = 0;                      // 0 = none came
  std::string body;                     // cut at kMaxBodyBytes
  std::string redirect;                 // where a 3xx points
  std::chrono::seconds retry_after{0};  // 0 = the server did not say
};

struct TransportOptions {
  std::vector<std::string> headers;  // with the key: go to the URLs given, nowhere else: redirects are not followed
  std::uint32_t in_flight = 16;
  std::uint32_t timeout_ms = 120'000;  // of one exchange
  bool bypass_proxy = false;
};

/// Keeps connections open between exchanges; certificates are verified. Threads: one at a time.
class Transport {
 public:
  explicit Transport(const TransportOptions& options);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Exchanges begun and not yet taken by next().
  std::size_t active() const;
  /// Begins an exchange. Requires: active() < in_flight. Lifetime: `body` until its exchange came back or was
  /// abandoned.
  void post(const std::string& url, std::string_view body, void* tag);
  void get(const std::string& url, void* tag);
  /// Works for at most `limit`, less when an exchange ends.
  void work(std::chrono::milliseconds limit);
  std::optional<Exchange> next();
  /// Ends all exchanges; their tags.
  std::vector<void*> abandon();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A checked base URL.
struct BaseUrl {
  std::string url;        // without a slash at its end
  bool loopback = false;  // of this machine
};
/// Errors: usage when it is no http or https URL, or holds a name, password, query or fragment (not shown in the
/// message).
BaseUrl check_base_url(std::string_view url);

}  // namespace gloss::llm
