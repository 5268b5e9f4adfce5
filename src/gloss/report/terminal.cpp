#include "gloss/report/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/quantity.h"
#include "gloss/examples/token_window.h"
#include "gloss/index/filters.h"
#include "gloss/report/latent_lists.h"
#include "gloss/report/latent_rows.h"
#include "gloss/report/summary.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"

namespace gloss::report {
namespace {

using Json = nlohmann::json;
using examples::LatentExamples;
using examples::Window;

constexpr std::size_t kLeastWidth = 40;
constexpr std::string_view kReset = "\x1B[0m";

/// What the store and the index know of one latent.
struct Latent {
  std::string hookpoint;
  LatentId id{};
  std::optional<store::LatentRow> row;
  std::vector<const store::ExplanationRow*> explanations;  // baselines last
  std::vector<const store::ScoreRow*> scores;
  LatentExamples examples;
};

template <class Row>
void baselines_last(std::vector<const Row*>& rows) {
  std::stable_partition(rows.begin(), rows.end(),
                        [](const Row* row) { return !score::is_shuffled_name(row->explainer); });
}

Latent find_latent(const RunData& data, std::string_view hookpoint, LatentId latent) {
  Latent found;
  found.hookpoint = hookpoint;
  found.id = latent;
  for (const store::LatentRow& row : data.latents) {
    if (row.hookpoint == hookpoint && row.latent == latent) found.row = row;
  }
  for (const store::ExplanationRow& row : data.explanations) {
    if (row.hookpoint == hookpoint && row.explanation.latent == latent) found.explanations.push_back(&row);
  }
  for (const store::ScoreRow& row : data.scores) {
    if (row.hookpoint == hookpoint && row.score.latent == latent) found.scores.push_back(&row);
  }
  baselines_last(found.explanations);
  baselines_last(found.scores);
  if (data.examples) found.examples = data.examples(hookpoint, latent);
  return found;
}

/// Builds text whose lines keep within the width, as far as their parts allow.
class Lines {
 public:
  Lines(std::size_t width, bool color) : width_(std::max(width, kLeastWidth)), color_(color) {}

  void heading(std::string_view text) {
    if (!out_.empty()) out_ += '\n';
    out_ += styled("1", text);
    out_ += '\n';
  }
  void line(std::string_view text) { out_.append("  ").append(text) += '\n'; }

  /// Words of harmless text, broken between them; continued lines are indented by `indent`.
  void paragraph(std::string_view text, std::size_t indent) {
    begin(std::string(indent, ' '), indent);
    bool first = true;
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(' '), text.size());
      const std::string_view word = text.substr(0, end);
      if (!first && column_ + 1 + columns(word) <= width_) {
        put(" ", 1);
      } else if (!first) {
        new_line(indent);
      }
      put(word, columns(word));
      first = false;
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    out_ += '\n';
  }

  /// `label`, then parts that are never cut; each is its text and how many columns that takes.
  void parts(const std::string& label, const std::vector<std::pair<std::string, std::size_t>>& parts,
             std::size_t indent) {
    begin(label, columns(label));
    for (const auto& [text, width] : parts) {
      if (column_ + width > width_ && column_ > indent) new_line(indent);
      const std::size_t space = column_ == indent && text.starts_with(' ') ? 1 : 0;  // none at the head of a line
      put(std::string_view(text).substr(space), width - space);
    }
    out_ += '\n';
  }

  std::string styled(std::string_view code, std::string_view text) const {
    return color_ ? fmt::format("\x1B[{}m{}{}", code, text, kReset) : std::string(text);
  }
  std::string take() { return std::move(out_); }

 private:
  void begin(std::string_view text, std::size_t width) {
    out_ += text;
    column_ = width;
  }
  void put(std::string_view text, std::size_t width) {
    out_ += text;
    column_ += width;
  }
  void new_line(std::size_t indent) {
    out_ += '\n';
    out_.append(indent, ' ');
    column_ = indent;
  }

  std::size_t width_;
  bool color_;
  std::string out_;
  std::size_t column_ = 0;
};

/// Black on one of five warm backgrounds, by the share of the latent's maximum.
std::string shade(double share) {
  constexpr std::array<int, 5> kBackgrounds{230, 229, 222, 215, 209};
  const auto step = static_cast<std::size_t>(std::clamp(std::ceil(share * 5) - 1, 0.0, 4.0));
  return fmt::format("30;48;5;{}", kBackgrounds[step]);
}

/// ANSI code for a token: shaded where the latent fires, underlined where marked, inverse where marked but silent.
std::string highlight(bool marked, float activation, float latent_max) {
  if (activation <= 0.0F) return marked ? "4;7" : "";
  return (marked ? "4;" : "") + shade(latent_max > 0.0F ? activation / latent_max : 1.0);
}

/// One part per display piece; a run of marked ones shares a pair of delimiters where there is no colour.
std::vector<std::pair<std::string, std::size_t>> window_parts(const RunData& data, const Window& window,
                                                              const std::vector<bool>& marked, float latent_max,
                                                              const ShowOptions& options) {
  std::vector<std::pair<std::string, std::size_t>> parts;
  bool inside = false;
  const auto close = [&] {
    parts.back().first += ">>";
    parts.back().second += 2;
  };
  for (const auto& [piece, activation, mark] : shown_pieces(data, window, marked)) {
    std::string text = harmless(piece);
    std::size_t width = columns(text);
    if (options.color) {
      const std::string code = highlight(mark, activation, latent_max);
      if (!code.empty()) text = fmt::format("\x1B[{}m{}{}", code, text, kReset);
    } else if (mark && !inside) {
      text.insert(text.starts_with(' ') ? 1 : 0, "<<");
      width += 2;
    } else if (!mark && inside) {
      close();
    }
    inside = mark && !options.color;
    parts.emplace_back(std::move(text), width);
  }
  if (inside) close();
  return parts;
}

std::string rate(const score::Interval& rate, std::uint32_t hits, std::uint32_t n) {
  return n == 0 ? "-" : fmt::format("{:.2f} ({}/{})", rate.value, hits, n);
}

std::string with_interval(const score::Interval& i) {
  if (std::isnan(i.value)) return "-";
  if (std::isnan(i.low)) return fmt::format("{:.2f}", i.value);
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", i.value, i.low, i.high);
}

void add_head(Lines& lines, const Latent& latent) {
  lines.heading(fmt::format("{} latent {}", harmless(latent.hookpoint), to_index(latent.id)));
  if (latent.row) {
    const store::LatentRow& row = *latent.row;
    const std::string status =
        row.status == examples::Status::ok ? "" : fmt::format(" ({})", examples::name_of(row.status));
    lines.line(fmt::format("fires at {} tokens ({:.3g} %), at most {:.4g}; {} windows{}",
                           format_count(static_cast<double>(row.firing_count)), 100 * row.density, row.max_activation,
                           row.window_count, status));
  }
}

using Kinds = std::vector<std::pair<std::string, double>>;

Kinds kinds_of(const RunData& data, const Latent& latent) {
  return data.kinds ? data.kinds(latent.hookpoint, latent.id) : Kinds{};
}

/// One line for each: "unigram: 3 (different tokens ...)".
void add_kinds(Lines& lines, const RunData& data, const Latent& latent) {
  for (const auto& [name, value] : kinds_of(data, latent)) {
    const std::optional<index::LatentKind> kind = index::find_kind(name);
    lines.line(fmt::format("{}: {:.3g}{}", harmless(name), value,
                           kind ? fmt::format(" ({})", index::info(*kind).measure) : ""));
  }
}

void add_explanations(Lines& lines, const Latent& latent) {
  lines.heading("Explanations");
  if (latent.explanations.empty()) lines.line("none yet: gloss explain makes them");
  for (const store::ExplanationRow* row : latent.explanations) {
    if (score::is_shuffled_name(row->explainer)) continue;  // another latent's
    lines.line(lines.styled("2", harmless(row->explainer)));
    const explain::Explanation& e = row->explanation;
    lines.paragraph(e.ok() ? harmless(e.text) : "failed: " + harmless(e.failure), 4);
  }
}

/// The scorer's own number, and what it is.
std::string score_cell(std::string_view scorer, const score::LatentScore& s) {
  const score::Headline number = score::headline(scorer, s);
  return fmt::format("{} {}", number.name, with_interval(number.value));
}

void add_scores(Lines& lines, const Latent& latent) {
  if (latent.scores.empty()) return;
  lines.heading("Scores (95 % intervals)");
  std::vector<std::array<std::string, 8>> table{
      {"scorer", "explainer", "judge", "score", "recall", "specificity", "precision", "failed"}};
  for (const store::ScoreRow* row : latent.scores) {
    const score::LatentScore& s = row->score;
    table.push_back({harmless(row->scorer), harmless(row->explainer), harmless(row->judge), score_cell(row->scorer, s),
                     rate(s.recall, s.tp, s.tp + s.fn), rate(s.specificity, s.tn, s.tn + s.fp),
                     rate(s.precision, s.tp, s.tp + s.fp), std::to_string(s.failed)});
  }
  std::array<std::size_t, 8> widths{};
  for (const auto& cells : table) {
    for (std::size_t c = 0; c < cells.size(); ++c) widths[c] = std::max(widths[c], columns(cells[c]));
  }
  for (std::size_t r = 0; r < table.size(); ++r) {
    std::string text;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      text += table[r][c];
      if (c + 1 < widths.size()) text.append(widths[c] - columns(table[r][c]) + 2, ' ');
    }
    lines.line(r == 0 ? lines.styled("2", text) : text);
  }
}

void add_deciles(Lines& lines, const Latent& latent) {
  bool first = true;
  for (const store::ScoreRow* row : latent.scores) {
    const std::vector<score::Interval>& deciles = row->score.per_quantile;
    const bool known = std::any_of(deciles.begin(), deciles.end(), [](const auto& i) { return !std::isnan(i.value); });
    if (score::is_shuffled_name(row->explainer) || !known) continue;
    if (first) lines.heading("Accuracy by decile, weakest first");
    first = false;
    std::string text;
    for (const score::Interval& i : deciles) text += std::isnan(i.value) ? "    -" : fmt::format(" {:.2f}", i.value);
    lines.line(fmt::format("{} {}:{}", harmless(row->scorer), harmless(row->explainer), text));
  }
}

void add_lists(Lines& lines, const RunData& data, const Latent& latent) {
  constexpr std::size_t kIndent = 15;
  const std::vector<ShownList> lists = latent_lists(data, latent.hookpoint, latent.id);
  if (lists.empty()) return;
  lines.heading("What it writes, and the latents nearest to it");
  if (const auto m = logit_moments(data, latent.hookpoint, latent.id); m && m->deviation > 0.0F)
    lines.line(
        fmt::format("logit weights on the direct path: standard deviation {:.3g}, skewness {:.2f}, kurtosis {:.1f}",
                    m->deviation, m->skewness, m->kurtosis));
  for (const ShownList& list : lists) {
    std::vector<std::pair<std::string, std::size_t>> parts;
    for (const auto& [text, value] : list.entries) {
      const std::string part = fmt::format(" {} {:.2f} ", text, value);
      parts.emplace_back(part, columns(part));
    }
    lines.parts(fmt::format("  {:<13}", list.name), parts, kIndent);
  }
}

void add_window(Lines& lines, const RunData& data, const Latent& latent, const Window& window,
                const std::vector<bool>& marked, const std::string& label, const ShowOptions& options) {
  const std::string head = fmt::format("  {:<16}", label);
  lines.parts(head, window_parts(data, window, marked, latent.examples.max_activation, options), columns(head));
}

std::string label_of(const Window& w) {
  return w.kind == examples::WindowKind::activating ? fmt::format("Q{:<3} {:.4g}", w.quantile, w.max) : "silent";
}

void add_examples(Lines& lines, const RunData& data, const Latent& latent, const ShowOptions& options) {
  const std::vector<Window> windows = example_windows(latent.examples, options.examples);
  if (!windows.empty()) {
    lines.heading(options.color ? "Examples (underlined: marked; darker: more active)"
                                : fmt::format("Examples (<< >>: at least {:.0f} % of the window's maximum)",
                                              100 * data.questions.tau));
  }
  for (const Window& w : windows)
    add_window(lines, data, latent, w, examples::marked_tokens(w, data.questions.tau), label_of(w), options);
  const std::vector<const Window*> silent = silent_windows(latent.examples, options.silent);
  if (!silent.empty()) lines.heading("Windows in which it is silent");
  for (const Window* w : silent)
    add_window(lines, data, latent, *w, std::vector<bool>(w->activation.size()), "", options);
}

std::vector<JudgedWindow> wrong_windows(const RunData& data, const store::ScoreRow& row, const Latent& latent) {
  if (score::is_shuffled_name(row.explainer)) return {};
  std::vector<JudgedWindow> windows = judged_windows(data, row, latent.examples);
  std::erase_if(windows, [](const JudgedWindow& w) {
    return w.judgement.verdict != score::Verdict::failed &&
           (w.judgement.verdict == score::Verdict::yes) == w.judgement.truth;
  });
  return windows;
}

std::string verdict_label(const score::Judgement& j) {
  return j.quantile == 0 ? std::string(verdict_code(j)) : fmt::format("{} Q{}", verdict_code(j), j.quantile);
}

void add_wrong(Lines& lines, const RunData& data, const Latent& latent, const ShowOptions& options) {
  for (const store::ScoreRow* row : latent.scores) {
    const std::vector<JudgedWindow> windows = wrong_windows(data, *row, latent);
    if (windows.empty() || options.wrong == 0) continue;
    const std::size_t shown = std::min(windows.size(), options.wrong);
    lines.heading(fmt::format("Judged wrongly: {} of {} by {} ({} of {})", harmless(row->scorer),
                              harmless(row->explainer), harmless(row->judge), shown, windows.size()));
    for (std::size_t i = 0; i < shown; ++i)
      add_window(lines, data, latent, windows[i].window, windows[i].marked, verdict_label(windows[i].judgement),
                 options);
  }
}

Json window_json(const RunData& data, const Window& w, const std::vector<bool>& marked) {
  Json tokens = Json::array();
  Json activations = Json::array();
  Json marks = Json::array();
  for (const ShownPiece& piece : shown_pieces(data, w, marked)) {
    tokens.push_back(piece.text);
    activations.push_back(piece.activation);
    marks.push_back(piece.marked);
  }
  return {{"start", w.start}, {"quantile", w.quantile},     {"max", w.max},
          {"tokens", tokens}, {"activations", activations}, {"marked", marks}};
}

Json score_json(const RunData& data, const store::ScoreRow& row, const Latent& latent, std::size_t most) {
  const score::LatentScore& s = row.score;
  const auto number = [](double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); };
  Json json{{"explainer", row.explainer},
            {"scorer", row.scorer},
            {"judge", row.judge},
            {"tp", s.tp},
            {"fp", s.fp},
            {"tn", s.tn},
            {"fn", s.fn},
            {"failed", s.failed},
            {"balanced_accuracy", interval_json(s.balanced_accuracy, "value")},
            {"recall", interval_json(s.recall, "value")},
            {"specificity", interval_json(s.specificity, "value")},
            {"precision", interval_json(s.precision, "value")},
            {"f1", number(s.f1)},
            {"auc", number(s.auc)},
            {"per_decile", Json::array()},
            {"wrong", Json::array()}};
  for (const score::Interval& i : s.per_quantile) json["per_decile"].push_back(interval_json(i, "value"));
  for (const JudgedWindow& w : wrong_windows(data, row, latent)) {
    if (json["wrong"].size() == most) break;
    json["wrong"].push_back(window_json(data, w.window, w.marked));
    json["wrong"].back()["verdict"] = verdict_code(w.judgement);
  }
  return json;
}

/// The scores of a latent that has any, as JSON: {"input": 0.43, "contexts": 100, "output": 0.012}, null for one it has
/// not; and as a line.
Json input_output_json(const RunData& data, const Latent& latent) {
  const index::InputOutput* scores = data.input_output ? data.input_output(latent.hookpoint) : nullptr;
  if (scores == nullptr) return Json();
  const auto number = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
  return {{"input", number(scores->input_of(latent.id))},
          {"contexts", scores->contexts.at(to_index(latent.id))},
          {"output", number(scores->output_of(latent.id))}};
}
void add_input_output(Lines& lines, const RunData& data, const Latent& latent) {
  const Json scores = input_output_json(data, latent);
  if (scores.is_null()) return;
  const auto text = [&](const char* name) {
    return scores[name].is_null() ? std::string("not measured") : fmt::format("{:.3g}", scores[name].get<double>());
  };
  lines.line(fmt::format("input score {} (of {} contexts); output score {}", text("input"),
                         scores["contexts"].get<std::uint32_t>(), text("output")));
}

/// {"promoted": [["\" moon\"", 3.2], ...], ...}, named as in weights.safetensors.
Json lists_json(const RunData& data, const Latent& latent) {
  Json json = Json::object();
  for (const ShownList& list : latent_lists(data, latent.hookpoint, latent.id)) {
    Json& entries = json[std::string(index::name_of(list.list))] = Json::array();
    for (const auto& [text, value] : list.entries) entries.push_back({text, value});
  }
  if (const auto m = logit_moments(data, latent.hookpoint, latent.id))
    json["logit_moments"] = {m->mean, m->deviation, m->skewness, m->kurtosis};
  return json;
}

void check_known(const Latent& latent) {
  if (latent.row || !latent.explanations.empty() || latent.examples.firing_count > 0) return;
  fail_input(latent.hookpoint, fmt::format("nothing is known of latent {}", to_index(latent.id)),
             "it never fires in this run, or the hookpoint is not one of it");
}

}  // namespace

std::string show_text(const RunData& data, std::string_view hookpoint, LatentId latent_id, const ShowOptions& options) {
  const Latent latent = find_latent(data, hookpoint, latent_id);
  check_known(latent);
  Lines lines(options.width, options.color);
  add_head(lines, latent);
  add_kinds(lines, data, latent);
  add_input_output(lines, data, latent);
  add_explanations(lines, latent);
  add_scores(lines, latent);
  add_deciles(lines, latent);
  add_lists(lines, data, latent);
  add_examples(lines, data, latent, options);
  add_wrong(lines, data, latent, options);
  return lines.take();
}

Json show_json(const RunData& data, std::string_view hookpoint, LatentId latent_id, const ShowOptions& options) {
  const Latent latent = find_latent(data, hookpoint, latent_id);
  check_known(latent);
  Json json{{"hookpoint", latent.hookpoint},       {"latent", to_index(latent.id)},
            {"explanations", Json::array()},       {"scores", Json::array()},
            {"examples", Json::array()},           {"silent", Json::array()},
            {"weights", lists_json(data, latent)}, {"max_activation", latent.examples.max_activation}};
  if (latent.row) {
    json["firing_count"] = latent.row->firing_count;
    json["density"] = latent.row->density;
    json["max_activation"] = latent.row->max_activation;
    json["window_count"] = latent.row->window_count;
    json["status"] = examples::name_of(latent.row->status);
  }
  json["kinds"] = Json::object();
  json["input_output"] = input_output_json(data, latent);
  for (const auto& [name, value] : kinds_of(data, latent)) json["kinds"][name] = value;
  for (const store::ExplanationRow* row : latent.explanations) {
    json["explanations"].push_back({{"explainer", row->explainer},
                                    {"text", row->explanation.text},
                                    {"program", row->explanation.program},
                                    {"failure", row->explanation.failure}});
  }
  for (const store::ScoreRow* row : latent.scores)
    json["scores"].push_back(score_json(data, *row, latent, options.wrong));
  for (const Window& w : example_windows(latent.examples, options.examples))
    json["examples"].push_back(window_json(data, w, examples::marked_tokens(w, data.questions.tau)));
  for (const Window* w : silent_windows(latent.examples, options.silent))
    json["silent"].push_back(window_json(data, *w, std::vector<bool>(w->activation.size())));
  // Texts came from files and models: what is not UTF-8 must not end the command.
  return Json::parse(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace gloss::report
