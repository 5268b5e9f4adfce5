#include "gloss/explain/prompt_explainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/examples/token_window.h"
#include "gloss/explain/delimiters.h"
#include "gloss/explain/excerpts.h"
#include "gloss/explain/promoted_tokens.h"
#include "gloss/explain/tagged_line.h"

namespace gloss::explain {
namespace {

using Show = PromptMethod::Show;

constexpr std::size_t kLevelsShown = 10;  // of one window

struct PartRow {
  const char* name;
  bool PromptMethod::*on;
};
constexpr std::array<PartRow, 4> kParts{{{"activations", &PromptMethod::activations},
                                         {"cot", &PromptMethod::cot},
                                         {"logits", &PromptMethod::logits},
                                         {"contrastive", &PromptMethod::contrast}}};

struct FormRow {
  Show show;
  const char* name;    // of the explainer
  const char* prompt;  // file in prompts/
  std::vector<std::string> places;
};
const std::array<FormRow, 4>& forms() {
  static const std::array<FormRow, 4> rows{
      {{Show::excerpts, "default", "explain_default", {"windows", "?open", "?close", "?promoted", "?silent"}},
       {Show::tokens, "single-token", "explain_tokens", {"tokens"}},
       {Show::input_output,
        "max-act-logits",
        "explain_input_output",
        {"windows", "?open", "?close", "promoted", "suppressed"}},
       {Show::output, "vocab-proj", "explain_output", {"promoted", "?suppressed"}}}};
  return rows;
}
const FormRow& form_of(Show show) {
  return *std::find_if(forms().begin(), forms().end(), [&](const FormRow& row) { return row.show == show; });
}

std::vector<std::string> known_parts() {
  std::vector<std::string> names;
  for (const FormRow& row : forms()) names.emplace_back(row.name);
  for (const PartRow& row : kParts) names.emplace_back(row.name);
  return names;
}

llm::PromptTemplate load_prompt(const PromptMethod& method, const std::filesystem::path& folder) {
  const FormRow& form = form_of(method.show);
  std::vector<std::string> places = form.places;
  // A prompt of one's own that leaves out what its explainer is there for is a mistake.
  if (method.logits) std::replace(places.begin(), places.end(), std::string("?promoted"), std::string("promoted"));
  if (method.contrast) std::replace(places.begin(), places.end(), std::string("?silent"), std::string("silent"));
  return llm::PromptTemplate::load(form.prompt, folder, places,
                                   {{"activations", method.activations},
                                    {"cot", method.cot},
                                    {"logits", method.logits},
                                    {"contrast", method.contrast}});
}

/// Those nearest in meaning, where the run has them.
const std::vector<examples::Window>& contrast_windows(const examples::LatentExamples& found) {
  return found.contrast.empty() ? found.explain_silent : found.contrast;
}

}  // namespace

std::uint32_t level_of(float activation, float max) {
  if (!(activation > 0.0F) || !(max > 0.0F)) return 0;
  constexpr double kRounding = 1e-5;  // an f32 or f16 value that should be a whole tenth may lie just above it
  return static_cast<std::uint32_t>(std::clamp(std::ceil(10.0 * activation / max - kRounding), 1.0, 10.0));
}

PromptMethod PromptMethod::parse(std::string_view name) {
  PromptMethod method;
  std::size_t parts = 0;
  const auto fail = [&](std::string what) {
    throw Error(ErrorKind::usage, "", fmt::format("explainer '{}': {}", name, what),
                "parts are joined by '+', as in cot+logits");
  };
  for (std::size_t at = 0; at <= name.size(); ++parts) {
    const std::size_t end = std::min(name.find('+', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    at = end + 1;
    const auto form =
        std::find_if(forms().begin(), forms().end(), [&](const FormRow& row) { return part == row.name; });
    if (form != forms().end()) {
      if (method.show != Show::excerpts) fail(fmt::format("'{}' cannot be combined", form->name));
      method.show = form->show;
      continue;
    }
    const auto row = std::find_if(kParts.begin(), kParts.end(), [&](const PartRow& r) { return part == r.name; });
    if (row == kParts.end()) fail_unknown_name("explainer", std::string(part), known_parts());
    if (method.*(row->on)) fail(fmt::format("'{}' is given twice", part));
    method.*(row->on) = true;
  }
  if (method.show != Show::excerpts && parts > 1) {
    fail(fmt::format("'{}' cannot be combined", form_of(method.show).name));
  }
  return method;
}

bool PromptMethod::is_one(std::string_view name) {
  try {
    parse(name);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string PromptMethod::name() const {
  std::string joined;
  for (const PartRow& row : kParts) {
    if (this->*(row.on)) joined += fmt::format("{}{}", joined.empty() ? "" : "+", row.name);
  }
  return joined.empty() ? form_of(show).name : joined;
}

PromptExplainer::PromptExplainer(llm::LanguageModel& model, const text::Tokenizer& tokenizer,
                                 const text::TokenFile& tokens, PromptMethod method, PromptExplainerOptions options)
    : model_(&model),
      tokenizer_(tokenizer),
      tokens_(tokens),
      method_(method),
      options_(std::move(options)),
      prompt_(load_prompt(method, options_.prompts)) {}

std::string PromptExplainer::fingerprint() const {
  Hasher hash;
  hash.add(prompt_.fingerprint());
  hash.add(fmt::format("tau {} max_tokens {}", options_.tau, options_.max_tokens));
  if (method_.contrast) hash.add(fmt::format("contrast {}", options_.contrast));
  if (method_.show == Show::input_output) hash.add(fmt::format("strongest {}", options_.strongest));
  if (method_.show == Show::tokens) hash.add(fmt::format("tokens {}", options_.listed_tokens));
  return hash.digest_hex();
}

/// All explain windows in their order; for `max-act-logits` the strongest of them, strongest first.
std::vector<const examples::Window*> PromptExplainer::shown_windows(const examples::LatentExamples& examples) const {
  std::vector<const examples::Window*> windows;
  for (const examples::Window& w : examples.explain) windows.push_back(&w);
  if (method_.show != Show::input_output) return windows;
  std::sort(windows.begin(), windows.end(), [](const examples::Window* a, const examples::Window* b) {
    return a->max != b->max ? a->max > b->max : a->start < b->start;
  });
  if (windows.size() > options_.strongest) windows.resize(options_.strongest);
  return windows;
}

/// `"bank" 9, "est" 3`: the marked tokens of a window, with their levels.
std::string PromptExplainer::levels(const examples::Window& window, float max) const {
  const auto ids = examples::window_tokens(tokens_, window);
  std::string line;
  std::size_t shown = 0;
  for (const examples::Piece& piece : examples::pieces(tokenizer_, ids)) {
    float strongest = 0.0F;
    bool marked = false;
    for (std::uint32_t i = piece.first; i <= piece.last; ++i) {
      strongest = std::max(strongest, window.activation[i]);
      marked = marked || examples::is_marked(window, i, options_.tau);
    }
    if (!marked) continue;
    if (shown == kLevelsShown) return line + ", ...";
    line += fmt::format("{}{} {}", shown++ == 0 ? "" : ", ", llm::as_json_string(piece.text), level_of(strongest, max));
  }
  return line;
}

std::string PromptExplainer::excerpts(std::span<const examples::Window* const> windows, float max,
                                      std::string_view open, std::string_view close) const {
  std::string lines;
  for (std::size_t n = 0; n < windows.size(); ++n) {
    const examples::Window& w = *windows[n];
    const std::string text = examples::marked_text(tokenizer_, examples::window_tokens(tokens_, w),
                                                   examples::marked_tokens(w, options_.tau), open, close);
    lines += fmt::format("{}{}. {}", n == 0 ? "" : "\n", n + 1, llm::as_json_string(text));
    if (method_.activations) lines += fmt::format("\n   activations: {}", levels(w, max));
  }
  return lines;
}

/// `" mother" 12`, a token a line, of the marked tokens of all windows: most frequent first.
std::string PromptExplainer::token_counts(const examples::LatentExamples& examples) const {
  std::map<TokenId, std::uint32_t> counts;
  for (const examples::Window& w : examples.explain) {
    const auto ids = examples::window_tokens(tokens_, w);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (examples::is_marked(w, i, options_.tau)) ++counts[ids[i]];
    }
  }
  std::vector<std::pair<TokenId, std::uint32_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  if (sorted.size() > options_.listed_tokens) sorted.resize(options_.listed_tokens);
  std::string lines;
  for (const auto& [id, count] : sorted) {
    const std::string text = examples::plain_text(tokenizer_, std::span(&id, 1));
    lines += fmt::format("{}{} {}", lines.empty() ? "" : "\n", llm::as_json_string(text), count);
  }
  return lines;
}

llm::Request PromptExplainer::request(const Evidence& evidence) const {
  const examples::LatentExamples& found = evidence.examples;
  llm::Request request;
  request.latent = static_cast<std::int64_t>(to_index(evidence.examples.latent));
  request.max_tokens = options_.max_tokens;
  if (method_.show == Show::tokens) {
    request.messages = prompt_.fill({{"tokens", token_counts(found)}});
    return request;
  }
  if (method_.show == Show::output) {
    request.messages = prompt_.fill({{"promoted", token_list(tokenizer_, evidence.promoted)},
                                     {"suppressed", token_list(tokenizer_, evidence.suppressed)}});
    return request;
  }
  const std::vector<const examples::Window*> windows = shown_windows(found);
  std::vector<std::string> silent;
  if (method_.contrast) {
    const std::vector<examples::Window>& windows_without = contrast_windows(found);
    for (std::size_t i = 0; i < std::min<std::size_t>(options_.contrast, windows_without.size()); ++i) {
      silent.push_back(examples::plain_text(tokenizer_, examples::window_tokens(tokens_, windows_without[i])));
    }
  }
  const Delimiters pair = delimiters_for(tokenizer_, tokens_, windows, silent, options_.tau);
  request.messages = prompt_.fill({{"windows", excerpts(windows, found.max_activation, pair.open, pair.close)},
                                   {"open", pair.open},
                                   {"close", pair.close},
                                   {"promoted", token_list(tokenizer_, evidence.promoted)},
                                   {"suppressed", token_list(tokenizer_, evidence.suppressed)},
                                   {"silent", llm::numbered(silent)}});
  return request;
}

Explanation PromptExplainer::read(LatentId latent, const llm::Reply& reply) const {
  Explanation explanation;
  if (!reply.ok()) {
    explanation.failure = reply.failure;
  } else if (method_.show == Show::input_output) {
    explanation = parse_input_output(reply.text);
  } else {
    explanation = parse_explanation(reply.text);
  }
  explanation.latent = latent;
  explanation.call_hash = reply.hash;
  return explanation;
}

std::string PromptExplainer::missing(const Evidence& evidence) const {
  const examples::LatentExamples& found = evidence.examples;
  if (found.status != examples::Status::ok || found.explain.empty())
    return fmt::format("too few examples: {} activating windows", found.window_count);
  if (method_.contrast && contrast_windows(found).empty())
    return "no window to contrast with: the latent fires in all of them";
  if (method_.show == Show::output && evidence.promoted.empty()) return "it promotes no token";
  return {};
}

void PromptExplainer::submit(const Evidence& evidence, Done done) {
  const examples::LatentExamples& found = evidence.examples;
  Explanation none;
  none.latent = found.latent;
  none.failure = missing(evidence);
  if (!none.ok()) {
    done(std::move(none));
    return;
  }
  model_->submit(request(evidence), [this, latent = found.latent, done = std::move(done)](const llm::Reply& reply) {
    done(read(latent, reply));
  });
}

}  // namespace gloss::explain
