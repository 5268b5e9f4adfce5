#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "gloss/base/interrupt.h"
#include "gloss/examples/token_window.h"
#include "gloss/index/filters.h"
#include "gloss/report/figures.h"
#include "gloss/report/html.h"
#include "gloss/report/latent_lists.h"
#include "gloss/report/latent_rows.h"
#include "gloss/report/page.h"
#include "gloss/report/visible_text.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"

namespace gloss::report {
namespace {

using examples::Window;

constexpr int kShades = 10;  // classes a1 .. a10 of latents.css

using BaselineKey = std::tuple<std::string, LatentId, std::string, std::string, std::string>;
/// The scores of shuffled explanations, by hookpoint, latent, explainer that was shuffled, scorer and judge.
using Baselines = std::map<BaselineKey, const store::ScoreRow*>;

Baselines baselines_of(const RunData& data) {
  Baselines found;
  for (const store::ScoreRow& row : data.scores) {
    if (score::is_shuffled_name(row.explainer))
      found[{row.hookpoint, row.score.latent, row.explainer, row.scorer, row.judge}] = &row;
  }
  return found;
}

std::string bdi(std::string_view text) { return "<bdi>" + html_text(text) + "</bdi>"; }

// --- windows ---------------------------------------------------------------------------------------------------------

std::string tokens_html(const std::vector<ShownPiece>& pieces, float max) {
  std::string html = "<div class=\"tokens\" dir=\"auto\">";
  for (const ShownPiece& piece : pieces) {
    const std::string text = html_text(piece.text);
    const bool fires = piece.activation > 0.0F;
    if (!fires && !piece.marked) {
      html += text;
      continue;
    }
    const float share = max > 0.0F ? std::min(1.0F, piece.activation / max) : 1.0F;
    const int shade = fires ? std::clamp(static_cast<int>(std::ceil(share * kShades)), 1, kShades) : 0;
    html += fmt::format("<span class=\"a{}{}\" title=\"{}\">{}</span>", shade, piece.marked ? " marked" : "",
                        fires ? fmt::format("activation {:.4g}", piece.activation) : "marked, but silent", text);
  }
  return html + "</div>";
}

/// `before`: HTML of the label's first line, or "".
std::string window_html(const RunData& data, const Window& window, const std::vector<bool>& marked, float max,
                        const std::string& before) {
  const std::vector<ShownPiece> pieces = shown_pieces(data, window, marked);
  std::string label = before;
  const auto peak = std::max_element(pieces.begin(), pieces.end(), [](const ShownPiece& a, const ShownPiece& b) {
    return a.activation < b.activation;
  });
  if (peak == pieces.end() || peak->activation <= 0.0F)
    label += "silent";
  else
    label += fmt::format("decile {} · {:.4g} at “{}”", window.quantile, window.max, bdi(peak->text));
  return "<div class=\"window\"><div class=\"label\">" + label + "</div>" + tokens_html(pieces, max) + "</div>\n";
}

std::string section_html(std::string_view title, const std::string& content) {
  return content.empty() ? content : fmt::format("<section>\n<h3>{}</h3>\n{}</section>\n", title, content);
}

std::string examples_html(const RunData& data, const examples::LatentExamples& examples, std::size_t count) {
  std::string html;
  for (const Window& w : example_windows(examples, count))
    html += window_html(data, w, examples::marked_tokens(w, data.questions.tau), examples.max_activation, "");
  const std::string title =
      fmt::format("Examples by decile, strongest first (underlined: at least {:.0f} % of the window’s maximum)",
                  100 * data.questions.tau);
  return section_html(title, html);
}

std::string verdict_html(const score::Judgement& j) {
  const std::string_view verdict = verdict_code(j);
  const bool right = verdict == "right";
  std::string html = fmt::format("<span class=\"chip {}\">{}</span><br>", right ? "right" : "wrong",
                                 right ? (j.truth ? "right: yes" : "right: no") : verdict);
  if (j.probability >= 0.0F) html += fmt::format("p(yes) {:.2f}<br>", j.probability);
  return html;
}

std::string judged_html(const RunData& data, const store::ScoreRow& row, const examples::LatentExamples& examples,
                        const ReportOptions& options) {
  std::string html;
  bool wrong = false;
  for (const JudgedWindow& w : few_judged_windows(data, row, examples, options.wrong, options.right)) {
    wrong = wrong || verdict_code(w.judgement) != "right";
    html += window_html(data, w.window, w.marked, examples.max_activation, verdict_html(w.judgement));
  }
  return section_html(fmt::format("Judged: {} of {}, by {}{}", html_text(row.scorer), bdi(row.explainer),
                                  bdi(row.judge), wrong ? "; wrong ones first" : "; none of these wrong"),
                      html);
}

// --- numbers ---------------------------------------------------------------------------------------------------------

std::string share_html(std::uint32_t hits, std::uint32_t n) { return n == 0 ? "–" : fmt::format("{} of {}", hits, n); }

std::string score_row_html(const store::ScoreRow& row, const Baselines& baselines) {
  const score::LatentScore& s = row.score;
  const score::Headline number = score::headline(row.scorer, s);
  const auto baseline =
      baselines.find({row.hookpoint, s.latent, score::shuffled_name(row.explainer), row.scorer, row.judge});
  std::string html = "<tr>" + cell("Scorer", html_text(row.scorer), "") + cell("Judge", bdi(row.judge), "");
  html += cell("Score",
               interval_svg(number.value) + number_html(number.value) +
                   fmt::format("<span class=\"range\">{}</span>", html_text(number.name)),
               "num wide");
  html += cell("Shuffled", baseline == baselines.end()
                               ? std::string("–")
                               : number_html(score::headline(row.scorer, baseline->second->score).value));
  html += cell("Guessing", std::isnan(number.chance) ? std::string("–") : fmt::format("{:.3g}", number.chance));
  html += cell("Yes where right", share_html(s.tp, s.tp + s.fn));
  html += cell("No where right", share_html(s.tn, s.tn + s.fp));
  html += cell("Failed", s.failed == 0 ? std::string("none") : fmt::format("<span class=\"bad\">{}</span>", s.failed));
  return html + "</tr>\n";
}

std::string scores_html(const LatentRows& latent, const std::string& explainer, const Baselines& baselines) {
  std::string rows;
  for (const store::ScoreRow* row : latent.scores) {
    if (row->explainer == explainer) rows += score_row_html(*row, baselines);
  }
  if (rows.empty()) return "<p class=\"note\">Not scored.</p>\n";
  std::string head;
  for (const char* name : {"Scorer", "Judge"}) head += fmt::format("<th scope=\"col\">{}</th>", name);
  for (const char* name : {"Score", "Shuffled", "Guessing", "Yes where right", "No where right", "Failed"})
    head += fmt::format("<th scope=\"col\" class=\"num\">{}</th>", name);
  return "<div class=\"scroll\"><table class=\"summary\"><thead><tr>" + head + "</tr></thead><tbody>\n" + rows +
         "</tbody></table></div>\n";
}

std::string explanation_html(const store::ExplanationRow& row) {
  const explain::Explanation& e = row.explanation;
  return e.ok() ? bdi(e.text) : fmt::format("<span class=\"failure\">no explanation: {}</span>", bdi(e.failure));
}

std::string explanations_html(const LatentRows& latent, const Baselines& baselines) {
  std::string html;
  for (const auto& [explainer, row] : latent.explanations)
    html += fmt::format("<p class=\"says\">{} <span class=\"tag\">{}</span></p>\n{}", explanation_html(*row),
                        bdi(explainer), scores_html(latent, explainer, baselines));
  return section_html("Explanations", html);
}

std::string facts_of_latent(const RunData& data, const LatentRows& latent) {
  std::string text;
  if (latent.row != nullptr) {
    const store::LatentRow& row = *latent.row;
    text = fmt::format("Fires at {} tokens ({:.3g} %), at most {:.4g}; {} windows", grouped(row.firing_count),
                       100 * row.density, row.max_activation, grouped(row.window_count));
    if (row.status != examples::Status::ok) text += fmt::format(" ({})", examples::name_of(row.status));
    text += ".";
  }
  if (data.kinds) {
    for (const auto& [name, value] : data.kinds(latent.hookpoint, latent.id)) {
      const std::optional<index::LatentKind> kind = index::find_kind(name);
      text += fmt::format(" {}: {:.3g}{}.", html_text(name), value,
                          kind ? fmt::format(" ({})", html_text(index::info(*kind).measure)) : "");
    }
  }
  return text.empty() ? text : "<p class=\"note\">" + text + "</p>\n";
}

std::string lists_html(const RunData& data, const LatentRows& latent) {
  std::string html;
  for (const ShownList& list : latent_lists(data, latent.hookpoint, latent.id)) {
    html += fmt::format("<p class=\"list\"><span class=\"tag\" title=\"{}\">{}</span>", list.value, list.name);
    for (const auto& [text, value] : list.entries)
      html += fmt::format(" <code>{}</code><span class=\"range\"> {:.2f}</span>", bdi(text), value);
    html += "</p>\n";
  }
  return section_html("What it writes, and the latents nearest to it", html);
}

std::string figure_html(std::string_view caption, const std::string& drawing) {
  return fmt::format("<figure><figcaption>{}</figcaption>{}</figure>\n", caption, drawing);
}

std::string firing_figures_html(const RunData& data, const LatentRows& latent) {
  if (!data.histograms) return {};
  const FiringHistograms h = data.histograms(latent.hookpoint, latent.id);
  const std::vector<double> offsets(h.offsets.edges.begin(), h.offsets.edges.end());
  return figure_html("How strongly it fires",
                     counts_svg(h.strength.edges, h.strength.counts, "Histogram of activations", "activation")) +
         figure_html("Where in a context", counts_svg(offsets, h.offsets.counts, "Histogram of places in a context",
                                                      "tokens from the context’s beginning"));
}

std::string decile_figures_html(const LatentRows& latent) {
  std::string html;
  for (const store::ScoreRow* row : latent.scores) {
    const std::vector<score::Interval>& deciles = row->score.per_quantile;
    if (std::all_of(deciles.begin(), deciles.end(), [](const auto& i) { return std::isnan(i.value); })) continue;
    const Series series{row->explainer, "series-0", {}, deciles};
    html += figure_html(fmt::format("{} of {}, by {}", html_text(row->scorer), bdi(row->explainer), bdi(row->judge)),
                        decile_svg({series}, "Accuracy by decile of activation"));
  }
  return html;
}

std::string figures_html(const RunData& data, const LatentRows& latent) {
  const std::string firing = firing_figures_html(data, latent);
  const std::string deciles = decile_figures_html(latent);
  std::string html =
      section_html("Where it fires", firing.empty() ? "" : "<div class=\"figures\">" + firing + "</div>\n");
  return html + section_html("Share of windows answered “yes” where yes is right, by decile",
                             deciles.empty() ? "" : "<div class=\"figures\">" + deciles + "</div>\n");
}

// --- the page --------------------------------------------------------------------------------------------------------

std::string latent_html(const RunData& data, const LatentRows& latent, std::size_t place, const Baselines& baselines,
                        const ReportOptions& options) {
  std::string html =
      fmt::format("<article id=\"latent-{0}\" aria-labelledby=\"name-{0}\">\n<h2 id=\"name-{0}\">{1} latent {2}</h2>\n",
                  place, bdi(latent.hookpoint), to_index(latent.id));
  html += facts_of_latent(data, latent);
  html += explanations_html(latent, baselines);
  html += figures_html(data, latent);
  html += lists_html(data, latent);
  if (!data.examples) return html + "</article>\n";
  const examples::LatentExamples examples = data.examples(latent.hookpoint, latent.id);
  html += examples_html(data, examples, options.examples);
  for (const store::ScoreRow* row : latent.scores) html += judged_html(data, *row, examples, options);
  std::string silent;
  for (const Window* w : silent_windows(examples, options.silent))
    silent += window_html(data, *w, {}, examples.max_activation, "");
  html += section_html("Windows in which it is silent", silent);
  return html + "<p class=\"back\"><a href=\"#top\">All latents of this file</a></p>\n</article>\n";
}

std::string contents_row(const LatentRows& latent, std::size_t place) {
  std::string html =
      fmt::format("<tr><th scope=\"row\"><a href=\"#latent-{}\">{} {}</a></th><td class=\"explanation\">", place,
                  bdi(latent.hookpoint), to_index(latent.id));
  bool first = true;
  for (const auto& [explainer, row] : latent.explanations) {
    html += (first ? "" : "<br>") + explanation_html(*row);
    if (latent.explanations.size() > 1) html += " <span class=\"tag\">" + bdi(explainer) + "</span>";
    first = false;
  }
  html += "</td><td>";
  for (const store::ScoreRow* row : latent.scores) {
    const score::Interval value = score::headline(row->scorer, row->score).value;
    const std::string of = latent.explanations.size() > 1 ? " of " + bdi(row->explainer) : std::string();
    html += fmt::format("<div class=\"score\">{}{} {}</div>", html_text(row->scorer), of, number_html(value));
  }
  return html + "</td></tr>\n";
}

}  // namespace

std::string latents_page(const RunData& data, const std::set<LatentName>& chosen, const ReportOptions& options,
                         Reporter& reporter) {
  const Table table = make_table(data);
  const Baselines baselines = baselines_of(data);
  std::string contents;
  std::string articles;
  std::size_t place = 0;
  for (const LatentRows& latent : table.latents) {
    if (!chosen.contains({latent.hookpoint, latent.id})) continue;
    stop_if_interrupted();
    ++place;
    contents += contents_row(latent, place);
    articles += latent_html(data, latent, place, baselines, options);
    reporter.progress({"report", place, chosen.size(), "latents", ""});
  }
  const std::string title = fmt::format("{} of {}", place == 1 ? "1 latent" : grouped(place) + " latents", data.title);
  return filled(asset("latents.html"), {{"title", html_text(title)},
                                        {"css", std::string(asset("report.css")) + std::string(asset("latents.css"))},
                                        {"facts", facts_html(data)},
                                        {"contents", contents},
                                        {"latents", articles}});
}

}  // namespace gloss::report
