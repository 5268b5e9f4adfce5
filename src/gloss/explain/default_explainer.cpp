#include "gloss/explain/default_explainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "gloss/base/hash.h"
#include "gloss/examples/token_window.h"

namespace gloss::explain {
namespace {

constexpr std::string_view kTag = "[explanation]";
constexpr std::string_view kMarkdown = " \t*_#>`-";  // what may stand before the tag
constexpr std::string_view kEmphasis = "*_`";

const std::vector<std::string>& places() {
  static const std::vector<std::string> names = {"windows", "?open", "?close"};
  return names;
}

std::string_view without_front(std::string_view text, std::string_view set) {
  return text.substr(std::min(text.find_first_not_of(set), text.size()));
}

std::string_view trimmed(std::string_view text) {
  text = without_front(text, " \t\r");
  return text.substr(0, text.find_last_not_of(" \t\r") + 1);
}

bool begins_with_tag(std::string_view line) {
  return line.size() >= kTag.size() && std::equal(kTag.begin(), kTag.end(), line.begin(), [](char tag, char c) {
           return tag == (c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c);
         });
}

/// What follows tag and colon, if the line begins with them. Bold may close before or after the colon
/// ("**[EXPLANATION]:** text", "**[EXPLANATION]**: text") or at the end of the line.
std::optional<std::string_view> after_tag(std::string_view line) {
  const std::string_view bare = without_front(line, kMarkdown);
  if (!begins_with_tag(bare)) return std::nullopt;
  const std::string_view before = line.substr(0, line.size() - bare.size());
  std::string_view rest = without_front(bare.substr(kTag.size()), " \t*_`");
  if (!rest.starts_with(':')) return std::nullopt;
  rest.remove_prefix(1);
  if (before.find_first_of(kEmphasis) == std::string_view::npos) return trimmed(rest);
  rest = trimmed(without_front(rest, kEmphasis));
  for (const std::string_view mark : {"**", "__", "*", "_", "`"}) {
    // What opened before the tag closes here, unless it opened within the explanation.
    if (rest.ends_with(mark) && rest.find(mark) + mark.size() == rest.size()) rest.remove_suffix(mark.size());
  }
  return trimmed(rest);
}

}  // namespace

Explanation parse_explanation(std::string_view reply) {
  Explanation explanation;
  bool tagged = false;
  for (std::size_t at = 0; at <= reply.size();) {
    const std::size_t end = std::min(reply.find('\n', at), reply.size());
    if (const std::optional<std::string_view> found = after_tag(reply.substr(at, end - at))) {
      tagged = true;
      explanation.text = *found;
    }
    at = end + 1;
  }
  if (!tagged) {
    explanation.failure = "the reply has no line that begins with [EXPLANATION]:";
  } else if (explanation.text.empty()) {
    explanation.failure = "the reply's explanation is empty";
  }
  return explanation;
}

DefaultExplainer::DefaultExplainer(llm::LanguageModel& client, const text::Tokenizer& tokenizer,
                                   const text::TokenFile& tokens, DefaultOptions options)
    : client_(&client),
      tokenizer_(tokenizer),
      tokens_(tokens),
      options_(std::move(options)),
      prompt_(llm::PromptTemplate::load("explain_default", options_.prompts, places())) {}

std::string DefaultExplainer::fingerprint() const {
  Hasher hash;
  hash.add(prompt_.fingerprint());
  hash.add(fmt::format("tau {} max_tokens {}", options_.tau, options_.max_tokens));
  return hash.digest_hex();
}

void DefaultExplainer::submit(std::string_view /*hookpoint*/, const examples::LatentExamples& examples, Done done) {
  if (examples.status != examples::Status::ok || examples.explain.empty()) {
    Explanation none;
    none.latent = examples.latent;
    none.failure = fmt::format("too few examples: {} activating windows", examples.window_count);
    done(std::move(none));
    return;
  }
  const auto mark_all = [&](const Delimiters& pair) {
    std::vector<std::string> texts;
    for (const examples::Window& w : examples.explain) {
      std::vector<bool> marked(w.activation.size());
      for (std::size_t i = 0; i < marked.size(); ++i) marked[i] = examples::is_marked(w, i, options_.tau);
      texts.push_back(
          examples::marked_text(tokenizer_, examples::window_tokens(tokens_, w), marked, pair.open, pair.close));
    }
    return texts;
  };
  const Delimiters pair = choose_delimiters([&](const Delimiters& candidate) {
    const std::vector<std::string> texts = mark_all(candidate);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::string plain = examples::plain_text(tokenizer_, examples::window_tokens(tokens_, examples.explain[i]));
      if (is_ambiguous(texts[i], candidate, count_runs(texts[i], plain, candidate))) return true;
    }
    return false;
  });
  llm::Request request;
  request.messages =
      prompt_.fill({{"windows", llm::numbered(mark_all(pair))}, {"open", pair.open}, {"close", pair.close}});
  request.max_tokens = options_.max_tokens;
  client_->submit(request, [latent = examples.latent, done = std::move(done)](const llm::Reply& reply) {
    Explanation explanation;
    if (reply.ok()) {
      explanation = parse_explanation(reply.text);
    } else {
      explanation.failure = reply.failure;
    }
    explanation.latent = latent;
    explanation.call_hash = reply.hash;
    done(std::move(explanation));
  });
}

}  // namespace gloss::explain
