#include "gloss/dashboard/server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "gloss/base/error.h"

namespace gloss::dashboard {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kAskToStop{100};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

Request read_request(const http::request<http::string_body>& message) {
  Request request;
  request.method = view(message.method_string());
  request.target = view(message.target());
  request.body = message.body();
  for (const auto& field : message)
    request.headers.emplace(lower(view(field.name_string())), std::string(view(field.value())));
  return request;
}

/// What a failed read is told; nothing when the connection is simply closed.
std::optional<Fault> fault_of(const error_code& error, const ServerOptions& options) {
  if (error == http::error::body_limit)
    return Fault(413, "a body too large", fmt::format("at most {} bytes", options.body_bytes));
  if (error == http::error::header_limit)
    return Fault(431, "a head too large", fmt::format("at most {} bytes", options.head_bytes));
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error == beast::error::timeout) return std::nullopt;
  if (error.category() == http::make_error_code(http::error::bad_method).category())
    return Fault(400, fmt::format("a request that is no HTTP/1.1: {}", error.message()));
  return std::nullopt;
}

}  // namespace

struct Server::Impl {
  Impl(const ServerOptions& o, Answer a) : options(o), answer(std::move(a)), acceptor(io), clock(io), pool(o.threads) {}

  void listen();
  void accept();
  void ask_to_stop(const std::function<bool()>& stop);
  Response answer_safely(const Request& request) const;

  class Session;

  ServerOptions options;
  Answer answer;
  asio::io_context io{1};  // one thread: sessions need no locks
  tcp::acceptor acceptor;
  asio::steady_timer clock;
  asio::thread_pool pool;
  std::atomic<std::size_t> waiting{0};
  std::set<std::shared_ptr<Session>> sessions;
  bool accepting = false;
  bool stopping = false;
};

/// One connection: a request is read, a thread of the pool answers it, the answer is written, and so on.
class Server::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Impl& server, tcp::socket socket) : server_(server), stream_(std::move(socket)) {}

  void read() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(server_.options.head_bytes));
    parser_->body_limit(server_.options.body_bytes);
    stream_.expires_after(server_.options.read_timeout);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
  }
  void close() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
    server_.sessions.erase(shared_from_this());
    if (!server_.accepting) server_.accept();
  }

 private:
  void on_read(const error_code& error) {
    if (error) {
      const std::optional<Fault> fault = fault_of(error, server_.options);
      if (!fault) return close();
      Response response = fault_response(*fault);
      response.headers.emplace_back("X-Content-Type-Options", "nosniff");
      return write(response, false);
    }
    const bool keep = parser_->get().keep_alive();
    if (server_.waiting.load() >= server_.options.most_waiting)
      return write(fault_response(Fault(503, "too many requests at once", "", "", "ask again")), keep);
    ++server_.waiting;
    stream_.expires_never();
    asio::post(server_.pool, [self = shared_from_this(), request = read_request(parser_->get()), keep] {
      Response response = self->server_.answer_safely(request);
      --self->server_.waiting;
      asio::post(self->server_.io, [self, response = std::move(response), keep] { self->write(response, keep); });
    });
  }
  void write(const Response& response, bool keep) {
    answer_ = http::response<http::string_body>{static_cast<http::status>(response.status), 11};
    answer_.set(http::field::content_type, response.type);
    for (const auto& [name, value] : response.headers) answer_.insert(name, value);
    answer_.body() = response.body;
    answer_.keep_alive(keep && !server_.stopping);
    answer_.prepare_payload();
    stream_.expires_after(server_.options.write_timeout);
    http::async_write(stream_, answer_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error || self->answer_.need_eof() || self->server_.stopping) return self->close();
      self->read();
    });
  }

  Impl& server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> answer_;
};

void Server::Impl::listen() {
  const std::string where = fmt::format("{}:{}", options.host, options.port);
  error_code error;
  std::string host = options.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) fail_system(where, fmt::format("the host is not known: {}", error.message()));
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    fail_system(where, fmt::format("cannot listen: {}", error.message()), "--port 0 takes a port that is free");
}

void Server::Impl::accept() {
  accepting = !stopping && sessions.size() < options.most_connections;
  if (!accepting) return;
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (stopping) return;
    if (!error) {
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      const auto session = std::make_shared<Session>(*this, std::move(socket));
      sessions.insert(session);
      session->read();
    }
    // Out of file descriptors, for example: the next one that is closed makes room, or the clock tries again.
    if (error) {
      accepting = false;
    } else {
      accept();
    }
  });
}

void Server::Impl::ask_to_stop(const std::function<bool()>& stop) {
  clock.expires_after(kAskToStop);
  clock.async_wait([this, &stop](error_code) {
    if (!stop()) {
      if (!accepting) accept();
      return ask_to_stop(stop);
    }
    stopping = true;
    error_code ignored;
    acceptor.close(ignored);
    io.stop();
  });
}

Response Server::Impl::answer_safely(const Request& request) const {
  try {
    return answer(request);
  } catch (const std::exception&) {
    return fault_response(Fault(500, "this could not be answered"));
  }
}

Server::Server(const ServerOptions& options, Answer answer)
    : impl_(std::make_unique<Impl>(options, std::move(answer))) {
  impl_->listen();
}

Server::~Server() {
  impl_->pool.join();
  impl_->sessions.clear();
}

std::uint16_t Server::port() const {
  error_code error;
  return impl_->acceptor.local_endpoint(error).port();
}

void Server::run(const std::function<bool()>& stop) {
  impl_->accept();
  impl_->ask_to_stop(stop);
  impl_->io.run();
  impl_->pool.join();
}

}  // namespace gloss::dashboard
