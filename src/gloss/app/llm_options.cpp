#include "gloss/app/llm_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "gloss/app/command.h"
#include "gloss/base/error.h"
#include "gloss/base/quantity.h"
#include "gloss/llm/batch.h"
#include "gloss/llm/protocol.h"
#include "gloss/model/subject_model.h"

namespace gloss::app {
namespace {

constexpr std::string_view kNative = "native:";
constexpr std::uint32_t kAtOnce = 16;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool is_url(std::string_view text) { return text.find("://") != std::string_view::npos; }

std::string key_of(const Provider& provider, bool by_url) {
  if (by_url) {
    const std::string key = variable("GLOSS_API_KEY");
    return key.empty() ? variable("OPENAI_API_KEY") : key;
  }
  if (provider.key_env.empty()) return {};
  std::string key = variable(provider.key_env.c_str());
  if (key.empty()) {
    throw Error(ErrorKind::usage, "--llm " + provider.name, fmt::format("{} is not set", provider.key_env),
                "put the provider's key into this environment variable");
  }
  return key;
}

}  // namespace

bool LlmOptions::is_native() const { return url.starts_with(kNative); }

std::uint32_t LlmOptions::at_once() const {
  if (in_flight > 0) return in_flight;
  return is_native() || url.empty() ? kAtOnce : find_provider(*this).in_flight;
}

void add_llm(CLI::App& cli, LlmOptions& options) {
  cli.add_option("--llm", options.url,
                 "endpoint that speaks as OpenAI's, e.g. http://127.0.0.1:8000/v1, its key read from GLOSS_API_KEY or "
                 "OPENAI_API_KEY; or a provider by name: openai, anthropic, openrouter, together, vllm, llama-server "
                 "or one of --providers; or native:DIR: gloss itself runs the chat model of this Hugging Face folder");
  cli.add_option("--llm-model", options.model,
                 "model name there; the provider's, or the first one it lists by default");
  cli.add_option("--providers", options.providers,
                 "TOML file of providers; ~/.config/gloss/providers.toml by default, where there is one");
  cli.add_option("--dialect", options.dialect,
                 "how the server is spoken to: openai-chat, openai, openai-completions (no chat template; its servers "
                 "may tell how probable a given text is), anthropic; the provider's by default");
  cli.add_option("--in-flight", options.in_flight,
                 "requests under way at once, at most; replies that a native model writes side by side; 0 = the "
                 "provider's number, or 16")
      ->check(CLI::Range(0, 4096));
  cli.add_option("--prices", options.prices,
                 "dollars per million tokens: IN,CACHED,OUT or IN,OUT; the provider's by default");
  cli.add_option("--max-cost", options.most_dollars,
                 "stop before more dollars than this are spent; the same command goes on; 0 = no limit")
      ->check(CLI::NonNegativeNumber);
  add_quantity(cli, "--max-tokens", options.most_tokens,
               "stop before more tokens than this are used, of prompts and replies; 0 = no limit");
  cli.add_option("--deadline", options.deadline_s, "seconds for one request, all its tries together; 0 = no limit")
      ->check(CLI::Range(0.0, 86400.0));
  cli.add_option("--answers", options.answers,
                 "how windows are judged: probabilities (each alone, by how probable 1 and 0 are), text (several a "
                 "prompt), schema (the same, replies held to one where the server can), or auto: probabilities where "
                 "the model tells them and its tokens have no price, else text");
  cli.add_option("--batch-out", options.batch_out,
                 "write the requests into this file (JSON lines) for the provider's batch interface, and send nothing");
  cli.add_option("--batch-in", options.batch_in,
                 "read the results of such a batch into the store, where the same command finds them paid");
  cli.add_flag("--no-prompts", options.no_prompts,
               "keep replies alone in results.db, not what was asked: smaller, but gloss serve cannot show it");
  add_quantity(cli, "--llm-memory", options.memory, "memory of a native model for what it has read, in bytes");
  cli.add_option("--device", options.device, "of a native model: cpu or cuda");
  cli.add_option("--dtype", options.dtype, "what a native model computes in: float32, bfloat16, float16");
}

Provider find_provider(const LlmOptions& options) {
  const auto spoken = [&](Provider row) {
    if (!options.dialect.empty()) row.dialect = llm::find_dialect(options.dialect).name;
    return row;
  };
  if (is_url(options.url)) return spoken({"", options.url, "openai-chat", "", "", kAtOnce, 0.0, {}});
  if (!options.providers.empty() && !std::filesystem::exists(options.providers))
    fail_input(options.providers, "no such file of providers");
  std::vector<std::string> known;
  for (Provider& row : read_providers(options.providers.empty() ? default_providers_file()
                                                                : std::filesystem::path(options.providers))) {
    if (row.name == options.url) return spoken(std::move(row));
    known.push_back(row.name);
  }
  fail_unknown_name("--llm", options.url, known);
}

std::unique_ptr<llm::LanguageModel> open_language_model(const LlmOptions& options, llm::ReplyCache& cache,
                                                        std::size_t threads) {
  if (!options.batch_out.empty()) {
    const llm::ClientOptions client = client_options(options);
    return std::make_unique<llm::BatchWriter>(options.batch_out, llm::find_dialect(client.dialect), client.model,
                                              cache);
  }
  if (!options.is_native()) return std::make_unique<llm::Client>(client_options(options), cache);
  if (!options.model.empty()) {
    throw Error(ErrorKind::usage, "--llm-model", fmt::format("'{}' beside --llm {}", options.model, options.url),
                "the folder says which model it is: leave --llm-model out");
  }
  const std::string folder = options.url.substr(kNative.size());
  if (folder.empty()) throw Error(ErrorKind::usage, "--llm", "native: without a folder", "--llm native:DIR");
  model::set_threads(threads);
  llm::NativeOptions native;
  native.folder = folder;
  native.device = options.device;
  native.dtype = options.dtype;
  native.batch = options.at_once();
  native.memory_bytes = options.memory;
  return std::make_unique<llm::NativeModel>(native, cache);
}

llm::ClientOptions client_options(const LlmOptions& options) {
  const Provider provider = find_provider(options);
  llm::ClientOptions client;
  client.url = provider.url;
  client.dialect = provider.dialect;
  client.provider = provider.name;
  client.model = options.model.empty() ? provider.model : options.model;
  client.in_flight = options.in_flight > 0 ? options.in_flight : provider.in_flight;
  client.deadline_ms = static_cast<std::uint32_t>(options.deadline_s * 1000.0);
  if (options.batch_in.empty() && options.batch_out.empty()) client.api_key = key_of(provider, provider.name.empty());
  client.prices = options.prices.empty() ? provider.prices_of(client.model) : llm::parse_prices(options.prices);
  client.most_dollars = options.most_dollars;
  client.most_tokens = options.most_tokens;
  if (client.most_dollars > 0.0 && !client.prices.known()) {
    throw Error(ErrorKind::usage, "--max-cost", fmt::format("what {} takes for its tokens is not known", options.url),
                "say it with --prices IN,CACHED,OUT, dollars per million tokens");
  }
  return client;
}

bool take_batch(const LlmOptions& options, store::Store& store, std::string_view stage, Reporter& report) {
  if (options.batch_in.empty()) return false;
  if (options.url.empty() || options.is_native() || !options.batch_out.empty()) {
    throw Error(ErrorKind::usage, "--batch-in",
                options.batch_out.empty() ? "whose results are they?" : "beside --batch-out",
                "give --llm NAME as with the file of requests, without --batch-out");
  }
  const llm::ClientOptions client = client_options(options);
  store.set_stage(stage, "");
  store::Store::Transaction transaction(store);
  llm::BatchRead read;
  try {
    read = llm::read_batch(options.batch_in, llm::find_dialect(client.dialect), client.prices,
                           client.provider.empty() ? client.url : client.provider, store);
  } catch (const Error&) {
    transaction.commit();  // the lines before a bad one are paid for too
    throw;
  }
  transaction.commit();
  report.info(
      fmt::format("{}: {} answered, {} failed{}, {} known before; {} prompt and {} completion tokens, ${:.4f}; "
                  "the same command without --batch-in goes on from here",
                  options.batch_in, read.answered, read.failed,
                  read.first_failure.empty() ? "" : fmt::format(" ({})", read.first_failure), read.known,
                  read.totals.prompt_tokens, read.totals.completion_tokens, read.totals.dollars));
  return true;
}

bool finish_batch(const LlmOptions& options, llm::LanguageModel& model, Reporter& report) {
  auto* writer = dynamic_cast<llm::BatchWriter*>(&model);
  if (writer == nullptr) return false;
  const std::uint64_t count = writer->finish();
  report.info(
      fmt::format("{}: {} requests for {} ({} answered before); give it to the provider's batch interface, and "
                  "its results back with --batch-in",
                  options.batch_out, count, model.model(), model.totals().cached));
  return true;
}

Answers choose_answers(const LlmOptions& options, llm::LanguageModel& model, Reporter& report) {
  const std::vector<std::string> known = {"auto", "text", "schema", "probabilities"};
  if (std::find(known.begin(), known.end(), options.answers) == known.end())
    fail_unknown_name("--answers", options.answers, known);
  const std::string& wanted = options.answers;
  if (wanted == "text") return Answers::text;
  if (options.is_native()) return wanted == "schema" ? Answers::text : Answers::probabilities;
  const llm::ClientOptions client = client_options(options);
  if (wanted == "auto" && client.prices.known()) {
    report.info(
        fmt::format("server {}: windows are judged several a prompt, by text, since its tokens have a price "
                    "(gloss plan compares; --answers probabilities asks about each alone)",
                    options.url));
    return Answers::text;
  }
  const bool schema = wanted == "schema";
  const bool can = schema ? model.follows_schemas() : model.tells_probabilities();
  const Answers chosen = !can ? Answers::text : schema ? Answers::schema : Answers::probabilities;
  constexpr const char* kMeaning[] = {"windows are judged several a prompt, by text",
                                      "windows are judged several a prompt, replies held to a schema",
                                      "each window is judged alone, by how probable 1 and 0 are"};
  report.info(fmt::format("server {}: dialect {}, {} {}: {}", options.url, client.dialect,
                          schema ? "schemas of replies" : "log-probabilities", can ? "yes" : "no",
                          kMeaning[static_cast<std::size_t>(chosen)]));
  return chosen;
}

std::string describe(const llm::Totals& t, std::uint64_t done, std::uint64_t total) {
  const auto count = [](std::uint64_t n) { return format_count(static_cast<double>(n)); };
  std::string text = fmt::format("{} requests ({} from the store, {} retried, {} failed), {} prompt", t.requests,
                                 t.cached, t.retried, t.failed, count(t.prompt_tokens));
  if (t.cached_tokens > 0) text += fmt::format(" ({} cached)", count(t.cached_tokens));
  text += fmt::format(" and {} completion tokens", count(t.completion_tokens));
  if (t.computed_tokens > 0) text += fmt::format(", {} of them computed", count(t.computed_tokens));
  if (t.slowed_to > 0) text += fmt::format(", the server is busy: {} at once", t.slowed_to);
  if (t.dollars > 0.0) text += fmt::format(", ${:.4f}", t.dollars);
  if (t.dollars > 0.0 && done > 0 && total > done)
    text += fmt::format(" of about ${:.2f}", t.dollars * static_cast<double>(total) / static_cast<double>(done));
  return text;
}

std::vector<std::string> commonest_reasons(const llm::Totals& totals) {
  constexpr std::size_t kMost = 3;
  std::vector<std::pair<std::uint64_t, std::string>> sorted;
  for (const auto& [reason, count] : totals.reasons) sorted.emplace_back(count, reason);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < std::min(kMost, sorted.size()); ++i)
    lines.push_back(fmt::format("{} requests failed: {}", sorted[i].first, sorted[i].second));
  if (sorted.size() > kMost) lines.push_back(fmt::format("and {} other reasons", sorted.size() - kMost));
  return lines;
}

std::vector<std::string> describe_costs(const store::Store& store) {
  const auto count = [](std::uint64_t n) { return format_count(static_cast<double>(n)); };
  std::vector<std::string> lines;
  for (const store::CostRow& row : store.costs()) {
    lines.push_back(
        fmt::format("paid so far: {} by {}: {} replies, {} prompt ({} cached) and {} completion tokens, ${:.4f}",
                    row.stage.empty() ? "other" : row.stage, row.provider, row.replies, count(row.prompt_tokens),
                    count(row.cached_tokens), count(row.completion_tokens), row.dollars));
  }
  return lines;
}

}  // namespace gloss::app
