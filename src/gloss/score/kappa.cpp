#include "gloss/score/kappa.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "gloss/base/random.h"

namespace gloss::score {
namespace {

constexpr int kResamples = 2000;

YesNo& operator+=(YesNo& sum, const YesNo& one) {
  sum.both_yes += one.both_yes;
  sum.only_a += one.only_a;
  sum.only_b += one.only_b;
  sum.both_no += one.both_no;
  return sum;
}

double kappa_of(const YesNo& t) {
  const auto n = static_cast<double>(t.windows());
  if (n == 0.0) return std::nan("");
  const double a = static_cast<double>(t.both_yes + t.only_a) / n;
  const double b = static_cast<double>(t.both_yes + t.only_b) / n;
  const double observed = static_cast<double>(t.agreed()) / n;
  const double expected = a * b + (1.0 - a) * (1.0 - b);
  return expected >= 1.0 ? std::nan("") : (observed - expected) / (1.0 - expected);
}

}  // namespace

YesNo match_verdicts(std::span<const Judgement> a, std::span<const Judgement> b) {
  std::map<std::pair<std::uint32_t, examples::WindowKind>, Verdict> verdicts;
  for (const Judgement& j : a) verdicts[{j.start, j.kind}] = j.verdict;
  YesNo table;
  for (const Judgement& j : b) {
    const auto other = verdicts.find({j.start, j.kind});
    if (other == verdicts.end() || other->second == Verdict::failed || j.verdict == Verdict::failed) continue;
    const bool yes_a = other->second == Verdict::yes;
    const bool yes_b = j.verdict == Verdict::yes;
    ++(yes_a ? (yes_b ? table.both_yes : table.only_a) : (yes_b ? table.only_b : table.both_no));
  }
  return table;
}

Interval kappa(std::span<const YesNo> latents, std::uint64_t seed) {
  YesNo all;
  for (const YesNo& one : latents) all += one;
  Interval result{kappa_of(all), std::nan(""), std::nan("")};
  if (latents.size() < 2 || std::isnan(result.value)) return result;
  Random random = Random::for_purpose(seed, "kappa");
  std::vector<double> values;
  for (int i = 0; i < kResamples; ++i) {
    YesNo drawn;
    for (std::size_t k = 0; k < latents.size(); ++k) drawn += latents[random.below(latents.size())];
    const double value = kappa_of(drawn);
    if (!std::isnan(value)) values.push_back(value);
  }
  if (values.empty()) return result;
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  };
  result.low = at(0.025);
  result.high = at(0.975);
  return result;
}

}  // namespace gloss::score
