#include "gloss/text/document_order.h"

#include <bit>
#include <cstring>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/random.h"

namespace gloss::text {
namespace {

constexpr unsigned kRounds = 8;
constexpr unsigned kLeastHalfBits = 4;

std::uint64_t end_at(const MappedFile& ends, std::uint64_t document) {
  std::uint64_t end = 0;
  std::memcpy(&end, ends.bytes().data() + document * sizeof(end), sizeof(end));
  return end;
}

/// The committed file, mapped and then without a name.
MappedFile map_and_remove(const std::filesystem::path& path) {
  MappedFile mapped = MappedFile::open(path);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  return mapped;
}

}  // namespace

Permutation::Permutation(std::uint64_t n, std::uint64_t seed) : n_(n), seed_(seed) {
  const auto bits = static_cast<unsigned>(std::bit_width(n == 0 ? 0 : n - 1));
  half_bits_ = std::max(kLeastHalfBits, (bits + 1) / 2);
}

std::uint64_t Permutation::mix(std::uint64_t value) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & mask;
  for (unsigned round = 0; round < kRounds; ++round) {
    // half_bits_ is at most 32, so that round and half are two parts of one number
    const std::uint64_t which = (std::uint64_t{round} << 32) | right;
    const std::uint64_t drawn = Random::for_purpose(seed_, "order of documents", which).next_u64();
    left ^= drawn & mask;
    std::swap(left, right);
  }
  return (left << half_bits_) | right;
}

std::uint64_t Permutation::operator()(std::uint64_t i) const {
  do i = mix(i);
  while (i >= n_);
  return i;
}

ShuffledDocuments::ShuffledDocuments(const std::function<std::optional<std::string>()>& next, std::uint64_t seed,
                                     const std::filesystem::path& scratch) {
  std::filesystem::create_directories(scratch);
  const std::filesystem::path text_path = scratch / "shuffle-text.tmp";
  const std::filesystem::path ends_path = scratch / "shuffle-ends.tmp";
  OutputFile text(text_path);
  OutputFile ends(ends_path);
  while (const std::optional<std::string> document = next()) {
    stop_if_interrupted();
    text.write(*document);
    const std::uint64_t end = text.size_bytes();
    ends.write(std::as_bytes(std::span(&end, 1)));
    ++count_;
  }
  text.commit();
  ends.commit();
  text_ = map_and_remove(text_path);
  ends_ = map_and_remove(ends_path);
  order_.emplace(count_, seed);
}

std::optional<std::string> ShuffledDocuments::next() {
  if (given_ == count_) return {};
  const std::uint64_t document = (*order_)(given_++);
  const std::uint64_t begin = document == 0 ? 0 : end_at(ends_, document - 1);
  const std::uint64_t end = end_at(ends_, document);
  const auto bytes = text_.bytes().subspan(begin, end - begin);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace gloss::text
