// Questions to the table: which latents, in which order, and how their numbers lie.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/dashboard/latent_columns.h"

namespace gloss::dashboard {
namespace {

using examples::LatentCondition;
using Row = LatentTable::Row;

constexpr std::size_t kBins = 40;
constexpr std::string_view kExcess = ".excess";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

/// Without the spaces around it and the signs that tokenizers write for them (U+0120, U+2581).
std::string_view trimmed(std::string_view text) {
  for (bool cut = true; cut;) {
    cut = false;
    for (const std::string_view sign : {" ", "\n", "\t", "\xC4\xA0", "\xE2\x96\x81"}) {
      if (text.starts_with(sign)) text.remove_prefix(sign.size()), cut = true;
      if (text.ends_with(sign)) text.remove_suffix(sign.size()), cut = true;
    }
  }
  return text;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != '\n') {
      word += lower(c);
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

/// Sorts by several threads. Requires: no two items are equal, so that the order is one whatever the threads.
template <class Item, class Less>
void sort_in_parts(std::vector<Item>& items, const Less& less) {
  constexpr std::size_t kParts = 4;
  constexpr std::size_t kFewest = 1U << 14U;
  if (items.size() < kFewest) return std::sort(items.begin(), items.end(), less);
  const auto at = [&](std::size_t part) {
    return items.begin() + static_cast<std::ptrdiff_t>(items.size() * part / kParts);
  };
  const std::size_t threads = available_threads();
  parallel_for(kParts, std::min(threads, kParts),
               [&](std::size_t part, std::size_t) { std::sort(at(part), at(part + 1), less); });
  parallel_for(2, std::min<std::size_t>(threads, 2), [&](std::size_t half, std::size_t) {
    std::inplace_merge(at(2 * half), at(2 * half + 1), at(2 * half + 2), less);
  });
  std::inplace_merge(at(0), at(2), at(4), less);
}

std::vector<Row> order_of_values(const std::vector<double>& values, bool descending) {
  struct Item {
    std::uint64_t key;
    Row row;
  };
  std::vector<Item> items(values.size());
  for (std::size_t r = 0; r < values.size(); ++r) items[r] = {ordered_bits(values[r], descending), static_cast<Row>(r)};
  sort_in_parts(items, [](const Item& a, const Item& b) { return a.key != b.key ? a.key < b.key : a.row < b.row; });
  std::vector<Row> order(values.size());
  for (std::size_t r = 0; r < order.size(); ++r) order[r] = items[r].row;
  return order;
}

/// The first eight bytes as a number: texts that differ there need no second look.
std::uint64_t head_of(std::string_view text) {
  std::uint64_t head = 0;
  for (std::size_t i = 0; i < sizeof head; ++i)
    head = head << 8U | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
  return head;
}

/// Explainers, those with most texts, whose orders are made before anybody asks.
constexpr std::size_t kOrderedAhead = 4;

/// Rows without a text last.
std::vector<Row> order_of_texts(const TextColumn& texts, bool descending) {
  struct Item {
    std::uint64_t head;
    Row row;
  };
  std::vector<Item> items;
  items.reserve(texts.end.size());
  std::vector<Row> empty;
  for (Row r = 0; r < texts.end.size(); ++r) {
    const std::string_view text = texts.at(r);
    if (text.empty()) {
      empty.push_back(r);
    } else {
      items.push_back({head_of(text), r});
    }
  }
  sort_in_parts(items, [&](const Item& a, const Item& b) {
    if (a.head != b.head) return (a.head < b.head) != descending;
    const int way = texts.at(a.row).compare(texts.at(b.row));
    if (way != 0) return (way < 0) != descending;
    return a.row < b.row;
  });
  std::vector<Row> order;
  order.reserve(texts.end.size());
  for (const Item& item : items) order.push_back(item.row);
  order.insert(order.end(), empty.begin(), empty.end());
  return order;
}

/// The order after the text of one row changed, without sorting: as order_of_texts() has it.
std::vector<Row> moved(const std::vector<Row>& before, const TextColumn& texts, Row row, bool descending) {
  const auto comes_first = [&](Row a, Row b) {
    const std::string_view x = texts.at(a);
    const std::string_view y = texts.at(b);
    if (x.empty() || y.empty()) return x.empty() == y.empty() ? a < b : y.empty();
    const int way = x.compare(y);
    return way != 0 ? (way < 0) != descending : a < b;
  };
  std::vector<Row> order;
  order.reserve(before.size());
  std::copy_if(before.begin(), before.end(), std::back_inserter(order), [&](Row r) { return r != row; });
  order.insert(std::lower_bound(order.begin(), order.end(), row, comes_first), row);
  return order;
}

/// Edges of equal bins over the finite values; of their logarithms where `log`.
std::vector<double> edges_of(const std::vector<double>& values) {
  double low = 0.0;
  double high = 0.0;
  bool any = false;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    low = any ? std::min(low, v) : v;
    high = any ? std::max(high, v) : v;
    any = true;
  }
  if (!any) return {};
  if (low >= high) high = low + 1.0;
  std::vector<double> edges(kBins + 1);
  for (std::size_t i = 0; i <= kBins; ++i)
    edges[i] = low + (high - low) * static_cast<double>(i) / static_cast<double>(kBins);
  return edges;
}

LatentTable::Histogram histogram_of(const std::string& name, std::vector<double> values, bool log,
                                    std::vector<double> edges, const std::vector<std::uint8_t>& in) {
  if (log) {
    for (double& v : values) v = v > 0.0 ? std::log10(v) : std::nan("");
  }
  LatentTable::Histogram h{name, log, edges.empty() ? edges_of(values) : std::move(edges), {}, {}};
  if (h.edges.empty()) return h;
  h.all.assign(kBins, 0);
  h.chosen.assign(kBins, 0);
  const double low = h.edges.front();
  const double scale = static_cast<double>(kBins) / (h.edges.back() - low);
  for (std::size_t r = 0; r < values.size(); ++r) {
    if (!std::isfinite(values[r])) continue;
    const double place = std::clamp((values[r] - low) * scale, 0.0, static_cast<double>(kBins - 1));
    const auto bin = static_cast<std::size_t>(place);
    ++h.all[bin];
    h.chosen[bin] += in[r];
  }
  return h;
}

}  // namespace

const LatentTable::Explainer* LatentTable::chosen_explainer(const std::string& name) const {
  if (name.empty()) return explainers_.empty() ? nullptr : explainers_.front().get();
  const Explainer* found = find_explainer(name);
  if (found != nullptr) return found;
  std::vector<std::string> known;
  for (const auto& explainer : explainers_) known.push_back(explainer->name);
  fail_unknown_name("explainer", name, known);
}

template <class Each>
void LatentTable::each_value(const Asked& asked, std::string_view key, const Each& each) const {
  const auto of_index = [&](const auto& of) {
    Row row = 0;
    for (const TableHookpoint& h : hookpoints_) {
      for (std::uint32_t f = 0; f < h.index.latent_count(); ++f)
        each(row++, static_cast<double>(of(h.index, LatentId{f})));
    }
  };
  if (key == "density") return of_index([](const index::Reader& index, LatentId f) { return index.density(f); });
  if (key == "firings") return of_index([](const index::Reader& index, LatentId f) { return index.count(f); });
  if (key == "max") return of_index([](const index::Reader& index, LatentId f) { return index.max(f); });
  if (key == kSimilarity) {
    for (Row r = 0; asked.similarity && r < rows_; ++r) each(r, double{(*asked.similarity)[r]});
    return;
  }
  const Explainer* explainer = asked.explainer;
  if (explainer == nullptr) return;
  const bool excess = key.ends_with(kExcess);
  if (excess) key.remove_suffix(kExcess.size());
  const auto at = std::find_if(keys_.begin(), keys_.end(), [&](const ScoreKey& k) { return k.key == key; });
  const auto column = explainer->scores.find(static_cast<std::size_t>(at - keys_.begin()));
  if (column == explainer->scores.end()) return;
  const ScoreColumn& scores = column->second;
  if (!excess) {
    for (Row r = 0; r < rows_; ++r) each(r, double{scores.value[r]});
  } else if (!scores.shuffled.empty()) {
    for (Row r = 0; r < rows_; ++r) each(r, double{scores.value[r]} - double{scores.shuffled[r]});
  }
}

std::vector<double> LatentTable::values(const Asked& asked, std::string_view key) const {
  std::vector<double> values(rows_, std::nan(""));
  each_value(asked, key, [&](Row row, double value) { values[row] = value; });
  return values;
}

LatentTable::Bits LatentTable::holds(const LatentCondition::Test& test, const Asked& asked) const {
  using What = LatentCondition::Test::What;
  using Order = LatentCondition::Order;
  Bits bits(rows_, 0);
  if (test.what == What::kind) {
    const auto bit = static_cast<unsigned>(test.kind);
    for (Row r = 0; r < rows_; ++r) bits[r] = static_cast<std::uint8_t>(kinds_[r] >> bit & 1U);
    return bits;
  }
  std::string_view key;
  switch (test.what) {
    case What::density:
      key = "density";
      break;
    case What::max:
      key = "max";
      break;
    case What::further:
      key = numbers_.at(test.further);
      break;
    default:
      key = "firings";
  }
  // Alive is firings above 0. Rows that have no value are not visited, or NaN: they meet nothing.
  const Order order = test.what == What::alive ? Order::above : test.order;
  const double number = test.what == What::alive ? 0.0 : test.number;
  each_value(asked, key, [&](Row row, double value) {
    bits[row] = static_cast<std::uint8_t>(LatentCondition::compare(value, order, number));
  });
  return bits;
}

void LatentTable::keep_texts(const Explainer* explainer, std::string_view words, Bits& in) const {
  const std::vector<std::string> wanted = words_of(words);
  if (wanted.empty()) return;
  if (explainer == nullptr) {
    std::fill(in.begin(), in.end(), std::uint8_t{0});
    return;
  }
  in_parts(rows_, [&](Row first, Row last) {
    std::string text;
    for (Row r = first; r < last; ++r) {
      if (in[r] == 0) continue;
      const std::string_view own = explainer->texts.at(r);
      text.resize(own.size());
      std::transform(own.begin(), own.end(), text.begin(), [](char c) { return lower(c); });
      const bool all = std::all_of(wanted.begin(), wanted.end(), [&](const std::string& word) {
        return ::memmem(text.data(), text.size(), word.data(), word.size()) != nullptr;
      });
      if (!all) in[r] = 0;
    }
  });
}

void LatentTable::keep_tokens(std::string_view text, Bits& in) const {
  const std::string wanted = lower(trimmed(text));
  if (wanted.empty()) return;
  std::vector<bool> is(tokenizer_.vocabulary_size(), false);
  for (std::uint32_t t = 0; t < is.size(); ++t) is[t] = lower(trimmed(tokenizer_.token_bytes(TokenId{t}))) == wanted;
  in_parts(rows_, [&](Row first, Row last) {
    for (Row r = first; r < last; ++r) {
      if (in[r] == 0) continue;
      in[r] = 0;
      const auto [h, latent] = latent_of(r);
      if (!hookpoints_[h].statistics) continue;
      for (const index::TokenList::Entry& entry : hookpoints_[h].statistics->latent(latent).tokens.entries) {
        if (entry.token < is.size() && is[entry.token]) in[r] = 1;
      }
    }
  });
}

std::shared_ptr<const LatentTable::Selection> LatentTable::select(const TableQuery& query, const Asked& asked) const {
  const Explainer* explainer = asked.explainer;
  const std::string key = key_part(explainer == nullptr ? "" : explainer->name) + key_part(query.where) +
                          key_part(query.text) + key_part(query.token) + key_part(query.hookpoint) +
                          key_part(query.like);
  {
    const std::lock_guard lock(caches_->mutex);
    if (auto found = caches_->selections.find(key)) return found;
  }
  auto selection = std::make_shared<Selection>();
  Bits& in = selection->in;
  if (query.where.find_first_not_of(" \t") == std::string::npos) {
    in.assign(rows_, 1);
  } else {
    const LatentCondition condition = LatentCondition::parse(
        query.where,
        [&](std::size_t at, std::string_view what) {
          throw Error(ErrorKind::usage, fmt::format("where: character {}", at + 1), what,
                      "for example density<0.01 and not positional");
        },
        numbers_);
    in = condition.rows([&](const LatentCondition::Test& test) { return holds(test, asked); });
  }
  if (!query.hookpoint.empty()) {
    const auto at = std::find_if(hookpoints_.begin(), hookpoints_.end(),
                                 [&](const TableHookpoint& h) { return h.name == query.hookpoint; });
    if (at == hookpoints_.end()) {
      std::vector<std::string> known;
      for (const TableHookpoint& h : hookpoints_) known.push_back(h.name);
      fail_unknown_name("hookpoint", query.hookpoint, known);
    }
    const auto h = static_cast<std::size_t>(at - hookpoints_.begin());
    std::fill(in.begin(), in.begin() + first_[h], std::uint8_t{0});
    std::fill(in.begin() + first_[h + 1], in.end(), std::uint8_t{0});
  }
  for (Row r = 0; asked.similarity && r < rows_; ++r) {
    if (std::isnan((*asked.similarity)[r])) in[r] = 0;
  }
  keep_texts(explainer, query.text, in);
  keep_tokens(query.token, in);
  selection->total = static_cast<std::uint64_t>(std::count(in.begin(), in.end(), std::uint8_t{1}));
  const std::lock_guard lock(caches_->mutex);
  caches_->selections.put(key, selection);
  return selection;
}

std::shared_ptr<const std::vector<Row>> LatentTable::order_by_text(const Explainer& explainer, bool descending) const {
  const std::size_t way = descending ? 1 : 0;
  {
    const std::lock_guard lock(caches_->mutex);
    if (explainer.text_orders.at(way)) return explainer.text_orders.at(way);
  }
  auto order = std::make_shared<const std::vector<Row>>(order_of_texts(explainer.texts, descending));
  const std::lock_guard lock(caches_->mutex);
  explainer.text_orders.at(way) = order;
  return order;
}

void LatentTable::move_in_text_orders(Explainer& explainer, Row row) {
  for (const std::size_t way : {std::size_t{0}, std::size_t{1}}) {
    std::shared_ptr<const std::vector<Row>>& order = explainer.text_orders.at(way);
    if (order) order = std::make_shared<const std::vector<Row>>(moved(*order, explainer.texts, row, way == 1));
  }
}

void LatentTable::order_texts() const {
  for (std::size_t i = 0; i < std::min(explainers_.size(), kOrderedAhead); ++i) {
    for (const bool descending : {false, true}) {
      stop_if_interrupted();
      order_by_text(*explainers_[i], descending);
    }
  }
}

std::shared_ptr<const std::vector<Row>> LatentTable::order(const TableQuery& query, const Asked& asked) const {
  if (query.sort == "latent") return nullptr;
  const Explainer* explainer = asked.explainer;
  const bool text = query.sort == "explanation";
  std::vector<std::string> known{"latent", "density", "firings", "max", "explanation"};
  known.insert(known.end(), numbers_.begin(), numbers_.end());
  if (std::find(known.begin(), known.end(), query.sort) == known.end())
    fail_unknown_name("sort key", query.sort, known);
  if (query.sort == kSimilarity)
    throw Error(ErrorKind::usage, "sort", "similarity is to a question, and none is asked", "ask one with like");
  if (text && explainer != nullptr) return order_by_text(*explainer, query.descending);
  const std::string key =
      key_part(explainer == nullptr ? "" : explainer->name) + key_part(query.sort) + (query.descending ? "d" : "a");
  {
    const std::lock_guard lock(caches_->mutex);
    if (auto found = caches_->orders.find(key)) return found;
  }
  auto order = std::make_shared<std::vector<Row>>(order_of_values(values(asked, query.sort), query.descending));
  const std::lock_guard lock(caches_->mutex);
  caches_->orders.put(key, order);
  return order;
}

LatentTable::Page LatentTable::page(const TableQuery& query, std::uint64_t offset, std::size_t limit) const {
  const std::shared_ptr<const TextEmbeddings::Query> question = this->question(query);
  const std::shared_lock lock(caches_->texts);
  const Asked asked = this->asked(query, question.get());
  const std::shared_ptr<const Selection> selection = select(query, asked);
  Page page{selection->total, {}, {}};
  const auto tell_similarity = [&] {
    for (const Row row : page.rows) page.similarity.push_back((*asked.similarity)[row]);
  };
  if (asked.similarity && query.sort == kSimilarity) {
    page.rows = most_alike(*selection, *asked.similarity, query.descending, offset, limit);
    tell_similarity();
    return page;
  }
  const std::shared_ptr<const std::vector<Row>> order = this->order(query, asked);
  if (offset >= page.total) return page;
  const std::uint8_t* in = selection->in.data();
  // Rows in their own order turn round as a whole: they have no equal ones and none without a value.
  for (Row i = 0; i < rows_ && page.rows.size() < limit; ++i) {
    const Row row = order ? (*order)[i] : query.descending ? rows_ - 1 - i : i;
    if (in[row] == 0) continue;
    if (offset > 0) {
      --offset;
    } else {
      page.rows.push_back(row);
    }
  }
  if (asked.similarity) tell_similarity();
  return page;
}

std::vector<LatentTable::Histogram> LatentTable::histograms(const TableQuery& query) const {
  const std::shared_ptr<const TextEmbeddings::Query> question = this->question(query);
  const std::shared_lock lock(caches_->texts);
  const Asked asked = this->asked(query, question.get());
  const std::shared_ptr<const Selection> selection = select(query, asked);
  const Explainer* explainer = asked.explainer;
  std::vector<Histogram> all;
  for (const char* name : {"density", "max"})
    all.push_back(histogram_of(name, values(asked, name), true, {}, selection->in));
  for (std::size_t k = 0; k < keys_.size(); ++k) {
    if (explainer == nullptr || !explainer->scores.contains(k)) continue;
    std::vector<double> edges;  // shares have the same ones everywhere
    if (keys_[k].measure == "balanced accuracy" || keys_[k].measure == "accuracy" || keys_[k].measure == "AUC") {
      for (std::size_t i = 0; i <= kBins; ++i) edges.push_back(static_cast<double>(i) / static_cast<double>(kBins));
    }
    all.push_back(histogram_of(keys_[k].key, values(asked, keys_[k].key), false, std::move(edges), selection->in));
  }
  if (asked.similarity) all.push_back(histogram_of(kSimilarity, values(asked, kSimilarity), false, {}, selection->in));
  std::erase_if(all, [](const Histogram& h) { return h.edges.empty(); });
  return all;
}

}  // namespace gloss::dashboard
