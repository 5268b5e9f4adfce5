#include "gloss/exchange/explanation_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/score/judge.h"

namespace gloss::exchange {
namespace {

constexpr std::size_t kFirstOfScore = 6;  // of kTableColumns
static_assert(kTableColumns[kFirstOfScore].name == "scorer");

void fill_score(TableRow& row, const store::ScoreRow& from) {
  const score::LatentScore& s = from.score;
  const score::Headline number = score::headline(from.scorer, s);
  const std::array<Cell, kTableColumns.size() - kFirstOfScore> cells{from.scorer,
                                                                     from.judge,
                                                                     std::string(number.name),
                                                                     number.value.value,
                                                                     number.value.low,
                                                                     number.value.high,
                                                                     std::uint64_t{s.tp},
                                                                     std::uint64_t{s.fp},
                                                                     std::uint64_t{s.tn},
                                                                     std::uint64_t{s.fn},
                                                                     std::uint64_t{s.failed},
                                                                     s.f1,
                                                                     s.auc};
  std::copy(cells.begin(), cells.end(), row.begin() + kFirstOfScore);
}

/// Which column has what.
class Columns {
 public:
  explicit Columns(const TableSource& table) : table_(table) {}

  std::optional<std::size_t> find(std::string_view name) const {
    const auto& names = table_.columns;
    const auto times = std::count(names.begin(), names.end(), name);
    if (times > 1) fail_input(table_.heading, fmt::format("names the column '{}' {} times", name, times));
    if (times == 0) return std::nullopt;
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  }
  std::size_t need(std::string_view name, std::string_view hint) const {
    if (const auto at = find(name)) return *at;
    fail_input(table_.heading, fmt::format("has no column '{}', but {}", name, fmt::join(table_.columns, ", ")), hint);
  }

 private:
  const TableSource& table_;
};

/// The columns of a score; none when the table has no scores.
class ScoreColumns {
 public:
  explicit ScoreColumns(const Columns& columns) {
    for (std::size_t i = 0; i < at_.size(); ++i) at_[i] = columns.find(kTableColumns[kFirstOfScore + i].name);
    for (const std::string_view needed : {"scorer", "judge", "tp", "fp", "tn", "fn"}) {
      if (!place(needed)) there_ = false;
    }
  }

  /// Nothing where the row has no score. Errors: bad_input.
  std::optional<GivenScore> read(const std::vector<std::string>& fields, const std::string& where) const {
    if (!there_ || text(fields, "scorer").empty()) return std::nullopt;
    GivenScore given{text(fields, "scorer"), text(fields, "judge"), {}};
    score::LatentScore& s = given.score;
    s.tp = count(fields, "tp", where);
    s.fp = count(fields, "fp", where);
    s.tn = count(fields, "tn", where);
    s.fn = count(fields, "fn", where);
    s.failed = count(fields, "failed", where);
    score::add_rates(s);
    s.auc = real(fields, "auc", where);
    const score::Interval number{real(fields, "score", where), real(fields, "score_low", where),
                                 real(fields, "score_high", where)};
    if (place("score")) score::set_headline(given.scorer, s, number);
    return given;
  }

 private:
  std::optional<std::size_t> place(std::string_view name) const {
    const auto* const column = std::find_if(kTableColumns.begin() + kFirstOfScore, kTableColumns.end(),
                                            [&](const TableColumn& c) { return c.name == name; });
    return at_.at(static_cast<std::size_t>(column - kTableColumns.begin()) - kFirstOfScore);
  }
  std::string text(const std::vector<std::string>& fields, std::string_view name) const {
    const auto at = place(name);
    return at ? fields[*at] : std::string();
  }
  template <class Number>
  std::optional<Number> number(const std::vector<std::string>& fields, std::string_view name,
                               const std::string& where) const {
    const std::string digits = text(fields, name);
    if (digits.empty()) return std::nullopt;
    Number value{};
    const char* end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc() || at != end) fail_input(where, fmt::format("{} '{}' is no number", name, digits));
    return value;
  }
  std::uint32_t count(const std::vector<std::string>& fields, std::string_view name, const std::string& where) const {
    return number<std::uint32_t>(fields, name, where).value_or(0);
  }
  double real(const std::vector<std::string>& fields, std::string_view name, const std::string& where) const {
    const double none = std::numeric_limits<double>::quiet_NaN();
    const double value = number<double>(fields, name, where).value_or(none);
    if (std::isinf(value)) fail_input(where, fmt::format("{} is infinite", name));
    return value;
  }

  std::array<std::optional<std::size_t>, kTableColumns.size() - kFirstOfScore> at_;
  bool there_ = true;
};

bool is_same(const store::ExplanationRow& a, const store::ExplanationRow& b) {
  return a.hookpoint == b.hookpoint && a.explainer == b.explainer && a.explanation.latent == b.explanation.latent &&
         a.explanation.text == b.explanation.text && a.explanation.program == b.explanation.program &&
         a.explanation.failure == b.explanation.failure;
}

}  // namespace

std::size_t each_table_row(const store::Store& store, const std::vector<std::string>& hookpoints,
                           const std::function<void(const TableRow&)>& write) {
  return each_explained(
      store, hookpoints, [&](const store::ExplanationRow& row, const std::vector<store::ScoreRow>& scores) {
        const explain::Explanation& e = row.explanation;
        TableRow cells{row.hookpoint, std::uint64_t{to_index(e.latent)}, row.explainer, e.text, e.program, e.failure};
        if (scores.empty()) write(cells);
        for (const store::ScoreRow& score : scores) {
          fill_score(cells, score);
          write(cells);
        }
      });
}

LeftOut each_table_explanation(const TableSource& table, const TableDefaults& defaults, const TakeExplanation& take) {
  const Columns columns(table);
  constexpr std::string_view kHint = "the first row names the columns";
  const std::size_t latent = columns.need("latent", kHint);
  const std::size_t explanation = columns.need("explanation", kHint);
  const auto or_default = [&](const std::string& name, const std::string& given, std::string_view hint) {
    return given.empty() ? std::optional(columns.need(name, hint)) : columns.find(name);
  };
  const auto hookpoint = or_default("hookpoint", defaults.hookpoint, "or say whose latents they are: --hookpoint NAME");
  const auto explainer = or_default("explainer", defaults.explainer, "or name them with --explainer NAME");
  const auto program = columns.find("program"), failure = columns.find("failure");
  const ScoreColumns score_columns(columns);

  LeftOut left_out;
  std::optional<GivenExplanation> open;  // rows of its other scores may follow
  const auto close = [&] {
    if (!open) return;
    if (!open->row.explanation.ok() || is_blank(open->row.explanation.text)) {
      ++left_out.explanations;
    } else {
      take(*open);
    }
    open.reset();
  };
  while (const auto fields = table.next()) {
    const std::string where = table.where();
    const auto field = [&](const std::optional<std::size_t>& at, const std::string& otherwise) {
      return at ? (*fields)[*at] : otherwise;
    };
    GivenExplanation given{{field(hookpoint, defaults.hookpoint), field(explainer, defaults.explainer), {}}, where};
    explain::Explanation& e = given.row.explanation;
    e.latent = latent_of(std::string_view((*fields)[latent]), where);
    e.text = (*fields)[explanation];
    e.program = field(program, "");
    e.failure = field(failure, "");
    if (!open || !is_same(open->row, given.row)) {
      close();
      open = std::move(given);
    }
    if (auto score = score_columns.read(*fields, where); score && !add_score(*open, *std::move(score), where))
      ++left_out.scores;
  }
  close();
  return left_out;
}

}  // namespace gloss::exchange
