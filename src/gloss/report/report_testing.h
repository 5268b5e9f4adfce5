#pragma once
/// A made-up run for the tests of the report: hostile tokens, two hookpoints, judges of known quality.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/base/utf8.h"
#include "gloss/report/run_data.h"
#include "gloss/score/baselines.h"

namespace gloss::report {

inline constexpr std::uint32_t kCtxLen = 128;
inline constexpr std::uint32_t kWindow = 32;

/// Texts of the made-up tokens; the last ones are hostile.
inline std::vector<std::string> token_texts() {
  std::vector<std::string> texts{"\n", ".", ",", "\xF0\x9F", "\x98\x80", "日本", "\xFF"};
  for (const char* word :
       {"the",   "of",    "a",     "and", "to",   "she",    "he",    "was",  "stop", "don't", "little",
        "girl",  "dog",   "happy", "day", "went", "park",   "said",  "mom",  "play", "big",   "red",
        "ball",  "house", "tree",  "ran", "saw",  "friend", "loved", "very", "time", "upon",  "once",
        "there", "named", "Lily",  "Tim", "with", "his",    "her",   "they", "were", "in",    "it"})
    texts.push_back(" " + std::string(word));
  for (const char* hostile : {"</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>",
                              "\xE2\x80\xAE"
                              "evil",
                              "\x1B[31mred", "{{data}}", "&amp;", "\"'", "<!--"})
    texts.emplace_back(hostile);
  return texts;
}

/// A byte-level vocabulary of those tokens, as tokenizer.json has it.
inline text::Tokenizer made_up_tokenizer() {
  std::vector<std::string> letters;  // how the byte-level kind writes each byte
  char32_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    letters.emplace_back();
    append_utf8(letters.back(), visible ? static_cast<char32_t>(byte) : next++);
  }
  nlohmann::json vocabulary;
  std::uint32_t id = 0;
  for (const std::string& text : token_texts()) {
    std::string name;
    for (const char c : text) name += letters[static_cast<unsigned char>(c)];
    vocabulary[name] = id++;
  }
  const nlohmann::json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const nlohmann::json json = {{"version", "1.0"},
                               {"added_tokens", nlohmann::json::array()},
                               {"normalizer", nullptr},
                               {"pre_tokenizer", byte_level},
                               {"post_processor", nullptr},
                               {"decoder", byte_level},
                               {"model",
                                {{"type", "BPE"},
                                 {"unk_token", nullptr},
                                 {"byte_fallback", false},
                                 {"vocab", vocabulary},
                                 {"merges", nlohmann::json::array()}}}};
  return text::Tokenizer::parse(json.dump(), "made-up tokenizer");
}

inline text::TokenFile made_up_tokens(std::uint32_t contexts) {
  const std::vector<std::string> texts = token_texts();
  Random random = Random::for_purpose(1, "made-up-text");
  std::vector<TokenId> tokens;
  while (tokens.size() < std::size_t{contexts} * kCtxLen) {
    // Early tokens are likelier; the two halves of the emoji stay together.
    const auto id = static_cast<std::uint32_t>(static_cast<double>(texts.size()) * random.uniform() * random.uniform());
    tokens.push_back(TokenId{id == 4 ? 7 : id});
    if (id == 3) tokens.push_back(TokenId{4});
  }
  tokens.resize(std::size_t{contexts} * kCtxLen);
  std::vector<std::uint32_t> documents(contexts);
  for (std::uint32_t c = 0; c < contexts; ++c) documents[c] = c;
  const auto path =
      std::filesystem::temp_directory_path() / ("gloss-report-" + std::to_string(::getpid()) + ".safetensors");
  text::write_token_file(path, tokens, documents, kCtxLen);
  text::TokenFile file = text::TokenFile::open(path);  // stays mapped
  std::filesystem::remove(path);
  return file;
}

/// Latent l fires at every token of id 7 + l, more strongly the later in its window.
inline examples::LatentExamples made_up_examples(const text::TokenFile& tokens, LatentId latent) {
  examples::LatentExamples e;
  e.latent = latent;
  std::vector<examples::Window> active;
  std::vector<examples::Window> silent;
  const std::uint32_t trigger = 7 + to_index(latent);
  for (std::uint32_t start = 0; start + kWindow <= tokens.token_count(); start += kWindow) {
    examples::Window w;
    w.start = start;
    w.activation.assign(kWindow, 0.0F);
    for (std::uint32_t i = 0; i < kWindow; ++i) {
      if (to_index(tokens.tokens()[start + i]) != trigger) continue;
      w.activation[i] = 1.0F + static_cast<float>(i) * 0.125F;
      w.max = std::max(w.max, w.activation[i]);
      ++e.firing_count;
    }
    if (w.max > 0.0F) active.push_back(w);
    if (w.max == 0.0F) {
      w.kind = examples::WindowKind::silent_random;
      silent.push_back(w);
    }
  }
  std::stable_sort(active.begin(), active.end(), [](const auto& a, const auto& b) { return a.max > b.max; });
  const std::size_t n = active.size();
  for (std::size_t r = 0; r < n; ++r) {
    active[r].quantile = static_cast<std::uint8_t>(10 - r * 10 / n);
    (r % 2 == 0 ? e.explain : e.test).push_back(active[r]);
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(silent.size(), 60); ++i)
    (i % 2 == 0 ? e.explain_silent : e.test_silent).push_back(silent[i]);
  e.max_activation = n == 0 ? 0.0F : active.front().max;
  e.window_count = static_cast<std::uint32_t>(n);
  e.silent_count = silent.size();
  return e;
}

/// Judgements by a judge that is right on `share` of the questions, more often in strong windows.
inline std::vector<score::Judgement> made_up_judgements(Random& random, const std::vector<score::Question>& questions,
                                                        double share, double failing) {
  std::vector<score::Judgement> judgements;
  for (const score::Question& q : questions) {
    score::Judgement j;
    j.start = q.window.start;
    j.kind = q.window.kind;
    j.quantile = q.window.quantile;
    j.truth = q.truth;
    const double help = q.truth && share > 0.55 ? 0.02 * (q.window.quantile - 5) : 0.0;
    const bool right = random.uniform() < share + help;
    j.verdict = right == q.truth ? score::Verdict::yes : score::Verdict::no;
    j.probability =
        static_cast<float>(j.verdict == score::Verdict::yes ? 0.5 + 0.5 * random.uniform() : 0.5 * random.uniform());
    if (random.uniform() < failing) j.verdict = score::Verdict::failed;
    judgements.push_back(j);
  }
  return judgements;
}

struct MadeUpRun {
  std::filesystem::path file;
  std::unique_ptr<store::Store> store;
  RunData data;

  explicit MadeUpRun(std::uint32_t latents, std::vector<std::string> hookpoints = {"layers.2"},
                     std::vector<std::string> explainers = {"pattern"}, double failing = 0.01);
  ~MadeUpRun() {
    store.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file.string() + suffix);
  }
  MadeUpRun(const MadeUpRun&) = delete;
  MadeUpRun& operator=(const MadeUpRun&) = delete;
};

inline MadeUpRun::MadeUpRun(std::uint32_t latents, std::vector<std::string> hookpoints,
                            std::vector<std::string> explainers, double failing) {
  static int count = 0;
  file = std::filesystem::temp_directory_path() /
         ("gloss-report-" + std::to_string(::getpid()) + "-" + std::to_string(count++) + ".db");
  store = std::make_unique<store::Store>(file);
  const text::TokenFile tokens = made_up_tokens(200);
  const std::vector<std::string> texts = token_texts();
  const score::QuestionOptions questions;
  Random random = Random::for_purpose(2, "made-up-run");
  store::Store::Transaction transaction(*store);
  for (const std::string& hookpoint : hookpoints) {
    for (std::uint32_t l = 0; l < latents; ++l) {
      const LatentId id{l};
      const std::uint32_t trigger = 7 + l % static_cast<std::uint32_t>(texts.size() - 7);
      const examples::LatentExamples e = made_up_examples(tokens, LatentId{trigger - 7});
      store->put_latent({hookpoint, id, e.firing_count, static_cast<double>(e.firing_count) / 25600, e.max_activation,
                         e.window_count, e.window_count < 20 ? examples::Status::too_rare : examples::Status::ok});
      for (const std::string& explainer : explainers) {
        for (const bool shuffled : {false, true}) {
          store::ExplanationRow row{hookpoint, shuffled ? score::shuffled_name(explainer) : explainer, {}};
          row.explanation.latent = id;
          row.explanation.text = "the token \"" + texts[trigger] + "\" after \"upon\" or \"once\" (within 3 tokens)";
          if (l % 17 == 16) {
            row.explanation.text.clear();
            row.explanation.failure = "no rule is better than none";
          }
          store->put_explanation(row);
          if (!row.explanation.ok()) continue;
          const double quality = shuffled ? 0.5 : 0.72 + 0.25 * random.uniform();
          for (const score::Scorer scorer : {score::Scorer::detection, score::Scorer::fuzz}) {
            examples::LatentExamples own = e;
            own.latent = id;
            const std::vector<score::Judgement> judged =
                made_up_judgements(random, score::make_questions(scorer, hookpoint, own, questions), quality, failing);
            store->put_score({hookpoint, row.explainer, std::string(score::name_of(scorer)), "pattern",
                              score::summarize(id, judged, 10)},
                             judged);
          }
        }
      }
    }
  }
  transaction.commit();
  data = from_store(*store);
  data.title = "runs/made-up <b>&";
  data.facts = {{"Model", "stories260k"},
                {"Coder", "TopK, 2,048 latents, K = 4"},
                {"Text", "stories.jsonl.zst"},
                {"Tokens", "2.00M, contexts of 256"},
                {"Seed", "1"},
                {"Version", "gloss 0.1.0"}};
  data.questions = questions;
  data.tokenizer = made_up_tokenizer();
  data.tokens = tokens;
  const auto triggers = static_cast<std::uint32_t>(texts.size() - 7);
  data.examples = [tokens, triggers](std::string_view, LatentId id) {
    examples::LatentExamples e = made_up_examples(tokens, LatentId{to_index(id) % triggers});
    e.latent = id;
    return e;
  };
}

}  // namespace gloss::report
