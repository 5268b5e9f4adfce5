#include "gloss/score/llm_choice.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "gloss/base/hash.h"
#include "gloss/examples/token_window.h"
#include "gloss/score/choice_questions.h"

namespace gloss::score {
namespace {

constexpr std::uint32_t kMostTokens = 256;
constexpr std::string_view kReminder = "\nReply with the number in brackets alone.";

llm::PromptTemplate load_prompt(std::string_view name, const std::filesystem::path& folder,
                                std::vector<std::string> places) {
  places.insert(places.end(), {"windows", "?count", "?open", "?close"});
  return llm::PromptTemplate::load(name, folder, places);
}

Judgement unanswered(const Question& q) {
  Judgement j;
  j.start = q.window.start;
  j.kind = q.window.kind;
  j.quantile = q.window.quantile;
  j.truth = q.truth;
  return j;
}

}  // namespace

struct LlmChoice::Case {
  Scorer scorer;
  explain::Explanation explanation;
  std::vector<Question> questions;
  std::vector<Judgement> judgements;  // in the order of the questions
  std::size_t open = 0;
  Judge::Done done;
};

std::optional<std::size_t> parse_choice(std::string_view reply, std::size_t count) {
  std::optional<std::size_t> last;
  for (std::size_t at = reply.find('['); at != std::string_view::npos; at = reply.find('[', at + 1)) {
    std::size_t number = 0;
    const char* end = reply.data() + reply.size();
    const auto [stop, error] = std::from_chars(reply.data() + at + 1, end, number);
    if (error == std::errc() && stop != end && *stop == ']' && number >= 1 && number <= count) last = number;
  }
  return last;
}

LlmChoice::LlmChoice(llm::LanguageModel& model, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                     const std::filesystem::path& prompts, bool by_probability)
    : model_(&model),
      tokenizer_(tokenizer),
      tokens_(tokens),
      by_probability_(by_probability),
      intruder_(load_prompt("intruder", prompts, {})),
      forced_choice_(load_prompt("forced_choice", prompts, {"descriptions", "?choices"})) {}

const llm::PromptTemplate& LlmChoice::prompt(Scorer scorer) const {
  return scorer == Scorer::intruder ? intruder_ : forced_choice_;
}

std::string LlmChoice::fingerprint(Scorer scorer) const {
  Hasher hash;
  hash.add(prompt(scorer).fingerprint());
  hash.add(by_probability_ ? "by probability" : "in words");
  return hash.digest_hex();
}

void LlmChoice::submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                       Judge::Done done) {
  auto asked = std::make_shared<Case>(Case{scorer, explanation, std::move(questions), {}, 0, std::move(done)});
  asked->open = asked->questions.size();
  for (const Question& q : asked->questions) asked->judgements.push_back(unanswered(q));
  if (asked->open == 0) {
    asked->done({});
    return;
  }
  for (std::size_t i = 0; i < asked->questions.size(); ++i) ask(asked, i, false);
}

std::vector<llm::Message> LlmChoice::messages(const Case& asked, std::size_t index) const {
  const Question& q = asked.questions[index];
  const std::vector<const examples::Window*> windows = windows_shown(asked.scorer, q);
  const std::vector<const std::vector<bool>*> marks = marks_shown(asked.scorer, q);
  std::vector<std::string> descriptions;
  if (asked.scorer == Scorer::forced_choice) {
    for (const explain::Explanation* e : explanations_shown(q, asked.explanation)) descriptions.push_back(e->text);
  }
  const auto texts = [&](const explain::Delimiters& pair) {
    std::vector<std::string> shown;
    for (std::size_t i = 0; i < windows.size(); ++i)
      shown.push_back(examples::marked_text(tokenizer_, examples::window_tokens(tokens_, *windows[i]), *marks[i],
                                            pair.open, pair.close));
    return shown;
  };
  const explain::Delimiters pair = explain::choose_delimiters([&](const explain::Delimiters& candidate) {
    const std::vector<std::string> shown = texts(candidate);
    for (std::size_t i = 0; i < shown.size(); ++i) {
      const std::string plain = examples::plain_text(tokenizer_, examples::window_tokens(tokens_, *windows[i]));
      if (explain::is_ambiguous(shown[i], candidate, explain::count_runs(shown[i], plain, candidate))) return true;
    }
    return std::any_of(descriptions.begin(), descriptions.end(),
                       [&](const std::string& text) { return explain::is_ambiguous(text, candidate, 0); });
  });
  return prompt(asked.scorer)
      .fill({{"windows", llm::numbered(texts(pair))},
             {"count", std::to_string(windows.size())},
             {"descriptions", llm::numbered(descriptions)},
             {"choices", std::to_string(descriptions.size())},
             {"open", pair.open},
             {"close", pair.close}});
}

void LlmChoice::ask(const std::shared_ptr<Case>& asked, std::size_t index, bool again) {
  llm::Request request;
  request.messages = messages(*asked, index);
  if (again) request.messages.back().content += kReminder;
  request.max_tokens = kMostTokens;
  if (by_probability_) {
    request.max_tokens = 1;
    const std::size_t count = answers_of(asked->scorer, asked->questions[index]);
    for (std::size_t i = 1; i <= count; ++i) request.choices.push_back("[" + std::to_string(i) + "]");
  }
  model_->submit(request, [this, asked, index, again](const llm::Reply& reply) { take(asked, index, again, reply); });
}

void LlmChoice::take(const std::shared_ptr<Case>& asked, std::size_t index, bool again, const llm::Reply& reply) {
  const Question& q = asked->questions[index];
  const std::size_t count = answers_of(asked->scorer, q);
  std::optional<std::size_t> answer;
  if (reply.ok()) answer = parse_choice(reply.text, count);
  if (!answer && !again && !by_probability_ && (reply.ok() || reply.refused)) {
    ask(asked, index, true);
    return;
  }
  Judgement& judgement = asked->judgements[index];
  judgement.call_hash = reply.hash;
  if (answer) judgement.verdict = *answer == q.place + 1 ? Verdict::yes : Verdict::no;
  if (answer && reply.probabilities.size() == count)
    judgement.probability = static_cast<float>(reply.probabilities[q.place]);
  if (--asked->open == 0) asked->done(std::move(asked->judgements));
}

}  // namespace gloss::score
