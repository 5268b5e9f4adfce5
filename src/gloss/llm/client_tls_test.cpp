// The client against servers that are not ours: cpp-httplib, plain and with a certificate that nobody vouches for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "gloss/base/error.h"
#include "gloss/llm/client.h"
#include "gloss/llm/scripted_server.h"

namespace gloss::llm {
namespace {

class NoCache : public ReplyCache {
 public:
  std::optional<Reply> find(std::string_view) override { return std::nullopt; }
  void put(const Reply&) override {}
};

/// Runs a server of cpp-httplib on a port of its choice as long as this lives.
class Running {
 public:
  explicit Running(httplib::Server& server) : server_(&server), port_(server.bind_to_any_port("127.0.0.1")) {
    server.Get("/v1/models", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(R"({"data":[{"id":"m"}]})", "application/json");
    });
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::yield();
  }
  ~Running() {
    server_->stop();
    thread_.join();
  }
  int port() const { return port_; }

 private:
  httplib::Server* server_;
  int port_;
  std::thread thread_;
};

TEST(ClientWithHttplib, IsAnsweredOverKeptConnections) {
  httplib::Server server;
  server.Post("/v1/chat/completions", [](const httplib::Request& request, httplib::Response& response) {
    Received received;
    received.body = request.body;
    response.set_content(completion("re: " + last_message(received)).body, "application/json");
  });
  const Running running(server);
  NoCache cache;
  ClientOptions options;
  options.url = "http://127.0.0.1:" + std::to_string(running.port()) + "/v1";
  options.in_flight = 4;
  Client client(options, cache);
  int good = 0;
  for (int i = 0; i < 100; ++i) {
    client.submit({{{"user", std::to_string(i)}}, 16, 0.0},
                  [&, i](const Reply& r) { good += r.text == "re: " + std::to_string(i) ? 1 : 0; });
  }
  client.run();
  EXPECT_EQ(good, 100);
}

struct Identity {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), &EVP_PKEY_free};
  std::unique_ptr<X509, decltype(&X509_free)> certificate{X509_new(), &X509_free};
};

/// A certificate for this machine that its own key signed.
Identity self_signed() {
  Identity id;
  X509* x = id.certificate.get();
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_set_pubkey(x, id.key.get());
  X509_NAME* name = X509_get_subject_name(x);
  const std::string host = "127.0.0.1";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(host.data()),
                             static_cast<int>(host.size()), -1, 0);
  X509_set_issuer_name(x, name);
  X509_sign(x, id.key.get(), EVP_sha256());
  return id;
}

TEST(ClientWithTls, RefusesACertificateNobodyVouchesFor) {
  const Identity id = self_signed();
  httplib::SSLServer server(id.certificate.get(), id.key.get());
  ASSERT_TRUE(server.is_valid());
  std::atomic<int> requests{0};
  server.set_pre_routing_handler([&](const httplib::Request&, httplib::Response&) {
    ++requests;
    return httplib::Server::HandlerResponse::Unhandled;
  });
  const Running running(server);
  NoCache cache;
  ClientOptions options;
  options.url = "https://127.0.0.1:" + std::to_string(running.port()) + "/v1";
  options.api_key = "sk-secret-0123456789";
  try {
    Client client(options, cache);
    FAIL() << "trusted a stranger";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::failed);
    EXPECT_THAT(e.what(), testing::StartsWith(options.url + "/models: the server's certificate is not trusted: "));
    EXPECT_THAT(e.what(), testing::HasSubstr("\nhint: is the host name right?"));
  }
  EXPECT_EQ(requests, 0);
}

}  // namespace
}  // namespace gloss::llm
