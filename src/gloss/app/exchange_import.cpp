// gloss import: explanations and scores of others into a run.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include "gloss/app/exchange.h"
#include "gloss/base/error.h"
#include "gloss/exchange/delphi_results.h"
#include "gloss/exchange/explanation_csv.h"
#include "gloss/exchange/explanation_lines.h"
#include "gloss/exchange/explanation_parquet.h"
#include "gloss/exchange/openai_files.h"
#include "gloss/exchange/saebench.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"
#include "gloss/store/store.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;
using exchange::GivenExplanation;
using exchange::LeftOut;
using exchange::TakeExplanation;

/// Whether a file's score is one that the run has: the same counts and, to a table's digits, the same number.
bool is_same_score(const store::ScoreRow& kept, const exchange::GivenScore& given) {
  const score::LatentScore &a = kept.score, &b = given.score;
  if (kept.scorer != given.scorer || a.tp != b.tp || a.fp != b.fp || a.tn != b.tn || a.fn != b.fn ||
      a.failed != b.failed)
    return false;
  const double x = score::headline(kept.scorer, a).value.value, y = score::headline(given.scorer, b).value.value;
  constexpr double kDigits = 1e-5;
  return (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= kDigits * std::max(1.0, std::abs(x));
}

/// Most files have no place for a program.
bool is_same_explanation(const explain::Explanation& kept, const explain::Explanation& given) {
  return kept.text == given.text && (given.program.empty() || kept.program == given.program);
}

/// Puts explanations of files into a run. What is there under the same name is not replaced.
class Taking {
 public:
  Taking(const ExchangeOptions& o, store::Store& store) : options_(o), store_(store), run_(o.run) {}

  void take(const GivenExplanation& given) {
    store::ExplanationRow row = given.row;
    if (!options_.explainer.empty()) row.explainer = options_.explainer;
    if (row.explainer.empty())
      fail_input(given.where, "names no explainer", "name the explainer of all with --explainer NAME");
    if (score::is_shuffled_name(row.explainer)) fail_input(given.where, "is a baseline of shuffled explanations");
    const std::uint32_t latents = latents_of(row.hookpoint, given.where);
    if (to_index(row.explanation.latent) >= latents)
      fail_input(given.where, fmt::format("latent {}, but {} has latents 0 to {}", to_index(row.explanation.latent),
                                          row.hookpoint, latents - 1));
    const auto kept = store_.explanation(row.hookpoint, row.explanation.latent, row.explainer);
    if (!kept) {
      store_.put_explanation(row);
      ++taken_[row.explainer];
    } else if (is_same_explanation(kept->explanation, row.explanation)) {
      ++same_;
    } else {
      fail_input(given.where,
                 fmt::format("{} latent {} has another explanation by '{}' already", row.hookpoint,
                             to_index(row.explanation.latent), row.explainer),
                 "import them under a name of their own with --explainer NAME");
    }
    if (!options_.no_scores) take_scores(row, given);
  }
  void tell(const LeftOut& left_out, Reporter& report) const {
    for (const auto& [explainer, number] : taken_)
      report.info(fmt::format("{} explanations by '{}'; gloss score {} --explainer '{}' judges them", number, explainer,
                              options_.run, explainer));
    if (same_ > 0) report.info(fmt::format("{} were there already", same_));
    for (const auto& [judge, number] : scores_) report.info(fmt::format("{} scores by the judge '{}'", number, judge));
    if (same_scores_ > 0) report.info(fmt::format("{} scores were there already", same_scores_));
    if (left_out.explanations > 0) report.warn(fmt::format("{} without a text are left out", left_out.explanations));
    if (left_out.scores > 0)
      report.warn(fmt::format("{} scores by scorers that gloss does not know are left out", left_out.scores));
  }

 private:
  void take_scores(const store::ExplanationRow& row, const GivenExplanation& given) {
    if (given.scores.empty()) return;
    const std::vector<store::ScoreRow> kept = store_.scores_of(row.hookpoint, row.explanation.latent);
    for (const exchange::GivenScore& score : given.scores) {
      const std::string judge = exchange::imported_judge(score.judge);
      bool there = false;
      for (const store::ScoreRow& other : kept) {
        if (other.explainer != row.explainer || other.scorer != score.scorer) continue;
        const bool same = is_same_score(other, score);
        if (other.judge == judge && !same)
          fail_input(given.where,
                     fmt::format("{} latent {} has another score by {} and '{}' already", row.hookpoint,
                                 to_index(row.explanation.latent), score.scorer, judge),
                     "--no-scores leaves out the scores of the files");
        there = there || (same && (other.judge == judge || other.judge == score.judge));
      }
      if (there) {
        ++same_scores_;
        continue;
      }
      store_.put_score({row.hookpoint, row.explainer, score.scorer, judge, score.score}, {});
      ++scores_[judge];
    }
  }
  std::uint32_t latents_of(const std::string& hookpoint, const std::string& where) {
    const auto known = latents_.find(hookpoint);
    if (known != latents_.end()) return known->second;
    const std::vector<std::string> names = run_.hookpoints();
    if (std::find(names.begin(), names.end(), hookpoint) == names.end())
      fail_input(where, fmt::format("hookpoint '{}', and the run has {}", hookpoint, fmt::join(names, ", ")));
    return latents_.emplace(hookpoint, index::Reader::open(run_.index(hookpoint)).latent_count()).first->second;
  }

  const ExchangeOptions& options_;
  store::Store& store_;
  RunFolder run_;
  std::map<std::string, std::uint32_t> latents_;
  std::map<std::string, std::uint64_t> taken_, scores_;  // by explainer, by judge
  std::uint64_t same_ = 0, same_scores_ = 0;
};

int import_explanations(const ExchangeOptions& o, Context& context,
                        const std::function<LeftOut(const fs::path& file, const TakeExplanation& take)>& read) {
  const RunFolder run(o.run);
  run.hookpoints();  // tells what to do when there is no cache yet
  store::Store store(run.results());
  Taking taking(o, store);
  LeftOut left_out;
  store::Store::Transaction transaction(store);
  for (const std::string& file : o.files) {
    const LeftOut more = read(file, [&](const GivenExplanation& given) { taking.take(given); });
    left_out.explanations += more.explanations;
    left_out.scores += more.scores;
  }
  transaction.commit();
  taking.tell(left_out, context.reporter);
  return kDone;
}

/// Of a format that may name hookpoints, or leave it to the command.
exchange::TableDefaults table_defaults(const ExchangeOptions& o) {
  if (o.hookpoints.size() > 1)
    throw Error(ErrorKind::usage, "",
                fmt::format("--format {} takes one --hookpoint, for tables that name none", o.format));
  return {o.hookpoints.empty() ? std::string() : o.hookpoints.front(), o.explainer};
}

/// The hookpoint whose latents the files' are, which they name in their own way.
const std::string& only_hookpoint(const ExchangeOptions& o) {
  if (o.hookpoints.size() != 1)
    throw Error(ErrorKind::usage, "", fmt::format("--format {} names latents by its own layers", o.format),
                "say whose latents they are with --hookpoint HOOKPOINT, one at a time");
  return o.hookpoints.front();
}

}  // namespace

int import_lines(const ExchangeOptions& o, Context& context) {
  return import_explanations(o, context, exchange::each_explanation_line);
}

int import_csv(const ExchangeOptions& o, Context& context) {
  return import_explanations(o, context,
                             [&, defaults = table_defaults(o)](const fs::path& file, const TakeExplanation& take) {
                               return exchange::each_csv_explanation(file, defaults, take);
                             });
}

int import_parquet(const ExchangeOptions& o, Context& context) {
  return import_explanations(o, context,
                             [&, defaults = table_defaults(o)](const fs::path& file, const TakeExplanation& take) {
                               return exchange::each_parquet_explanation(file, defaults, take);
                             });
}

int import_neuronpedia(const ExchangeOptions& o, Context& context) {
  const std::string& hookpoint = only_hookpoint(o);
  return import_explanations(o, context, [&](const fs::path& file, const TakeExplanation& take) {
    return exchange::each_neuronpedia_line(file, hookpoint, take);
  });
}

int import_openai(const ExchangeOptions& o, Context& context) {
  const std::string& hookpoint = only_hookpoint(o);
  std::size_t simulated = 0, differing = 0;
  const int code = import_explanations(o, context, [&](const fs::path& file, const TakeExplanation& take) {
    const exchange::OpenAiReading reading = exchange::each_openai_line(file, hookpoint, take);
    simulated += reading.simulated;
    differing += reading.differing;
    return reading.left_out;
  });
  if (differing > 0 && !o.no_scores)
    context.reporter.warn(
        fmt::format("{} of {} correlations are not what their file says: they are computed anew from its sequences",
                    differing, simulated));
  return code;
}

int import_saebench(const ExchangeOptions& o, Context& context) {
  const std::string& hookpoint = only_hookpoint(o);
  return import_explanations(o, context, [&](const fs::path& file, const TakeExplanation& take) {
    return exchange::each_saebench_explanation(file, hookpoint, take);
  });
}

int import_delphi_explanations(const ExchangeOptions& o, Context& context) {
  std::map<std::string, std::size_t> unread;
  const int code = import_explanations(o, context, [&](const fs::path& folder, const TakeExplanation& take) {
    exchange::DelphiReading reading = exchange::each_delphi_explanation(folder, o.hookpoints, take);
    for (const auto& [scorer, files] : reading.unread) unread[scorer] += files;
    return reading.left_out;
  });
  for (const auto& [scorer, files] : unread)
    context.reporter.info(fmt::format("not read: {} files of scores/{}", files, scorer));
  return code;
}

}  // namespace gloss::app
