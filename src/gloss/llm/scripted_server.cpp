#include "gloss/llm/scripted_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "gloss/base/error.h"

namespace gloss::llm {
namespace {

using Clock = std::chrono::steady_clock;

/// One client's connection: bytes come in, an answer waits for its time, bytes go out.
struct Connection {
  int fd = -1;
  std::string in, out;
  std::optional<Answer> pending;
  Clock::time_point due;
  std::string rest;  // of a body that is sent in pieces
  std::chrono::milliseconds dribble{0};
  Clock::time_point next_piece;
  bool close_after = false;
  bool closed = false;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

/// Takes a whole request off the head of `in`; none when it is not all there yet.
std::optional<Received> take_request(std::string& in) {
  const std::size_t head_end = in.find("\r\n\r\n");
  if (head_end == std::string::npos) return std::nullopt;
  const std::string_view head(in.data(), head_end);
  Received request;
  std::size_t body_size = 0;
  for (std::size_t at = 0, line_number = 0; at < head.size(); ++line_number) {
    const std::size_t end = std::min(head.find("\r\n", at), head.size());
    const std::string_view line = head.substr(at, end - at);
    at = end + 2;
    if (line_number == 0) {
      const std::size_t space = line.find(' ');
      request.method = line.substr(0, space);
      request.path = line.substr(space + 1, line.rfind(' ') - space - 1);
      continue;
    }
    const std::size_t colon = line.find(':');
    const std::string name = lower(line.substr(0, colon));
    std::string_view value = line.substr(std::min(colon + 1, line.size()));
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "content-length") std::from_chars(value.data(), value.data() + value.size(), body_size);
    request.headers[name] = value;
  }
  const std::size_t body_begin = head_end + 4;
  if (in.size() - body_begin < body_size) return std::nullopt;
  request.body = in.substr(body_begin, body_size);
  in.erase(0, body_begin + body_size);
  return request;
}

std::string bytes_of(const Answer& answer) {
  std::string bytes = fmt::format("HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
                                  answer.status, answer.length.value_or(answer.body.size()));
  for (const auto& [name, value] : answer.headers) bytes += fmt::format("{}: {}\r\n", name, value);
  if (answer.close) bytes += "Connection: close\r\n";
  bytes += "\r\n";
  bytes += std::string_view(answer.body).substr(0, answer.cut_at.value_or(answer.body.size()));
  return bytes;
}

}  // namespace

Answer completion(std::string_view text) {
  const nlohmann::json body = {
      {"choices", {{{"index", 0}, {"finish_reason", "stop"}, {"message", {{"role", "assistant"}, {"content", text}}}}}},
      {"usage", {{"prompt_tokens", 10}, {"completion_tokens", 3}}}};
  Answer answer;
  answer.body = body.dump();
  return answer;
}

Answer error_answer(int status, std::string_view message) {
  Answer answer;
  answer.status = status;
  answer.body = nlohmann::json{{"error", {{"message", message}}}}.dump();
  return answer;
}

std::string last_message(const Received& request) {
  return nlohmann::json::parse(request.body).at("messages").back().at("content").get<std::string>();
}

struct ScriptedServer::Impl {
  Script script, models_script;
  std::size_t script_calls = 0, models_calls = 0;  // on the server's thread
  int listener = -1;
  int port = 0;
  std::array<int, 2> wake{-1, -1};
  std::list<Connection> clients;
  std::thread thread;
  mutable std::mutex mutex;  // guards `seen`
  std::vector<Received> seen;
  std::atomic<bool> keep{true};
  std::atomic<std::size_t> count{0}, connections{0}, most_at_once{0};

  void listen();
  void work();
  int time_to_wait() const;
  void accept_clients();
  void read_from(Connection& c);
  void answer_requests(Connection& c);
  void send_due(Connection& c);
  void write_to(Connection& c);
  void send_piece(Connection& c);
};

void ScriptedServer::Impl::listen() {
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, generic, size) != 0 || ::listen(listener, 1024) != 0 ||
      getsockname(listener, generic, &size) != 0 || pipe2(wake.data(), O_NONBLOCK | O_CLOEXEC) != 0) {
    fail_errno("scripted server", "cannot listen", errno);
  }
  port = ntohs(address.sin_port);
}

void ScriptedServer::Impl::accept_clients() {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    clients.emplace_back().fd = fd;
    ++connections;
  }
}

void ScriptedServer::Impl::read_from(Connection& c) {
  std::array<char, 65536> bytes;
  for (;;) {
    const ssize_t n = recv(c.fd, bytes.data(), bytes.size(), 0);
    if (n > 0) c.in.append(bytes.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) c.closed = true;
    if (n < static_cast<ssize_t>(bytes.size())) break;
  }
  answer_requests(c);
}

void ScriptedServer::Impl::answer_requests(Connection& c) {
  while (!c.pending && !c.closed) {
    std::optional<Received> request = take_request(c.in);
    if (!request) return;
    if (request->path.starts_with("/v1/models")) {
      c.pending = models_script(*request, models_calls++);
    } else {
      c.pending = script(*request, script_calls++);
      if (keep) {
        const std::lock_guard lock(mutex);
        seen.push_back(*std::move(request));
      }
      ++count;
    }
    c.due = Clock::now() + c.pending->delay;
    const auto busy =
        std::count_if(clients.begin(), clients.end(), [](const Connection& k) { return k.pending.has_value(); });
    most_at_once = std::max(most_at_once.load(), static_cast<std::size_t>(busy));
    send_due(c);
  }
}

void ScriptedServer::Impl::send_due(Connection& c) {
  if (!c.pending || Clock::now() < c.due) return;
  if (c.pending->hang_up || c.pending->reset) {
    const linger at_once{1, 0};
    if (c.pending->reset) setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    c.closed = true;
    return;
  }
  std::string bytes = bytes_of(*c.pending);
  c.close_after = c.pending->close || c.pending->cut_at.has_value() || c.pending->length.has_value();
  c.dribble = c.pending->dribble;
  if (c.dribble.count() > 0) {
    const std::size_t head = bytes.find("\r\n\r\n") + 4;
    c.rest = bytes.substr(head);
    bytes.resize(head);
  }
  c.out += bytes;
  c.pending.reset();
  write_to(c);
}

void ScriptedServer::Impl::write_to(Connection& c) {
  while (!c.out.empty()) {
    const ssize_t n = send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) c.closed = true;
      return;
    }
    c.out.erase(0, static_cast<std::size_t>(n));
  }
  if (c.close_after && c.rest.empty()) c.closed = true;
}

/// The next piece of a body that is sent slowly.
void ScriptedServer::Impl::send_piece(Connection& c) {
  constexpr std::size_t kPiece = 16;
  if (c.rest.empty() || Clock::now() < c.next_piece) return;
  c.out += c.rest.substr(0, kPiece);
  c.rest.erase(0, kPiece);
  c.next_piece = Clock::now() + c.dribble;
  write_to(c);
}

int ScriptedServer::Impl::time_to_wait() const {
  int limit_ms = 1000;
  for (const Connection& c : clients) {
    if (!c.pending && c.rest.empty()) continue;
    const Clock::time_point due = c.pending ? c.due : c.next_piece;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
    limit_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, limit_ms));
  }
  return limit_ms;
}

void ScriptedServer::Impl::work() {
  std::vector<pollfd> fds;
  for (;;) {
    fds.assign({{wake[0], POLLIN, 0}, {listener, POLLIN, 0}});
    for (const Connection& c : clients) {
      fds.push_back({c.fd, static_cast<short>(c.out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
    }
    poll(fds.data(), fds.size(), time_to_wait());
    if (fds[0].revents != 0) return;
    std::size_t i = 2;
    for (auto c = clients.begin(); c != clients.end(); ++i) {
      if ((fds[i].revents & POLLOUT) != 0) write_to(*c);
      if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read_from(*c);
      send_due(*c);
      send_piece(*c);
      answer_requests(*c);
      if (c->closed) {
        close(c->fd);
        c = clients.erase(c);
      } else {
        ++c;
      }
    }
    if (fds[1].revents != 0) accept_clients();
  }
}

ScriptedServer::ScriptedServer(Script script, const std::vector<std::string>& models)
    : impl_(std::make_unique<Impl>()) {
  impl_->script = std::move(script);
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& id : models) list.push_back({{"id", id}, {"object", "model"}});
  Answer answer;
  answer.body = nlohmann::json{{"object", "list"}, {"data", std::move(list)}}.dump();
  impl_->models_script = [answer](const Received&, std::size_t) { return answer; };
  impl_->listen();
  impl_->thread = std::thread([this] { impl_->work(); });
}

ScriptedServer::~ScriptedServer() {
  static_cast<void>(write(impl_->wake[1], "x", 1) == 1);
  impl_->thread.join();
  for (const Connection& c : impl_->clients) close(c.fd);
  for (const int fd : {impl_->listener, impl_->wake[0], impl_->wake[1]}) close(fd);
}

std::string ScriptedServer::url() const { return fmt::format("http://127.0.0.1:{}/v1", impl_->port); }
int ScriptedServer::port() const { return impl_->port; }
void ScriptedServer::set_models_script(Script script) { impl_->models_script = std::move(script); }
void ScriptedServer::keep_requests(bool keep) { impl_->keep = keep; }
std::size_t ScriptedServer::count() const { return impl_->count; }
std::size_t ScriptedServer::connections() const { return impl_->connections; }
std::size_t ScriptedServer::most_at_once() const { return impl_->most_at_once; }

std::vector<Received> ScriptedServer::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->seen;
}

}  // namespace gloss::llm
