/// Text to tokens and back, on one core and on several, and merging alone; on the small tokenizers of the tests.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "gloss/base/parallel.h"
#include "gloss/base/random.h"
#include "gloss/text/bpe.h"
#include "gloss/text/tokenizer.h"

namespace gloss {
namespace {

text::Tokenizer golden(const char* name) {
  return text::Tokenizer::load(std::string(GLOSS_SOURCE_DIR "/src/gloss/text/testdata/") + name);
}

/// Running text: words drawn with Zipf's frequencies from 5,000 made of syllables, with punctuation and paragraphs.
std::string running_text(std::size_t bytes) {
  constexpr std::array<const char*, 12> kSyllables{"the", "ship", "s",  "count", "light", "er",
                                                   "in",  "an",   "re", "ou",    "st",    "é"};
  Random random = Random::for_purpose(1, "bench text");
  std::vector<std::string> words(5000);
  for (std::string& w : words) {
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n) w += kSyllables.at(random.below(kSyllables.size()));
  }
  std::string out;
  while (out.size() < bytes) {
    const double u = random.uniform();
    out += words[static_cast<std::size_t>(u * u * u * u * static_cast<double>(words.size()))];
    const std::uint64_t next = random.below(40);
    out += next == 0 ? ".\n\n" : next < 3 ? ", " : " ";
  }
  return out;
}

void encode(benchmark::State& state, const char* name) {
  const text::Tokenizer t = golden(name);
  const std::string text = running_text(std::size_t{1} << 20);
  const std::vector<TokenId> ids = t.encode(text);
  if (t.decode(ids) != text) throw std::logic_error("the text does not come back from its tokens");
  for (auto _ : state) benchmark::DoNotOptimize(t.encode(text));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * ids.size()), benchmark::Counter::kIsRate);
}

/// The same for tokenizers that do not keep every character: what they make of the text stays what it is.
void encode_lossy(benchmark::State& state, const char* name) {
  const text::Tokenizer t = golden(name);
  const std::string text = running_text(std::size_t{1} << 20);
  const std::string kept = t.decode(t.encode(text));
  if (t.decode(t.encode(kept)) != kept) throw std::logic_error("decoded text does not come back from its tokens");
  for (auto _ : state) benchmark::DoNotOptimize(t.encode(text));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}

/// Documents of 16 KiB on several threads.
void encode_documents(benchmark::State& state) {
  constexpr std::size_t kDocuments = 512;
  const text::Tokenizer t = golden("byte_level.json");
  const std::string text = running_text(std::size_t{1} << 14);
  const std::vector<TokenId> wanted = t.encode(text);
  std::vector<std::vector<TokenId>> ids(kDocuments);
  for (auto _ : state) {
    parallel_for(kDocuments, static_cast<std::size_t>(state.range(0)),
                 [&](std::size_t i, std::size_t) { ids[i] = t.encode(text); });
  }
  for (const std::vector<TokenId>& i : ids) {
    if (i != wanted) throw std::logic_error("threads make other ids");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kDocuments * text.size()));
}

void decode(benchmark::State& state, const char* name) {
  const text::Tokenizer t = golden(name);
  const std::string text = running_text(std::size_t{1} << 16);
  const std::vector<TokenId> ids = t.encode(text);
  if (t.decode(ids) != text) throw std::logic_error("the text does not come back from its tokens");
  for (auto _ : state) benchmark::DoNotOptimize(t.decode(ids));
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * ids.size()), benchmark::Counter::kIsRate);
}

/// Rows of one length: where the heap begins to pay, and that it does not grow faster than n log n.
void merge(benchmark::State& state) {
  Random random = Random::for_purpose(1, "bench merges");
  text::MergeTable merges;
  std::uint32_t ids = 26;
  for (std::uint32_t rank = 0; rank < 2000; ++rank) {
    const std::uint64_t key =
        text::pair_key(static_cast<std::uint32_t>(random.below(ids)), static_cast<std::uint32_t>(random.below(ids)));
    if (merges.find(key) == nullptr) merges.set(key, {rank, ids++});
  }
  std::vector<std::uint32_t> row(static_cast<std::size_t>(state.range(0)));
  for (std::uint32_t& id : row) id = static_cast<std::uint32_t>(random.below(26));
  std::vector<std::uint32_t> wanted = row;
  std::vector<std::uint32_t> work = row;
  if (row.size() < 4096) {
    text::apply_merges_slowly(merges, wanted);
    text::apply_merges(merges, work);
    if (work != wanted) throw std::logic_error("merging disagrees with its definition");
  }
  for (auto _ : state) {
    work = row;
    text::apply_merges(merges, work);
    benchmark::DoNotOptimize(work);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * row.size()));
}

BENCHMARK_CAPTURE(encode, byte_level, "byte_level.json")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, byte_fallback, "byte_fallback.json")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, ranks, "ranks.tiktoken")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_lossy, unigram, "unigram.json")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_lossy, spm_unigram, "spm_unigram.model")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_lossy, word_piece, "word_piece.json")->Unit(benchmark::kMillisecond);
BENCHMARK(encode_documents)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode, byte_level, "byte_level.json")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode, byte_fallback, "byte_fallback.json")->Unit(benchmark::kMillisecond);
BENCHMARK(merge)->Arg(8)->Arg(24)->Arg(48)->Arg(49)->Arg(200)->Arg(4000)->Arg(1 << 20);

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
