#pragma once
/// What the table keeps of one explainer. Private to the dashboard.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gloss/base/parallel.h"
#include "gloss/dashboard/latent_table.h"

namespace gloss::dashboard {

inline constexpr const char* kSimilarity = "similarity";

/// Texts of the rows one after another. Shapes: end [rows], the end of each row's text.
struct TextColumn {
  std::string bytes;
  std::vector<std::uint64_t> end;

  std::string_view at(std::size_t row) const {
    const std::uint64_t begin = row == 0 ? 0 : end[row - 1];
    return std::string_view(bytes).substr(begin, end[row] - begin);
  }
};

/// Scores of one explainer under one key. Shapes: all [rows]; value NaN where there is none; shuffled empty when there
/// is no baseline; chance empty when it is `usual_chance` everywhere.
struct ScoreColumn {
  std::vector<float> value, low, high, shuffled, chance;
  std::vector<std::uint32_t> answered, failed;
  float usual_chance = 0.5F;
};

struct LatentTable::Explainer {
  std::string name;
  TextColumn texts;
  std::uint64_t count = 0;                      // rows with a text
  std::map<std::size_t, ScoreColumn> scores;    // by key
  std::vector<TextEmbeddings::Place> embedded;  // [rows], of the texts; empty when the run has none
  /// Rows by text, ascending and descending, which no sort makes within a page's time; null before they are asked for.
  /// Guarded by Caches::mutex once the table is made.
  mutable std::array<std::shared_ptr<const std::vector<Row>>, 2> text_orders;
};

/// The last few results, since a page is asked for many times.
struct LatentTable::Caches {
  template <class Value>
  class Recent {
   public:
    explicit Recent(std::size_t most) : most_(most) {}
    std::shared_ptr<const Value> find(const std::string& key) {
      for (auto it = kept_.begin(); it != kept_.end(); ++it) {
        if (it->first != key) continue;
        kept_.splice(kept_.begin(), kept_, it);
        return it->second;
      }
      return nullptr;
    }
    void put(const std::string& key, std::shared_ptr<const Value> value) {
      kept_.emplace_front(key, std::move(value));
      if (kept_.size() > most_) kept_.pop_back();
    }
    void clear() { kept_.clear(); }

   private:
    std::size_t most_;
    std::list<std::pair<std::string, std::shared_ptr<const Value>>> kept_;
  };

  std::shared_mutex texts;  // the explainers: one writes, many read
  std::mutex mutex;         // what follows
  Recent<Selection> selections{10};
  Recent<std::vector<Row>> orders{12};
  Recent<TextEmbeddings::Query> questions{64};  // by TableQuery::like
  Recent<std::vector<float>> similarities{2};   // [rows], by explainer and TableQuery::like; NaN = none
};

/// What the conditions and orders of a query are about.
struct LatentTable::Asked {
  const Explainer* explainer = nullptr;
  std::shared_ptr<const std::vector<float>> similarity;  // none unless TableQuery::like asks for it
};

/// Runs body(first, last) over parts of the rows.
template <class Body>
void in_parts(LatentTable::Row rows, const Body& body) {
  using Row = LatentTable::Row;
  constexpr Row kPart = 1U << 16;
  const std::size_t parts = (std::size_t{rows} + kPart - 1) / kPart;
  parallel_for(parts, std::min(available_threads(), std::max<std::size_t>(parts, 1)),
               [&](std::size_t part, std::size_t) {
                 const Row first = static_cast<Row>(part) * kPart;
                 body(first, static_cast<Row>(std::min<std::uint64_t>(std::uint64_t{first} + kPart, rows)));
               });
}

/// A number whose order as an unsigned integer is that of the value, of as many bits; NaN last.
template <class Float>
auto ordered_bits(Float value, bool descending) {
  using Bits = std::conditional_t<sizeof(Float) == sizeof(std::uint64_t), std::uint64_t, std::uint32_t>;
  if (std::isnan(value)) return ~Bits{0};
  const auto bits = std::bit_cast<Bits>(value == Float{0} ? Float{0} : value);
  constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);
  const Bits ordered = (bits & kSign) != 0 ? ~bits : bits | kSign;
  return descending ? ~ordered - 1 : ordered;  // neither reaches that of NaN
}

/// A part of a key of the caches, so that no two queries share one.
inline std::string key_part(std::string_view text) { return std::to_string(text.size()) + ":" + std::string(text); }

}  // namespace gloss::dashboard
