#pragma once
/// HTTP/1.1 for a browser or a few: Boost.Beast inside, of which nothing shows here.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gloss/dashboard/http.h"

namespace gloss::dashboard {

struct ServerOptions {
  std::string host = "127.0.0.1";       // a name or an address
  std::uint16_t port = 8080;            // 0 = one that is free
  std::size_t threads = 4;              // that answer; one more moves the bytes
  std::size_t most_connections = 1024;  // further ones wait in the system's queue
  std::size_t most_waiting = 2048;      // requests that wait for a thread; further ones get 503
  std::size_t head_bytes = std::size_t{16} << 10U, body_bytes = std::size_t{64} << 10U;
  /// For a whole request from its first wait, however slowly its bytes come, and for a whole answer to be taken.
  std::chrono::milliseconds read_timeout{15'000}, write_timeout{30'000};
};

/// Connections that ask wrongly (no HTTP, too large, too slow) get an answer that says so or are closed; they cost no
/// thread.
class Server {
 public:
  /// Called by several threads at once. An exception becomes an answer 500 without its text.
  using Answer = std::function<Response(const Request&)>;

  /// Listens. Errors: failed: the host is not known, the port is taken.
  Server(const ServerOptions& options, Answer answer);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  /// Serves until `stop` says so, which is asked ten times a second; waits for answers that are being made.
  void run(const std::function<bool()>& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::dashboard
