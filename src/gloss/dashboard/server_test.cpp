#include "gloss/dashboard/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "gloss/base/error.h"

namespace gloss::dashboard {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A connection that says what it likes.
class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Whether all of it was taken.
  bool send(const std::string& bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  /// What comes until the other side closes, or nothing more within `patience`; `closed` tells which.
  std::string receive(milliseconds patience = milliseconds(5000)) {
    std::string all;
    char buffer[65536];
    while (true) {
      pollfd waiting{fd_, POLLIN, 0};
      if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return all;
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      closed = n <= 0;
      if (closed) return all;
      all.append(buffer, static_cast<std::size_t>(n));
    }
  }
  bool closed = false;

 private:
  int fd_;
};

std::string get(const std::string& path, bool keep = false) {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + (keep ? "" : "Connection: close\r\n") + "\r\n";
}

struct Running {
  std::atomic<bool> stop{false};
  Server server;
  std::thread thread;

  explicit Running(ServerOptions options, Server::Answer answer)
      : server((options.port = 0, options), std::move(answer)),
        thread([this] { server.run([this] { return stop.load(); }); }) {}
  ~Running() {
    stop = true;
    thread.join();
  }
  std::string ask(const std::string& bytes) {
    Client client(server.port());
    client.send(bytes);
    return client.receive();
  }
};

Response echo(const Request& request) {
  return {200,
          "text/plain",
          request.method + " " + request.target + " " + request.header("x-a") + " " + request.body,
          {{"X-B", "c"}}};
}

TEST(Server, AnswersAndKeepsTheConnection) {
  Running running({}, echo);
  Client client(running.server.port());
  client.send(get("/one", true));
  const std::string first = client.receive(milliseconds(300));
  EXPECT_THAT(first, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(first, HasSubstr("X-B: c\r\n"));
  EXPECT_THAT(first, ::testing::EndsWith("\r\n\r\nGET /one  "));
  EXPECT_FALSE(client.closed);
  client.send("POST /two HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 4\r\n\r\nbo");
  client.send("dy" + get("/three"));
  const std::string rest = client.receive();
  EXPECT_THAT(rest, HasSubstr("POST /two 1, 2 body"));
  EXPECT_THAT(rest, HasSubstr("GET /three"));
  EXPECT_TRUE(client.closed);
}

TEST(Server, WhatIsNoRequestIsToldSo) {
  ServerOptions options;
  options.read_timeout = milliseconds(500);
  Running running(options, echo);
  for (const char* bad :
       {"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", "GET / HTTP/1.1\r\n: empty\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", "GET /\x01 HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\x00z\r\n\r\n"}) {
    const std::string answer = running.ask(bad);
    EXPECT_TRUE(answer.empty() || answer.find("HTTP/1.1 400") == 0) << bad << " gave " << answer;
  }
  EXPECT_THAT(running.ask("GET / HTTP/1.1\r\nA: " + std::string(100'000, 'a') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(running.ask("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(running.ask("POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(running.ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(0x20000, 'a')),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(running.ask(get("/still-here")), HasSubstr("GET /still-here"));
}

TEST(Server, EveryTruncationOfARequestIsSurvived) {
  Running running({}, echo);
  const std::string whole = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
  for (std::size_t n = 0; n < whole.size(); ++n) {
    Client client(running.server.port());
    client.send(whole.substr(0, n));
  }
  EXPECT_THAT(running.ask(get("/still-here")), HasSubstr("GET /still-here"));
}

TEST(Server, SlowClientsAreClosedAndHoldUpNobody) {
  ServerOptions options;
  options.threads = 1;
  options.read_timeout = milliseconds(400);
  Running running(options, echo);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 50; ++i) {
    slow.push_back(std::make_unique<Client>(running.server.port()));
    slow.back()->send("GET / HT");
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(running.ask(get("/quick")), HasSubstr("GET /quick"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(300));
  // A byte now and then does not buy more time.
  for (int i = 0; i < 8; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    slow[0]->send("T");
  }
  for (const auto& client : slow) {
    client->receive(milliseconds(1000));
    EXPECT_TRUE(client->closed);
  }
}

TEST(Server, AnExceptionIsAnAnswer) {
  Running running({}, [](const Request& request) -> Response {
    if (request.target == "/throw") throw std::runtime_error("secret");
    return echo(request);
  });
  const std::string answer = running.ask(get("/throw"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(answer, ::testing::Not(HasSubstr("secret")));
  EXPECT_THAT(running.ask(get("/still-here")), HasSubstr("GET /still-here"));
}

TEST(Server, TwoHundredAtOnceAreAllAnswered) {
  Running running({}, [](const Request& request) {
    std::this_thread::sleep_for(milliseconds(2));
    return echo(request);
  });
  std::atomic<int> good{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 200; ++r) {
    readers.emplace_back([&, r] {
      for (int i = 0; i < 3; ++i) {
        const std::string path = "/" + std::to_string(r) + "-" + std::to_string(i);
        if (running.ask(get(path)).find("GET " + path + " ") != std::string::npos) ++good;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(good, 600);
}

TEST(Server, MoreConnectionsThanAllowedWait) {
  ServerOptions options;
  options.most_connections = 4;
  options.read_timeout = milliseconds(300);
  Running running(options, echo);
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 8; ++i) idle.push_back(std::make_unique<Client>(running.server.port()));
  EXPECT_THAT(running.ask(get("/late")), HasSubstr("GET /late")) << "once idle ones were closed";
}

TEST(Server, APortThatIsTakenIsAnError) {
  Running running({}, echo);
  ServerOptions options;
  options.port = running.server.port();
  try {
    const Server second(options, echo);
    FAIL() << "two servers at one port";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot listen"));
    EXPECT_THAT(error.what(), HasSubstr("--port 0"));
  }
  options.host = "no-such-host.invalid";
  EXPECT_THROW(Server(options, echo), Error);
}

}  // namespace
}  // namespace gloss::dashboard
