#include "gloss/app/latent_properties.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "gloss/base/error.h"

namespace gloss::app {
namespace {

std::vector<bool> latents_of(const index::Reader& reader, const std::string& hookpoint, const store::Store* store,
                             index::LatentKind kind) {
  const std::string name(index::info(kind).name);
  const std::optional<store::KindRow> row = store == nullptr ? std::nullopt : store->kind(hookpoint, name);
  if (!row)
    throw Error(ErrorKind::usage, "--latents", fmt::format("which latents of {} are {} is not known", hookpoint, name),
                "gloss filter RUN tells it; kinds whose names end in -checked want --check there, input-score and "
                "output-score --input-output");
  std::vector<bool> is(reader.latent_count(), false);
  for (const auto& [latent, value] : row->latents) {
    if (to_index(latent) >= is.size())
      fail_input("results.db",
                 fmt::format("says that latent {} of {} is {}, but there are {}", to_index(latent), hookpoint, name,
                             is.size()),
                 "run gloss filter again");
    is[to_index(latent)] = true;
  }
  return is;
}

}  // namespace

examples::LatentProperties properties_of(const index::Reader& reader, const std::string& hookpoint,
                                         const store::Store* store) {
  examples::LatentProperties of;
  of.density = [reader](LatentId f) { return reader.density(f); };
  of.firings = [reader](LatentId f) { return static_cast<double>(reader.count(f)); };
  of.max = [reader](LatentId f) { return double{reader.max(f)}; };
  const auto known = std::make_shared<std::map<index::LatentKind, std::vector<bool>>>();
  of.is_kind = [reader, hookpoint, store, known](index::LatentKind kind, LatentId f) {
    auto at = known->find(kind);
    if (at == known->end()) at = known->emplace(kind, latents_of(reader, hookpoint, store, kind)).first;
    return static_cast<bool>(at->second[to_index(f)]);
  };
  return of;
}

}  // namespace gloss::app
