// Requests a second of llm::Client against a loopback server, beside the server's own limit: a client of a few lines
// that writes fixed bytes on kept connections and counts the bytes that come back, in the same run.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/client.h"
#include "gloss/llm/protocol.h"
#include "gloss/llm/scripted_server.h"

namespace {

using gloss::llm::Answer;
using gloss::llm::Client;
using gloss::llm::ClientOptions;
using gloss::llm::Reply;
using gloss::llm::Request;
using gloss::llm::ScriptedServer;

constexpr int kRequests = 4000;  // of one round

class NoCache : public gloss::llm::ReplyCache {
 public:
  std::optional<Reply> find(std::string_view) override { return std::nullopt; }
  void put(const Reply&) override {}
};

/// A request the size of a detection prompt with its fixed prefix: about 3.5 kB.
Request request_number(std::int64_t n) {
  return {{{"system", std::string(3000, 's')}, {"user", std::string(400, 'u') + std::to_string(n)}}, 64, 0.0};
}

Answer fixed_answer() { return gloss::llm::completion("[1, 0, 1, 0, 0]"); }

/// The least work that asks the server `requests` times over `connections` kept connections. Gives the bytes received.
std::uint64_t ask_plainly(int port, int connections, int requests, const std::string& bytes, std::size_t answer_size) {
  std::vector<pollfd> fds;
  std::vector<std::size_t> received(static_cast<std::size_t>(connections), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  int sent = 0;
  int done = 0;
  const auto ask = [&](int fd) {
    if (sent++ < requests && send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
      std::abort();
  };
  for (int i = 0; i < connections; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fds.push_back({fd, POLLIN, 0});
    ask(fd);
  }
  std::uint64_t total = 0;
  std::array<char, 16384> buffer;
  while (done < requests) {
    poll(fds.data(), fds.size(), -1);
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      const ssize_t n = recv(fds[i].fd, buffer.data(), buffer.size(), 0);
      if (n <= 0) std::abort();
      total += static_cast<std::uint64_t>(n);
      received[i] += static_cast<std::size_t>(n);
      if (received[i] < answer_size) continue;
      received[i] = 0;
      ++done;
      ask(fds[i].fd);
    }
  }
  for (const pollfd& p : fds) close(p.fd);
  return total;
}

std::size_t answer_bytes() {
  const std::string body = fixed_answer().body;
  return std::string("HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: ").size() +
         std::to_string(body.size()).size() + 4 + body.size();
}

/// Requests a second that each in_flight's plain client reached, for the ratio.
std::map<std::int64_t, double>& limits() {
  static std::map<std::int64_t, double> rates;
  return rates;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void server_limit(benchmark::State& state) {
  ScriptedServer server([answer = fixed_answer()](const auto&, std::size_t) { return answer; });
  server.keep_requests(false);
  const std::string body = gloss::llm::chat_body(request_number(0), "test-model");
  const std::string bytes =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) {
    const std::uint64_t received =
        ask_plainly(server.port(), static_cast<int>(state.range(0)), kRequests, bytes, answer_bytes());
    if (received != kRequests * answer_bytes()) state.SkipWithError("the server sent other bytes than wanted");
  }
  const double rate = static_cast<double>(state.iterations()) * kRequests / seconds_since(begin);
  limits()[state.range(0)] = rate;
  state.counters["requests/s"] = rate;
}

void client(benchmark::State& state) {
  ScriptedServer server([answer = fixed_answer()](const auto&, std::size_t) { return answer; });
  server.keep_requests(false);
  NoCache cache;
  ClientOptions options;
  options.url = server.url();
  options.in_flight = static_cast<std::uint32_t>(state.range(0));
  Client client(options, cache);
  std::int64_t next = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) {
    int good = 0;
    for (int i = 0; i < kRequests; ++i) {
      client.submit(request_number(next++), [&](const Reply& r) { good += r.text == "[1, 0, 1, 0, 0]" ? 1 : 0; });
    }
    client.run();
    if (good != kRequests) state.SkipWithError("not every request was answered");
  }
  const double rate = static_cast<double>(state.iterations()) * kRequests / seconds_since(begin);
  state.counters["requests/s"] = rate;
  state.counters["of_limit"] = rate / limits()[state.range(0)];
  state.counters["connections"] = static_cast<double>(server.connections());
}

BENCHMARK(server_limit)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(2.0);
BENCHMARK(client)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(2.0);

}  // namespace

int main(int argc, char** argv) {
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("threads", "1 client, 1 server");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
