#include "gloss/index/writer.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/index/firing_buffer.h"
#include "gloss/index/layout.h"
#include "gloss/index/manifest.h"
#include "gloss/index/merge.h"

namespace gloss::index {
namespace {

constexpr std::uint64_t kMostPositions = std::uint64_t{1} << 32;

void check_options(const WriterOptions& options) {
  if (options.latent_count == 0 || options.ctx_len == 0)
    throw std::logic_error("an index needs at least one latent and one token a context");
  if (!options.cached.empty() && options.cached.size() != options.latent_count)
    throw std::logic_error("which latents are cached must be said of each of them");
  for (const auto& [key, value] : options.metadata) {
    if (is_reserved_key(key)) throw std::logic_error("the index sets metadata '" + key + "' itself");
  }
}

}  // namespace

struct Writer::Impl {
  Impl(std::filesystem::path folder_, WriterOptions options_)
      : folder(std::move(folder_)),
        spill(folder / "spill"),
        options(std::move(options_)),
        buffer(options.memory_bytes, options.latent_count) {}

  void open();
  void check(std::span<const Firing> firings, std::uint64_t end_position) const;
  void refuse(std::span<const Firing> firings, std::uint64_t end_position) const;
  void add(std::span<const Firing> firings, std::uint64_t end_position, std::span<const Firing> special);
  void spill_buffer();
  void try_to_spill();

  std::filesystem::path folder, spill;
  WriterOptions options;
  FiringBuffer buffer;
  Manifest manifest;
  std::uint64_t buffered_end = 0;  // every token before it is in the buffer or in a run
  bool broken = false;             // an append stopped half way
};

void Writer::Impl::open() {
  std::error_code error;
  std::filesystem::create_directories(spill, error);
  if (error) fail_errno(spill.string(), "cannot be created", error.value());
  if (auto found = read_manifest(spill, options)) manifest = std::move(*found);
  remove_runs(spill, manifest.runs.size());
  buffered_end = manifest.resume_position;
}

void Writer::Impl::check(std::span<const Firing> firings, std::uint64_t end_position) const {
  if (end_position > kMostPositions)
    fail_input(folder.string(), fmt::format("{} tokens; an index numbers at most {}", end_position, kMostPositions),
               "cache fewer tokens, or several run folders");
  if (end_position < buffered_end)
    throw std::logic_error(fmt::format("end position {} is before the last, {}", end_position, buffered_end));
  // Nearly always all is right: told by one pass without branches, and looked into only where it is not.
  std::uint32_t previous = 0;
  bool good = firings.empty() || (firings.front().position >= buffered_end && firings.back().position < end_position);
  for (const Firing& firing : firings) {
    good &= firing.latent < options.latent_count;
    good &= firing.position >= previous;
    good &= firing.activation > 0.0F && firing.activation <= std::numeric_limits<float>::max();
    previous = firing.position;
  }
  if (!options.cached.empty() && good) {
    for (const Firing& firing : firings) good &= options.cached[firing.latent] != 0;
  }
  if (!good) refuse(firings, end_position);
}

/// Says what is wrong with the first firing that is.
void Writer::Impl::refuse(std::span<const Firing> firings, std::uint64_t end_position) const {
  std::uint64_t previous = buffered_end;
  for (const Firing& firing : firings) {
    if (firing.latent >= options.latent_count || firing.position < previous || firing.position >= end_position)
      throw std::logic_error(fmt::format("firing of latent {} at position {} is not among {} latents and [{}, {})",
                                         firing.latent, firing.position, options.latent_count, previous, end_position));
    if (!options.cached.empty() && options.cached[firing.latent] == 0)
      throw std::logic_error(fmt::format("a firing of latent {}, which is not to be cached", firing.latent));
    if (!(firing.activation > 0.0F) || !std::isfinite(firing.activation))
      fail_input(options.hookpoint,
                 fmt::format("latent {} has activation {} at position {}, wanted a positive number", firing.latent,
                             firing.activation, firing.position),
                 "the model or the coder overflows: try --dtype float32");
    previous = firing.position;
  }
}

/// The longest part of at most `room` firings that ends where a token ends.
std::size_t whole_tokens(std::span<const Firing> firings, std::size_t room) {
  if (firings.size() <= room) return firings.size();
  std::size_t n = room;
  while (n > 0 && firings[n - 1].position == firings[n].position) --n;
  return n;
}

std::size_t first_token(std::span<const Firing> firings) {
  std::size_t n = 1;
  while (n < firings.size() && firings[n].position == firings[0].position) ++n;
  return n;
}

void Writer::Impl::add(std::span<const Firing> firings, std::uint64_t end_position, std::span<const Firing> special) {
  const auto count_special = [&](std::uint64_t end) {
    while (!special.empty() && special[0].position < end) {
      buffer.count_special(special[0].latent);
      special = special.subspan(1);
    }
  };
  while (!firings.empty()) {
    const std::size_t taken = whole_tokens(firings, buffer.room());
    buffer.add(firings.first(taken));
    firings = firings.subspan(taken);
    if (firings.empty()) break;
    buffered_end = firings[0].position;
    count_special(buffered_end);
    spill_buffer();
    if (const std::size_t least = first_token(firings); least > buffer.room()) buffer.grow(least);
  }
  count_special(end_position);
  buffered_end = end_position;
}

void Writer::Impl::spill_buffer() {
  if (buffered_end == manifest.resume_position) return;
  Manifest next = manifest;
  next.resume_position = buffered_end;
  if (!buffer.empty()) next.runs.push_back(buffer.write_run(run_path(spill, manifest.runs.size()), buffered_end));
  write_manifest(spill, options, next);
  manifest = std::move(next);
  buffer.clear();
}

/// After a merge that failed: what only the buffer holds shall not be lost where it can be helped.
void Writer::Impl::try_to_spill() {
  try {
    spill_buffer();
  } catch (const std::exception&) {
    // The disk is full: what was spilled before stays, and the buffer too while this Writer lives.
  }
}

Writer::Writer(std::filesystem::path folder, WriterOptions options) {
  check_options(options);
  impl_ = std::make_unique<Impl>(std::move(folder), std::move(options));
  impl_->open();
}

Writer::~Writer() = default;

std::uint64_t Writer::resume_position() const { return impl_->manifest.resume_position; }

void Writer::append(std::span<const Firing> firings, std::uint64_t end_position, std::span<const Firing> special) {
  if (impl_->broken) throw std::logic_error("append after a failed append: open a new Writer on the folder");
  impl_->check(firings, end_position);
  impl_->check(special, end_position);
  impl_->broken = true;
  impl_->add(firings, end_position, special);
  impl_->broken = false;
}

void Writer::append_index(const Reader& other, std::uint64_t end_position) {
  if (impl_->broken) throw std::logic_error("append after a failed append: open a new Writer on the folder");
  Impl& self = *impl_;
  if (end_position <= self.manifest.resume_position) return;
  self.check({}, end_position);
  if (other.latent_count() != self.options.latent_count)
    fail_input(other.file_name(),
               fmt::format("has {} latents, wanted {}", other.latent_count(), self.options.latent_count));
  if (!other.special_count(LatentId{0}))
    fail_input(other.file_name(), "was written by an older gloss, which did not count firings at special tokens",
               "make this shard again, with this version");
  self.spill_buffer();
  for (std::uint32_t f = 0; f < other.latent_count(); ++f) {
    const auto positions = other.firings(LatentId{f}).position;
    if (!positions.empty() && (positions.front() < self.buffered_end || positions.back() >= end_position))
      fail_input(other.file_name(),
                 fmt::format("latent {} fires at tokens {} to {}, wanted tokens {} to {} only", f, positions.front(),
                             positions.back(), self.buffered_end, end_position - 1),
                 "the shards overlap, or are given in another order than they were made");
  }
  Manifest next = self.manifest;
  next.resume_position = end_position;
  next.runs.push_back(write_run_of(other, run_path(self.spill, next.runs.size()), end_position));
  write_manifest(self.spill, self.options, next);
  self.manifest = std::move(next);
  self.buffered_end = end_position;
}

void Writer::checkpoint() {
  if (impl_->broken) throw std::logic_error("checkpoint after a failed append: open a new Writer on the folder");
  impl_->spill_buffer();
}

void Writer::finish(std::uint64_t token_count, std::uint64_t excluded_token_count, Reporter& reporter,
                    const IndexedTokens* tokens) {
  if (impl_->broken) throw std::logic_error("finish after a failed append: open a new Writer on the folder");
  Impl& w = *impl_;
  if (token_count != w.buffered_end || token_count % w.options.ctx_len != 0 || excluded_token_count > token_count)
    throw std::logic_error(fmt::format("finish: {} tokens, {} of them excluded, but {} were appended in contexts of {}",
                                       token_count, excluded_token_count, w.buffered_end, w.options.ctx_len));
  w.buffer.trim();
  MergeInput input{token_count, excluded_token_count, tokens, nullptr};
  if (fits_beside_merge(w.buffer, w.options, w.manifest, token_count)) {
    input.buffer = &w.buffer;
  } else {
    w.spill_buffer();
    w.buffer.trim();  // the merge has the memory to itself
  }
  try {
    merge_runs(w.folder, w.options, w.manifest, input, reporter);
  } catch (...) {
    w.try_to_spill();
    throw;
  }
  w.buffer.clear();
  w.buffer.trim();
  remove_spill(w.spill);
}

}  // namespace gloss::index
