#include <fmt/format.h>

#include "gloss/report/page.h"
#include "gloss/report/vega_figures.h"
#include "gloss/report/visible_text.h"

namespace gloss::report {

std::string filled(std::string_view page, const std::map<std::string, std::string, std::less<>>& parts) {
  std::string out;
  while (true) {
    const std::size_t open = page.find("{{");
    const std::size_t close = open == std::string_view::npos ? open : page.find("}}", open);
    if (close == std::string_view::npos) return out.append(page);
    out.append(page.substr(0, open)).append(parts.at(std::string(page.substr(open + 2, close - open - 2))));
    page.remove_prefix(close + 2);
  }
}

std::string figures_page(const RunData& data, const std::vector<Figure>& figures) {
  std::string drawings;
  for (const Figure& figure : figures) {
    drawings += fmt::format(
        "<figure data-figure=\"{0}\" aria-label=\"{1}\">\n<div class=\"drawing\"></div>\n"
        "<figcaption><code>figures/{0}.csv</code> {2} rows · <code>figures/{0}.vl.json</code></figcaption>\n"
        "<script type=\"application/json\" id=\"figure-{0}\">{3}</script>\n</figure>\n",
        figure.name, html_text(figure.title), figure.table.rows.size(), script_json(nlohmann::json(figure.spec)));
  }
  if (figures.empty()) drawings = "<p class=\"note\">The run has no scores yet.</p>";
  return filled(asset("figures.html"), {{"title", html_text(data.title)},
                                        {"css", std::string(asset("report.css"))},
                                        {"js", std::string(asset("figures.js"))},
                                        {"figures", drawings}});
}

}  // namespace gloss::report
