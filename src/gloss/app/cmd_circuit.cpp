// gloss circuit: which latents carry a behaviour, as JSON, a picture and a list; or what a list of latents does for it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "gloss/app/circuit_pairs.h"
#include "gloss/app/coder_input.h"
#include "gloss/app/command.h"
#include "gloss/app/model_input.h"
#include "gloss/app/run_folder.h"
#include "gloss/app/version.h"
#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/circuit/ablation.h"
#include "gloss/circuit/finder.h"
#include "gloss/examples/examples.h"
#include "gloss/report/circuit_picture.h"
#include "gloss/store/store.h"
#include "gloss/text/packing.h"

namespace gloss::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFileVersion = 1;
constexpr std::size_t kShown = 10;  // nodes of a hookpoint on the terminal

struct CircuitCommand {
  CommonOptions common;
  std::string out, model, pairs, metric;
  CoderInput coder;
  std::vector<std::string> hookpoints;
  std::string method = "ig", aggregate = "sum";
  circuit::FinderOptions find;
  std::string run, explainer;
  std::string ablate, ablate_to = "zero";
  bool keep_errors = false;
  std::uint32_t controls = 20;
  bool json = false;
};

/// What both kinds of the command work on.
struct Loaded {
  model::SubjectModel model;
  std::vector<circuit::Place> places;
  TokenPairs pairs;
  std::vector<bool> special;
};

void check_choice(const char* flag, const std::string& value, const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), value) == known.end()) fail_unknown_name(flag, value, known);
}

Loaded load(const CircuitCommand& o, Reporter& reporter) {
  check_choice("--method", o.method, {"atp", "ig"});
  check_choice("--aggregate", o.aggregate, {"sum", "position"});
  check_choice("--ablate-to", o.ablate_to, {"zero", "mean"});
  const auto metric = o.metric.empty() ? std::nullopt : std::optional(parse_metric(o.metric));
  const std::vector<WrittenPair> written = read_pairs(o.pairs);
  model::set_threads(o.common.thread_count());
  const text::Tokenizer tokenizer = text::Tokenizer::load(o.model);
  Loaded l{model::SubjectModel::load(o.model, {o.common.device, o.common.dtype}), {}, {}, {}};
  l.special = special_tokens(tokenizer, l.model.config().vocabulary);
  l.pairs = to_tokens(written, o.pairs, tokenizer, text::special_tokens(tokenizer, o.model).bos, metric);
  if (l.pairs.skipped > 0)
    reporter.warn(fmt::format("warning: {} of {} pairs were left out; the first of them: {}", l.pairs.skipped,
                              written.size(), l.pairs.first_reason));
  for (PlacedCoder& p : place_coders(o.coder, o.hookpoints, l.model, o.common.device, reporter))
    l.places.push_back({p.hookpoint, std::move(p.coder), p.reads, p.reconstructs});
  l.places = circuit::in_order(std::move(l.places));
  return l;
}

/// Texts of the run's explanations by hookpoint and latent: those of `explainer`, or the first there is.
std::map<std::pair<std::string, LatentId>, std::string> explanations_of(const CircuitCommand& o) {
  std::map<std::pair<std::string, LatentId>, std::string> texts;
  if (o.run.empty()) return texts;
  const RunFolder run(o.run);
  if (!std::filesystem::exists(run.results()))
    fail_input(run.root().string(), "has no explanations", "gloss explain makes them");
  const store::Store store(run.results());
  for (const store::ExplanationRow& row : store.explanations("", o.explainer)) {
    if (row.explanation.ok()) texts.emplace(std::pair(row.hookpoint, row.explanation.latent), row.explanation.text);
  }
  return texts;
}

std::string name_of(const circuit::Node& node) {
  return (node.latent ? fmt::format("latent {}", to_index(*node.latent)) : std::string("error")) +
         (node.position ? fmt::format(" @{}", *node.position) : "");
}

Json head_of(const CircuitCommand& o, const Loaded& l) {
  return {{"version", kFileVersion},
          {"gloss", version_short()},
          {"model", o.model},
          {"model_fingerprint", l.model.fingerprint()},
          {"pairs", {{"file", o.pairs}, {"used", l.pairs.pairs.size()}, {"left_out", l.pairs.skipped}}},
          {"metric", o.metric.empty() ? Json() : Json(o.metric)}};
}

Json to_json(const CircuitCommand& o, const Loaded& l, const circuit::Graph& g,
             const std::map<std::pair<std::string, LatentId>, std::string>& texts) {
  Json json = head_of(o, l);
  json["method"] = o.method;
  if (o.method == "ig") json["steps"] = o.find.steps;
  json["aggregate"] = o.aggregate;
  json["node_threshold"] = o.find.node_threshold;
  json["edge_threshold"] = o.find.edge_threshold;
  json["most_nodes"] = o.find.most_nodes;
  json["clean_metric"] = g.clean_metric;
  json["patch_metric"] = g.patch_metric;
  json["hookpoints"] = Json::array();
  for (std::size_t p = 0; p < l.places.size(); ++p) {
    const circuit::PlaceSum& s = g.sums[p];
    json["hookpoints"].push_back({{"hookpoint", l.places[p].hookpoint},
                                  {"coder_fingerprint", l.places[p].coder.fingerprint()},
                                  {"latents_effect", s.latents},
                                  {"error_effect", s.error},
                                  {"patched", s.patched}});
  }
  json["nodes"] = Json::array();
  for (const circuit::Node& n : g.nodes) {
    Json node = {{"hookpoint", g.hookpoints[n.place]}};
    node["latent"] = n.latent ? Json(to_index(*n.latent)) : Json();
    if (n.position) node["position"] = *n.position;
    node["effect"] = n.effect;
    if (n.latent) {
      const auto text = texts.find({g.hookpoints[n.place], *n.latent});
      if (text != texts.end()) node["explanation"] = text->second;
    }
    json["nodes"].push_back(std::move(node));
  }
  json["edges"] = Json::array();
  for (const circuit::Edge& e : g.edges)
    json["edges"].push_back({{"from", e.from}, {"to", e.to}, {"effect", e.effect}});
  return json;
}

/// hookpoint,latent a line, each latent once.
std::string list_of(const circuit::Graph& g) {
  std::string text = "hookpoint,latent\n";
  std::vector<std::pair<std::uint32_t, LatentId>> seen;
  for (const circuit::Node& n : g.nodes) {
    if (!n.latent || std::find(seen.begin(), seen.end(), std::pair(n.place, *n.latent)) != seen.end()) continue;
    seen.emplace_back(n.place, *n.latent);
    text += fmt::format("{},{}\n", g.hookpoints[n.place], to_index(*n.latent));
  }
  return text;
}

report::CircuitPicture picture_of(const CircuitCommand& o, const circuit::Graph& g, const Json& json) {
  report::CircuitPicture picture;
  picture.title = fmt::format("{}: {} pairs, metric {:+.3f} clean, {:+.3f} patched ({}{})",
                              std::filesystem::path(o.pairs).filename().string(), g.pairs, g.clean_metric,
                              g.patch_metric, o.method, o.metric.empty() ? "" : "; " + o.metric);
  picture.columns = g.hookpoints;
  for (std::size_t n = 0; n < g.nodes.size(); ++n)
    picture.nodes.push_back({g.nodes[n].place, name_of(g.nodes[n]),
                             json["nodes"][n].value("explanation", std::string()), g.nodes[n].effect});
  for (const circuit::Edge& e : g.edges) picture.edges.push_back({e.from, e.to, e.effect});
  return picture;
}

void print(const circuit::Graph& g, const Json& json, std::ostream& out) {
  out << fmt::format("metric             {:+.4f} on the clean prompts, {:+.4f} on the patch prompts, {} pairs\n",
                     g.clean_metric, g.patch_metric, g.pairs);
  for (std::size_t p = 0; p < g.hookpoints.size(); ++p) {
    const circuit::PlaceSum& s = g.sums[p];
    out << fmt::format("\n{}: effects {:+.4f} of latents and {:+.4f} of the error term; patched whole {:+.4f}\n",
                       g.hookpoints[p], s.latents, s.error, s.patched);
    std::size_t shown = 0;
    for (std::size_t n = 0; n < g.nodes.size(); ++n) {
      if (g.nodes[n].place != p || shown++ >= kShown) continue;
      out << fmt::format("  {:<16} {:+.4f}  {}\n", name_of(g.nodes[n]), g.nodes[n].effect,
                         json["nodes"][n].value("explanation", std::string()));
    }
    if (shown > kShown) out << fmt::format("  and {} more\n", shown - kShown);
  }
  out << fmt::format("\n{} nodes, {} edges\n", g.nodes.size(), g.edges.size());
}

int exit_code(const Loaded& l) { return l.pairs.skipped > 0 ? kSomeFailed : kDone; }

int find_command(const CircuitCommand& o, const Loaded& l, Context& context) {
  circuit::FinderOptions options = o.find;
  options.method = o.method == "ig" ? circuit::Method::integrated : circuit::Method::attribution;
  options.by_position = o.aggregate == "position";
  const auto texts = explanations_of(o);
  const auto begin = std::chrono::steady_clock::now();
  const circuit::Graph graph = circuit::find_circuit(l.model, l.places, l.pairs.pairs, options, context.reporter);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const Json json = to_json(o, l, graph, texts);
  const std::filesystem::path out = o.out;
  std::filesystem::create_directories(out);
  write_file(out / "latents.csv", list_of(graph));
  write_file(out / "circuit.svg", report::circuit_svg(picture_of(o, graph, json)));
  write_file(out / "circuit.json", json.dump(1) + "\n");
  context.reporter.info(fmt::format("{:.3f} s a pair; circuit.json, circuit.svg and latents.csv are in {}",
                                    seconds / static_cast<double>(graph.pairs), out.string()));
  if (o.json) {
    context.out << json.dump(2) << "\n";
  } else {
    print(graph, json, context.out);
  }
  return exit_code(l);
}

Json to_json(const CircuitCommand& o, const Loaded& l, const circuit::Ablated& a) {
  Json json = head_of(o, l);
  json["list"] = o.ablate;
  json["latents"] = a.latents;
  json["to"] = o.ablate_to;
  json["errors"] = o.keep_errors ? "kept" : "ablated with the others";
  json["full"] = a.full;
  json["without"] = a.without;
  json["only"] = a.only;
  json["none"] = a.none;
  // JSON has no number for 0/0: null.
  json["faithfulness"] = a.faithfulness();
  json["completeness"] = a.completeness();
  json["controls"] = a.controls;
  json["full_of_pairs"] = a.full_of;
  json["without_of_pairs"] = a.without_of;
  return json;
}

int ablate_command(const CircuitCommand& o, const Loaded& l, Context& context) {
  circuit::AblationOptions options;
  options.to_mean = o.ablate_to == "mean";
  options.keep_errors = o.keep_errors;
  options.controls = o.controls;
  options.seed = o.common.seed;
  options.special = l.special;
  const auto spec = examples::LatentSpec::parse(o.ablate.starts_with("file:") ? o.ablate : "file:" + o.ablate);
  circuit::Selected selected;
  for (const circuit::Place& place : l.places) {
    const std::uint32_t count = place.coder.info().latents;
    selected.emplace_back();
    for (const LatentId f : spec.select(place.hookpoint, count, o.common.seed, std::vector<bool>(count, true)))
      selected.back().insert(to_index(f));
  }
  const circuit::Ablation ablation(l.model, l.places, l.pairs.pairs, options);
  const circuit::Ablated a = ablation.measure(selected, context.reporter);
  const Json json = to_json(o, l, a);
  std::filesystem::create_directories(o.out);
  write_file(std::filesystem::path(o.out) / "ablation.json", json.dump(1) + "\n");
  if (o.json) {
    context.out << json.dump(2) << "\n";
    return exit_code(l);
  }
  context.out << fmt::format(
      "metric             {:+.4f} of {} pairs\nwithout the list   {:+.4f} ({} latents set to {})\n", a.full,
      l.pairs.pairs.size(), a.without, a.latents, o.ablate_to);
  if (!a.controls.empty()) {
    const auto [low, high] = std::minmax_element(a.controls.begin(), a.controls.end());
    context.out << fmt::format(
        "without as many    {:+.4f}, from {:+.4f} to {:+.4f} ({} draws of others that fire as often)\n",
        std::accumulate(a.controls.begin(), a.controls.end(), 0.0) / static_cast<double>(a.controls.size()), *low,
        *high, a.controls.size());
  }
  context.out << fmt::format(
      "only the list      {:+.4f}\nnone               {:+.4f}\nfaithfulness       {:.3f}\ncompleteness       {:.3f}\n",
      a.only, a.none, a.faithfulness(), a.completeness());
  return exit_code(l);
}

}  // namespace

Runner setup_circuit(CLI::App& cli) {
  auto o = std::make_shared<CircuitCommand>();
  cli.add_option("out", o->out, "folder for circuit.json, circuit.svg and latents.csv, or for ablation.json")
      ->required();
  cli.add_option("--model", o->model, "Hugging Face model folder")->required();
  add_coder_input(cli, o->coder)->required();
  cli.add_option("--hookpoint", o->hookpoints, "only these hookpoints");
  cli.add_option("--pairs", o->pairs,
                 "pairs of prompts with as many tokens: JSON lines, .csv or .tsv with clean and patch (or clean_prefix "
                 "and patch_prefix), and clean_answer and patch_answer without --metric")
      ->required();
  cli.add_option("--metric", o->metric,
                 "A/B: the metric is the logit of A less that of B after the clean prompt, each one token");
  cli.add_option("--method", o->method,
                 "ig: integrated gradients; atp: attribution patching, the gradient at the clean prompt alone");
  cli.add_option("--steps", o->find.steps, "points of the integral")->check(CLI::Range(1, 1000));
  cli.add_option(
      "--aggregate", o->aggregate,
      "sum: effects are summed over positions; position: a node for each position, pairs being of one length");
  cli.add_option("--node-threshold", o->find.node_threshold, "least |effect| of a node, in logits")
      ->check(CLI::NonNegativeNumber);
  cli.add_option("--edge-threshold", o->find.edge_threshold, "least |effect| of an edge, in logits")
      ->check(CLI::NonNegativeNumber);
  cli.add_option("--max-nodes", o->find.most_nodes, "nodes of a hookpoint at most, the strongest; 0 = no limit");
  cli.add_option("--run", o->run, "a run whose explanations label the nodes");
  cli.add_option("--explainer", o->explainer, "whose of them; by default the first there is");
  cli.add_option("--ablate", o->ablate,
                 "measure what the latents of this list (hookpoint,latent a line) do, instead of finding some");
  cli.add_option("--ablate-to", o->ablate_to,
                 "what ablated latents are set to: zero, or mean (over all prompts' tokens)");
  cli.add_flag("--keep-errors", o->keep_errors,
               "where all others are ablated, leave the coders' error terms as they are");
  cli.add_option("--controls", o->controls, "draws of as many other latents that fire as often in the prompts")
      ->check(CLI::Range(0, 10000));
  add_seed(cli, o->common);
  cli.add_flag("--json", o->json, "print the result as one JSON document");
  add_threads(cli, o->common);
  add_device(cli, o->common);
  return [o](Context& context) {
    const Loaded loaded = load(*o, context.reporter);
    return o->ablate.empty() ? find_command(*o, loaded, context) : ablate_command(*o, loaded, context);
  };
}

}  // namespace gloss::app
