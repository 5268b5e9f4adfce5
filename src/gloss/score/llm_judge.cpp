#include "gloss/score/llm_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/examples/token_window.h"

namespace gloss::score {
namespace {

/// What the reply to `count` windows must be. Source: JSON Schema, in the part that OpenAI's structured outputs take.
std::string schema_of(std::size_t count) {
  return fmt::format(
      R"({{"type":"object","properties":{{"answers":{{"type":"array","items":{{"type":"integer","enum":[0,1]}},)"
      R"("minItems":{},"maxItems":{}}}}},"required":["answers"],"additionalProperties":false}})",
      count, count);
}

/// Added when a window is asked about again, so that the question differs from the one that was answered badly.
constexpr std::string_view kReminder = "\nReply with the JSON array alone: [0] or [1].";

/// What is filled into a prompt: `windows` and perhaps their count, or one `window`; marks for fuzz.
std::vector<std::string> places(Scorer scorer, bool one) {
  std::vector<std::string> names = {"explanation", one ? "window" : "windows"};
  if (!one) names.emplace_back("?count");
  if (scorer == Scorer::fuzz) names.insert(names.end(), {"?open", "?close"});
  return names;
}

llm::PromptTemplate load_prompt(Scorer scorer, const LlmJudgeOptions& options) {
  const std::string name = std::string(name_of(scorer)) + (options.by_probability ? "_one" : "");
  return llm::PromptTemplate::load(name, options.prompts, places(scorer, options.by_probability));
}

bool shows_no_marks(Scorer scorer) { return scorer == Scorer::detection || scorer == Scorer::neighbours; }

Judgement unanswered(const Question& question) {
  Judgement j;
  j.start = question.window.start;
  j.kind = question.window.kind;
  j.quantile = question.window.quantile;
  j.truth = question.truth;
  return j;
}

/// The items between a pair of brackets; none when one is not an answer or their number is not `count`.
std::optional<std::vector<bool>> parse_items(std::string_view inside, std::size_t count) {
  std::vector<bool> answers;
  for (std::size_t at = 0; at <= inside.size();) {
    const std::size_t end = std::min(inside.find(',', at), inside.size());
    std::string_view item = inside.substr(at, end - at);
    item.remove_prefix(std::min(item.find_first_not_of(" \t\r\n"), item.size()));
    item = item.substr(0, item.find_last_not_of(" \t\r\n") + 1);
    const bool yes = item == "1" || item == "true";
    if (!yes && item != "0" && item != "false") return std::nullopt;
    if (answers.size() == count) return std::nullopt;
    answers.push_back(yes);
    at = end + 1;
  }
  if (answers.size() != count) return std::nullopt;
  return answers;
}

}  // namespace

/// One submission: a latent's questions and what is known of them so far.
struct LlmJudge::Case {
  Scorer scorer;
  std::string explanation;
  LatentId latent{};
  std::vector<Question> questions;
  std::vector<Judgement> judgements;  // in the order of the questions
  std::size_t open = 0;               // questions without a final verdict
  Done done;
};

std::optional<std::vector<bool>> parse_answers(std::string_view reply, std::size_t count) {
  std::optional<std::vector<bool>> last;
  std::size_t open = std::string_view::npos;
  for (std::size_t at = 0; at < reply.size(); ++at) {
    if (reply[at] == '[') open = at;
    if (reply[at] != ']' || open == std::string_view::npos) continue;
    if (auto answers = parse_items(reply.substr(open + 1, at - open - 1), count)) last = std::move(answers);
    open = std::string_view::npos;
  }
  return last;
}

LlmJudge::LlmJudge(llm::LanguageModel& client, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                   LlmJudgeOptions options)
    : ModelJudge(client),
      tokenizer_(tokenizer),
      tokens_(tokens),
      options_(std::move(options)),
      detection_(load_prompt(Scorer::detection, options_)),
      fuzz_(load_prompt(Scorer::fuzz, options_)),
      choice_(client, tokenizer, tokens, options_.prompts, options_.choose_by_probability) {
  if (options_.per_prompt < 1 || options_.per_prompt > 20) {
    throw Error(ErrorKind::usage, "LLM judge",
                fmt::format("{} windows per prompt, wanted 1 to 20", options_.per_prompt));
  }
}

std::string LlmJudge::fingerprint() const {
  Hasher hash;
  hash.add(detection_.fingerprint());
  hash.add(fuzz_.fingerprint());
  hash.add(options_.by_probability
               ? std::string("by probability")
               : fmt::format("per_prompt {} max_tokens {}", options_.per_prompt, options_.max_tokens));
  if (options_.by_schema) hash.add("by schema");
  return hash.digest_hex();
}

void LlmJudge::submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                      Done done) {
  if (!explanation.ok()) throw std::logic_error("LlmJudge::submit: a failed explanation is not scored");
  if (is_choice(scorer)) {
    choice_.submit(scorer, explanation, std::move(questions), std::move(done));
    return;
  }
  auto asked = std::make_shared<Case>();
  asked->scorer = scorer;
  asked->explanation = explanation.text;
  asked->latent = explanation.latent;
  asked->questions = std::move(questions);
  asked->open = asked->questions.size();
  asked->done = std::move(done);
  for (const Question& question : asked->questions) asked->judgements.push_back(unanswered(question));
  if (asked->open == 0) {
    asked->done({});
    return;
  }
  const std::size_t per_prompt = options_.by_probability ? 1 : options_.per_prompt;
  for (std::size_t first = 0; first < asked->questions.size(); first += per_prompt) {
    ask(asked, first, std::min<std::size_t>(per_prompt, asked->questions.size() - first), false);
  }
}

std::vector<std::string> LlmJudge::texts(const Case& asked, std::size_t first, std::size_t count,
                                         const explain::Delimiters& pair) const {
  std::vector<std::string> shown;
  for (std::size_t i = first; i < first + count; ++i) {
    const Question& question = asked.questions[i];
    const auto ids = examples::window_tokens(tokens_, question.window);
    shown.push_back(!shows_no_marks(asked.scorer)
                        ? examples::marked_text(tokenizer_, ids, question.marked, pair.open, pair.close)
                        : examples::plain_text(tokenizer_, ids));
  }
  return shown;
}

std::vector<llm::Message> LlmJudge::messages(const Case& asked, std::size_t first, std::size_t count) const {
  const auto fill = [&](const llm::PromptTemplate& prompt, const explain::Delimiters& pair) {
    const std::vector<std::string> shown = texts(asked, first, count, pair);
    return prompt.fill({{"explanation", llm::as_json_string(asked.explanation)},
                        {"windows", llm::numbered(shown)},
                        {"window", llm::as_json_string(shown.front())},
                        {"count", std::to_string(count)},
                        {"open", pair.open},
                        {"close", pair.close}});
  };
  if (shows_no_marks(asked.scorer)) return fill(detection_, {});
  const explain::Delimiters pair = explain::choose_delimiters([&](const explain::Delimiters& candidate) {
    if (explain::is_ambiguous(asked.explanation, candidate, 0)) return true;
    const std::vector<std::string> shown = texts(asked, first, count, candidate);
    for (std::size_t i = 0; i < count; ++i) {
      const auto ids = examples::window_tokens(tokens_, asked.questions[first + i].window);
      const std::size_t runs = explain::count_runs(shown[i], examples::plain_text(tokenizer_, ids), candidate);
      if (explain::is_ambiguous(shown[i], candidate, runs)) return true;
    }
    return false;
  });
  return fill(fuzz_, pair);
}

void LlmJudge::ask(const std::shared_ptr<Case>& asked, std::size_t first, std::size_t count, bool again) {
  llm::Request request;
  request.latent = static_cast<std::int64_t>(to_index(asked->latent));
  request.messages = messages(*asked, first, count);
  if (again) request.messages.back().content += kReminder;
  request.max_tokens = options_.max_tokens;
  if (options_.by_probability) {
    request.max_tokens = 1;
    request.choices = {"0", "1"};
    model().submit(request, [this, asked, first](const llm::Reply& reply) { take_probability(asked, first, reply); });
    return;
  }
  if (options_.by_schema) request.schema = schema_of(count);
  model().submit(request, [this, asked, first, count, again](const llm::Reply& reply) {
    take(asked, first, count, again, reply);
  });
}

void LlmJudge::take_probability(const std::shared_ptr<Case>& asked, std::size_t index, const llm::Reply& reply) {
  Judgement& judgement = asked->judgements[index];
  judgement.call_hash = reply.hash;
  if (reply.ok() && reply.probabilities.size() == 2) {
    judgement.probability = static_cast<float>(reply.probabilities[1]);
    judgement.verdict = judgement.probability >= 0.5F ? Verdict::yes : Verdict::no;
  }
  if (--asked->open == 0) asked->done(std::move(asked->judgements));
}

void LlmJudge::take(const std::shared_ptr<Case>& asked, std::size_t first, std::size_t count, bool again,
                    const llm::Reply& reply) {
  const auto answers = reply.ok() ? parse_answers(reply.text, count) : std::nullopt;
  const bool unreadable = !answers && (reply.ok() || reply.refused);
  if (unreadable && !again) {
    for (std::size_t i = first; i < first + count; ++i) ask(asked, i, 1, true);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    Judgement& judgement = asked->judgements[first + i];
    judgement.call_hash = reply.hash;
    if (answers) judgement.verdict = (*answers)[i] ? Verdict::yes : Verdict::no;
  }
  asked->open -= count;
  if (asked->open == 0) asked->done(std::move(asked->judgements));
}

}  // namespace gloss::score
