#include "gloss/app/score_subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

#include "gloss/app/model_input.h"
#include "gloss/app/settings.h"
#include "gloss/app/weights_stage.h"
#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/random.h"
#include "gloss/examples/token_window.h"
#include "gloss/sparse/logit_weights.h"

namespace gloss::app {
namespace {

constexpr std::size_t kNearest = 50;  // in density, of which those to compare with are drawn

/// What --model, --sae and the flags of the coder say, or else what the run was cached with.
SubjectOptions with_cached(SubjectOptions o, const RunFolder& run) {
  const auto cached = [&]() -> std::vector<std::string> {
    if (!std::filesystem::exists(run.root() / "run.toml")) return {};
    for (const Stage& stage : read_run_file(run.root() / "run.toml").stages) {
      if (stage.command == "cache") return stage.arguments;
    }
    return {};
  }();
  const auto value = [&](std::string_view flag) -> std::string {
    for (const std::string& argument : cached) {
      if (argument.starts_with(flag)) return argument.substr(flag.size());
    }
    return "";
  };
  if (o.model.empty()) o.model = value("--model=");
  if (o.coder.sae.empty()) {
    o.coder.sae = value("--sae=");
    o.coder.format = value("--sae-format=");
    const std::string scale = value("--sae-scale=");
    if (!scale.empty()) o.coder.scale = std::stod(scale);
    o.coder.as_stored = std::find(cached.begin(), cached.end(), "--no-normalize-decoder") != cached.end();
  }
  const auto check = [&](const std::string& path, const char* flag, const char* what) {
    if (path == "neurons" || (!path.empty() && std::filesystem::exists(path))) return;
    throw Error(ErrorKind::usage, flag,
                path.empty() ? fmt::format("this runs {}, and the run does not say where it is", what)
                             : fmt::format("this runs {}, and '{}' is not there", what, path),
                fmt::format("name it with {} DIR", flag));
  };
  check(o.model, "--model", "the subject model again");
  check(o.coder.sae, "--sae", "the coder again");
  return o;
}

void check_fingerprint(const index::Reader& reader, const char* key, const std::string& found, const std::string& path,
                       const char* what) {
  const auto it = reader.metadata().find(key);
  if (it == reader.metadata().end() || it->second == found) return;
  fail_input(path, fmt::format("is not the {} that {} was cached with: fingerprint {}, wanted {}", what,
                               reader.hookpoint(), found, it->second));
}

/// The token that contexts of the run begin with.
std::optional<TokenId> bos_of(const RunFolder& run) {
  if (!std::filesystem::exists(run.manifest("tokens"))) return {};
  const Inputs inputs = read_inputs(run, "tokens");
  const auto it = inputs.find("bos");
  std::uint32_t id = 0;
  if (it == inputs.end() ||
      std::from_chars(it->second.data(), it->second.data() + it->second.size(), id).ec != std::errc())
    return {};
  return TokenId{id};
}

}  // namespace

void add_subject_source(CLI::App& cli, SubjectOptions& options) {
  cli.add_option("--model", options.model,
                 "subject model, where it is run again; by default the one the run was cached with");
  add_coder_input(cli, options.coder);
  cli.add_option("--subject-device", options.device, "of the subject model: cpu or cuda");
}

void add_subject(CLI::App& cli, SubjectOptions& options) {
  add_subject_source(cli, options);
  cli.add_option("--controls", options.controls, "latents of the same density that generation compares with")
      ->check(CLI::Range(0, 50));
  cli.add_option("--text-tokens", options.text_tokens, "tokens of a text of generation that are read")
      ->check(CLI::Range(1, 4096));
  cli.add_option("--steer-prompts", options.prompts, "prompts of intervention")->check(CLI::Range(1, 1000));
  cli.add_option("--steer-prompt-tokens", options.prompt_tokens, "tokens of each of them")->check(CLI::Range(1, 4096));
  cli.add_option("--steer-tokens", options.steering.tokens, "tokens that the subject model adds to each")
      ->check(CLI::Range(1, 4096));
  cli.add_option("--steer-nats", options.steering.divergence,
                 "how far intervention moves the distribution of the next token: KL divergence in nats")
      ->check(CLI::Range(0.001, 20.0));
}

Subject::Subject(const SubjectOptions& options, const RunData& data, std::uint64_t seed, std::size_t threads,
                 Reporter& report)
    : options_(with_cached(options, data.run)),
      data_(&data),
      seed_(seed),
      report_(&report),
      model_([&] {
        model::set_threads(threads);
        return model::SubjectModel::load(options_.model, {options_.device});
      }()),
      bos_(bos_of(data.run)),
      special_(special_tokens(data.tokenizer, model_.config().vocabulary)) {}

void Subject::select(const std::string& hookpoint) {
  index::Reader reader = data_->index(hookpoint);
  check_fingerprint(reader, "model_fingerprint", model_.fingerprint(), options_.model, "model");
  std::vector<PlacedCoder> placed = place_coders(options_.coder, {hookpoint}, model_, options_.device, *report_);
  PlacedCoder& coder = placed.at(0);
  check_fingerprint(reader, "coder_fingerprint", coder.coder.fingerprint(), options_.coder.sae, "coder");
  std::vector<LatentId> by_density;
  for (std::uint32_t f = 0; f < reader.latent_count(); ++f) {
    if (reader.count(LatentId{f}) > 0) by_density.push_back(LatentId{f});
  }
  std::stable_sort(by_density.begin(), by_density.end(),
                   [&](LatentId a, LatentId b) { return reader.count(a) < reader.count(b); });
  place_.emplace(Place{hookpoint,
                       std::move(reader),
                       std::move(coder.coder),
                       coder.reads,
                       coder.reconstructs,
                       std::move(by_density),
                       nullptr,
                       {}});
}

std::vector<score::Watched> Subject::watch(LatentId latent) const {
  const Place& place = *place_;
  const auto watched = [&](LatentId f) { return score::Watched{f, place.reader.max(f)}; };
  std::vector<score::Watched> found = {watched(latent)};
  std::vector<LatentId> near;
  const auto at = std::lower_bound(place.by_density.begin(), place.by_density.end(), place.reader.count(latent),
                                   [&](LatentId f, std::uint64_t count) { return place.reader.count(f) < count; });
  const auto total = static_cast<std::ptrdiff_t>(place.by_density.size());
  const std::ptrdiff_t middle = at - place.by_density.begin();
  const auto half = static_cast<std::ptrdiff_t>(kNearest / 2);
  const std::ptrdiff_t first =
      std::clamp<std::ptrdiff_t>(middle - half, 0, std::max<std::ptrdiff_t>(0, total - 2 * half - 1));
  for (std::ptrdiff_t i = first; i < std::min(total, first + 2 * half + 1); ++i) {
    if (place.by_density[static_cast<std::size_t>(i)] != latent)
      near.push_back(place.by_density[static_cast<std::size_t>(i)]);
  }
  Random random = Random::for_latent(seed_, place.hookpoint, latent, "generation-controls");
  for (const std::uint64_t i : random.sample(near.size(), options_.controls)) found.push_back(watched(near[i]));
  return found;
}

std::vector<std::vector<float>> Subject::fire(const std::vector<std::string>& texts,
                                              std::span<const score::Watched> latents) const {
  const Place& place = *place_;
  std::vector<std::vector<TokenId>> read;
  std::size_t longest = 1;
  for (const std::string& text : texts) {
    std::vector<TokenId> tokens = data_->tokenizer.encode(text);
    tokens.resize(std::min<std::size_t>(tokens.size(), options_.text_tokens));
    if (bos_) tokens.insert(tokens.begin(), *bos_);
    tokens.resize(std::min<std::size_t>(tokens.size(), model_.config().max_context));
    longest = std::max(longest, tokens.size());
    read.push_back(std::move(tokens));
  }
  // A model that looks back only does not see what is filled in behind a text.
  std::vector<TokenId> ids;
  for (const std::vector<TokenId>& tokens : read) {
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    ids.resize(ids.size() + longest - tokens.size(), TokenId{0});
  }
  const auto batch = static_cast<std::uint32_t>(texts.size());
  const sparse::Encoded encoded = place.coder.encode(model_.activations(ids, batch, std::span(&place.reads, 1))[0]);
  std::map<std::uint32_t, std::size_t> column;
  for (std::size_t i = 0; i < latents.size(); ++i) column.emplace(to_index(latents[i].latent), i);
  std::vector<std::vector<float>> strongest(texts.size(), std::vector<float>(latents.size(), 0.0F));
  for (std::size_t t = 0; t < texts.size(); ++t) {
    for (std::size_t i = 0; i < read[t].size(); ++i) {
      if (special_[to_index(read[t][i])]) continue;
      const std::size_t row = t * longest + i;
      for (std::uint64_t e = encoded.offsets[row]; e < encoded.offsets[row + 1]; ++e) {
        const auto it = column.find(encoded.latent[e]);
        if (it != column.end()) strongest[t][it->second] = std::max(strongest[t][it->second], encoded.value[e]);
      }
    }
  }
  return strongest;
}

std::vector<index::ScrambledFirings> Subject::fire(std::span<const TokenId> ids) const {
  const Place& place = *place_;
  const std::size_t texts = ids.size() / index::kScrambledTokens;
  const std::size_t length = index::kScrambledTokens + (bos_ ? 1 : 0);
  std::vector<TokenId> read;
  read.reserve(texts * length);
  for (std::size_t t = 0; t < texts; ++t) {
    if (bos_) read.push_back(*bos_);
    const auto text = ids.subspan(t * index::kScrambledTokens, index::kScrambledTokens);
    read.insert(read.end(), text.begin(), text.end());
  }
  const sparse::Encoded encoded =
      place.coder.encode(model_.activations(read, static_cast<std::uint32_t>(texts), std::span(&place.reads, 1))[0]);
  std::vector<index::ScrambledFirings> fired(texts);
  for (std::size_t t = 0; t < texts; ++t) {
    const auto latents = [&](std::size_t first, std::size_t last) {  // of these rows
      return std::vector<std::uint32_t>(encoded.latent.begin() + static_cast<std::ptrdiff_t>(encoded.offsets[first]),
                                        encoded.latent.begin() + static_cast<std::ptrdiff_t>(encoded.offsets[last]));
    };
    const std::size_t end = (t + 1) * length;
    fired[t] = {latents(end - 1, end), latents(end - index::kScrambledTokens, end)};
  }
  return fired;
}

dashboard::TextReading Subject::read(const std::string& text, std::size_t most) const {
  const Place& place = *place_;
  dashboard::TextReading reading;
  reading.tokens = data_->tokenizer.encode(text);
  const std::size_t first = bos_ ? 1 : 0;
  most = std::min<std::size_t>(most, model_.config().max_context - first);
  reading.cut = reading.tokens.size() > most;
  reading.tokens.resize(std::min(reading.tokens.size(), most));
  reading.latents.resize(reading.tokens.size());
  if (reading.tokens.empty()) return reading;
  std::vector<TokenId> ids = reading.tokens;
  if (bos_) ids.insert(ids.begin(), *bos_);
  const sparse::Encoded encoded = place.coder.encode(model_.activations(ids, 1, std::span(&place.reads, 1))[0]);
  for (std::size_t i = 0; i < reading.tokens.size(); ++i) {
    if (special_[to_index(reading.tokens[i])]) continue;
    for (std::uint64_t e = encoded.offsets[first + i]; e < encoded.offsets[first + i + 1]; ++e)
      reading.latents[i].emplace_back(LatentId{encoded.latent[e]}, encoded.value[e]);
  }
  return reading;
}

/// A text's tokens, behind what the run's contexts begin with.
std::vector<TokenId> Subject::beginning(const std::string& text) const {
  std::vector<TokenId> ids = data_->tokenizer.encode(text);
  if (bos_) ids.insert(ids.begin(), *bos_);
  return ids;
}

/// Errors: bad_input when the coder has none, which `what` wants.
std::span<const float> Subject::decoder_of(const char* what) const {
  const std::span<const float> decoder = place_->coder.decoder();
  if (decoder.empty())
    fail_input(options_.coder.sae,
               fmt::format("the coder of {} has no decoder, and {} adds its directions", place_->hookpoint, what));
  return decoder;
}

dashboard::SteeredText Subject::continued(const std::string& prompt, LatentId latent, double strength,
                                          std::uint32_t tokens) const {
  const Place& place = *place_;
  const std::span<const float> decoder = decoder_of("steering");
  const std::size_t width = place.coder.info().output_width;
  const std::span<const float> row = decoder.subspan(std::size_t{to_index(latent)} * width, width);
  std::vector<float> added(row.begin(), row.end());
  const double scale = strength * place.reader.max(latent);
  for (float& x : added) x = static_cast<float>(x * scale);
  const std::vector<TokenId> ids = beginning(prompt);
  model::SteeringOptions options = options_.steering;
  options.tokens = tokens;
  const model::Steering steering(model_, place.reconstructs, ids, 1, options);
  return {texts_of(steering.clean()).front(), texts_of(steering.with(added)).front()};
}

std::string Subject::why_promotes_nothing() const {
  const Place& place = *place_;
  return why_no_logit_weights(place.reconstructs, place.coder.info(), !place.coder.decoder().empty(),
                              model_.config().width);
}

std::vector<std::uint32_t> Subject::promoted(std::size_t n, std::size_t threads) const {
  const Place& place = *place_;
  const std::uint32_t vocabulary = std::min(data_->tokenizer.vocabulary_size(), model_.config().vocabulary);
  sparse::LogitOptions options;
  options.n = n;
  options.threads = threads;
  options.stage = place.hookpoint + " logit weights";
  return sparse::logit_weights(sparse::RowSource::of(place.coder.decoder(), place.coder.info().output_width),
                               unembedding_rows(model_, vocabulary), options, *report_)
      .promoted;
}

std::vector<float> Subject::turned_up(const std::string& prompt, std::span<const LatentId> latents,
                                      double factor) const {
  const Place& place = *place_;
  const std::span<const float> decoder = decoder_of("an output score");
  const std::vector<TokenId> ids = beginning(prompt);
  if (ids.empty()) fail_input("--neutral", "a prompt without a token", "give one of some words");
  const sparse::Encoded encoded = place.coder.encode(model_.activations(ids, 1, std::span(&place.reads, 1))[0]);
  const auto last = encoded.value.begin() + static_cast<std::ptrdiff_t>(encoded.offsets[ids.size() - 1]);
  const auto first = last == encoded.value.end() ? encoded.value.begin() : last;
  if (first == encoded.value.end())
    fail_input("--neutral", fmt::format("no latent of {} fires on '{}'", place.hookpoint, prompt), "give another text");
  const double strength = factor * *std::max_element(first, encoded.value.end());

  const std::size_t width = place.coder.info().output_width, length = ids.size();
  std::vector<TokenId> tokens;
  std::vector<float> added(latents.size() * length * width, 0.0F);
  for (std::size_t b = 0; b < latents.size(); ++b) {
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    const std::span<const float> row = decoder.subspan(to_index(latents[b]) * width, width);
    std::transform(row.begin(), row.end(), added.begin() + static_cast<std::ptrdiff_t>(((b + 1) * length - 1) * width),
                   [&](float x) { return static_cast<float>(strength * x); });
  }
  const model::Edit edit{
      place.reconstructs, model::Edit::How::add,
      model::from_host(added, static_cast<std::int64_t>(tokens.size()), static_cast<std::int64_t>(width))};
  const std::vector<float> all =
      model::to_host(model_.logits(tokens, static_cast<std::uint32_t>(latents.size()), std::span(&edit, 1)));
  const std::size_t vocabulary = all.size() / tokens.size();
  std::vector<float> logits;
  logits.reserve(latents.size() * vocabulary);
  for (std::size_t b = 0; b < latents.size(); ++b) {
    const auto row = all.begin() + static_cast<std::ptrdiff_t>(((b + 1) * length - 1) * vocabulary);
    logits.insert(logits.end(), row, row + static_cast<std::ptrdiff_t>(vocabulary));
  }
  return logits;
}

std::vector<TokenId> Subject::ordinary_tokens() const {
  std::vector<TokenId> ordinary;
  const std::uint32_t count = std::min(data_->tokenizer.vocabulary_size(), model_.config().vocabulary);
  for (std::uint32_t id = 0; id < count; ++id) {
    if (!special_[id]) ordinary.push_back(TokenId{id});
  }
  return ordinary;
}

/// Beginnings of contexts drawn at random, the same for every latent. Shapes: [prompts * prompt_tokens].
std::vector<TokenId> Subject::prompt_tokens() const {
  const text::TokenFile& tokens = data_->tokens;
  const std::uint32_t length = std::min(options_.prompt_tokens, tokens.ctx_len());
  std::vector<TokenId> prompts;
  Random random = Random::for_purpose(seed_, "steering-prompts");
  for (const std::uint64_t c : random.sample(tokens.context_count(), options_.prompts)) {
    const auto context = tokens.context(static_cast<std::uint32_t>(c)).first(length);
    prompts.insert(prompts.end(), context.begin(), context.end());
  }
  return prompts;
}

model::Steering& Subject::steering() {
  Place& place = *place_;
  if (!place.steering) {
    const std::uint32_t count = std::min(options_.prompts, data_->tokens.context_count());
    place.steering =
        std::make_unique<model::Steering>(model_, place.reconstructs, prompt_tokens(), count, options_.steering);
  }
  return *place.steering;
}

std::vector<std::string> Subject::texts_of(const model::Continuations& tokens) const {
  std::vector<std::string> texts;
  for (const std::vector<TokenId>& one : tokens) {
    std::vector<TokenId> known;
    std::copy_if(one.begin(), one.end(), std::back_inserter(known), [&](TokenId id) {
      return to_index(id) < data_->tokenizer.vocabulary_size() && !data_->tokenizer.is_special(id);
    });
    texts.push_back(examples::plain_text(data_->tokenizer, known));
  }
  return texts;
}

score::SteeredTexts Subject::steer(LatentId latent) {
  Place& place = *place_;
  if (const auto kept = place.steered.find(latent); kept != place.steered.end()) return kept->second;
  const std::span<const float> decoder = decoder_of("intervention");
  const std::size_t width = place.coder.info().output_width;
  const std::span<const float> direction = decoder.subspan(std::size_t{to_index(latent)} * width, width);
  std::vector<float> random_direction(width);
  Random random = Random::for_latent(seed_, place.hookpoint, latent, "control-direction");
  for (float& x : random_direction) x = static_cast<float>(random.normal());
  const auto steered = steering().steer(direction);
  const auto control = steered ? steering().steer(random_direction) : std::nullopt;
  score::SteeredTexts texts;
  if (!steered || !control) {
    texts.failure = fmt::format("no multiple of {} moves the next token's distribution by {} nats",
                                steered ? "a random direction" : "its direction", options_.steering.divergence);
  } else {
    const std::vector<TokenId> prompts = prompt_tokens();
    const std::size_t length = prompts.size() / steering().clean().size();
    model::Continuations beginnings;
    for (std::size_t p = 0; p < steering().clean().size(); ++p) {
      const auto begin = prompts.begin() + static_cast<std::ptrdiff_t>(p * length);
      beginnings.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
    }
    texts = {texts_of(beginnings), texts_of(steering().clean()), texts_of(steered->texts), texts_of(control->texts),
             ""};
  }
  place.steered.emplace(latent, texts);
  return texts;
}

std::string Subject::fingerprint() const {
  Hasher hash;
  hash.add(fmt::format("controls {} text_tokens {} prompts {} of {} steer {} to {} seed {}", options_.controls,
                       options_.text_tokens, options_.prompts, options_.prompt_tokens, options_.steering.tokens,
                       options_.steering.divergence, seed_));
  return hash.digest_hex();
}

}  // namespace gloss::app
