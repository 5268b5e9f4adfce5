#include "gloss/dashboard/api.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/dashboard/routes.h"
#include "gloss/report/page.h"

namespace gloss::dashboard {

/// The page's files, compiled in; "" for an unknown name.
std::string_view asset(std::string_view file_name);

namespace {

using Json = nlohmann::json;

/// Of a gloss::Error: its kind as a status, its message, and its hint apart.
Response error_response(const Error& error) {
  const std::string text = error.what();
  constexpr std::string_view kHint = "\nhint: ";
  const std::size_t hint = text.find(kHint);
  const int status = error.kind() == ErrorKind::usage ? 400 : error.kind() == ErrorKind::bad_input ? 422 : 500;
  return fault_response(
      Fault(status, text.substr(0, hint), "", "", hint == std::string::npos ? "" : text.substr(hint + kHint.size())));
}

constexpr int kSoonMs = 2000;    // while something goes on
constexpr int kLaterMs = 10000;  // otherwise

/// One server-sent event, after which the answer ends: the browser asks again when it is told to, so that no connection
/// and no thread waits for what may never come. Source: WHATWG HTML, "Server-sent events".
Response event_response(const Json& json) {
  const bool soon = !json.at("jobs").empty() || json.at("changed") == true;
  return {200,
          "text/event-stream",
          fmt::format("retry: {}\ndata: {}\n\n", soon ? kSoonMs : kLaterMs, json_response(200, json).body),
          {}};
}

struct File {
  std::string_view name, type;
};
constexpr std::array<File, 4> kFiles{{{"index.html", "text/html; charset=utf-8"},
                                      {"page.js", "text/javascript; charset=utf-8"},
                                      {"page.css", "text/css; charset=utf-8"},
                                      {"figures.js", "text/javascript; charset=utf-8"}}};

/// Only files of the table: a name that a request gives is compared, never opened.
Response file_response(std::string_view name) {
  for (const File& file : kFiles) {
    if (file.name != name) continue;
    const std::string_view text = name == "figures.js" ? report::asset(name) : asset(name);
    if (!text.empty()) return {200, std::string(file.type), std::string(text), {}};
  }
  throw Fault(404, "no such file");
}

}  // namespace

struct Api::State {
  using Runs = std::vector<std::shared_ptr<Run>>;

  ApiOptions options;
  Figures figures;
  Latest latest;
  std::mutex model;   // one question to it at a time
  std::mutex reopen;  // one run is opened anew at a time

  /// What a route's `*` stand for, in order.
  struct Call {
    const Request& request;
    const Target& target;
    Runs runs;  // as they were when the request came
    std::vector<std::string_view> names;
  };
  using Handler = Json (*)(State&, const Call&);
  struct Route {
    std::string_view method;
    std::vector<std::string_view> path;
    Handler handler;
    bool changes = false;  // refused where the run may only be read
    bool event = false;    // told as a server-sent event
  };
  static const std::vector<Route>& routes();

  Runs all_runs() const {
    const std::lock_guard lock(runs_mutex);
    return runs;
  }
  static Run& run(const Call& call) { return *call.runs[number_of(call.names.front(), call.runs)]; }
  /// The run that `other` names; without it the same.
  static const Run& other(const Call& call) {
    const std::string name = call.target.text("other");
    return name.empty() ? run(call) : *call.runs[number_of(name, call.runs)];
  }
  /// Errors: Fault 404.
  static std::size_t number_of(std::string_view name, const Runs& runs) {
    std::size_t number = 0;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data(), end, number) != std::from_chars_result{end, std::errc()} || number >= runs.size())
      throw Fault(404, fmt::format("run '{}'", name), fmt::format("a number below {}", runs.size()));
    return number;
  }
  Json session() const {
    return {{"version", options.version},
            {"read_only", options.access.read_only},
            {"csrf", options.access.page_secret},
            {"can",
             {{"text", bool(options.model.read)},
              {"steer", bool(options.model.steer)},
              {"judge", !options.access.read_only}}}};
  }
  /// The run that a body names by number; the first without one.
  static std::size_t run_of(const Json& body, const Runs& runs) {
    const std::uint64_t run =
        body.contains("run") && body["run"].is_number_unsigned() ? body["run"].get<std::uint64_t>() : 0;
    if (run >= runs.size()) throw Fault(404, fmt::format("run {}", run), fmt::format("a number below {}", runs.size()));
    return run;
  }
  Json text(const Call& call);
  Json steer(const Call& call);
  Json events(const Call& call) const;
  Json reload(const Call& call);
  Response answer(const Request& request);
  Response route(const Request& request, const Target& target);

  mutable std::mutex runs_mutex;
  Runs runs;  // guarded by it; a request works on those that were there when it came
};

const std::vector<Api::State::Route>& Api::State::routes() {
  static const std::vector<Route> table = {
      {"GET", {"session"}, [](State& s, const Call&) { return s.session(); }},
      {"GET",
       {"runs"},
       [](State&, const Call& c) {
         Json all = Json::array();
         for (std::size_t i = 0; i < c.runs.size(); ++i) all.push_back(run_json(*c.runs[i], i));
         return all;
       }},
      {"GET", {"events"}, [](State& s, const Call& c) { return s.events(c); }, false, true},
      {"POST", {"runs", "*", "reload"}, [](State& s, const Call& c) { return s.reload(c); }},
      {"GET", {"runs", "*", "latents"}, [](State& s, const Call& c) { return latents_json(s.run(c), c.target); }},
      {"GET", {"runs", "*", "histograms"}, [](State& s, const Call& c) { return histograms_json(s.run(c), c.target); }},
      {"GET", {"runs", "*", "random"}, [](State& s, const Call& c) { return random_json(s.run(c), c.target); }},
      {"GET",
       {"runs", "*", "latents", "*", "*"},
       [](State& s, const Call& c) { return latent_json(s.run(c), place_of(s.run(c), c.names[1], c.names[2])); }},
      {"GET",
       {"runs", "*", "latents", "*", "*", "windows"},
       [](State& s, const Call& c) {
         return windows_json(s.run(c), place_of(s.run(c), c.names[1], c.names[2]), c.target);
       }},
      {"GET",
       {"runs", "*", "latents", "*", "*", "judgements"},
       [](State& s, const Call& c) {
         return judgements_json(s.run(c), place_of(s.run(c), c.names[1], c.names[2]), c.target);
       }},
      {"GET", {"runs", "*", "calls"}, [](State& s, const Call& c) { return calls_json(s.run(c), c.target); }},
      {"GET", {"runs", "*", "figures"}, [](State& s, const Call& c) { return s.figures.list(s.run(c), c.target); }},
      {"GET",
       {"runs", "*", "figures", "*"},
       [](State& s, const Call& c) { return s.figures.specification(s.run(c), c.names[1], c.target); }},
      {"GET", {"runs", "*", "circuits"}, [](State& s, const Call& c) { return circuits_json(s.run(c)); }},
      {"GET",
       {"runs", "*", "circuits", "*"},
       [](State& s, const Call& c) { return circuit_json(s.run(c), c.names[1]); }},
      {"GET",
       {"runs", "*", "compare"},
       [](State& s, const Call& c) { return compare_json(s.run(c), s.other(c), c.target); }},
      {"GET",
       {"runs", "*", "differences"},
       [](State& s, const Call& c) { return differences_json(s.run(c), s.other(c), c.target); }},
      {"GET", {"runs", "*", "agreement"}, [](State& s, const Call& c) { return agreement_json(s.run(c)); }},
      {"GET",
       {"runs", "*", "quiz", "*", "*"},
       [](State& s, const Call& c) {
         return quiz_json(s.run(c), place_of(s.run(c), c.names[1], c.names[2]), c.target);
       }},
      {"POST",
       {"runs", "*", "quiz", "*", "*"},
       [](State& s, const Call& c) {
         return answer_quiz(s.run(c), place_of(s.run(c), c.names[1], c.names[2]), parse_body(c.request));
       },
       true},
      {"POST",
       {"runs", "*", "explanations", "*", "*"},
       [](State& s, const Call& c) {
         return explain_json(s.run(c), place_of(s.run(c), c.names[1], c.names[2]), parse_body(c.request));
       },
       true},
      {"POST", {"text"}, [](State& s, const Call& c) { return s.text(c); }},
      {"POST", {"steer"}, [](State& s, const Call& c) { return s.steer(c); }},
  };
  return table;
}

Json Api::State::text(const Call& call) {
  const Json body = parse_body(call.request);
  if (!options.model.read) throw no_model();
  const std::size_t run = run_of(body, call.runs);
  const TextQuestion question = parse_text(*call.runs[run], body);
  const std::uint64_t turn = latest.begin(question.page);
  const std::lock_guard one(model);
  if (!latest.is_last(question.page, turn)) throw Fault(409, "a later text of the same page");
  return text_json(*call.runs[run], question, options.model.read(run, question.hookpoint, question.text), turn);
}

Json Api::State::steer(const Call& call) {
  const Json body = parse_body(call.request);
  if (!options.model.steer) throw no_model();
  const std::size_t run = run_of(body, call.runs);
  const SteerQuestion question = parse_steer(*call.runs[run], body);
  const std::lock_guard one(model);
  const SteeredText texts = options.model.steer(run, question);
  return {{"without", texts.without}, {"with", texts.with}};
}

Json Api::State::events(const Call& call) const {
  const std::string name = call.target.text("run");
  const std::size_t number = name.empty() ? 0 : number_of(name, call.runs);
  Json json = events_json(*call.runs[number], number);
  if (!options.reopen) json["changed"] = false;  // nobody could show it
  return json;
}

Json Api::State::reload(const Call& call) {
  if (!options.reopen) throw Fault(409, "a run that stays as it was opened");
  const std::size_t number = number_of(call.names.front(), call.runs);
  const std::lock_guard one(reopen);
  std::shared_ptr<Run> run = all_runs()[number];
  if (run->changes(true).any) {
    run = options.reopen(number);
    const std::lock_guard lock(runs_mutex);
    runs[number] = run;
  }
  return run_json(*run, number);
}

Response Api::State::route(const Request& request, const Target& target) {
  const std::span<const std::string> path(target.path);
  if (path.size() == 1 && path[0].empty()) return file_response("index.html");
  if (path.size() == 2 && path[0] == "assets") return file_response(path[1]);
  if (path.size() < 3 || path[0] != "api" || path[1] != "v1") throw Fault(404, "no such page", "/ or /api/v1/...");
  const auto parts = path.subspan(2);
  bool other_method = false;
  for (const Route& route : routes()) {
    if (route.path.size() != parts.size()) continue;
    Call call{request, target, {}, {}};
    bool same = true;
    for (std::size_t i = 0; i < parts.size() && same; ++i) {
      if (route.path[i] == "*") {
        call.names.push_back(parts[i]);
      } else {
        same = route.path[i] == parts[i];
      }
    }
    if (!same) continue;
    if (route.method != request.method) {
      other_method = true;
      continue;
    }
    if (route.changes && options.access.read_only)
      throw Fault(403, "a change", "only reading", "", "gloss serve runs with --read-only");
    call.runs = all_runs();
    const Json json = route.handler(*this, call);
    return route.event ? event_response(json) : json_response(200, json);
  }
  if (other_method) throw Fault(405, fmt::format("method {}", request.method), "the other one");
  throw Fault(404, "no such route", "those of docs/api.md");
}

Response Api::State::answer(const Request& request) {
  try {
    const Target target = parse_target(request.target);
    if (std::optional<Response> refused = options.access.refuse(request, target)) return *refused;
    return route(request, target);
  } catch (const Fault& fault) {
    return fault_response(fault);
  } catch (const Error& error) {
    return error_response(error);
  } catch (const std::exception& error) {
    return fault_response(Fault(500, error.what(), "", "", "this is a fault of gloss"));
  }
}

Api::Api(ApiOptions options, std::vector<std::unique_ptr<Run>> runs) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  for (std::unique_ptr<Run>& run : runs) state_->runs.push_back(std::move(run));
}

Api::~Api() = default;

Response Api::answer(const Request& request) const {
  Response response = state_->answer(request);
  add_safety_headers(response);
  return response;
}

}  // namespace gloss::dashboard
