// What people judge and explain themselves.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "gloss/base/random.h"
#include "gloss/base/utf8.h"
#include "gloss/dashboard/routes.h"
#include "gloss/formats/json_file.h"
#include "gloss/score/baselines.h"
#include "gloss/score/kappa.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostQuestions = 100;
constexpr std::size_t kLongestName = 40;
constexpr std::size_t kLongestText = 2000;
constexpr std::uint64_t kAgreementSeed = 1;
/// Setting of the store: the latents that people judged, as [[hookpoint, latent], ...].
constexpr const char* kJudgedKey = "judged-by-people";

/// Which questions: all of it is in the quiz's id, so that nothing needs to be kept between asking and answering.
struct Quiz {
  std::string scorer;
  std::uint64_t count = 0, seed = 0;
  std::string id() const { return fmt::format("{}.{}.{}", scorer, count, seed); }
};

Fault bad_body(const std::string& found, const std::string& wanted, const std::string& where) {
  return {400, found, wanted, where};
}

void check_scorer(const std::string& scorer) {
  if (scorer != "detection" && scorer != "fuzz")
    throw bad_body(fmt::format("'{}'", scorer), "detection or fuzz", "scorer");
}

Quiz parse_id(const std::string& id) {
  Quiz quiz;
  const std::size_t first = id.find('.');
  const std::size_t second = first == std::string::npos ? first : id.find('.', first + 1);
  const char* end = id.data() + id.size();
  if (second == std::string::npos ||
      std::from_chars(id.data() + first + 1, id.data() + second, quiz.count) !=
          std::from_chars_result{id.data() + second, std::errc()} ||
      std::from_chars(id.data() + second + 1, end, quiz.seed) != std::from_chars_result{end, std::errc()} ||
      quiz.count == 0 || quiz.count > kMostQuestions)
    throw bad_body("no id of a quiz", "the id that /quiz gave", "id");
  quiz.scorer = id.substr(0, first);
  check_scorer(quiz.scorer);
  return quiz;
}

/// Half of them with the answer yes, as far as there are; in random order. Requires: the run's lock.
std::vector<score::Question> questions_of(const Run& run, const Place& place, const Quiz& quiz) {
  if (!run.input().examples) throw Fault(409, "nothing was explained yet", "", "", "gloss explain comes first");
  const examples::LatentExamples examples = run.input().examples(place.name, place.latent);
  std::vector<score::Question> sides[2];
  for (score::Question& q :
       score::make_questions(score::parse_scorer(quiz.scorer), place.name, examples, run.input().questions))
    sides[q.truth ? 1 : 0].push_back(std::move(q));
  Random random = Random::for_latent(quiz.seed, place.name, place.latent, "quiz");
  for (std::vector<score::Question>& side : sides) random.shuffle(std::span(side));
  std::vector<score::Question> chosen;
  const std::size_t yes =
      std::min(sides[1].size(), std::max(quiz.count / 2, quiz.count - std::min(quiz.count, sides[0].size())));
  const std::size_t no = std::min(sides[0].size(), quiz.count - yes);
  std::move(sides[1].begin(), sides[1].begin() + static_cast<std::ptrdiff_t>(yes), std::back_inserter(chosen));
  std::move(sides[0].begin(), sides[0].begin() + static_cast<std::ptrdiff_t>(no), std::back_inserter(chosen));
  random.shuffle(std::span(chosen));
  return chosen;
}

std::string text_field(const Json& body, const char* name, std::size_t longest) {
  const auto at = body.find(name);
  if (at == body.end() || !at->is_string()) throw bad_body("no text", "a text", name);
  const auto& text = at->get_ref<const std::string&>();
  if (text.find_first_not_of(" \t\n") == std::string::npos || text.size() > longest)
    throw bad_body(fmt::format("{} bytes", text.size()), fmt::format("1 to {}, and not spaces alone", longest), name);
  return text;
}

/// "person:NAME".
std::string person_of(const Json& body) {
  const std::string name = text_field(body, "person", kLongestName);
  const bool plain = std::none_of(name.begin(), name.end(),
                                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == ':'; });
  if (!plain) throw bad_body("a name with control characters or a colon", "a plain name", "person");
  return "person:" + name;
}

Json judged_latents(const store::Store& store) {
  const std::optional<std::string> kept = store.setting(kJudgedKey);
  return kept ? formats::parse_json(*kept, "results.db: setting 'judged-by-people'") : Json::array();
}

/// The answered questions, over what the same person said of the same latent before.
std::vector<score::Judgement> joined(std::vector<score::Judgement> before,
                                     const std::vector<score::Question>& questions, const Json& answers) {
  std::map<std::pair<std::uint32_t, examples::WindowKind>, score::Judgement> all;
  for (score::Judgement& j : before) all[{j.start, j.kind}] = std::move(j);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (answers[i].is_null()) continue;
    const score::Question& q = questions[i];
    score::Judgement j;
    j.start = q.window.start;
    j.kind = q.window.kind;
    j.quantile = q.window.quantile;
    j.truth = q.truth;
    j.verdict = answers[i].get<bool>() ? score::Verdict::yes : score::Verdict::no;
    all[{j.start, j.kind}] = j;
  }
  std::vector<score::Judgement> result;
  result.reserve(all.size());
  for (auto& [key, j] : all) result.push_back(std::move(j));
  return result;
}

void check_answers(const Json& answers, std::size_t wanted) {
  const bool good =
      answers.is_array() && answers.size() == wanted &&
      std::all_of(answers.begin(), answers.end(), [](const Json& a) { return a.is_boolean() || a.is_null(); });
  if (!good) throw bad_body("other answers", fmt::format("{} of true, false or null", wanted), "answers");
  if (std::all_of(answers.begin(), answers.end(), [](const Json& a) { return a.is_null(); }))
    throw bad_body("no answer", "at least one of true or false", "answers");
}

}  // namespace

Json parse_body(const Request& request) {
  Json body = Json::parse(request.body, nullptr, false);
  if (!body.is_object()) throw bad_body("a body that is no JSON object", "a JSON object", "the body");
  return body;
}

Json quiz_json(const Run& run, const Place& place, const Target& target) {
  Quiz quiz;
  quiz.scorer = target.text("scorer").empty() ? "detection" : target.text("scorer");
  check_scorer(quiz.scorer);
  quiz.count = target.number("count", 20, 1, kMostQuestions);
  quiz.seed = target.number("seed", 1, 0, ~std::uint64_t{0});
  const std::string explainer = target.text("explainer");
  const auto lock = run.lock();
  Json windows = Json::array();
  for (const score::Question& q : questions_of(run, place, quiz)) {
    // Blind: neither activations nor what is right.
    const std::vector<float> silent(q.window.activation.size(), 0.0F);
    const bool marks = quiz.scorer == "fuzz";
    windows.push_back({{"tokens", tokens_json(run, q.window.start, silent, marks ? q.marked : std::vector<bool>())}});
  }
  if (windows.empty()) throw Fault(409, "too few windows for a quiz", "a latent that fires more often");
  Json json{{"id", quiz.id()}, {"windows", std::move(windows)}};
  if (!explainer.empty()) {
    const auto row = run.store().explanation(place.name, place.latent, explainer);
    if (!row || !row->explanation.ok()) throw Fault(404, fmt::format("no explanation by '{}'", explainer));
    json["explanation"] = row->explanation.text;
  }
  return json;
}

Json answer_quiz(Run& run, const Place& place, const Json& body) {
  const std::string judge = person_of(body);
  const std::string explainer = text_field(body, "explainer", 200);
  const Quiz quiz = parse_id(text_field(body, "id", 200));
  if (body.contains("scorer") && body["scorer"] != quiz.scorer)
    throw bad_body("another scorer than the quiz's", quiz.scorer, "scorer");
  const auto lock = run.lock();
  store::Store& store = run.store();
  const auto row = store.explanation(place.name, place.latent, explainer);
  if (!row || !row->explanation.ok()) throw Fault(404, fmt::format("no explanation by '{}'", explainer));
  const std::vector<score::Question> questions = questions_of(run, place, quiz);
  const Json answers = body.value("answers", Json());
  check_answers(answers, questions.size());
  const std::vector<score::Judgement> judgements =
      joined(store.judgements(place.name, place.latent, explainer, quiz.scorer, judge), questions, answers);
  const score::LatentScore score = score::summarize(place.latent, judgements, run.input().questions.quantiles);
  store::Store::Transaction transaction(store);
  store.put_score({place.name, explainer, quiz.scorer, judge, score}, judgements);
  Json judged = judged_latents(store);
  const Json own = {place.name, to_index(place.latent)};
  if (std::find(judged.begin(), judged.end(), own) == judged.end()) judged.push_back(own);
  store.put_setting(kJudgedKey, judged.dump());
  transaction.commit();
  std::size_t right = 0;
  std::size_t answered = 0;
  Json truth = Json::array();
  for (std::size_t i = 0; i < questions.size(); ++i) {
    truth.push_back(questions[i].truth);
    if (answers[i].is_null()) continue;
    ++answered;
    right += answers[i].get<bool>() == questions[i].truth ? 1U : 0U;
  }
  const score::Interval value = score::headline(quiz.scorer, score).value;
  return {{"judge", judge},
          {"right", right},
          {"answered", answered},
          {"score", {{"value", number(value.value)}, {"low", number(value.low)}, {"high", number(value.high)}}},
          {"truth", std::move(truth)}};
}

Json explain_json(Run& run, const Place& place, const Json& body) {
  const std::string explainer = person_of(body);
  const std::string text = text_field(body, "text", kLongestText);
  // Scorers draw their windows by settings that explaining keeps.
  if (!run.input().examples) throw Fault(409, "nothing was explained yet", "", "", "gloss explain comes first");
  {
    const auto lock = run.lock();
    run.store().put_explanation({place.name, explainer, {place.latent, text, "", "", ""}});
  }
  run.table().add_explanation(explainer, place.row, text);
  return {{"explainer", explainer}};
}

Json agreement_json(const Run& run) {
  struct Pair {
    std::string scorer, explainer, person, judge;
    bool operator<(const Pair& other) const {
      return std::tie(scorer, explainer, person, judge) <
             std::tie(other.scorer, other.explainer, other.person, other.judge);
    }
  };
  std::map<Pair, std::vector<score::YesNo>> pairs;
  const auto lock = run.lock();
  const store::Store& store = run.store();
  for (const Json& own : judged_latents(store)) {
    const auto hookpoint = own.at(0).get<std::string>();
    const LatentId latent{own.at(1).get<std::uint32_t>()};
    const std::vector<store::ScoreRow> rows = store.scores_of(hookpoint, latent);
    for (const store::ScoreRow& a : rows) {
      if (!a.judge.starts_with("person:")) continue;
      const auto of_a = store.judgements(hookpoint, latent, a.explainer, a.scorer, a.judge);
      for (const store::ScoreRow& b : rows) {
        if (b.explainer != a.explainer || b.scorer != a.scorer || b.judge == a.judge) continue;
        if (b.judge.starts_with("person:") && b.judge < a.judge) continue;  // two people once
        const score::YesNo table =
            score::match_verdicts(of_a, store.judgements(hookpoint, latent, b.explainer, b.scorer, b.judge));
        if (table.windows() > 0) pairs[{a.scorer, a.explainer, a.judge, b.judge}].push_back(table);
      }
    }
  }
  Json all = Json::array();
  for (const auto& [pair, tables] : pairs) {
    std::uint64_t windows = 0;
    std::uint64_t agreed = 0;
    for (const score::YesNo& table : tables) {
      windows += table.windows();
      agreed += table.agreed();
    }
    const score::Interval k = score::kappa(tables, kAgreementSeed);
    all.push_back({{"scorer", pair.scorer},
                   {"explainer", pair.explainer},
                   {"person", pair.person},
                   {"judge", pair.judge},
                   {"latents", tables.size()},
                   {"n", windows},
                   {"agree", agreed},
                   {"kappa", number(k.value)},
                   {"low", number(k.low)},
                   {"high", number(k.high)}});
  }
  return all;
}

}  // namespace gloss::dashboard
