/// `gloss serve` on a run of a million latents, each with an explanation, two scores and a shuffled baseline: the time
/// of pages of the table under queries never asked before and asked again, of one latent's page, of 200 readers at once
/// over HTTP, of questions by meaning, and the memory. A few results are first checked against a plain pass over what
/// was written.
///
///   bench_dashboard [--folder DIR] [LATENTS]
///
/// Not on Google Benchmark: it takes minutes and a gigabyte of disk, once. The folder's run is used again when it is
/// there.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "gloss/base/parallel.h"
#include "gloss/base/random.h"
#include "gloss/dashboard/api.h"
#include "gloss/dashboard/server.h"
#include "gloss/index/writer.h"
#include "gloss/score/baselines.h"

namespace gloss {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint32_t kCtxLen = 256;
constexpr std::uint32_t kContexts = 8'000;
constexpr std::uint32_t kFirings = 3;  // of a token
constexpr std::uint32_t kTransaction = 4096;
const std::vector<std::string> kScorers = {"detection", "fuzz"};

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Megabytes of a line of /proc/self/status.
double status_mb(const std::string& name) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) return std::strtod(line.c_str() + name.size() + 1, nullptr) / 1024.0;
  }
  return std::nan("");
}

/// Nine of ten words are common ones.
std::string text_of(std::uint32_t latent) {
  static const std::vector<std::string> words = {"the",  "word", "that",   "follows", "a",
                                                 "name", "of",   "places", "animals", "verbs",
                                                 "in",   "past", "tense",  "quoted",  "speech"};
  Random random = Random::for_purpose(1, "bench-dashboard-text", latent);
  std::string text = fmt::format("token {}", random.below(5000));
  for (int i = 0; i < 10; ++i) text += " " + words[random.below(words.size())];
  return text;
}

double value_of(std::uint32_t latent, std::uint64_t scorer) {
  return std::round(Random::for_purpose(scorer, "bench-dashboard-score", latent).uniform() * 1000) / 1000;
}

void write_tokens(const fs::path& file) {
  Random random = Random::for_purpose(1, "bench-dashboard-tokens");
  std::vector<TokenId> tokens(std::size_t{kContexts} * kCtxLen);
  for (TokenId& token : tokens) token = TokenId{static_cast<std::uint32_t>(random.below(500))};
  std::vector<std::uint32_t> documents(kContexts);
  for (std::uint32_t c = 0; c < kContexts; ++c) documents[c] = c / 4;
  text::write_token_file(file, tokens, documents, kCtxLen);
}

void write_index(const fs::path& folder, std::uint32_t latents) {
  fs::create_directories(folder);
  index::WriterOptions options;
  options.hookpoint = "layers.5";
  options.latent_count = latents;
  options.ctx_len = kCtxLen;
  index::Writer writer(folder, options);
  Random random = Random::for_purpose(1, "bench-dashboard-firings");
  for (std::uint32_t context = 0; context < kContexts; ++context) {
    std::vector<index::Firing> firings;
    for (std::uint32_t p = context * kCtxLen; p < (context + 1) * kCtxLen; ++p) {
      std::uint32_t last = latents;
      for (std::uint32_t k = 0; k < kFirings; ++k) {
        const double u = random.uniform();
        const auto latent = static_cast<std::uint32_t>(u * u * latents) / kFirings * kFirings + k;
        if (latent < latents && latent != last)
          firings.push_back({latent, p, static_cast<float>(0.1 + random.uniform())});
        last = latent;
      }
    }
    writer.append(firings, std::uint64_t{context + 1} * kCtxLen);
  }
  SilentReporter silent;
  writer.finish(std::uint64_t{kContexts} * kCtxLen, 0, silent);
}

score::LatentScore score_of(std::uint32_t latent, double value) {
  score::LatentScore s;
  s.latent = LatentId{latent};
  s.tp = s.fp = s.tn = s.fn = 25;
  s.balanced_accuracy = {value, value - 0.05, value + 0.05};
  s.per_quantile.assign(10, {value, value - 0.1, value + 0.1});
  return s;
}

void write_store(const fs::path& file, std::uint32_t latents) {
  store::Store store(file);
  for (std::uint32_t first = 0; first < latents; first += kTransaction) {
    store::Store::Transaction transaction(store);
    for (std::uint32_t f = first; f < std::min(first + kTransaction, latents); ++f) {
      store.put_explanation({"layers.5", "default", {LatentId{f}, text_of(f), "", "", ""}});
      for (std::size_t s = 0; s < kScorers.size(); ++s)
        store.put_score({"layers.5", "default", kScorers[s], "llm:m", score_of(f, value_of(f, s))}, {});
      store.put_score({"layers.5", score::shuffled_name("default"), kScorers[0], "llm:m", score_of(f, value_of(f, 9))},
                      {});
    }
    transaction.commit();
  }
}

/// As wide as those of all-MiniLM-L6-v2.
constexpr std::uint32_t kWidth = 384;

/// Stands for a sentence encoder: words have random directions, texts the sum of their words'.
std::vector<float> embed(const std::string& text) {
  std::vector<float> row(kWidth, 0.0F);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    Random random = Random::for_purpose(1, "bench-word-" + text.substr(begin, end - begin));
    for (float& value : row) value += static_cast<float>(random.uniform() - 0.5);
    begin = end + 1;
  }
  double square = 0.0;
  for (const float value : row) square += double{value} * double{value};
  for (float& value : row) value /= static_cast<float>(std::sqrt(square));
  return row;
}

void write_embeddings(const fs::path& file, std::uint32_t latents) {
  std::vector<std::uint64_t> keys;
  std::vector<std::uint32_t> of;  // of each key the latent whose text it is
  std::unordered_set<std::uint64_t> seen;
  for (std::uint32_t f = 0; f < latents; ++f) {
    const std::uint64_t key = dashboard::text_key(text_of(f));
    if (!seen.insert(key).second) continue;
    keys.push_back(key);
    of.push_back(f);
  }
  std::vector<dashboard::CodedRow> coded(keys.size());
  parallel_for(keys.size(), available_threads(),
               [&](std::size_t i, std::size_t) { coded[i] = dashboard::code_row(embed(text_of(of[i]))); });
  dashboard::write_text_embeddings(file, {"bench", "bench", ""}, kWidth, keys, [&](std::size_t i) {
    return dashboard::CodedView{coded[i].scale, coded[i].codes};
  });
}

std::unique_ptr<dashboard::Run> open_run(const fs::path& folder) {
  dashboard::RunInput input;
  input.name = "bench";
  input.hookpoints.push_back({"layers.5", index::Reader::open(folder / "index.safetensors"), {}});
  input.store = std::make_unique<store::Store>(folder / "results.db");
  input.tokenizer = text::Tokenizer::load(fs::path(GLOSS_SOURCE_DIR) / "small-model/model/tokenizer.json");
  input.tokens = text::TokenFile::open(folder / "tokens.safetensors");
  input.meaning = {"bench", dashboard::TextEmbeddings::open(folder / "explanation-embeddings.safetensors"), embed};
  input.report = [store = input.store.get()](const report::LatentSet* only) {
    return only == nullptr ? report::from_store(*store) : report::from_store(*store, *only);
  };
  SilentReporter silent;
  return std::make_unique<dashboard::Run>(std::move(input), silent);
}

constexpr std::uint16_t kPort = 18080;

struct Asker {
  dashboard::Api& api;
  Json get(const std::string& path) const {
    const dashboard::Response response =
        api.answer({"GET", "/api/v1/runs/0" + path, "", {{"host", fmt::format("localhost:{}", kPort)}}});
    if (response.status != 200) throw std::logic_error(fmt::format("{}: {}", path, response.body));
    return Json::parse(response.body);
  }
  /// Without reading the answer.
  double time(const std::string& path) const {
    const double begin = seconds();
    const dashboard::Response response =
        api.answer({"GET", "/api/v1/runs/0" + path, "", {{"host", fmt::format("localhost:{}", kPort)}}});
    if (response.status != 200) throw std::logic_error(fmt::format("{}: {}", path, response.body));
    return 1e3 * (seconds() - begin);
  }
};

void check(const Asker& asker, std::uint32_t latents) {
  std::uint64_t wanted = 0;
  double best = 0;
  for (std::uint32_t f = 0; f < latents; ++f) {
    const double value = value_of(f, 0);
    if (!(float(value) > 0.9) || text_of(f).find("animals") == std::string::npos) continue;
    ++wanted;
    best = std::max(best, value);
  }
  const Json page = asker.get("/latents?where=detection%3E0.9&text=ANIMALS&sort=detection&desc=1");
  if (page["total"] != wanted || std::abs(page["rows"][0]["scores"]["detection"]["value"].get<double>() - best) > 1e-6)
    throw std::logic_error(fmt::format("{} latents, wanted {}", page["total"].dump(), wanted));
}

/// The nearest latent of all by a plain pass over rows of floats. Codes may swap those that are as near but for them.
void check_meaning(const Asker& asker, std::uint32_t latents) {
  const std::vector<float> question = embed("animals in quoted speech");
  const auto cosine = [&](std::uint32_t latent) {
    const std::vector<float> row = embed(text_of(latent));
    double sum = 0.0;
    for (std::uint32_t d = 0; d < kWidth; ++d) sum += double{row[d]} * double{question[d]};
    return sum;
  };
  double best = -1.0;
  for (std::uint32_t f = 0; f < latents; f += 10) best = std::max(best, cosine(f));
  const Json page = asker.get("/latents?like=animals+in+quoted+speech&limit=10");
  double before = 1.0;
  for (const Json& row : page["rows"]) {
    const double told = row["similarity"];
    if (told > before || std::abs(told - cosine(row["latent"])) > 0.005)
      throw std::logic_error(
          fmt::format("latent {} at {}, wanted {}", row["latent"].dump(), told, cosine(row["latent"])));
    before = told;
  }
  if (page["total"] != latents || page["rows"][0]["similarity"].get<double>() < best - 0.005)
    throw std::logic_error(fmt::format("the nearest is at {}, wanted {}", page["rows"][0]["similarity"].dump(), best));
}

struct Spread {
  std::vector<double> ms;
  std::string text() {
    std::sort(ms.begin(), ms.end());
    const auto at = [&](double q) { return ms[static_cast<std::size_t>(q * static_cast<double>(ms.size() - 1))]; };
    return fmt::format("median {:.1f} ms, p95 {:.1f} ms, most {:.1f} ms ({} requests)", at(0.5), at(0.95), ms.back(),
                       ms.size());
  }
};

/// Conditions with a number of their own, so that none was asked before.
std::string fresh_query(Random& random) {
  const auto share = [&] { return fmt::format("{:.5f}", random.uniform()); };
  static const std::vector<std::string> sorts = {"latent",    "density", "firings",         "max",
                                                 "detection", "fuzz",    "detection.excess"};
  std::string query =
      "/latents?limit=50&sort=" + sorts[random.below(sorts.size())] + "&desc=" + std::to_string(random.below(2));
  switch (random.below(4)) {
    case 0:
      return query + "&where=detection%3E" + share();
    case 1:
      return query + "&where=detection%3E" + share() + "+and+not+(fuzz%3C" + share() + "+or+dead)+and+density%3C0.01";
    case 2:
      return query + "&text=token+" + std::to_string(random.below(5000)) + "&where=alive";
    default:
      return query + "&text=quoted+animals&where=detection.excess%3E" + share() +
             "&offset=" + std::to_string(random.below(5000));
  }
}

/// One reader: asks again and again over one connection. Errors are counted.
void read_pages(std::uint64_t reader, std::uint32_t latents, std::vector<double>& ms, std::atomic<int>& errors) {
  Random random = Random::for_purpose(reader, "bench-dashboard-reader");
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) ++errors;
  std::vector<char> buffer(1U << 16U);
  for (int i = 0; i < 10; ++i) {
    const std::string path =
        i % 3 == 0 ? fresh_query(random)
                   : fmt::format("/latents/layers.5/{}{}", random.below(latents), i % 3 == 1 ? "" : "/windows");
    const std::string request = fmt::format("GET /api/v1/runs/0{} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", path, kPort);
    const double begin = seconds();
    std::string answer;
    std::size_t wanted = std::string::npos;
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) ++errors;
    while (answer.size() < wanted) {
      const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      answer.append(buffer.data(), static_cast<std::size_t>(n));
      const std::size_t head = answer.find("\r\n\r\n");
      const std::size_t length = answer.find("Content-Length: ");
      if (head != std::string::npos && length < head)
        wanted = head + 4 + std::strtoul(answer.c_str() + length + 16, nullptr, 10);
    }
    ms.push_back(1e3 * (seconds() - begin));
    if (!answer.starts_with("HTTP/1.1 200") || answer.size() != wanted) ++errors;
  }
  ::close(fd);
}

int run(const fs::path& folder, std::uint32_t latents) {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);  // as gloss serve has it
  if (!fs::exists(folder / "done")) {
    fs::create_directories(folder);
    const double begin = seconds();
    write_tokens(folder / "tokens.safetensors");
    write_index(folder, latents);
    write_store(folder / "results.db", latents);
    std::ofstream(folder / "done") << latents;
    fmt::print("made {} latents in {:.0f} s\n", latents, seconds() - begin);
  }
  const fs::path embeddings = folder / "explanation-embeddings.safetensors";
  if (!fs::exists(embeddings)) write_embeddings(embeddings, latents);
  const double before = status_mb("RssAnon");
  const double begin = seconds();
  std::vector<std::unique_ptr<dashboard::Run>> runs;
  runs.push_back(open_run(folder));
  const double loaded = seconds() - begin;
  const double table = status_mb("RssAnon") - before;
  dashboard::ApiOptions options;
  options.access.host = "127.0.0.1";
  options.access.port = kPort;
  dashboard::Api api(std::move(options), std::move(runs));
  const Asker asker{api};
  check(asker, latents);
  check_meaning(asker, latents);
  fmt::print("{} latents, {} threads: loaded in {:.1f} s, table {:.0f} MB\n", latents, available_threads(), loaded,
             table);
  Random random = Random::for_purpose(1, "bench-dashboard-queries");
  std::vector<std::string> queries;
  Spread first, fresh, again, latent, windows, histograms;
  for (const char* sort :
       {"density", "firings", "max", "explanation", "detection", "fuzz", "detection.excess", "fuzz.excess"})
    first.ms.push_back(asker.time(fmt::format("/latents?sort={}", sort)));
  fmt::print("the first page in an order: {}\n", first.text());
  for (int i = 0; i < 300; ++i) {
    const std::string query = fresh_query(random);
    fresh.ms.push_back(asker.time(query));
    again.ms.push_back(asker.time(query));
  }
  fmt::print("a page, never asked before: {}\na page, asked again: {}\n", fresh.text(), again.text());
  Spread meaning, more_meaning;
  for (int i = 0; i < 100; ++i) {
    const std::string query =
        fmt::format("/latents?limit=50&like=animals+{}{}", i, i % 2 == 0 ? "" : "&where=detection%3E0.5");
    meaning.ms.push_back(asker.time(query));
    more_meaning.ms.push_back(asker.time(query + "&offset=" + std::to_string(random.below(5000))));
  }
  fmt::print("a question by meaning, never asked before: {}\na further page of it: {}\n", meaning.text(),
             more_meaning.text());
  for (int i = 0; i < 300; ++i) {
    const std::string place = fmt::format("/latents/layers.5/{}", random.below(latents));
    latent.ms.push_back(asker.time(place));
    windows.ms.push_back(asker.time(place + "/windows"));
  }
  fmt::print("one latent: {}\nits windows: {}\n", latent.text(), windows.text());
  for (int i = 0; i < 10; ++i)
    histograms.ms.push_back(asker.time(fmt::format("/histograms?where=detection%3E0.{}", i)));
  fmt::print("histograms: {}\n", histograms.text());
  fmt::print("memory: {:.0f} MB, at most {:.0f} MB with files that are mapped\n", status_mb("RssAnon"),
             status_mb("VmHWM"));
  dashboard::ServerOptions server_options;
  server_options.port = kPort;
  dashboard::Server server(server_options, [&](const dashboard::Request& request) { return api.answer(request); });
  std::atomic<bool> stop{false};
  std::thread serving([&] { server.run([&] { return stop.load(); }); });
  constexpr std::size_t kReaders = 200;
  std::vector<std::vector<double>> ms(kReaders);
  std::atomic<int> errors{0};
  std::vector<std::thread> readers;
  const double start = seconds();
  for (std::size_t r = 0; r < kReaders; ++r)
    readers.emplace_back([&, r] { read_pages(r + 1, latents, ms[r], errors); });
  for (std::thread& reader : readers) reader.join();
  const double spent = seconds() - start;
  stop = true;
  serving.join();
  Spread all;
  for (const std::vector<double>& one : ms) all.ms.insert(all.ms.end(), one.begin(), one.end());
  const std::size_t asked = all.ms.size();
  fmt::print("{} readers at once: {} errors, {:.0f} requests/s, {}\nmemory: {:.0f} MB\n", kReaders, errors.load(),
             static_cast<double>(asked) / spent, all.text(), status_mb("RssAnon"));
  Spread figures;
  for (int i = 0; i < 5; ++i)
    figures.ms.push_back(asker.time(fmt::format("/figures?where=detection%3E0.99+and+fuzz%3E0.{}", i)));
  fmt::print("figures of 5,000 to 10,000 latents: {}\n", figures.text());
  return errors == 0 ? 0 : 1;
}

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  std::filesystem::path folder = std::filesystem::temp_directory_path() / "gloss-bench-dashboard";
  std::uint32_t latents = 1'000'000;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--folder" && i + 1 < argc) {
      folder = argv[++i];
    } else {
      latents = static_cast<std::uint32_t>(std::strtoul(argv[i], nullptr, 10));
    }
  }
  return gloss::run(folder, latents);
}
