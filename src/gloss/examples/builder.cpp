#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/examples/active_windows.h"
#include "gloss/examples/examples.h"
#include "gloss/examples/negatives.h"
#include "gloss/examples/sampler.h"
#include "gloss/examples/split.h"

namespace gloss::examples {
namespace {

void check_options(const index::Reader& reader, const Options& o) {
  if (o.window == 0 || reader.ctx_len() % o.window != 0)
    throw Error(ErrorKind::usage, "--window",
                fmt::format("{} tokens do not divide the contexts of {} tokens", o.window, reader.ctx_len()));
  if (o.quantiles == 0 || o.quantiles > std::numeric_limits<std::uint8_t>::max())
    throw Error(ErrorKind::usage, "--quantiles", fmt::format("is {}, wanted 1 to 255", o.quantiles));
}

void check_tokens(const index::Reader& reader, const text::TokenFile& tokens) {
  const auto differ = [&](std::string_view what) {
    fail_input(reader.file_name(), what, "index and tokens must come from the same run: run gloss cache again");
  };
  if (reader.ctx_len() != tokens.ctx_len() || reader.token_count() != tokens.token_count())
    differ(fmt::format("covers {} tokens in contexts of {}, but the token file has {} in contexts of {}",
                       reader.token_count(), reader.ctx_len(), tokens.token_count(), tokens.ctx_len()));
  const auto fingerprint = reader.metadata().find("tokens_fingerprint");
  if (fingerprint != reader.metadata().end() && fingerprint->second != tokens.fingerprint())
    differ(fmt::format("was made from tokens {}, but the token file is {}", fingerprint->second, tokens.fingerprint()));
}

void check_sources(const index::Reader& reader, const Options& o, const Sources& sources) {
  if ((o.negatives == Negatives::semantic || o.contrast > 0) && !sources.semantic)
    throw Error(ErrorKind::usage, "",
                "windows nearest by meaning want a model of sentence embeddings, and none is named",
                "name its folder with --embedding-model DIR");
  const bool drawn = o.negatives == Negatives::neighbours || o.negatives == Negatives::mixed;
  if (!drawn && o.neighbours == 0) return;
  const std::string asked =
      drawn ? fmt::format("--negatives {}", name_of(o.negatives)) : std::string("--scorer neighbours");
  if (!sources.neighbours)
    fail_input(asked, fmt::format("nothing is known of the neighbours of {}'s latents", reader.hookpoint()),
               "gloss cache leaves them in weights.safetensors, unless told --no-weights");
  const NeighbourSource& source = *sources.neighbours;
  if (!source.weights.has(source.list))
    fail_input(source.weights.file_name(), fmt::format("has no {}, which {} wants", index::name_of(source.list), asked),
               "choose others with --negatives-neighbours decoder, encoder or cooccurrence");
  if (source.weights.latent_count() != reader.latent_count())
    fail_input(source.weights.file_name(),
               fmt::format("has {} latents, but {} has {}", source.weights.latent_count(), reader.file_name(),
                           reader.latent_count()),
               "files of two runs were mixed");
}

}  // namespace

std::string_view name_of(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::too_rare:
      return "too_rare";
    case Status::dead:
      return "dead";
  }
  return "";
}

struct Builder::Impl {
  Impl(index::Reader reader_, text::TokenFile tokens_, const Options& options_, Sources sources_)
      : reader(std::move(reader_)),
        tokens(std::move(tokens_)),
        options(options_),
        sources(std::move(sources_)),
        window_count(reader.token_count() / options.window),
        active(reader, options.window),
        sides(tokens),
        activating(sides, options, reader.ctx_len(), window_count),
        silent(reader, sides, options.window) {}

  LatentExamples build(LatentId latent);
  std::uint32_t count_windows(LatentId latent);

 private:
  void draw_activating(LatentExamples& result, Random& random);
  void draw_silent(LatentExamples& result, Random& random);
  void draw_refine(LatentExamples& result);
  void put_silent(LatentExamples& result, Random& random);
  std::vector<Window> draw_hard(const LatentExamples& result, Side side);
  std::uint32_t hard_wanted() const;

  index::Reader reader;
  text::TokenFile tokens;
  Options options;
  Sources sources;
  std::uint64_t window_count;  // of the whole run
  ActiveWindows active;
  DocumentSides sides;
  ActivatingSampler activating;
  SilentSampler silent;

  std::vector<std::uint32_t> ranked;  // starts, strongest first; reordered by the split
  std::vector<Pick> picks;
};

std::vector<Window>& windows_of(LatentExamples& e, Side side) {
  return side == Side::explain ? e.explain : side == Side::test ? e.test : e.refine;
}

std::vector<Window>& silent_of(LatentExamples& e, Side side) {
  return side == Side::explain ? e.explain_silent : side == Side::test ? e.test_silent : e.refine_silent;
}

void Builder::Impl::draw_activating(LatentExamples& result, Random& random) {
  result.documents_disjoint = options.split_documents && sides.document_count() > 1;
  sides.undo(0);
  sides.use_documents(result.documents_disjoint);
  std::span<const Pick> drawn = activating.draw(ranked, random);
  if (result.documents_disjoint && activating.left_a_side_empty()) {
    result.documents_disjoint = false;
    sides.undo(0);
    sides.use_documents(false);
    active.rank(ranked);
    drawn = activating.draw(ranked, random);
  }
  picks.assign(drawn.begin(), drawn.end());
  random.shuffle(std::span(picks));
  for (const Pick& pick : picks) windows_of(result, pick.side).push_back(active.make(pick.start, pick.quantile));
}

/// Of the silent windows of test, and of refine, those that are not simply random.
std::uint32_t Builder::Impl::hard_wanted() const {
  switch (options.negatives) {
    case Negatives::random:
      return 0;
    case Negatives::mixed:
      return options.silent / 2;
    case Negatives::neighbours:
    case Negatives::semantic:
      break;
  }
  return options.silent;
}

std::vector<Window> Builder::Impl::draw_hard(const LatentExamples& result, Side side) {
  const std::uint32_t wanted = hard_wanted();
  if (wanted == 0) return {};
  if (options.negatives == Negatives::semantic)
    return silent.draw_semantic(*sources.semantic, result.explain, side, wanted);
  return silent.draw_neighbours(*sources.neighbours, result.latent, side, wanted);
}

void Builder::Impl::put_silent(LatentExamples& result, Random& random) {
  random.shuffle(std::span(picks));
  for (const Pick& pick : picks)
    silent_of(result, pick.side).push_back(silent.make(pick.start, WindowKind::silent_random));
}

void Builder::Impl::draw_silent(LatentExamples& result, Random& random) {
  if (options.center) {
    for (const Pick& pick : picks) silent.keep_out(pick.start);
  }
  const std::uint32_t hard = hard_wanted();
  result.test_silent = draw_hard(result, Side::test);
  picks.clear();
  silent.draw_random({options.silent, options.silent - hard}, random, picks);
  put_silent(result, random);
  if (hard > 0) random.shuffle(std::span(result.test_silent));
}

/// Last and from its own stream: what the other splits are does not depend on whether there is a third.
void Builder::Impl::draw_refine(LatentExamples& result) {
  if (options.refine == 0) return;
  Random random = Random::for_latent(options.seed, reader.hookpoint(), result.latent, "refine");
  for (const Pick& pick : activating.draw_refine(silent.taken(), random)) {
    if (options.center) silent.keep_out(pick.start);
    result.refine.push_back(active.make(pick.start, pick.quantile));
  }
  random.shuffle(std::span(result.refine));
  const std::uint32_t hard = hard_wanted();
  result.refine_silent = draw_hard(result, Side::refine);
  picks.clear();
  silent.draw_random(Side::refine, options.silent - hard, random, picks);
  put_silent(result, random);
  if (hard > 0) random.shuffle(std::span(result.refine_silent));
}

LatentExamples Builder::Impl::build(LatentId latent) {
  active.find(latent);
  const std::uint64_t firing_count = active.firings().size();
  silent.end();
  silent.begin(active.windows());
  LatentExamples result;
  result.latent = latent;
  result.max_activation = reader.max(latent);
  result.firing_count = firing_count;
  result.silent_count = window_count - active.windows().size();
  if (options.center) active.center();
  result.window_count = static_cast<std::uint32_t>(active.windows().size());
  if (result.window_count == 0) {
    result.status = Status::dead;
  } else if (result.window_count < options.min_windows) {
    result.status = Status::too_rare;
  }
  if (result.status != Status::ok) return result;

  Random random = Random::for_latent(options.seed, reader.hookpoint(), latent, "examples");
  active.rank(ranked);
  draw_activating(result, random);
  draw_silent(result, random);
  draw_refine(result);
  if (options.contrast > 0)
    result.contrast = silent.draw_semantic(*sources.semantic, result.explain, Side::explain, options.contrast);
  if (options.neighbours > 0)
    result.test_neighbours = silent.draw_neighbours(*sources.neighbours, latent, Side::test, options.neighbours);
  return result;
}

std::uint32_t Builder::Impl::count_windows(LatentId latent) {
  active.find(latent);
  if (options.center) active.center();
  return static_cast<std::uint32_t>(active.windows().size());
}

Builder::Builder(index::Reader reader, text::TokenFile tokens, Options options, Sources sources) {
  check_options(reader, options);
  check_tokens(reader, tokens);
  check_sources(reader, options, sources);
  impl_ = std::make_unique<Impl>(std::move(reader), std::move(tokens), options, std::move(sources));
}

Builder::~Builder() = default;
Builder::Builder(Builder&&) noexcept = default;
Builder& Builder::operator=(Builder&&) noexcept = default;

LatentExamples Builder::build(LatentId latent) { return impl_->build(latent); }
std::uint32_t Builder::count_windows(LatentId latent) { return impl_->count_windows(latent); }

}  // namespace gloss::examples
