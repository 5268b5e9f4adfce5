// Texts of one's own: what fires in them, and what the model writes with a latent turned up.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "gloss/dashboard/routes.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestText = 16'384;
constexpr std::size_t kLongestPrompt = 4'096;
constexpr std::size_t kLongestPage = 64;
constexpr std::size_t kMostPages = 1000;
constexpr std::size_t kLatentsOfToken = 20;
constexpr std::size_t kLatentsOfText = 100;
constexpr double kMostStrength = 100.0;
constexpr std::uint64_t kMostTokens = 64;

std::string text_of(const Json& body, const char* name, std::size_t longest) {
  const auto at = body.find(name);
  if (at == body.end() || !at->is_string()) throw Fault(400, "no text", "a text", name);
  auto text = at->get<std::string>();
  if (text.empty() || text.size() > longest)
    throw Fault(400, fmt::format("{} bytes", text.size()), fmt::format("1 to {}", longest), name);
  return text;
}

std::string hookpoint_of(const Run& run, const Json& body) {
  const auto& all = run.table().hookpoints();
  if (!body.contains("hookpoint") || body["hookpoint"].is_null()) return all.front().name;
  std::string name = text_of(body, "hookpoint", 200);
  if (std::none_of(all.begin(), all.end(), [&](const TableHookpoint& h) { return h.name == name; }))
    throw Fault(404, fmt::format("hookpoint '{}'", name), "one of the run's");
  return name;
}

/// The explanation by whoever explained most, or null.
Json explanation_json(const Run& run, const std::string& explainer, const std::string& hookpoint, LatentId latent) {
  const auto row = run.table().find(hookpoint, to_index(latent));
  const std::string text = row ? run.table().explanation(explainer, *row) : std::string();
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

Fault no_model() { return {404, "no model", "", "", "start gloss serve with --model and --sae"}; }

TextQuestion parse_text(const Run& run, const Json& body) {
  TextQuestion question;
  question.text = text_of(body, "text", kLongestText);
  question.hookpoint = hookpoint_of(run, body);
  if (body.contains("page")) question.page = text_of(body, "page", kLongestPage);
  return question;
}

SteerQuestion parse_steer(const Run& run, const Json& body) {
  SteerQuestion question;
  question.prompt = text_of(body, "prompt", kLongestPrompt);
  question.hookpoint = hookpoint_of(run, body);
  const auto number = [&](const char* name) -> double {
    const auto at = body.find(name);
    if (at == body.end() || !at->is_number()) throw Fault(400, "no number", "a number", name);
    return at->get<double>();
  };
  const double latent = number("latent");
  if (!(latent >= 0.0 && latent < 4294967296.0) || latent != std::floor(latent) ||
      !run.table().find(question.hookpoint, static_cast<std::uint64_t>(latent)))
    throw Fault(404, fmt::format("latent {}", latent), "a latent of the hookpoint", "latent");
  question.latent = LatentId{static_cast<std::uint32_t>(latent)};
  question.strength = number("strength");
  if (!(std::abs(question.strength) <= kMostStrength))
    throw Fault(400, fmt::format("{}", question.strength), fmt::format("{} to {}", -kMostStrength, kMostStrength),
                "strength");
  const double tokens = body.contains("tokens") ? number("tokens") : 32.0;
  if (!(tokens >= 1.0 && tokens <= double{kMostTokens}))
    throw Fault(400, fmt::format("{}", tokens), fmt::format("1 to {}", kMostTokens), "tokens");
  question.tokens = static_cast<std::uint32_t>(tokens);
  return question;
}

Json text_json(const Run& run, const TextQuestion& question, const TextReading& reading, std::uint64_t id) {
  struct Sum {
    float max = 0.0F;
    double sum = 0.0;
  };
  const std::vector<std::string> explainers = run.table().explainers();
  const std::string explainer = explainers.empty() ? std::string() : explainers.front();
  std::map<LatentId, Sum> sums;
  Json tokens = Json::array();
  for (std::size_t i = 0; i < reading.tokens.size(); ++i) {
    Json token = token_json(run.input().tokenizer, reading.tokens[i]);
    token["latents"] = Json::array();
    for (const auto& [latent, value] : reading.latents[i]) {
      Sum& sum = sums[latent];
      sum.max = std::max(sum.max, value);
      sum.sum += value;
      if (token["latents"].size() < kLatentsOfToken)
        token["latents"].push_back({{"latent", to_index(latent)},
                                    {"a", number(value)},
                                    {"explanation", explanation_json(run, explainer, question.hookpoint, latent)}});
    }
    tokens.push_back(std::move(token));
  }
  std::vector<std::pair<LatentId, Sum>> strongest(sums.begin(), sums.end());
  std::stable_sort(strongest.begin(), strongest.end(),
                   [](const auto& a, const auto& b) { return a.second.max > b.second.max; });
  strongest.resize(std::min(strongest.size(), kLatentsOfText));
  Json latents = Json::array();
  for (const auto& [latent, sum] : strongest)
    latents.push_back({{"latent", to_index(latent)},
                       {"max", number(sum.max)},
                       {"sum", number(sum.sum)},
                       {"explanation", explanation_json(run, explainer, question.hookpoint, latent)}});
  return {{"id", id},
          {"hookpoint", question.hookpoint},
          {"cut", reading.cut},
          {"tokens", std::move(tokens)},
          {"latents", std::move(latents)}};
}

std::uint64_t Latest::begin(const std::string& page) {
  const std::lock_guard lock(mutex_);
  if (last_.size() >= kMostPages) last_.clear();
  last_[page] = ++turns_;
  return turns_;
}

bool Latest::is_last(const std::string& page, std::uint64_t turn) const {
  const std::lock_guard lock(mutex_);
  const auto at = last_.find(page);
  return page.empty() || at == last_.end() || at->second == turn;
}

}  // namespace gloss::dashboard
