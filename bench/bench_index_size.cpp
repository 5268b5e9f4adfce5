/// The activation index at full size: F = 131,072 unless told otherwise, K = 32, firings as a TopK coder gives them,
/// with 1 GiB of memory. Peak memory at several numbers of tokens, the rate of writing against sorting the same firings
/// in memory, the size, the time to open the file when nothing of it is in memory, and the time to read it against a
/// plain read.
///
///   bench_index_size [--folder DIR] [--memory BYTES] [--latents F] [--threads N] [--statistics] [--sort] TOKENS...
///
/// Not on Google Benchmark: each number of tokens takes minutes and tens of bytes of disk a firing, and runs in
/// processes of its own, so that its peak memory is its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "gloss/base/mapped_file.h"
#include "gloss/base/quantity.h"
#include "gloss/index/reader.h"
#include "gloss/index/statistics.h"
#include "gloss/index/writer.h"
#include "zipf_firings.h"

namespace gloss {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kActive = 32;
constexpr std::uint32_t kCtxLen = 256;
constexpr std::uint32_t kBatch = 32 * kCtxLen;  // tokens
constexpr std::uint32_t kVocabulary = 50304;

struct Settings {
  fs::path folder = fs::temp_directory_path();
  std::uint64_t memory = std::uint64_t{1} << 30;
  std::uint32_t latents = 131072;
  std::size_t threads = 1;  // of the statistics
  bool statistics = false, sort = false;
};

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double peak_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

/// Firings of one batch after another, of no more memory than a batch. Frequencies fall as 1/rank.
class Source {
 public:
  explicit Source(std::uint32_t latents)
      : latents_(latents), random_(Random::for_purpose(1, "bench size")), last_seen_(latents, ~std::uint32_t{0}) {
    std::vector<double> weight(latents);
    double total = 0.0;
    for (std::uint32_t rank = 0; rank < latents; ++rank) total += weight[rank] = 1.0 / (rank + 1.0);
    double end = 0.0;
    for (std::uint32_t rank = 0; rank < latents; ++rank) {
      end += weight[rank] / total;
      // Ranks are spread over the latents' numbers by an odd factor.
      while (static_cast<double>(table_.size()) < end * kTable) table_.push_back(rank * 40503U % latents);
    }
    table_.resize(kTable, 0);
  }
  const std::vector<index::Firing>& next(std::uint32_t tokens) {
    firings_.clear();
    for (const std::uint32_t end = position_ + tokens; position_ < end; ++position_) {
      for (std::uint32_t i = 0; i < kActive;) {
        const std::uint64_t bits = random_.next_u64();
        // A quarter of them from all latents alike, so that none is dead.
        const std::uint32_t latent =
            (bits & 3U) == 0 ? static_cast<std::uint32_t>(bits >> 8) % latents_ : table_[(bits >> 8) % kTable];
        if (last_seen_[latent] == position_) continue;
        last_seen_[latent] = position_;
        firings_.push_back({latent, position_, 0.1F + static_cast<float>(bits >> 44) * 0x1.0p-17F});
        ++i;
      }
    }
    return firings_;
  }

 private:
  static constexpr std::size_t kTable = std::size_t{1} << 20;
  std::uint32_t latents_;
  Random random_;
  std::vector<std::uint32_t> table_, last_seen_;
  std::vector<index::Firing> firings_;
  std::uint32_t position_ = 0;
};

/// Numbers that a child process leaves for its parent.
struct Measured {
  double append_cpu = 0, finish_cpu = 0, wall = 0, peak = 0, base = 0, sort_cpu = 0, sort_wall = 0;
};

/// Runs `body` in a process of its own.
Measured in_child(const std::function<void(Measured&)>& body) {
  void* shared = ::mmap(nullptr, sizeof(Measured), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::runtime_error("mmap");
  auto* measured = new (shared) Measured;
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      body(*measured);
    } catch (const std::exception& error) {
      fmt::print(stderr, "{}\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("a child process failed");
  const Measured result = *measured;
  ::munmap(shared, sizeof(Measured));
  return result;
}

std::uint32_t token_at(std::uint32_t position) { return (position * 2654435761U >> 8) % kVocabulary; }

Measured write(const Settings& settings, const fs::path& folder, std::uint32_t tokens) {
  return in_child([&](Measured& m) {
    Source source(settings.latents);
    SilentReporter reporter;
    std::vector<TokenId> ids;
    std::vector<std::uint32_t> documents;
    if (settings.statistics) {
      for (std::uint32_t p = 0; p < tokens; ++p) ids.push_back(TokenId{token_at(p)});
      for (std::uint32_t c = 0; c < tokens / kCtxLen; ++c) documents.push_back(c / 3);
    }
    const index::IndexedTokens indexed{ids, documents, std::vector<bool>(kVocabulary, false), settings.threads};
    source.next(0);
    m.base = peak_mib();
    const double begin = wall_seconds();
    double generating = 0.0;
    {
      index::WriterOptions options;
      options.hookpoint = "layers.0";
      options.latent_count = settings.latents;
      options.ctx_len = kCtxLen;
      options.memory_bytes = settings.memory;
      index::Writer writer(folder, options);
      for (std::uint32_t end = 0; end < tokens;) {
        const std::uint32_t count = std::min(kBatch, tokens - end);
        const double before = wall_seconds();
        const auto& firings = source.next(count);
        generating += wall_seconds() - before;
        end += count;
        const double cpu = bench::processor_seconds();
        writer.append(firings, end);
        m.append_cpu += bench::processor_seconds() - cpu;
      }
      const double cpu = bench::processor_seconds();
      writer.finish(tokens, 0, reporter, settings.statistics ? &indexed : nullptr);
      m.finish_cpu = bench::processor_seconds() - cpu;
    }
    m.wall = wall_seconds() - begin - generating;
    m.peak = peak_mib();
  });
}

/// What any way of making the index has to do: a counting sort in memory, of all firings at once.
Measured sort_in_memory(const Settings& settings, std::uint32_t tokens) {
  return in_child([&](Measured& m) {
    std::vector<index::Firing> firings;
    firings.reserve(std::size_t{tokens} * kActive);
    Source source(settings.latents);
    for (std::uint32_t end = 0; end < tokens; end += kBatch) {
      const auto& batch = source.next(std::min(kBatch, tokens - end));
      firings.insert(firings.end(), batch.begin(), batch.end());
    }
    const double cpu = bench::processor_seconds();
    const double wall = wall_seconds();
    std::vector<std::uint64_t> cursor(std::size_t{settings.latents} + 1);
    for (const index::Firing& f : firings) ++cursor[f.latent + 1];
    std::partial_sum(cursor.begin(), cursor.end(), cursor.begin());
    std::vector<std::uint32_t> positions(firings.size());
    std::vector<float> activations(firings.size());
    for (const index::Firing& f : firings) {
      const std::uint64_t at = cursor[f.latent]++;
      positions[at] = f.position;
      activations[at] = f.activation;
    }
    m.sort_cpu = bench::processor_seconds() - cpu;
    m.sort_wall = wall_seconds() - wall;
    if (positions.back() >= tokens) throw std::runtime_error("the sort is wrong");
  });
}

void forget(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) throw std::runtime_error("cannot be forgotten");
  ::close(fd);
}

double cold_open_ms(const fs::path& file) {
  forget(file);
  const double begin = wall_seconds();
  const index::Reader reader = index::Reader::open(file);
  return 1000.0 * (wall_seconds() - begin);
}

/// CPU seconds of reading every firing through the reader, and of adding up the words of the mapped file.
std::pair<double, double> read_all(const fs::path& file) {
  const index::Reader reader = index::Reader::open(file);
  const MappedFile plain = MappedFile::open(file);
  std::pair<double, double> seconds;
  std::uint64_t sum = 0;
  for (int round = 0; round < 2; ++round) {  // the second counts: all pages are mapped then
    const double begin = bench::processor_seconds();
    for (std::uint32_t f = 0; f < reader.latent_count(); ++f) {
      const index::Firings found = reader.firings(LatentId{f});
      for (const std::uint32_t p : found.position) sum += p;
      for (const std::uint16_t bits : found.half_bits) sum += bits;
    }
    const double middle = bench::processor_seconds();
    const auto bytes = plain.bytes();
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes.data() + i, sizeof(word));
      sum += word;
    }
    seconds = {middle - begin, bench::processor_seconds() - middle};
  }
  if (sum == 0) throw std::runtime_error("nothing was read");
  return seconds;
}

void measure(const Settings& settings, std::uint32_t tokens) {
  const fs::path folder = settings.folder / fmt::format("gloss-bench-index-{}", ::getpid());
  fs::create_directories(folder);
  const fs::path file = folder / "index.safetensors";
  const double firings = static_cast<double>(tokens) * kActive;
  const Measured w = write(settings, folder, tokens);
  const double cpu = w.append_cpu + w.finish_cpu;
  fmt::print("{} tokens, {} firings: peak memory {:.0f} MiB ({:.0f} before the writer), {:.2f} bytes a firing\n",
             format_count(tokens), format_count(firings), w.peak, w.base,
             static_cast<double>(fs::file_size(file)) / firings);
  fmt::print("  writing {:.1f} s of processor ({:.1f} append, {:.1f} merge{}), {:.1f} s in all, {} firings/s\n", cpu,
             w.append_cpu, w.finish_cpu, settings.statistics ? " and statistics" : "", w.wall,
             format_count(firings / cpu));
  if (settings.sort) {
    const Measured s = sort_in_memory(settings, tokens);
    fmt::print("  sorting them in memory {:.1f} s of processor, {:.1f} s in all: rate of writing / sorting {:.2f}\n",
               s.sort_cpu, s.sort_wall, s.sort_cpu / cpu);
  }
  fmt::print("  opening, nothing in memory: {:.1f} ms\n", cold_open_ms(file));
  index::Reader::open(file).verify();
  const auto [reading, plain] = read_all(file);
  fmt::print("  reading every firing {:.2f} s of processor, the bytes alone {:.2f} s: {:.2f} times\n", reading, plain,
             reading / plain);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  gloss::Settings settings;
  std::vector<std::uint32_t> sizes;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--statistics") {
      settings.statistics = true;
    } else if (word == "--sort") {
      settings.sort = true;
    } else if (word == "--folder" && i + 1 < argc) {
      settings.folder = argv[++i];
    } else if (word == "--latents" && i + 1 < argc) {
      settings.latents = static_cast<std::uint32_t>(gloss::parse_quantity(argv[++i], "--latents"));
    } else if (word == "--threads" && i + 1 < argc) {
      settings.threads = gloss::parse_quantity(argv[++i], "--threads");
    } else if (word == "--memory" && i + 1 < argc) {
      settings.memory = gloss::parse_quantity(argv[++i], "--memory");
    } else {
      const std::uint64_t tokens = gloss::parse_quantity(word, "TOKENS");
      sizes.push_back(static_cast<std::uint32_t>(tokens / gloss::kCtxLen * gloss::kCtxLen));
    }
  }
  fmt::print("F = {}, K = {}, Zipf-like firings, {} of memory, {} thread(s); commit {}, compiler {}\n",
             settings.latents, gloss::kActive, gloss::format_bytes(settings.memory), settings.threads,
             GLOSS_BENCH_COMMIT, __VERSION__);
  for (const std::uint32_t tokens : sizes) gloss::measure(settings, tokens);
  return 0;
}
