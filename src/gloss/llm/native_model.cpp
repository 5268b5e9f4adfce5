#include "gloss/llm/native_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/random.h"
#include "gloss/base/utf8.h"
#include "gloss/llm/chat_template.h"
#include "gloss/llm/model_files.h"
#include "gloss/llm/place_values.h"
#include "gloss/llm/prefix_plan.h"
#include "gloss/llm/token_choice.h"
#include "gloss/model/generator.h"
#include "gloss/text/tokenizer.h"

namespace gloss::llm {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<TokenId>;

constexpr std::size_t kRowsAtOnce = 512;    // tokens of one pass over prompts
constexpr std::size_t kWave = 1024;         // prompts that are planned together
constexpr std::uint32_t kWorthSharing = 8;  // tokens
constexpr std::size_t kMostKnown = 256;     // beginnings that are kept

/// One way to spell a choice, as it goes on from the prompt.
struct Spelling {
  std::size_t choice = 0;
  Tokens tokens;
  double log_probability = 0.0;
};

/// One distinct request, and everybody who waits for its reply.
struct Job {
  Request request;
  std::string hash;
  std::vector<LanguageModel::Callback> waiting;

  Tokens prompt;
  std::vector<Spelling> spellings;  // of the choices
  PlaceValues places;               // of the only choice
  model::TextState state;
  Tokens reply;  // so far; its last token is not yet read
  std::string text;
  std::optional<Random> random;

  bool chooses() const { return !request.choices.empty(); }
  /// How many a reply has.
  std::size_t probabilities() const {
    return request.places.empty() ? request.choices.size() : request.places.size() * request.values.size();
  }
};

/// A beginning of texts that was read, kept for those to come.
struct Known {
  Tokens tokens;
  model::TextState state;
  std::uint32_t own = 0;  // tokens that no other keeps for it
  std::uint64_t used = 0;
};

std::string canonical(const Request& r) {
  Json body = {{"max_tokens", r.max_tokens}, {"temperature", r.temperature}, {"seed", r.seed}, {"stop", r.stop},
               {"choices", r.choices},       {"messages", Json::array()}};
  if (r.per_token) body["per_token"] = true;
  if (!r.places.empty()) body["places"] = {r.places, r.values};
  for (const Message& m : r.messages) body["messages"].push_back({{"role", m.role}, {"content", m.content}});
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

struct NativeModel::Impl {
  NativeOptions options;
  ReplyCache* cache;
  model::Generator generator;
  text::Tokenizer tokenizer;
  ChatTemplate chat;
  std::set<TokenId> ends;
  std::string name, fingerprint;
  Totals totals;

  std::unordered_map<std::string, std::unique_ptr<Job>> jobs;  // by hash; all that are not settled
  std::deque<Job*> queue;
  std::vector<Job*> wave;    // whose prompts are being read
  std::vector<Job*> active;  // whose replies are being generated
  std::vector<Known> known;
  std::uint64_t clock = 0;
  bool running = false;

  Impl(const NativeOptions& o, ReplyCache& c)
      : options(o),
        cache(&c),
        generator(model::SubjectModel::load(o.folder, {o.device, o.dtype})),
        tokenizer(text::Tokenizer::load(o.folder)),
        chat(ChatTemplate::load(o.folder)),
        ends(ending_tokens(o.folder, tokenizer)) {
    const std::string& weights = generator.model().fingerprint();
    name = model_name(o.folder, weights);
    Hasher hash;
    for (const std::string& part : {weights, tokenizer.fingerprint(), chat.fingerprint(), o.dtype}) hash.add(part);
    fingerprint = hash.digest_hex();
  }

  std::uint32_t longest() const { return generator.model().config().max_context; }
  std::uint64_t tokens_that_fit() const { return options.memory_bytes / generator.bytes_per_token(); }

  Tokens encode(const std::string& prompt) const;
  std::string prepare(Job& job) const;
  bool has_room(const Job& job) const;
  void admit();
  void read_wave();
  void read_steps(const std::vector<ReadStep>& plan, std::span<const std::span<const TokenId>> texts,
                  std::span<Job* const> of_text, std::span<Known* const> known_of,
                  std::vector<model::TextState>& states);
  void keep(const std::vector<ReadStep>& plan, std::span<const std::span<const TokenId>> texts,
            std::span<Known* const> known_of, const std::vector<model::TextState>& states);
  std::vector<float> read(std::span<const model::Generator::Piece> pieces);
  void prompts_read(std::span<Job* const> done, const std::vector<float>& logits);
  void weigh_choices(std::span<Job* const> done, const std::vector<float>& logits);
  bool take_token(Job& job, std::span<const float> logits);
  void generate();
  void finish_text(Job& job);
  void finish_choice(Job& job);
  void fail(Job& job, std::string reason, bool refused = false);
  void settle(Job& job, Reply reply);
  void give_up();
};

Tokens NativeModel::Impl::encode(const std::string& prompt) const {
  Tokens tokens = tokenizer.encode(prompt);
  const std::optional<TokenId> bos = chat.is_plain() ? tokenizer.bos() : std::nullopt;
  if (bos) tokens.insert(tokens.begin(), *bos);
  return tokens;
}

/// Writes the prompt down as tokens, and the spellings of the choices. The reason why that cannot be; "" = it could.
std::string NativeModel::Impl::prepare(Job& job) const {
  std::size_t longest_end = job.chooses() ? 0 : 1;
  try {
    const std::string prompt = chat.render(job.request.messages);
    job.prompt = encode(prompt);
    job.spellings.clear();
    for (std::size_t i = 0; i < job.request.choices.size(); ++i) {
      for (const char* space : {"", " "}) {
        if ((job.request.per_token || !job.request.places.empty()) && *space != '\0') continue;
        Spelling spelling{i, encode(prompt + space + job.request.choices[i])};
        const bool is_new = std::none_of(job.spellings.begin(), job.spellings.end(), [&](const Spelling& other) {
          return other.choice == i && other.tokens == spelling.tokens;
        });
        if (is_new) job.spellings.push_back(std::move(spelling));
      }
    }
  } catch (const Error& e) {
    return e.what();
  }
  // A tokenizer may join the prompt's end with what follows: the prompt is what all spellings begin with.
  for (const Spelling& spelling : job.spellings) {
    const Tokens& whole = spelling.tokens;
    const auto differs = std::mismatch(job.prompt.begin(), job.prompt.end(), whole.begin(), whole.end()).first;
    job.prompt.erase(differs, job.prompt.end());
    if (job.prompt.size() >= whole.size()) job.prompt.resize(whole.empty() ? 0 : whole.size() - 1);
  }
  for (Spelling& spelling : job.spellings) {
    spelling.tokens.erase(spelling.tokens.begin(),
                          spelling.tokens.begin() + static_cast<std::ptrdiff_t>(job.prompt.size()));
    longest_end = std::max(longest_end, spelling.tokens.size());
  }
  if (job.prompt.empty()) return "the prompt has no tokens";
  if (job.prompt.size() + longest_end > longest())
    return fmt::format("the prompt has {} tokens{}, and the model's context is {}", job.prompt.size(),
                       job.chooses() ? fmt::format(" and {} to be read behind it", longest_end) : "", longest());
  const std::uint32_t vocabulary = generator.model().config().vocabulary;
  const auto is_strange = [&](TokenId id) { return to_index(id) >= vocabulary; };
  bool strange = std::any_of(job.prompt.begin(), job.prompt.end(), is_strange);
  for (const Spelling& s : job.spellings)
    strange = strange || std::any_of(s.tokens.begin(), s.tokens.end(), is_strange);
  if (!strange && !job.request.places.empty()) {
    if (job.spellings.size() != 1) return "places are of one choice";
    std::string reason = job.places.prepare(tokenizer, job.spellings.front().tokens, job.request);
    if (!reason.empty()) return reason;
  }
  if (strange) return fmt::format("the prompt has a token that is not below the model's vocabulary of {}", vocabulary);
  job.random = Random::for_purpose(job.request.seed, job.hash);
  return "";
}

/// Whether what the replies under way may come to leaves memory for this one. The first always fits.
bool NativeModel::Impl::has_room(const Job& job) const {
  if (job.chooses()) return true;
  std::uint64_t taken = 0;
  std::size_t replies = 0;
  for (const std::vector<Job*>* list : {&wave, &active}) {
    for (const Job* other : *list) {
      if (other->chooses()) continue;
      taken += other->prompt.size() + other->request.max_tokens;
      ++replies;
    }
  }
  if (replies == 0) return true;
  return replies < options.batch && taken + job.prompt.size() + job.request.max_tokens <= tokens_that_fit() / 2;
}

/// Takes from the queue what there is room for. What the cache knows, and what cannot be asked, is settled.
void NativeModel::Impl::admit() {
  while (!queue.empty() && wave.size() < kWave) {
    Job& job = *queue.front();
    std::optional<Reply> stored = cache->find(job.hash);
    if (stored && stored->ok() && (!job.chooses() || stored->probabilities.size() == job.probabilities())) {
      queue.pop_front();
      stored->from_cache = true;
      settle(job, *std::move(stored));
      continue;
    }
    if (job.prompt.empty()) {
      std::string reason = prepare(job);
      if (!reason.empty()) {
        queue.pop_front();
        fail(job, std::move(reason));
        continue;
      }
    }
    if (!has_room(job)) return;
    queue.pop_front();
    if (!job.chooses() && job.request.max_tokens == 0) {
      fail(job, "asks for a reply of 0 tokens");
      continue;
    }
    wave.push_back(&job);
  }
}

std::vector<float> NativeModel::Impl::read(std::span<const model::Generator::Piece> pieces) {
  std::vector<float> logits = model::to_host(generator.read(pieces));
  for (const model::Generator::Piece& piece : pieces) totals.computed_tokens += piece.tokens.size();
  return logits;
}

/// Reads the prompts of the wave, each shared beginning once.
void NativeModel::Impl::read_wave() {
  struct Entry {
    Tokens tokens;  // a copy: jobs end on the way
    Job* job = nullptr;
    Known* known = nullptr;
  };
  std::vector<Entry> entries;
  for (Job* job : wave) entries.push_back({job->prompt, job, nullptr});
  for (Known& k : known) entries.push_back({k.tokens, nullptr, &k});
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.tokens < b.tokens; });
  std::vector<std::span<const TokenId>> texts;
  std::vector<Job*> of_text;
  std::vector<Known*> known_of;
  std::vector<bool> is_known;
  for (const Entry& entry : entries) {
    texts.push_back(entry.tokens);
    of_text.push_back(entry.job);
    known_of.push_back(entry.known);
    is_known.push_back(entry.known != nullptr);
  }
  const std::vector<ReadStep> plan = plan_reading(texts, is_known, kWorthSharing);
  std::vector<model::TextState> states(plan.size());
  read_steps(plan, texts, of_text, known_of, states);
  keep(plan, texts, known_of, states);
}

void NativeModel::Impl::read_steps(const std::vector<ReadStep>& plan, std::span<const std::span<const TokenId>> texts,
                                   std::span<Job* const> of_text, std::span<Known* const> known_of,
                                   std::vector<model::TextState>& states) {
  std::uint32_t levels = 0;
  for (const ReadStep& step : plan) levels = std::max(levels, step.level + 1);
  for (std::uint32_t level = 0; level < levels; ++level) {
    std::deque<std::size_t> open;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (plan[i].level != level) continue;
      if (plan[i].is_known) {
        states[i] = known_of[plan[i].text]->state.first(plan[i].end);
        continue;
      }
      if (plan[i].parent != ReadStep::kNone) states[i] = states[plan[i].parent];
      open.push_back(i);
    }
    while (!open.empty()) {
      stop_if_interrupted();
      std::vector<model::Generator::Piece> pieces;
      std::vector<Job*> done;
      std::vector<std::size_t> emptied;
      std::size_t room = kRowsAtOnce;
      while (room > 0 && !open.empty()) {
        const std::size_t i = open.front();
        const ReadStep& step = plan[i];
        const std::uint32_t at = states[i].size();
        const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(step.end - at, room));
        const bool last = at + count == step.end;
        const bool scored = last && !step.shared;
        pieces.push_back({&states[i], texts[step.text].subspan(at, count), scored ? 1U : 0U});
        room -= count;
        if (scored) {
          done.push_back(of_text[step.text]);
          emptied.push_back(i);
        }
        if (!last) break;
        open.pop_front();
      }
      const std::vector<float> logits = read(pieces);
      for (std::size_t k = 0; k < done.size(); ++k) {
        done[k]->state = std::move(states[emptied[k]]);
        states[emptied[k]] = {};
      }
      prompts_read(done, logits);
    }
  }
}

/// Keeps what was shared, as far as a quarter of the memory goes; what was used longest ago goes first.
void NativeModel::Impl::keep(const std::vector<ReadStep>& plan, std::span<const std::span<const TokenId>> texts,
                             std::span<Known* const> known_of, const std::vector<model::TextState>& states) {
  ++clock;
  std::vector<Known> fresh;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (!plan[i].shared) continue;
    if (plan[i].is_known) {
      known_of[plan[i].text]->used = clock;
      if (plan[i].end == known_of[plan[i].text]->tokens.size()) continue;
    }
    const std::span<const TokenId> tokens = texts[plan[i].text].first(plan[i].end);
    fresh.push_back({Tokens(tokens.begin(), tokens.end()), states[i], plan[i].end - plan[i].begin, clock});
  }
  for (Known& k : fresh) known.push_back(std::move(k));
  std::stable_sort(known.begin(), known.end(), [](const Known& a, const Known& b) { return a.used > b.used; });
  std::uint64_t total = 0;
  std::size_t kept = 0;
  while (kept < known.size() && kept < kMostKnown && total + known[kept].own <= tokens_that_fit() / 4)
    total += known[kept++].own;
  known.erase(known.begin() + static_cast<std::ptrdiff_t>(kept), known.end());
}

/// Prompts whose last tokens were read. Shapes: logits [done, V].
void NativeModel::Impl::prompts_read(std::span<Job* const> done, const std::vector<float>& logits) {
  if (done.empty()) return;
  const std::size_t width = logits.size() / done.size();
  std::vector<Job*> choosing;
  std::vector<float> their_logits;
  std::vector<Job*> finished;
  for (std::size_t k = 0; k < done.size(); ++k) {
    const auto row = std::span(logits).subspan(k * width, width);
    std::erase(wave, done[k]);
    active.push_back(done[k]);
    if (done[k]->chooses()) {
      choosing.push_back(done[k]);
      their_logits.insert(their_logits.end(), row.begin(), row.end());
    } else if (take_token(*done[k], row)) {
      finished.push_back(done[k]);
    }
  }
  weigh_choices(choosing, their_logits);
  for (Job* job : choosing) finish_choice(*job);
  for (Job* job : finished) finish_text(*job);
}

/// Sets the spellings' log-probabilities. Shapes: logits [done, V], at the place of the spellings' first tokens.
void NativeModel::Impl::weigh_choices(std::span<Job* const> done, const std::vector<float>& logits) {
  if (done.empty()) return;
  const std::size_t width = logits.size() / done.size();
  std::vector<Spelling*> longer;
  std::vector<Job*> longer_of;
  std::vector<model::TextState> forks;
  for (std::size_t k = 0; k < done.size(); ++k) {
    const auto row = std::span(logits).subspan(k * width, width);
    const double all = log_sum(row);
    for (Spelling& s : done[k]->spellings) {
      s.log_probability = row[to_index(s.tokens.front())] - all;
      done[k]->places.weigh(0, row);
      if (s.tokens.size() < 2) continue;
      longer.push_back(&s);
      longer_of.push_back(done[k]);
      forks.push_back(done[k]->state);
    }
    done[k]->state = {};
  }
  if (longer.empty()) return;
  std::vector<model::Generator::Piece> pieces;
  for (std::size_t i = 0; i < longer.size(); ++i) {
    const auto head = std::span(longer[i]->tokens).first(longer[i]->tokens.size() - 1);
    pieces.push_back({&forks[i], head, static_cast<std::uint32_t>(head.size())});
  }
  const std::vector<float> rest = read(pieces);
  std::size_t at = 0;
  for (std::size_t i = 0; i < longer.size(); ++i) {
    Spelling& s = *longer[i];
    for (std::size_t t = 1; t < s.tokens.size(); ++t) {
      const auto row = std::span(rest).subspan(width * at++, width);
      s.log_probability += row[to_index(s.tokens[t])] - log_sum(row);
      longer_of[i]->places.weigh(t, row);
    }
  }
}

void NativeModel::Impl::finish_choice(Job& job) {
  Reply reply;
  double best = -std::numeric_limits<double>::infinity();
  for (const Spelling& s : job.spellings) best = std::max(best, s.log_probability);
  reply.probabilities.assign(job.request.choices.size(), 0.0);
  double total = 0.0;
  for (const Spelling& s : job.spellings) {
    const double p = std::exp(s.log_probability - best);
    reply.probabilities[s.choice] += p;
    total += p;
  }
  if (!std::isfinite(total) || total <= 0.0) {
    fail(job, "the model gives no probabilities: its logits are not finite");
    return;
  }
  for (double& p : reply.probabilities) p /= total;
  if (job.request.per_token) {
    for (const Spelling& s : job.spellings)
      reply.probabilities[s.choice] = std::exp(s.log_probability / static_cast<double>(s.tokens.size()));
  }
  if (!job.places.empty()) reply.probabilities = job.places.probabilities();
  const auto chosen = job.places.empty() ? std::max_element(reply.probabilities.begin(), reply.probabilities.end())
                                         : reply.probabilities.begin();
  totals.prompt_tokens += job.prompt.size();
  reply.text = job.request.choices[static_cast<std::size_t>(chosen - reply.probabilities.begin())];
  reply.prompt_tokens = static_cast<std::uint32_t>(job.prompt.size());
  settle(job, std::move(reply));
}

/// Adds the next token of a reply; whether that ends it.
bool NativeModel::Impl::take_token(Job& job, std::span<const float> logits) {
  const TokenId token = choose_token(logits, job.request.temperature, *job.random);
  if (ends.contains(token)) return true;
  job.reply.push_back(token);
  const std::size_t before = job.text.size();
  if (to_index(token) < tokenizer.vocabulary_size() && !tokenizer.is_special(token))
    job.text += tokenizer.token_bytes(token);
  std::vector<std::string> stops = job.request.stop;
  if (chat.is_plain()) stops.insert(stops.end(), {"\nUser:", "\nSystem:"});
  std::size_t cut = std::string::npos;
  for (const std::string& stop : stops) {
    if (stop.empty()) continue;
    cut = std::min(cut, job.text.find(stop, before - std::min(before, stop.size())));
  }
  if (cut != std::string::npos) {
    job.text.resize(cut);
    return true;
  }
  return job.reply.size() >= job.request.max_tokens || job.prompt.size() + job.reply.size() >= longest();
}

/// One token more for every reply under way.
void NativeModel::Impl::generate() {
  std::vector<model::Generator::Piece> pieces;
  const std::vector<Job*> all = active;
  pieces.reserve(all.size());
  for (Job* job : all) pieces.push_back({&job->state, std::span(job->reply).last(1)});
  const std::vector<float> logits = read(pieces);
  const std::size_t width = logits.size() / all.size();
  std::vector<Job*> finished;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (take_token(*all[i], std::span(logits).subspan(i * width, width))) finished.push_back(all[i]);
  }
  for (Job* job : finished) finish_text(*job);
}

void NativeModel::Impl::finish_text(Job& job) {
  totals.prompt_tokens += job.prompt.size();
  totals.completion_tokens += job.reply.size();
  if (job.text.find_first_not_of(" \t\r\n") == std::string::npos) {
    fail(job, "the reply has no content", true);
    return;
  }
  Reply reply;
  reply.text = replace_invalid_utf8(job.text);
  reply.prompt_tokens = static_cast<std::uint32_t>(job.prompt.size());
  reply.completion_tokens = static_cast<std::uint32_t>(job.reply.size());
  settle(job, std::move(reply));
}

void NativeModel::Impl::fail(Job& job, std::string reason, bool refused) {
  Reply reply;
  reply.failure = std::move(reason);
  reply.refused = refused;
  settle(job, std::move(reply));
}

/// Stores a reply, then tells those who wait. They may submit more, and may throw.
void NativeModel::Impl::settle(Job& job, Reply reply) {
  reply.hash = job.hash;
  std::erase(active, &job);
  const auto entry = jobs.find(job.hash);
  const std::unique_ptr<Job> owned = std::move(entry->second);
  jobs.erase(entry);
  if (reply.ok() && !reply.from_cache) {
    if (cache->keeps_prompts()) cache->put_prompt(reply.hash, owned->request);
    cache->put(reply);
  }
  for (const Callback& done : owned->waiting) {
    totals.count(reply);
    if (reply.from_cache) ++totals.cached;
    done(reply);
    if (reply.ok()) reply.from_cache = true;  // for whoever asked the same: computed once
  }
}

/// What was begun goes back to the queue, as if it had never been looked at.
void NativeModel::Impl::give_up() {
  for (std::vector<Job*>* list : {&wave, &active}) {
    for (auto job = list->rbegin(); job != list->rend(); ++job) {
      (*job)->state = {};
      (*job)->reply.clear();
      (*job)->text.clear();
      (*job)->prompt.clear();
      queue.push_front(*job);
    }
    list->clear();
  }
  running = false;
}

NativeModel::NativeModel(const NativeOptions& options, ReplyCache& cache) {
  if (options.batch < 1 || options.batch > 4096)
    throw Error(ErrorKind::usage, "native engine", fmt::format("a batch of {}, wanted 1 to 4096", options.batch));
  impl_ = std::make_unique<Impl>(options, cache);
}

NativeModel::~NativeModel() = default;

const std::string& NativeModel::model() const { return impl_->name; }

void NativeModel::submit(const Request& request, Callback done) {
  Hasher hasher;
  hasher.add("native");
  hasher.add(impl_->fingerprint);
  hasher.add(canonical(request));
  std::string hash = hasher.digest_hex();
  ++impl_->totals.requests;
  std::unique_ptr<Job>& job = impl_->jobs[hash];
  if (!job) {
    job = std::make_unique<Job>();
    job->request = request;
    job->hash = std::move(hash);
    impl_->queue.push_back(job.get());
  }
  job->waiting.push_back(std::move(done));
}

void NativeModel::run() {
  Impl& m = *impl_;
  if (m.running) throw std::logic_error("llm::NativeModel::run() called from a callback of run()");
  m.running = true;
  const std::unique_ptr<Impl, decltype([](Impl* i) { i->give_up(); })> at_end(&m);
  for (;;) {
    if (interrupted())
      throw Error(ErrorKind::interrupted, "", "interrupted",
                  "the same command goes on from here: what was answered is kept");
    m.admit();
    if (!m.wave.empty()) m.read_wave();
    if (m.active.empty() && m.queue.empty()) return;
    if (!m.active.empty()) m.generate();
  }
}

Totals NativeModel::totals() const { return impl_->totals; }

}  // namespace gloss::llm
