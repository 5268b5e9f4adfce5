#include "gloss/app/explanation_csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/report/csv.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"
#include "gloss/text/csv_reader.h"

namespace gloss::app {
namespace {

constexpr std::string_view kHeading =
    "hookpoint,latent,explainer,explanation,program,failure,scorer,judge,score_name,score,score_low,score_high,tp,fp,"
    "tn,"
    "fn,failed,f1,auc\r\n";
constexpr std::string_view kNoScore = ",,,,,,,,,,,,";
constexpr std::string_view kFormula = "=+-@\t\r";  // what report::csv_text puts an apostrophe before

/// Whether a spreadsheet would take it for a formula once the apostrophes at its beginning are gone.
bool is_guarded(std::string_view text) {
  const std::size_t first = text.find_first_not_of('\'');
  return first != std::string_view::npos && first > 0 && kFormula.find(text[first]) != std::string_view::npos;
}

/// One apostrophe more before those that stand before a formula already, so that reading takes off the right ones.
std::string field_of(const std::string& text) { return report::csv_text(is_guarded(text) ? "'" + text : text); }
std::string text_of(std::string field) {
  if (is_guarded(field)) field.erase(0, 1);
  return field;
}

std::string score_fields(const store::ScoreRow& row) {
  const score::LatentScore& s = row.score;
  const score::Headline number = score::headline(row.scorer, s);
  using report::csv_number;
  return fmt::format(",{},{},{},{},{},{},{},{},{},{},{},{},{}", field_of(row.scorer), field_of(row.judge), number.name,
                     csv_number(number.value.value), csv_number(number.value.low), csv_number(number.value.high), s.tp,
                     s.fp, s.tn, s.fn, s.failed, csv_number(s.f1), csv_number(s.auc));
}

/// Which column has what.
class Columns {
 public:
  Columns(const std::vector<std::string>& names, std::string where) : names_(names), where_(std::move(where)) {}

  std::optional<std::size_t> find(const std::string& name) const {
    const auto times = std::count(names_.begin(), names_.end(), name);
    if (times > 1) fail_input(where_, fmt::format("names the column '{}' {} times", name, times));
    if (times == 0) return std::nullopt;
    return static_cast<std::size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
  }
  std::size_t need(const std::string& name, std::string_view hint) const {
    if (const auto at = find(name)) return *at;
    fail_input(where_, fmt::format("has no column '{}', but {}", name, fmt::join(names_, ", ")), hint);
  }

 private:
  const std::vector<std::string>& names_;
  std::string where_;
};

LatentId latent_of(const std::string& text, const std::string& where) {
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || at != end) fail_input(where, fmt::format("'{}' is not a latent's number", text));
  return LatentId{number};
}

std::unique_ptr<text::ByteSource> source_of(std::filesystem::path file, char& separator) {
  const bool packed = file.extension() == ".gz";
  auto source = text::open_source(MappedFile::open(file), packed ? text::Packing::gzip : text::Packing::none);
  if (packed) file.replace_extension();
  separator = file.extension() == ".tsv" ? '\t' : ',';
  return source;
}

bool is_same(const store::ExplanationRow& a, const store::ExplanationRow& b) {
  return a.hookpoint == b.hookpoint && a.explainer == b.explainer && a.explanation.latent == b.explanation.latent &&
         a.explanation.text == b.explanation.text && a.explanation.program == b.explanation.program &&
         a.explanation.failure == b.explanation.failure;
}

}  // namespace

std::size_t write_explanation_csv(const store::Store& store, const std::vector<std::string>& hookpoints,
                                  const std::function<void(std::string_view text)>& write) {
  write(kHeading);
  std::size_t count = 0;
  for (const std::string& hookpoint : hookpoints) {
    std::map<std::pair<LatentId, std::string>, std::vector<std::string>> scores;
    store.each_score(hookpoint, "", "", [&](const store::ScoreRow& row) {
      if (!score::is_shuffled_name(row.explainer))
        scores[{row.score.latent, row.explainer}].push_back(score_fields(row));
    });
    store.each_explanation(hookpoint, "", [&](const store::ExplanationRow& row) {
      if (score::is_shuffled_name(row.explainer)) return;
      const explain::Explanation& e = row.explanation;
      const std::string begin =
          fmt::format("{},{},{},{},{},{}", field_of(hookpoint), to_index(e.latent), field_of(row.explainer),
                      field_of(e.text), field_of(e.program), field_of(e.failure));
      const auto found = scores.find({e.latent, row.explainer});
      if (found == scores.end()) write(fmt::format("{},{}\r\n", begin, kNoScore));
      if (found != scores.end()) {
        for (const std::string& fields : found->second) write(begin + fields + "\r\n");
      }
      ++count;
    });
  }
  return count;
}

std::size_t each_csv_explanation(const std::filesystem::path& file, const CsvDefaults& defaults, const TakeLine& take) {
  char separator = ',';
  auto source = source_of(file, separator);
  text::CsvReader reader(std::move(source), file.string(), separator);
  const auto heading = reader.next();
  if (!heading) fail_input(file.string(), "is empty", "wanted a first row that names the columns");
  const Columns columns(*heading, fmt::format("{}: line 1", file.string()));
  const std::size_t latent = columns.need("latent", "the first row names the columns");
  const std::size_t explanation = columns.need("explanation", "the first row names the columns");
  const auto or_default = [&](const std::string& name, const std::string& given, std::string_view hint) {
    return given.empty() ? std::optional(columns.need(name, hint)) : columns.find(name);
  };
  const auto hookpoint = or_default("hookpoint", defaults.hookpoint, "or say whose latents they are: --hookpoint NAME");
  const auto explainer = or_default("explainer", defaults.explainer, "or name them with --explainer NAME");
  const auto program = columns.find("program"), failure = columns.find("failure");

  std::size_t left_out = 0;
  std::optional<store::ExplanationRow> before;
  while (const auto fields = reader.next()) {
    const std::string where = fmt::format("{}: line {}", file.string(), reader.line());
    if (fields->size() != heading->size())
      fail_input(where, fmt::format("has {} fields, and the first row names {}", fields->size(), heading->size()),
                 "a text with a comma stands in double quotes");
    const auto field = [&](const std::optional<std::size_t>& at, const std::string& otherwise) {
      return at ? text_of((*fields)[*at]) : otherwise;
    };
    ExplanationLine line{{field(hookpoint, defaults.hookpoint), field(explainer, defaults.explainer), {}}, where};
    explain::Explanation& e = line.row.explanation;
    e.latent = latent_of((*fields)[latent], where);
    e.text = field(explanation, "");
    e.program = field(program, "");
    e.failure = field(failure, "");
    if (before && is_same(*before, line.row)) continue;
    before = line.row;
    if (!e.ok() || e.text.find_first_not_of(" \t\r\n") == std::string::npos) {
      ++left_out;
    } else {
      take(line);
    }
  }
  return left_out;
}

}  // namespace gloss::app
