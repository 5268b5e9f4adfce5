#include "gloss/llm/prices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "gloss/base/error.h"

namespace gloss::llm {

double dollars(const Prices& prices, const TokenUse& use) {
  constexpr double kMillion = 1e6;
  const double kept_price = prices.kept_input > 0.0 ? prices.kept_input : prices.input;
  const double plain = use.prompt - use.cached - use.kept;
  return (plain * prices.input + use.cached * prices.cached_input + use.kept * kept_price +
          use.output * prices.output) /
         kMillion;
}

TokenUse use_of(const Reply& reply) {
  return {static_cast<double>(reply.prompt_tokens), static_cast<double>(reply.cached_tokens),
          static_cast<double>(reply.kept_tokens), static_cast<double>(reply.completion_tokens)};
}

Prices parse_prices(std::string_view text) {
  constexpr double kMost = 1e6;
  std::vector<double> values;
  bool good = true;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    double value = 0.0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    good = good && error == std::errc() && stop == part.data() + part.size() && value >= 0.0 && value <= kMost;
    values.push_back(value);
    at = end + 1;
  }
  if (!good || (values.size() != 2 && values.size() != 3)) {
    throw Error(ErrorKind::usage, "--prices", fmt::format("'{}' is not dollars per million tokens", text),
                "wanted IN,CACHED,OUT or IN,OUT, as in 0.15,0.075,0.6");
  }
  Prices prices;
  prices.input = values.front();
  prices.cached_input = values.size() == 3 ? values[1] : values[0];
  prices.output = values.back();
  return prices;
}

}  // namespace gloss::llm
