#pragma once
/// The routes, by what they tell of. Private to the dashboard. All throw Fault or gloss::Error for what they cannot
/// answer.
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/dashboard/http.h"
#include "gloss/dashboard/live_model.h"
#include "gloss/dashboard/run.h"

namespace gloss::dashboard {

/// One latent that a path names.
struct Place {
  std::size_t hookpoint = 0;
  LatentId latent{};
  LatentTable::Row row = 0;
  std::string name;  // the hookpoint's
};
/// Errors: Fault 404: no such hookpoint or latent.
Place place_of(const Run& run, std::string_view hookpoint, std::string_view latent);

/// null where a number is not finite.
nlohmann::json number(double value);
/// A token's text; what is no whole character has U+FFFD and "partial".
nlohmann::json token_json(const text::Tokenizer& tokenizer, TokenId token);
/// Tokens of a window with their activations (left out where 0) and marks. Shapes: activation [n]; marked [n] or none.
nlohmann::json tokens_json(const Run& run, std::uint64_t start, const std::vector<float>& activation,
                           const std::vector<bool>& marked);

// routes_table.cpp
/// FILTER, sort and desc of docs/api.md. Errors: Fault 400.
TableQuery query_of(const Target& target);
nlohmann::json run_json(const Run& run, std::size_t number);
nlohmann::json latents_json(const Run& run, const Target& target);
nlohmann::json histograms_json(const Run& run, const Target& target);
nlohmann::json random_json(const Run& run, const Target& target);

/// What goes on with a run: its jobs, and what came in since it was opened.
nlohmann::json events_json(const Run& run, std::size_t number);

// routes_latent.cpp
nlohmann::json latent_json(const Run& run, const Place& place);

// routes_windows.cpp
nlohmann::json windows_json(const Run& run, const Place& place, const Target& target);
nlohmann::json judgements_json(const Run& run, const Place& place, const Target& target);

// routes_compare.cpp
/// Two explanations of one latent, of one run or of two, on the windows both were judged on.
nlohmann::json compare_json(const Run& run, const Run& other, const Target& target);
/// The latents that both were scored on, those that differ most first.
nlohmann::json differences_json(const Run& run, const Run& other, const Target& target);

// routes_files.cpp
nlohmann::json calls_json(const Run& run, const Target& target);
/// The figures of a run, or of those of its latents that a filter lets through. Drawn when first asked for, and the
/// last few kept. Threads: any.
class Figures {
 public:
  nlohmann::json list(const Run& run, const Target& target) const;
  /// Errors: Fault 404: no such figure.
  nlohmann::json specification(const Run& run, std::string_view name, const Target& target) const;

 private:
  struct Drawn {
    std::string title, text;
    nlohmann::json spec;
  };
  using All = std::map<std::string, Drawn, std::less<>>;  // by name
  std::shared_ptr<const All> drawn(const Run& run, const Target& target) const;
  mutable std::mutex mutex_;
  /// By run and filter, the last asked for first.
  mutable std::list<std::pair<std::string, std::shared_ptr<const All>>> kept_;
};
nlohmann::json circuits_json(const Run& run);
nlohmann::json circuit_json(const Run& run, std::string_view name);

// routes_people.cpp
/// Errors: Fault 400: no JSON object.
nlohmann::json parse_body(const Request& request);
nlohmann::json quiz_json(const Run& run, const Place& place, const Target& target);
/// Keeps the answers as judgements of "person:NAME". Errors: Fault 400, 404 (no such explanation), 409.
nlohmann::json answer_quiz(Run& run, const Place& place, const nlohmann::json& body);
nlohmann::json explain_json(Run& run, const Place& place, const nlohmann::json& body);
nlohmann::json agreement_json(const Run& run);

// routes_model.cpp
struct TextQuestion {
  std::string page, hookpoint, text;
};
Fault no_model();
/// Errors: Fault 400, 404: what is missing or too long; no such hookpoint or latent.
TextQuestion parse_text(const Run& run, const nlohmann::json& body);
SteerQuestion parse_steer(const Run& run, const nlohmann::json& body);
nlohmann::json text_json(const Run& run, const TextQuestion& question, const TextReading& reading, std::uint64_t id);
/// Which question of each page is the last, so that those it overtook are not worked on. Threads: any.
class Latest {
 public:
  std::uint64_t begin(const std::string& page);
  bool is_last(const std::string& page, std::uint64_t turn) const;

 private:
  mutable std::mutex mutex_;
  std::uint64_t turns_ = 0;
  std::map<std::string, std::uint64_t> last_;
};

}  // namespace gloss::dashboard
