#include "gloss/llm/transport.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <new>

#include "gloss/base/error.h"

namespace gloss::llm {
namespace {

constexpr std::uint32_t kConnectTimeoutMs = 10'000;

struct EasyDelete {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDelete {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListDelete {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct UrlDelete {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using List = std::unique_ptr<curl_slist, ListDelete>;

/// libcurl's own start-up, once per process.
void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) fail_system("libcurl", curl_easy_strerror(started));
}

template <class T>
void set(CURL* easy, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (code != CURLE_OK)
    fail_system("libcurl", fmt::format("option {}: {}", static_cast<int>(option), curl_easy_strerror(code)));
}

void check(CURLMcode code) {
  if (code != CURLM_OK) fail_system("libcurl", curl_multi_strerror(code));
}

void append(List& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

/// One place for an exchange; its handle is used again and again, so that its connection is.
struct Slot {
  std::unique_ptr<CURL, EasyDelete> easy{curl_easy_init()};
  std::array<char, CURL_ERROR_SIZE> error{};
  std::string body;
  bool too_large = false;
  bool busy = false;
  void* tag = nullptr;
};

std::size_t receive(char* bytes, std::size_t one, std::size_t count, void* slot_pointer) {
  Slot& slot = *static_cast<Slot*>(slot_pointer);
  const std::size_t size = one * count;
  if (size > kMaxBodyBytes - slot.body.size()) {
    slot.too_large = true;
    return 0;  // makes libcurl end the exchange
  }
  try {
    slot.body.append(bytes, size);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return size;
}

Fault fault_of(CURLcode code, CURL* easy) {
  switch (code) {
    case CURLE_OK:
      return Fault::none;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return Fault::unreachable;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return Fault::untrusted;
    case CURLE_OPERATION_TIMEDOUT: {
      long sent = 0;  // bytes of the request: none when the connection was never made
      curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
      return sent > 0 ? Fault::timed_out : Fault::unreachable;
    }
    default:
      return Fault::broken;
  }
}

}  // namespace

struct Transport::Impl {
  std::unique_ptr<CURLM, MultiDelete> multi;
  List headers;
  std::vector<std::unique_ptr<Slot>> slots;
  std::vector<Slot*> free;

  Slot& begin(const std::string& url, void* tag);
  void start(Slot& slot);
  void release(Slot& slot);
  Exchange take(Slot& slot, CURLcode code);
};

Transport::Transport(const TransportOptions& options) : impl_(std::make_unique<Impl>()) {
  start_curl();
  Impl& m = *impl_;
  m.multi.reset(curl_multi_init());
  if (!m.multi) throw std::bad_alloc();
  curl_multi_setopt(m.multi.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(options.in_flight));
  append(m.headers, "Content-Type: application/json");
  append(m.headers, "Accept: application/json");
  append(m.headers, "Expect:");  // a pause before each larger body otherwise
  for (const std::string& header : options.headers) append(m.headers, header);
  for (std::uint32_t i = 0; i < options.in_flight; ++i) {
    Slot& slot = *m.slots.emplace_back(std::make_unique<Slot>());
    CURL* easy = slot.easy.get();
    if (easy == nullptr) throw std::bad_alloc();
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set(easy, CURLOPT_ACCEPT_ENCODING, "");  // whatever libcurl can undo; the limit counts bytes undone
    set(easy, CURLOPT_USERAGENT, "gloss");
    set(easy, CURLOPT_HTTPHEADER, m.headers.get());
    set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_ms));
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(options.timeout_ms, kConnectTimeoutMs)));
    set(easy, CURLOPT_ERRORBUFFER, slot.error.data());
    set(easy, CURLOPT_WRITEFUNCTION, &receive);
    set(easy, CURLOPT_WRITEDATA, static_cast<void*>(&slot));
    set(easy, CURLOPT_PRIVATE, static_cast<void*>(&slot));
    if (options.bypass_proxy) set(easy, CURLOPT_PROXY, "");
    m.free.push_back(&slot);
  }
}

Transport::~Transport() { abandon(); }

std::size_t Transport::active() const { return impl_->slots.size() - impl_->free.size(); }

Slot& Transport::Impl::begin(const std::string& url, void* tag) {
  Slot& slot = *free.at(free.size() - 1);
  set(slot.easy.get(), CURLOPT_URL, url.c_str());
  slot.tag = tag;
  slot.body.clear();
  slot.too_large = false;
  slot.error.fill('\0');
  return slot;
}

void Transport::Impl::start(Slot& slot) {
  check(curl_multi_add_handle(multi.get(), slot.easy.get()));
  slot.busy = true;
  free.pop_back();
}

void Transport::Impl::release(Slot& slot) {
  curl_multi_remove_handle(multi.get(), slot.easy.get());
  slot.busy = false;
  free.push_back(&slot);
}

void Transport::post(const std::string& url, std::string_view body, void* tag) {
  Slot& slot = impl_->begin(url, tag);
  set(slot.easy.get(), CURLOPT_POST, 1L);
  set(slot.easy.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  set(slot.easy.get(), CURLOPT_POSTFIELDS, static_cast<const void*>(body.data()));
  impl_->start(slot);
}

void Transport::get(const std::string& url, void* tag) {
  Slot& slot = impl_->begin(url, tag);
  set(slot.easy.get(), CURLOPT_HTTPGET, 1L);
  impl_->start(slot);
}

void Transport::work(std::chrono::milliseconds limit) {
  int running = 0;
  check(curl_multi_perform(impl_->multi.get(), &running));
  if (static_cast<std::size_t>(running) < active() || limit.count() <= 0) return;  // some ended
  check(curl_multi_poll(impl_->multi.get(), nullptr, 0, static_cast<int>(limit.count()), nullptr));
  check(curl_multi_perform(impl_->multi.get(), &running));
}

Exchange Transport::Impl::take(Slot& slot, CURLcode code) {
  Exchange exchange;
  CURL* easy = slot.easy.get();
  exchange.tag = slot.tag;
  exchange.fault = slot.too_large ? Fault::too_large : fault_of(code, easy);
  if (slot.too_large) {
    exchange.reason = fmt::format("the reply is larger than {} MiB", kMaxBodyBytes >> 20);
  } else if (code != CURLE_OK) {
    exchange.reason = slot.error[0] != '\0' ? slot.error.data() : curl_easy_strerror(code);
  }
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &exchange.status);
  curl_off_t retry_after = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
  exchange.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(retry_after, 0, 1'000'000));
  char* redirect = nullptr;
  curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) exchange.redirect = redirect;
  exchange.body = std::move(slot.body);
  slot.body = {};
  release(slot);
  return exchange;
}

std::optional<Exchange> Transport::next() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(impl_->multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;  // the message is gone once its handle is removed
    char* slot = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
    return impl_->take(*static_cast<Slot*>(static_cast<void*>(slot)), code);
  }
  return std::nullopt;
}

std::vector<void*> Transport::abandon() {
  std::vector<void*> tags;
  for (const auto& slot : impl_->slots) {
    if (!slot->busy) continue;
    tags.push_back(slot->tag);
    impl_->release(*slot);
  }
  return tags;
}

namespace {

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK || text == nullptr) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

}  // namespace

BaseUrl check_base_url(std::string_view text) {
  start_curl();
  const std::string example = "wanted something like http://127.0.0.1:8000/v1";
  const std::unique_ptr<CURLU, UrlDelete> url(curl_url());
  if (!url) throw std::bad_alloc();
  BaseUrl base{std::string(text), false};
  while (base.url.ends_with('/')) base.url.pop_back();
  if (base.url.find('\0') != std::string::npos ||
      curl_url_set(url.get(), CURLUPART_URL, base.url.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    throw Error(ErrorKind::usage, "LLM URL", "is not a URL", example);
  }
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME);
  const std::string host = url_part(url.get(), CURLUPART_HOST);
  if (scheme != "http" && scheme != "https") {
    throw Error(ErrorKind::usage, "LLM URL", fmt::format("its scheme is '{}', wanted http or https", scheme), example);
  }
  for (const CURLUPart part : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
    if (url_part(url.get(), part).empty()) continue;
    throw Error(ErrorKind::usage, fmt::format("{}://{}", scheme, host),
                "the LLM URL holds a user name, password, query or fragment", "a key is given apart from the URL");
  }
  base.loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
  return base;
}

}  // namespace gloss::llm
