#include "gloss/app/coder_input.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/base/error.h"

namespace gloss::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kNeurons = "neurons";
constexpr double kSuspectFvu = 0.8;
/// L0 is far from what was published or aimed at beyond this factor, either way.
constexpr double kFar = 2.0;

/// The hookpoint of this name, or nothing when this model has none such.
std::optional<model::Hookpoint> find_place(const model::SubjectModel& subject, const std::string& name) {
  try {
    return subject.hookpoint(name);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Where the coder's own files put it. Errors: usage: they do not say, or this model has no such place.
model::Hookpoint own_place(const CoderInput& input, const sparse::CoderInfo& info, const model::SubjectModel& subject) {
  constexpr const char* kHint = "name its place with --hookpoint, for example --hookpoint layers.5";
  if (info.hookpoint.empty())
    throw Error(ErrorKind::usage, input.sae, "is one coder, and does not say where in the model it belongs", kHint);
  try {
    return subject.hookpoint(info.hookpoint);
  } catch (const Error&) {
    throw Error(ErrorKind::usage, input.sae,
                fmt::format("its files say it belongs to '{}', which this model does not have", info.hookpoint), kHint);
  }
}

/// Where it reads. A transcoder whose input this model has no name for is only taken at the user's word.
model::Hookpoint reading_place(const CoderInput& input, const sparse::CoderInfo& info, model::Hookpoint place,
                               bool told, const model::SubjectModel& subject, Reporter& reporter) {
  if (!info.transcoder) return place;
  const bool own = find_place(subject, info.hookpoint) == place || info.hookpoint.empty();
  if (info.reads.empty() || !own) return model::input_of(place);
  if (const auto reads = find_place(subject, info.reads)) return *reads;
  const model::Hookpoint module_input = model::input_of(place);
  if (!told)
    throw Error(ErrorKind::usage, input.sae,
                fmt::format("its files say it reads '{}', which this model does not have", info.reads),
                fmt::format("--hookpoint {} makes it read {}, which is right only where that is the same", place.name(),
                            module_input.name()));
  reporter.warn(fmt::format("warning: {} was trained to read '{}', which this model does not have; it reads {} here",
                            input.sae, info.reads, module_input.name()));
  return module_input;
}

void check_width(const CoderInput& input, std::string_view does, std::uint32_t width, model::Hookpoint at,
                 const model::SubjectModel& subject) {
  if (width == subject.width(at)) return;
  std::vector<std::string> fitting;
  for (const model::Hookpoint other : model::hookpoints_of_layer(at.layer, subject.config().hookpoints())) {
    if (subject.width(other) == width) fitting.push_back(other.name());
  }
  fail_input(input.sae,
             fmt::format("the coder for {} {} vectors of width {}, but the model gives {} there", at.name(), does,
                         width, subject.width(at)),
             fitting.empty()
                 ? "is it a coder of another model? no hookpoint of this layer has its width"
                 : fmt::format("its width is that of {}: is it a coder of one of these?", fmt::join(fitting, ", ")));
}

void warn_of_other_place(const sparse::CoderInfo& info, const std::string& told, model::Hookpoint place,
                         const model::SubjectModel& subject, Reporter& reporter) {
  if (info.hookpoint.empty() || find_place(subject, info.hookpoint) == place) return;
  reporter.warn(fmt::format("warning: the coder's files say it belongs to '{}', and it is used at '{}' as told",
                            info.hookpoint, told));
}

std::vector<PlacedCoder> place_neurons(const std::vector<std::string>& names, const model::SubjectModel& subject) {
  std::vector<model::Hookpoint> places;
  places.reserve(names.size());
  for (const std::string& name : names) places.push_back(subject.hookpoint(name));
  for (std::uint32_t layer = 0; names.empty() && layer < subject.config().layers; ++layer)
    places.push_back({layer, model::Site::mlp_hidden});
  std::vector<PlacedCoder> all;
  for (const model::Hookpoint place : places) {
    const model::Hookpoint neurons{place.layer, model::Site::mlp_hidden};
    if (place != neurons)
      throw Error(ErrorKind::usage, "--sae neurons", fmt::format("'{}' has no neurons", place.name()),
                  fmt::format("the neurons of that layer's MLP are at {}", neurons.name()));
    all.push_back({place.name(), sparse::Coder::neurons(subject.width(place)), place, place});
  }
  return all;
}

void refuse_twice(const CoderInput& input, const std::vector<PlacedCoder>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[i].hookpoint == all[j].hookpoint)
        throw Error(ErrorKind::usage, input.sae, fmt::format("has several coders for {}", all[i].hookpoint),
                    "a run keeps one coder per hookpoint: give the folder of one of them");
    }
  }
}

/// L0 that was published or that the training aimed at; 0 when neither is known.
double expected_l0(const sparse::CoderInfo& info) { return info.published_l0 > 0 ? info.published_l0 : info.k; }

double per_row(double sum, const sparse::Fit& fit) { return fit.rows == 0 ? 0 : sum / static_cast<double>(fit.rows); }

std::string selection_name(sparse::Selection selection) {
  switch (selection) {
    case sparse::Selection::topk:
      return "the K largest";
    case sparse::Selection::groupmax:
      return "the largest of each of K groups";
    case sparse::Selection::threshold:
      break;
  }
  return "above a threshold";
}

std::string normalisation_name(sparse::Normalisation normalisation) {
  switch (normalisation) {
    case sparse::Normalisation::layer_norm:
      return "layer_norm";
    case sparse::Normalisation::constant_norm:
      return "to norm sqrt(D)";
    case sparse::Normalisation::none:
      break;
  }
  return "none";
}

}  // namespace

CLI::Option* add_coder_input(CLI::App& cli, CoderInput& input) {
  CLI::Option* sae =
      cli.add_option("--sae", input.sae,
                     "coder folder, a folder with one coder per hookpoint, or 'neurons' (the MLP's own, both signs)");
  cli.add_option("--sae-format", input.format,
                 "layout, where the files do not tell: sparsify, saelens, gemma-scope, gemma-scope-2, "
                 "dictionary_learning, openai, llama-scope, llama-scope-r1, goodfire, qwen-scope, hook-z, "
                 "circuit-tracer, circuit-tracer-clt");
  cli.add_option("--sae-scale", input.scale,
                 "factor of the activations, for SAELens' expected_average_only_in: sqrt(D) / mean norm");
  cli.add_flag("--no-normalize-decoder", input.as_stored,
               "dictionary_learning's AutoEncoder: decoder rows and activations as stored, not scaled to norm 1");
  return sae;
}

sparse::CoderOptions coder_options(const CoderInput& input, const std::string& device) {
  sparse::CoderOptions options;
  options.device = device;
  options.format = input.format;
  options.activation_scale = input.scale;
  options.normalize_decoder = !input.as_stored;
  return options;
}

std::vector<PlacedCoder> place_coders(const CoderInput& input, const std::vector<std::string>& hookpoints,
                                      const model::SubjectModel& subject, const std::string& device,
                                      Reporter& reporter) {
  if (input.sae == kNeurons) return place_neurons(hookpoints, subject);
  const bool told = !hookpoints.empty();
  std::vector<std::string> names = told ? hookpoints : sparse::Coder::hookpoints(input.sae);
  const bool alone = names.empty();
  if (alone) names.emplace_back();
  std::vector<PlacedCoder> all;
  for (const std::string& name : names) {
    const std::optional<model::Hookpoint> given = told ? std::optional(subject.hookpoint(name)) : std::nullopt;
    sparse::Coder coder = sparse::Coder::load(
        alone ? std::filesystem::path(input.sae) : sparse::Coder::find(input.sae, name), coder_options(input, device));
    const sparse::CoderInfo& info = coder.info();
    const model::Hookpoint place = given                              ? *given
                                   : alone || !info.hookpoint.empty() ? own_place(input, info, subject)
                                                                      : subject.hookpoint(name);
    if (told) warn_of_other_place(info, name, place, subject, reporter);
    const model::Hookpoint reads = reading_place(input, info, place, told, subject, reporter);
    check_width(input, "reads", info.input_width, reads, subject);
    check_width(input, "writes", info.output_width, place, subject);
    for (const std::string& remark : info.remarks) reporter.warn(fmt::format("note: {}: {}", place.name(), remark));
    all.push_back({place.name(), std::move(coder), reads, place});
  }
  refuse_twice(input, all);
  return all;
}

Json describe(const sparse::CoderInfo& i) {
  Json json = {{"format", i.format},
               {"kind", i.transcoder ? "transcoder"
                        : i.neurons  ? "neurons"
                                     : "SAE"},
               {"activation", i.activation},
               {"active latents", selection_name(i.selection)},
               {"latents", i.latents},
               {"k", i.k},
               {"reads width", i.input_width},
               {"writes width", i.output_width},
               {"subtracts its bias", i.subtract_bias},
               {"normalises", normalisation_name(i.normalisation)},
               {"skip connection", i.skip_connection},
               {"decoder", i.has_decoder}};
  if (!i.hookpoint.empty()) json["hookpoint of its files"] = i.hookpoint;
  if (!i.reads.empty()) json["reads at"] = i.reads;
  if (!i.trained_on.empty()) json["trained on"] = i.trained_on;
  if (i.published_l0 > 0) json["published L0"] = i.published_l0;
  if (!i.remarks.empty()) json["remarks"] = i.remarks;
  return json;
}

std::vector<std::string> doubts(const sparse::CoderInfo& info, const sparse::Fit& fit) {
  std::vector<std::string> all;
  if (fit.rows == 0 || info.neurons) return all;
  if (info.has_decoder && fit.fvu() > kSuspectFvu)
    all.push_back(
        fmt::format("explains little of this hookpoint's variance (FVU {:.3f}, above {}): another model, "
                    "hookpoint or scaling of activations?",
                    fit.fvu(), kSuspectFvu));
  const double l0 = per_row(static_cast<double>(fit.active), fit);
  const double expected = expected_l0(info);
  if (expected > 0 && (l0 > kFar * expected || kFar * l0 < expected)) {
    all.push_back(
        fmt::format("{:.1f} latents fire on a token, far from the {:g} that {}: another model, hookpoint or "
                    "scaling of activations?",
                    l0, expected, info.published_l0 > 0 ? "was published" : "it was trained for"));
  } else if (expected == 0 && (l0 < 1 || 4 * l0 > info.latents)) {
    all.push_back(
        fmt::format("{:.1f} of {} latents fire on a token, {}: another model, hookpoint or scaling of "
                    "activations?",
                    l0, info.latents, l0 < 1 ? "hardly any" : "which is not sparse"));
  }
  return all;
}

Json describe(const sparse::CoderInfo& info, const sparse::Fit& fit) {
  Json measured = {{"tokens", fit.rows},
                   {"fvu", info.has_decoder ? Json(fit.fvu()) : Json()},
                   {"l0", per_row(static_cast<double>(fit.active), fit)},
                   {"mean_input_norm", per_row(fit.norm, fit)},
                   {"warnings", doubts(info, fit)}};
  return {{"coder", describe(info)}, {"measured", std::move(measured)}};
}

std::string describe_line(const std::string& hookpoint, const sparse::CoderInfo& info, const sparse::Fit& fit) {
  const double expected = expected_l0(info);
  return fmt::format("{}: {}, L0 {:.1f}{}, mean input norm {:.2f}, over the first {} tokens", hookpoint,
                     info.has_decoder ? fmt::format("FVU {:.3f}", fit.fvu()) : "no decoder",
                     per_row(static_cast<double>(fit.active), fit),
                     expected > 0 ? fmt::format(" ({} {:g})", info.published_l0 > 0 ? "published" : "K", expected) : "",
                     per_row(fit.norm, fit), fit.rows);
}

}  // namespace gloss::app
