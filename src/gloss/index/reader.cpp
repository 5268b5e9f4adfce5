#include "gloss/index/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/formats/checked_file.h"
#include "gloss/index/layout.h"

namespace gloss::index {
namespace {

using formats::Dtype;

constexpr std::uint64_t kMostPositions = std::uint64_t{1} << 32;
constexpr const char* kHint = "the file is damaged: copy it again, or run gloss cache again";

std::string array_name(const std::string& file, Array array) {
  return fmt::format("{}: tensor '{}'", file, kArrayNames.at(array));
}

/// A whole number that metadata hold as text.
std::uint64_t metadata_number(const formats::SafeTensors& file, const std::string& key, std::uint64_t low,
                              std::uint64_t high) {
  const auto it = file.metadata().find(key);
  if (it == file.metadata().end())
    fail_input(file.file_name(), fmt::format("metadata has no '{}'", key),
               "wanted an index.safetensors of gloss cache");
  const std::string& text = it->second;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    fail_input(file.file_name(),
               fmt::format("metadata '{}' is '{}', wanted a whole number from {} to {}", key, text, low, high));
  return value;
}

std::string metadata_text(const formats::SafeTensors& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  return it == file.metadata().end() ? std::string() : it->second;
}

/// "tensor 'count': element 3 (byte 512 of the file)".
template <class T>
std::string element_name(const std::string& file, Array array, std::span<const T> values, std::size_t i,
                         const std::byte* file_begin) {
  const auto byte = reinterpret_cast<const std::byte*>(values.data() + i) - file_begin;
  return fmt::format("{}: element {} (byte {} of the file)", array_name(file, array), i, byte);
}

}  // namespace

float Firings::value(std::size_t i) const { return full.empty() ? float_from_half(half_bits[i]) : full[i]; }

Reader Reader::open(const std::filesystem::path& file) { return parse(MappedFile::open(file)); }

Reader Reader::parse(MappedFile file) {
  const std::byte* file_begin = file.bytes().data();
  Reader reader;
  reader.file_ = formats::SafeTensors::parse(std::move(file));
  reader.read_metadata();
  reader.read_arrays(file_begin);
  reader.check_offsets(file_begin);
  reader.check_statistics();
  return reader;
}

void Reader::read_metadata() {
  const std::string format = metadata_text(file_, "format");
  if (format == kFormat) {
    formats::check_header(file_, kHint);
  } else if (format != kFirstFormat) {
    fail_input(file_name(), fmt::format("metadata 'format' is '{}', wanted '{}'", format, kFormat),
               "wanted an index.safetensors of gloss cache, by this version of gloss");
  }
  ctx_len_ =
      static_cast<std::uint32_t>(metadata_number(file_, "ctx_len", 1, std::numeric_limits<std::uint32_t>::max()));
  token_count_ = metadata_number(file_, "token_count", 0, kMostPositions);
  excluded_token_count_ = metadata_number(file_, "excluded_token_count", 0, token_count_);
  if (token_count_ % ctx_len_ != 0)
    fail_input(file_name(),
               fmt::format("metadata 'token_count' is {}, wanted a multiple of ctx_len {}", token_count_, ctx_len_));
  hookpoint_ = metadata_text(file_, "hookpoint");
}

void Reader::read_arrays(const std::byte* file_begin) {
  count_ = file_.view<std::uint64_t>("count", Dtype::u64);
  const std::uint64_t latents = count_.size();
  if (latents == 0 || latents > std::numeric_limits<std::uint32_t>::max())
    fail_input(array_name(file_name(), kCount), fmt::format("has {} elements, wanted 1 to 2^32 - 1 latents", latents));
  positions_ = file_.view<std::uint32_t>("positions", Dtype::u32);
  const bool half = file_.tensor("activations").dtype == Dtype::f16;
  const bool first_version = metadata_text(file_, "format") == kFirstFormat;
  for (const auto& wanted : declare_arrays(latents, positions_.size(), half ? Dtype::f16 : Dtype::f32)) {
    const auto array =
        static_cast<std::size_t>(std::find(kArrayNames.begin(), kArrayNames.end(), wanted.name) - kArrayNames.begin());
    if (first_version && is_new(array)) continue;
    static_cast<void>(file_.tensor(wanted.name, wanted.dtype, wanted.shape));
  }
  if (!first_version) read_new_arrays();

  offsets_ = file_.view<std::uint64_t>("offsets", Dtype::u64);
  sum_ = file_.view<double>("sum", Dtype::f64);
  max_ = file_.view<float>("max", Dtype::f32);
  if (half) {
    half_bits_ = file_.view<std::uint16_t>("activations", Dtype::f16);
  } else {
    full_ = file_.view<float>("activations", Dtype::f32);
  }
  if (offsets_.front() != 0 || offsets_.back() != positions_.size())
    fail_input(element_name(file_name(), kOffsets, offsets_, offsets_.front() != 0 ? 0 : latents, file_begin),
               fmt::format("offsets run from {} to {}, wanted 0 to {}, the number of positions", offsets_.front(),
                           offsets_.back(), positions_.size()),
               kHint);
}

void Reader::check_offsets(const std::byte* file_begin) const {
  for (std::size_t f = 0; f < count_.size(); ++f) {
    if (offsets_[f] > offsets_[f + 1])
      fail_input(element_name(file_name(), kOffsets, offsets_, f + 1, file_begin),
                 fmt::format("is {}, less than the one before, {}", offsets_[f + 1], offsets_[f]), kHint);
  }
  for (std::size_t f = 0; f < count_.size(); ++f) {
    if (count_[f] != offsets_[f + 1] - offsets_[f])
      fail_input(element_name(file_name(), kCount, count_, f, file_begin),
                 fmt::format("is {}, but the offsets say {}", count_[f], offsets_[f + 1] - offsets_[f]), kHint);
    if (count_[f] > token_count_)
      fail_input(element_name(file_name(), kCount, count_, f, file_begin),
                 fmt::format("is {}, more than the {} tokens", count_[f], token_count_), kHint);
  }
}

void Reader::check_statistics() const {
  for (std::size_t f = 0; f < count_.size(); ++f) {
    const bool fires = count_[f] > 0;
    if (!std::isfinite(max_[f]) || !(fires ? max_[f] > 0.0F : max_[f] == 0.0F))
      fail_input(array_name(file_name(), kMax),
                 fmt::format("latent {} has {} firings and a maximum of {}", f, count_[f], max_[f]), kHint);
    if (!special_.empty() && special_[f] > excluded_token_count_)
      fail_input(array_name(file_name(), kSpecial),
                 fmt::format("latent {} fires at {} special tokens, but {} were left out", f, special_[f],
                             excluded_token_count_),
                 kHint);
    if (!cached_.empty() && (cached_[f] > 1 || (cached_[f] == 0 && fires)))
      fail_input(array_name(file_name(), kCached),
                 fmt::format("latent {} has {} and {} firings", f, cached_[f], count_[f]), kHint);
    if (!std::isfinite(sum_[f]) || !(fires ? sum_[f] > 0.0 : sum_[f] == 0.0))
      fail_input(array_name(file_name(), kSum),
                 fmt::format("latent {} has {} firings and a sum of {}", f, count_[f], sum_[f]), kHint);
  }
}

Firings Reader::firings(LatentId f) const& {
  const std::uint64_t begin = offsets_[to_index(f)];
  const std::uint64_t n = count_[to_index(f)];
  Firings firings;
  firings.position = positions_.subspan(begin, n);
  if (full_.empty()) {
    firings.half_bits = half_bits_.subspan(begin, n);
  } else {
    firings.full = full_.subspan(begin, n);
  }
  return firings;
}

void Reader::read_new_arrays() {
  special_ = file_.view<std::uint64_t>("special_count", Dtype::u64);
  cached_ = file_.view<std::uint8_t>("cached", Dtype::boolean);
}

std::optional<std::uint64_t> Reader::special_count(LatentId f) const {
  if (special_.empty()) return std::nullopt;
  return special_[to_index(f)];
}

double Reader::density(LatentId f) const {
  const std::uint64_t indexed = token_count_ - excluded_token_count_;
  return indexed == 0 ? 0.0 : static_cast<double>(count(f)) / static_cast<double>(indexed);
}

void Reader::verify() const {
  formats::check_arrays(file_, kHint);
  for (std::uint32_t f = 0; f < latent_count(); ++f) verify_latent(LatentId{f});
}

void Reader::verify_latent(LatentId f) const {
  const Firings firing = firings(f);
  const auto fail = [&](std::string_view what) {
    fail_input(file_name(), fmt::format("latent {}: {}", to_index(f), what), kHint);
  };
  double sum = 0.0;
  float largest = 0.0F;
  for (std::size_t i = 0; i < firing.size(); ++i) {
    if (firing.position[i] >= token_count_ || (i > 0 && firing.position[i] <= firing.position[i - 1]))
      fail(fmt::format("position {} is {}, not ascending below {}", i, firing.position[i], token_count_));
    const float value = firing.value(i);
    if (!(value > 0.0F) || !std::isfinite(value)) fail(fmt::format("activation {} is {}", i, value));
    sum += double{value};
    largest = std::max(largest, value);
  }
  // The file's numbers are of unrounded activations; an f16 differs by 2^-11 of its value, or by 2^-24 if that is more.
  const auto n = static_cast<double>(firing.size());
  const double relative = full_.empty() ? 0x1.0p-10 : 0.0;
  const double absolute = full_.empty() ? 0x1.0p-24 : 0.0;
  if (std::abs(double{largest} - double{max(f)}) > relative * double{largest} + absolute)
    fail(fmt::format("the maximum is given as {}, but the largest activation is {}", max(f), largest));
  if (std::abs(sum - this->sum(f)) > relative * sum + n * absolute)
    fail(fmt::format("the sum is given as {}, but the activations sum to {}", this->sum(f), sum));
}

}  // namespace gloss::index
