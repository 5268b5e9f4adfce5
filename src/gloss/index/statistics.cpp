#include "gloss/index/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/parallel.h"
#include "gloss/index/statistics_count.h"

namespace gloss::index {
namespace {

using formats::Dtype;

constexpr std::string_view kFormat = "gloss-statistics-1";
constexpr const char* kHint = "the file is damaged: delete it and run gloss cache again, which makes it anew";

/// The arrays in the order of their bytes.
enum Array : std::size_t {
  kCount,
  kSpecial,
  kOffsetTokens,
  kOffsetFirings,
  kSum,
  kInformation,
  kPeak,
  kDocuments,
  kLargest,
  kLargestCount,
  kTokenKinds,
  kToken,
  kTokenCount,
  kPreviousKinds,
  kPrevious,
  kPreviousCount,
  kMax,
  kCached,
  kArrays
};
struct Spec {
  const char* name;
  Dtype dtype;
  enum Shape { latents, offsets, lists } shape;
};
constexpr std::array<Spec, kArrays> kSpecs{{{"count", Dtype::u64, Spec::latents},
                                            {"special_count", Dtype::u64, Spec::latents},
                                            {"offset_tokens", Dtype::u64, Spec::offsets},
                                            {"offset_firings", Dtype::u64, Spec::offsets},
                                            {"sum", Dtype::f64, Spec::latents},
                                            {"position_information", Dtype::f64, Spec::latents},
                                            {"peak_offset", Dtype::u32, Spec::latents},
                                            {"documents", Dtype::u32, Spec::latents},
                                            {"largest_document", Dtype::u32, Spec::latents},
                                            {"largest_document_count", Dtype::u32, Spec::latents},
                                            {"different_tokens", Dtype::u32, Spec::latents},
                                            {"token", Dtype::u32, Spec::lists},
                                            {"token_count", Dtype::u32, Spec::lists},
                                            {"different_previous", Dtype::u32, Spec::latents},
                                            {"previous", Dtype::u32, Spec::lists},
                                            {"previous_count", Dtype::u32, Spec::lists},
                                            {"max", Dtype::f32, Spec::latents},
                                            {"cached", Dtype::boolean, Spec::latents}}};
/// Latents counted before their rows are written.
constexpr std::uint32_t kRows = 4096;
/// Latents that a thread takes at once.
constexpr std::uint32_t kBlock = 32;
constexpr std::uint32_t kMostVocabulary = std::uint32_t{1} << 28;

/// Without special_count where it is not known.
std::vector<formats::CheckedFileWriter::Declared> declare(std::uint64_t latents, std::uint64_t ctx_len,
                                                          bool special_counted) {
  std::vector<formats::CheckedFileWriter::Declared> arrays;
  for (std::size_t a = 0; a < kArrays; ++a) {
    if (a == kSpecial && !special_counted) continue;
    std::vector<std::uint64_t> shape{kSpecs.at(a).shape == Spec::offsets ? ctx_len : latents};
    if (kSpecs.at(a).shape == Spec::lists) shape.push_back(kListedTokens);
    arrays.push_back({kSpecs.at(a).name, kSpecs.at(a).dtype, shape});
  }
  return arrays;
}

TokenTables tables_of(const std::string& where, const StatisticsWriter::Options& options, const IndexedTokens& tokens) {
  if (tokens.tokens.size() != options.token_count ||
      tokens.documents.size() * std::uint64_t{options.ctx_len} != options.token_count)
    fail_input(where,
               fmt::format("{} tokens in {} contexts are given, wanted {} in contexts of {}", tokens.tokens.size(),
                           tokens.documents.size(), options.token_count, options.ctx_len),
               "the index belongs to other tokens");
  if (tokens.special.size() > kMostVocabulary) throw std::logic_error("a vocabulary of more than 2^28 tokens");
  TokenTables tables{tokens.tokens, tokens.documents, options.ctx_len,
                     static_cast<std::uint32_t>(tokens.special.size()), std::vector<std::uint64_t>(options.ctx_len, 0)};
  for (std::size_t begin = 0; begin < tokens.tokens.size(); begin += options.ctx_len) {
    for (std::uint32_t offset = 0; offset < options.ctx_len; ++offset) {
      const std::uint32_t token = to_index(tokens.tokens[begin + offset]);
      if (token >= tables.vocabulary)
        fail_input(where, fmt::format("token {} at position {}, but the vocabulary has {}", token, begin + offset,
                                      tables.vocabulary));
      if (!tokens.special[token]) ++tables.offset_tokens[offset];
    }
  }
  return tables;
}

}  // namespace

struct StatisticsWriter::Impl {
  Impl(const std::filesystem::path& path, const Options& options_, const IndexedTokens& tokens)
      : options(options_),
        tables(tables_of(path.string(), options_, tokens)),
        threads(std::max<std::size_t>(1, tokens.threads)),
        offset_firings(threads, std::vector<std::uint64_t>(options_.ctx_len, 0)),
        file(path, declare(options_.latent_count, options_.ctx_len, options_.special_counted), metadata(options_)) {
    for (std::size_t t = 0; t < threads; ++t) counters.emplace_back(tables);
  }

  static std::map<std::string, std::string> metadata(const Options& options) {
    std::map<std::string, std::string> all = options.metadata;
    all["format"] = kFormat;
    all["hookpoint"] = options.hookpoint;
    all["token_count"] = std::to_string(options.token_count);
    all["excluded_token_count"] = std::to_string(options.excluded_token_count);
    return all;
  }
  std::size_t place(Array array) const { return array > kSpecial && !options.special_counted ? array - 1 : array; }
  template <class T, class Get>
  void append(Array array, Get get) {
    std::vector<T> values;
    values.reserve(rows.size());
    for (const LatentStatistics& row : rows) values.push_back(static_cast<T>(get(row)));
    file.append_values(place(array), std::span<const T>(values));
  }
  void append_list(Array tokens, Array counts, const TokenList LatentStatistics::*list) {
    std::vector<std::uint32_t> ids(rows.size() * kListedTokens, kEndOfList), how_often(ids.size(), 0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::vector<TokenList::Entry>& entries = (rows[i].*list).entries;
      for (std::size_t e = 0; e < entries.size(); ++e) {
        ids[i * kListedTokens + e] = entries[e].token;
        how_often[i * kListedTokens + e] = entries[e].count;
      }
    }
    file.append_values(place(tokens), std::span<const std::uint32_t>(ids));
    file.append_values(place(counts), std::span<const std::uint32_t>(how_often));
  }
  void write_rows();

  Options options;
  TokenTables tables;
  std::size_t threads;
  std::vector<LatentCounter> counters;
  std::vector<std::vector<std::uint64_t>> offset_firings;  // of each thread
  std::vector<LatentStatistics> rows;
  std::uint32_t next = 0;
  formats::CheckedFileWriter file;
};

StatisticsWriter::StatisticsWriter(const std::filesystem::path& path, const Options& options,
                                   const IndexedTokens& tokens)
    : impl_(std::make_unique<Impl>(path, options, tokens)) {}

StatisticsWriter::~StatisticsWriter() = default;

void StatisticsWriter::add(std::uint32_t first, std::uint32_t count, const std::function<Firings(LatentId)>& firings,
                           const std::function<Totals(LatentId)>& totals) {
  Impl& self = *impl_;
  if (first != self.next) throw std::logic_error("statistics of latents that are not the next");
  for (; count > 0; count -= static_cast<std::uint32_t>(self.rows.size())) {
    self.rows.assign(std::min(count, kRows), {});
    const std::size_t size = self.rows.size();
    parallel_for((size + kBlock - 1) / kBlock, self.threads, [&](std::size_t block, std::size_t worker) {
      for (std::size_t i = block * kBlock; i < std::min(size, (block + 1) * kBlock); ++i) {
        const LatentId f{self.next + static_cast<std::uint32_t>(i)};
        LatentStatistics& row = self.rows[i];
        row = self.counters[worker].count(firings(f), self.offset_firings[worker]);
        const Totals total = totals(f);
        row.cached = total.cached;
        row.special_count = total.special_count;
        row.sum = total.sum;
        row.max = total.max;
      }
    });
    self.write_rows();
    self.next += static_cast<std::uint32_t>(size);
  }
}

void StatisticsWriter::Impl::write_rows() {
  using Row = LatentStatistics;
  append<std::uint64_t>(kCount, [](const Row& r) { return r.count; });
  if (options.special_counted)
    append<std::uint64_t>(kSpecial, [](const Row& r) { return r.special_count.value_or(0); });
  append<double>(kSum, [](const Row& r) { return r.sum; });
  append<double>(kInformation, [](const Row& r) { return r.position_information; });
  append<std::uint32_t>(kPeak, [](const Row& r) { return r.peak_offset; });
  append<std::uint32_t>(kDocuments, [](const Row& r) { return r.documents; });
  append<std::uint32_t>(kLargest, [](const Row& r) { return r.largest_document; });
  append<std::uint32_t>(kLargestCount, [](const Row& r) { return r.largest_document_count; });
  append<std::uint32_t>(kTokenKinds, [](const Row& r) { return r.tokens.different; });
  append_list(kToken, kTokenCount, &Row::tokens);
  append<std::uint32_t>(kPreviousKinds, [](const Row& r) { return r.previous.different; });
  append_list(kPrevious, kPreviousCount, &Row::previous);
  append<float>(kMax, [](const Row& r) { return r.max; });
  append<std::uint8_t>(kCached, [](const Row& r) { return r.cached ? 1 : 0; });
}

void StatisticsWriter::commit() {
  Impl& self = *impl_;
  if (self.next != self.options.latent_count) throw std::logic_error("statistics of some latents only");
  std::vector<std::uint64_t> total(self.options.ctx_len, 0);
  for (const auto& one : self.offset_firings) {
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += one[i];
  }
  self.file.append_values(self.place(kOffsetTokens), std::span<const std::uint64_t>(self.tables.offset_tokens));
  self.file.append_values(self.place(kOffsetFirings), std::span<const std::uint64_t>(total));
  self.file.commit();
}

void write_statistics(const std::filesystem::path& path, const Reader& reader, const IndexedTokens& tokens) {
  StatisticsWriter::Options options;
  options.hookpoint = reader.hookpoint();
  options.latent_count = reader.latent_count();
  options.ctx_len = reader.ctx_len();
  options.token_count = reader.token_count();
  options.excluded_token_count = reader.excluded_token_count();
  options.special_counted = reader.special_count(LatentId{0}).has_value();
  options.metadata = reader.metadata();
  options.metadata.erase("ctx_len");
  std::erase_if(options.metadata, [](const auto& entry) { return formats::is_checksum_key(entry.first); });
  StatisticsWriter writer(path, options, tokens);
  writer.add(
      0, reader.latent_count(), [&](LatentId f) { return reader.firings(f); },
      [&](LatentId f) {
        return StatisticsWriter::Totals{reader.is_cached(f), reader.special_count(f).value_or(0), reader.sum(f),
                                        reader.max(f)};
      });
  writer.commit();
}

StatisticsReader StatisticsReader::open(const std::filesystem::path& file) { return parse(MappedFile::open(file)); }

StatisticsReader StatisticsReader::parse(MappedFile file) {
  StatisticsReader reader;
  reader.file_ = formats::SafeTensors::parse(std::move(file));
  const auto& metadata = reader.metadata();
  const auto text = [&](const char* key) {
    const auto it = metadata.find(key);
    return it == metadata.end() ? std::string() : it->second;
  };
  if (text("format") != kFormat)
    fail_input(reader.file_name(), fmt::format("metadata 'format' is '{}', wanted '{}'", text("format"), kFormat),
               "wanted a statistics.safetensors of gloss cache, by this version of gloss");
  formats::check_header(reader.file_, kHint);
  const auto number = [&](const char* key, std::uint64_t most) {
    const std::string found = text(key);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(found.data(), found.data() + found.size(), value);
    if (error != std::errc() || end != found.data() + found.size() || value > most)
      fail_input(reader.file_name(),
                 fmt::format("metadata '{}' is '{}', wanted a whole number to {}", key, found, most), kHint);
    return value;
  };
  reader.token_count_ = number("token_count", std::uint64_t{1} << 32);
  reader.excluded_token_count_ = number("excluded_token_count", reader.token_count_);
  reader.read_arrays();
  return reader;
}

void StatisticsReader::read_arrays() {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  count_ = file_.view<std::uint64_t>(kSpecs.at(kCount).name, Dtype::u64);
  offset_tokens_ = file_.view<std::uint64_t>(kSpecs.at(kOffsetTokens).name, Dtype::u64);
  if (count_.empty() || count_.size() > kMost || offset_tokens_.empty() || offset_tokens_.size() > kMost)
    fail_input(file_name(),
               fmt::format("is of {} latents and contexts of {} tokens", count_.size(), offset_tokens_.size()), kHint);
  const bool special_counted = file_.contains(kSpecs.at(kSpecial).name);
  for (const auto& wanted : declare(count_.size(), offset_tokens_.size(), special_counted))
    static_cast<void>(file_.tensor(wanted.name, wanted.dtype, wanted.shape));
  if (special_counted) special_ = file_.view<std::uint64_t>(kSpecs.at(kSpecial).name, Dtype::u64);
  offset_firings_ = file_.view<std::uint64_t>(kSpecs.at(kOffsetFirings).name, Dtype::u64);
  sum_ = file_.view<double>(kSpecs.at(kSum).name, Dtype::f64);
  information_ = file_.view<double>(kSpecs.at(kInformation).name, Dtype::f64);
  max_ = file_.view<float>(kSpecs.at(kMax).name, Dtype::f32);
  cached_ = file_.view<std::uint8_t>(kSpecs.at(kCached).name, Dtype::boolean);
  numbers_.resize(kArrays);
  for (std::size_t a = 0; a < kArrays; ++a) {
    if (kSpecs.at(a).dtype == Dtype::u32) numbers_[a] = file_.view<std::uint32_t>(kSpecs.at(a).name, Dtype::u32);
  }
}

TokenList StatisticsReader::list(std::size_t first_array, LatentId f) const {
  TokenList list;
  list.different = numbers_[first_array][to_index(f)];
  const std::size_t begin = std::size_t{to_index(f)} * kListedTokens;
  const std::uint32_t listed = std::min(list.different, kListedTokens);
  for (std::size_t i = begin; i < begin + listed; ++i) {
    list.entries.push_back({numbers_[first_array + 1][i], numbers_[first_array + 2][i]});
    if (list.entries.back().token == kEndOfList)
      fail_input(fmt::format("{}: tensor '{}'", file_name(), kSpecs.at(first_array + 1).name),
                 fmt::format("latent {} has {} different tokens, but entry {} is the list's end", to_index(f),
                             list.different, i - begin),
                 kHint);
  }
  return list;
}

LatentStatistics StatisticsReader::latent(LatentId f) const {
  const std::size_t i = to_index(f);
  if (i >= count_.size())
    fail_input(file_name(), fmt::format("has {} latents, but latent {} was asked for", count_.size(), i),
               "the file belongs to another index");
  LatentStatistics s;
  s.cached = cached_[i] != 0;
  s.count = count_[i];
  if (!special_.empty()) s.special_count = special_[i];
  s.sum = sum_[i];
  s.max = max_[i];
  s.position_information = information_[i];
  s.peak_offset = numbers_[kPeak][i];
  s.documents = numbers_[kDocuments][i];
  s.largest_document = numbers_[kLargest][i];
  s.largest_document_count = numbers_[kLargestCount][i];
  s.tokens = list(kTokenKinds, f);
  s.previous = list(kPreviousKinds, f);
  return s;
}

double StatisticsReader::density(LatentId f) const {
  const std::uint64_t indexed = token_count_ - excluded_token_count_;
  return indexed == 0 ? 0.0 : static_cast<double>(count_[to_index(f)]) / static_cast<double>(indexed);
}

StatisticsSummary StatisticsReader::summary() const {
  constexpr double kPositional = 0.05;
  StatisticsSummary all;
  all.latents = latent_count();
  if (!special_.empty()) all.special_firings = 0;
  for (std::size_t f = 0; f < count_.size(); ++f) {
    if (cached_[f] == 0) continue;
    ++all.cached;
    all.firings += count_[f];
    const std::uint64_t at_special = special_.empty() ? 0 : special_[f];
    if (!special_.empty()) *all.special_firings += at_special;
    all.special += at_special > count_[f] ? 1 : 0;
    if (count_[f] == 0) {
      ++all.dead;
      continue;
    }
    const double density = this->density(LatentId{static_cast<std::uint32_t>(f)});
    all.over_1_percent += density > 0.01 ? 1 : 0;
    all.over_10_percent += density > 0.1 ? 1 : 0;
    all.single_document += 2 * std::uint64_t{numbers_[kLargestCount][f]} > count_[f] ? 1 : 0;
    all.positional += information_[f] > kPositional ? 1 : 0;
    if (strongest(count_[f]) <= kListedTokens) {
      ++all.few_firings;
      continue;
    }
    all.single_token += numbers_[kTokenKinds][f] <= kListedTokens ? 1 : 0;
    all.previous_token += numbers_[kPreviousKinds][f] <= kListedTokens ? 1 : 0;
  }
  return all;
}

void StatisticsReader::verify(const Reader& index) const {
  formats::check_arrays(file_, kHint);
  if (index.latent_count() != latent_count() || index.token_count() != token_count_ ||
      index.excluded_token_count() != excluded_token_count_ || index.ctx_len() != ctx_len())
    fail_input(file_name(),
               fmt::format("is of {} latents and {} tokens, the index of {} and {}", latent_count(), token_count_,
                           index.latent_count(), index.token_count()),
               "the file belongs to another index: delete it and run gloss cache again, which makes it anew");
  for (std::uint32_t f = 0; f < latent_count(); ++f) {
    const LatentStatistics s = latent(LatentId{f});
    if (s.count != index.count(LatentId{f}) || s.special_count != index.special_count(LatentId{f}) ||
        s.sum != index.sum(LatentId{f}) || s.max != index.max(LatentId{f}))
      fail_input(file_name(),
                 fmt::format("latent {} fires {} times, the index says {}; or their sums differ", f, s.count,
                             index.count(LatentId{f})),
                 "the file belongs to another index: delete it and run gloss cache again, which makes it anew");
  }
}

}  // namespace gloss::index
