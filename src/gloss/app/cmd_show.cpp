// gloss show: one latent in the terminal.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "gloss/app/command.h"
#include "gloss/app/report_data.h"
#include "gloss/base/error.h"
#include "gloss/examples/sae_dashboard.h"
#include "gloss/report/terminal.h"

namespace gloss::app {
namespace {

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 100;
  return std::max<std::size_t>(size.ws_col, 40);
}

constexpr double kTau = 0.3;         // marked: at least this share of the sequence's maximum
constexpr std::size_t kAround = 12;  // tokens shown on each side of the one that a sequence is shown for

std::string token_list(const std::vector<std::pair<std::string, double>>& tokens) {
  std::string line;
  for (const auto& [token, value] : tokens) line += fmt::format("  '{}' {:.3g}", report::harmless(token), value);
  return line;
}

std::string sequence_text(const examples::PageSequence& s) {
  const auto strongest = std::max_element(s.values.begin(), s.values.end());
  const double max = strongest == s.values.end() ? 0.0 : *strongest;
  const std::size_t at =
      s.at >= 0 ? static_cast<std::size_t>(s.at) : static_cast<std::size_t>(strongest - s.values.begin());
  const std::size_t begin = at - std::min(at, kAround);
  const std::size_t end = std::min(s.tokens.size(), at + kAround + 1);
  std::string line;
  for (std::size_t i = begin; i < end; ++i) {
    const std::string token = report::harmless(s.tokens[i]);
    line += max > 0.0 && s.values[i] >= kTau * max ? "<<" + token + ">>" : token;
  }
  return line;
}

/// A latent of another tool's file.
std::string page_text(const std::string& name, const examples::LatentPage& page, std::size_t examples) {
  std::string text = fmt::format("{}: latent {}\n  fires on {:.3g} % of tokens, at most {:.3g}\n",
                                 report::harmless(name), to_index(page.latent), page.density * 100.0, page.max);
  if (!page.promoted.empty()) text += "  promotes " + token_list(page.promoted) + "\n";
  if (!page.suppressed.empty()) text += "  suppresses " + token_list(page.suppressed) + "\n";
  std::size_t shown = 0;
  const examples::PageSequence* before = nullptr;
  for (const examples::PageSequence& s : page.sequences) {
    const bool begins = before == nullptr || before->bin_min != s.bin_min || before->is_top() != s.is_top();
    if (begins) shown = 0;
    if (begins && s.is_top()) text += "\nstrongest\n";
    if (begins && !s.is_top())
      text += fmt::format("\n{:.3g} to {:.3g}: {:.3g} % of tokens\n", s.bin_min, s.bin_max, s.bin_contains * 100.0);
    before = &s;
    if (shown++ >= examples) continue;
    const double value = s.at >= 0 ? s.values[static_cast<std::size_t>(s.at)] : 0.0;
    text += fmt::format("  {:>8.3f}  {}\n", value, sequence_text(s));
  }
  return text;
}

int show_file(const std::string& file, const std::string& latent, bool json, std::size_t examples, Context& context) {
  const auto batch = examples::DashboardBatch::open(file);
  std::uint32_t number = 0;
  const char* end = latent.data() + latent.size();
  if (latent.empty() || std::from_chars(latent.data(), end, number).ptr != end)
    throw Error(ErrorKind::usage, "", fmt::format("'{}' is not a latent's number", latent),
                fmt::format("gloss show {} LATENT", file));
  const std::array<LatentId, 1> one{LatentId{number}};
  context.out << (json ? batch.text(one) : page_text(batch.name(), batch.page(one.front()), examples));
  return kDone;
}

}  // namespace

Runner setup_show(CLI::App& cli) {
  struct Options {
    std::string run, hookpoint;
    std::uint32_t latent = 0;
    bool json = false;
    report::ShowOptions show;
  };
  auto o = std::make_shared<Options>();
  cli.add_option("run", o->run, "run folder with explanations, or a batch-N.json of SAEDashboard")->required();
  cli.add_option("hookpoint", o->hookpoint, "hookpoint, e.g. layers.5; not for a file")->required();
  CLI::Option* number = cli.add_option("latent", o->latent, "latent, from 0");
  cli.add_option("--examples", o->show.examples, "activating windows shown");
  cli.add_flag("--json", o->json, "print one JSON document");
  return [o, number](Context& context) {
    if (std::filesystem::is_regular_file(o->run)) {
      const std::string latent = number->count() > 0 ? std::to_string(o->latent) : o->hookpoint;
      return show_file(o->run, latent, o->json, o->show.examples, context);
    }
    if (number->count() == 0)
      throw Error(ErrorKind::usage, "", "latent is required", "gloss show RUN HOOKPOINT LATENT");
    const RunFolder run(o->run);
    const RunData data = RunData::open(run);
    const std::string hookpoint = run.select_hookpoints({o->hookpoint}).front();
    const store::Store store(run.results());
    const report::RunData report = report_data(data, store);
    o->show.color = context.color_out;
    o->show.width = terminal_width();
    const LatentId latent{o->latent};
    if (o->json)
      context.out << report::show_json(report, hookpoint, latent, o->show).dump(2) << "\n";
    else
      context.out << report::show_text(report, hookpoint, latent, o->show);
    return static_cast<int>(kDone);
  };
}

}  // namespace gloss::app
