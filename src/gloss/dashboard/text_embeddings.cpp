#include "gloss/dashboard/text_embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/formats/checked_file.h"

namespace gloss::dashboard {
namespace {

using formats::Dtype;

constexpr float kMostCode = 127.0F;
/// The norm of a question in whole numbers. Codes of a row have norm 127 sqrt(D) at most, so that sums fit 32 bits up
/// to D = 2^20.
constexpr float kQueryNorm = 16384.0F;
constexpr std::uint32_t kMostWidth = 1U << 20U;
constexpr std::size_t kBlockBytes = 1U << 20U;
constexpr const char* kAgain = "delete it: gloss embed makes it anew";

std::int32_t product(const std::int8_t* row, const std::int16_t* query, std::size_t width) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < width; ++i) sum += std::int32_t{row[i]} * std::int32_t{query[i]};
  return sum;
}

}  // namespace

std::uint64_t text_key(std::string_view text) {
  Hasher hash;
  hash.add(text);
  return hash.digest64();
}

CodedRow code_row(std::span<const float> row) {
  float most = 0.0F;
  for (const float value : row) most = std::max(most, std::abs(value));
  CodedRow coded{most / kMostCode, std::vector<std::int8_t>(row.size(), 0)};
  if (most == 0.0F) return coded;
  for (std::size_t i = 0; i < row.size(); ++i)
    coded.codes[i] = static_cast<std::int8_t>(std::lround(row[i] / most * kMostCode));
  return coded;
}

void write_text_embeddings(const std::filesystem::path& path, const EmbeddedBy& by, std::uint32_t width,
                           std::span<const std::uint64_t> keys, const std::function<CodedView(std::size_t)>& row) {
  formats::CheckedFileWriter writer(
      path,
      {{"keys", Dtype::u64, {keys.size()}},
       {"scales", Dtype::f32, {keys.size()}},
       {"codes", Dtype::i8, {keys.size(), width}}},
      {{"embedder", by.embedder}, {"fingerprint", by.fingerprint}, {"query_prefix", by.query_prefix}});
  writer.append_values(0, keys);
  std::vector<float> scales;
  std::vector<std::int8_t> codes;
  for (std::size_t i = 0; i < keys.size(); ++i) scales.push_back(row(i).scale);
  writer.append_values(1, std::span<const float>(scales));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const CodedView own = row(i);
    codes.insert(codes.end(), own.codes.begin(), own.codes.end());
    if (codes.size() < kBlockBytes && i + 1 < keys.size()) continue;
    writer.append_values(2, std::span<const std::int8_t>(codes));
    codes.clear();
  }
  writer.commit();
}

TextEmbeddings TextEmbeddings::open(const std::filesystem::path& path) {
  TextEmbeddings t;
  t.file_ = formats::SafeTensors::open(path);
  const auto& metadata = t.file_.metadata();
  const auto text = [&](const char* key) {
    const auto at = metadata.find(key);
    if (at == metadata.end()) fail_input(path.string(), fmt::format("has no metadata '{}'", key), kAgain);
    return at->second;
  };
  t.by_ = {text("embedder"), text("fingerprint"), text("query_prefix")};
  const std::vector<std::uint64_t>& shape = t.file_.tensor("codes").shape;
  if (shape.size() != 2 || shape[0] >= kNone || shape[1] < 1 || shape[1] > kMostWidth)
    fail_input(path.string(), fmt::format("'codes' has the shape {}", formats::format_shape(shape)), kAgain);
  t.width_ = static_cast<std::uint32_t>(shape[1]);
  const std::array<std::uint64_t, 1> rows{shape[0]};
  t.file_.tensor("keys", Dtype::u64, rows);
  t.file_.tensor("scales", Dtype::f32, rows);
  t.keys_ = t.file_.view<std::uint64_t>("keys", Dtype::u64);
  t.scales_ = t.file_.view<float>("scales", Dtype::f32);
  t.codes_ = t.file_.view<std::int8_t>("codes", Dtype::i8);
  return t;
}

TextEmbeddings::Query TextEmbeddings::query(std::span<const float> row) const {
  if (row.size() != width_)
    fail_input(file_.file_name(), fmt::format("has rows of {} numbers, the question {}", width_, row.size()), kAgain);
  double square = 0.0;
  for (const float value : row) square += double{value} * double{value};
  if (!std::isfinite(square)) fail_input("question", "its embedding is not finite");
  const auto norm = static_cast<float>(std::sqrt(square));
  Query query{norm / kQueryNorm, std::vector<std::int16_t>(width_, 0)};
  if (norm == 0.0F) return query;
  for (std::size_t i = 0; i < width_; ++i)
    query.codes[i] = static_cast<std::int16_t>(std::lround(row[i] / norm * kQueryNorm));
  return query;
}

float TextEmbeddings::cosine(const Query& query, Place place) const {
  const CodedView own = row(place);
  const std::int32_t sum = product(own.codes.data(), query.codes.data(), width_);
  return std::clamp(static_cast<float>(sum) * own.scale * query.scale, -1.0F, 1.0F);
}

TextEmbeddings::Place TextPlaces::find(std::uint64_t key) {
  if (next_ < keys_.size() && keys_[next_] == key) return static_cast<TextEmbeddings::Place>(next_++);
  if (sorted_.empty()) {
    sorted_.reserve(keys_.size());
    for (std::size_t i = 0; i < keys_.size(); ++i)
      sorted_.emplace_back(keys_[i], static_cast<TextEmbeddings::Place>(i));
    std::sort(sorted_.begin(), sorted_.end());
  }
  const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), std::pair(key, TextEmbeddings::Place{0}));
  if (at == sorted_.end() || at->first != key) return TextEmbeddings::kNone;
  next_ = std::size_t{at->second} + 1;
  return at->second;
}

}  // namespace gloss::dashboard
