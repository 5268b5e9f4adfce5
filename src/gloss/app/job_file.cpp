#include "gloss/app/job_file.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

namespace gloss::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr auto kPause = std::chrono::seconds(1);
constexpr std::int64_t kFresh = 120;  // seconds within which another machine's job must have written

fs::path folder_of(const RunFolder& run) { return run.root() / "jobs"; }

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string();
}

std::int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

bool is_alive(const Json& job) {
  if (job.at("host").get<std::string>() != host_name())
    return unix_time() - job.at("written").get<std::int64_t>() < kFresh;
  const auto pid = job.at("pid").get<std::int64_t>();
  return pid > 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

std::optional<Json> read_job(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  Json job = Json::parse(in, nullptr, false);
  if (job.is_discarded() || !job.is_object()) return std::nullopt;
  return job;
}

/// Calls each(file, job); what is no job, or half a one, is left out.
template <class Each>
void each_job(const fs::path& folder, const Each& each) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    if (entry.path().extension() != ".json") continue;
    try {
      if (const std::optional<Json> job = read_job(entry.path())) each(entry.path(), *job);
    } catch (const Json::exception&) {
      continue;
    }
  }
}

}  // namespace

JobReporter::JobReporter(const RunFolder& run, std::string command, Reporter& inner)
    : folder_(folder_of(run)),
      file_(folder_ / fmt::format("{}-{}.json", command, ::getpid())),
      command_(std::move(command)),
      inner_(inner) {
  // What a killed process left.
  each_job(folder_, [](const fs::path& file, const Json& job) {
    std::error_code ignored;
    if (!is_alive(job)) fs::remove(file, ignored);
  });
}

JobReporter::~JobReporter() {
  std::error_code ignored;
  fs::remove(file_, ignored);
  fs::remove(folder_, ignored);  // when it is empty
}

void JobReporter::progress(const Progress& progress) {
  inner_.progress(progress);
  const std::lock_guard lock(mutex_);
  const auto now = RateMeter::Clock::now();
  const bool begins = meter_.begins(progress, now);
  if (!begins && now - written_ < kPause) return;
  written_ = now;
  write(progress, meter_.rate(now, progress.done));
}

void JobReporter::write(const Progress& progress, double rate) const {
  std::error_code failed;
  if (!fs::exists(folder_.parent_path(), failed)) return;  // there is no run yet
  fs::create_directory(folder_, failed);
  const Json job{
      {"command", command_},   {"stage", progress.stage},   {"done", progress.done}, {"total", progress.total},
      {"unit", progress.unit}, {"detail", progress.detail}, {"rate", rate},          {"pid", ::getpid()},
      {"host", host_name()},   {"written", unix_time()}};
  const fs::path part = file_.string() + ".tmp";
  std::ofstream(part, std::ios::binary | std::ios::trunc)
      << job.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  fs::rename(part, file_, failed);
}

std::vector<dashboard::Job> running_jobs(const RunFolder& run) {
  std::vector<std::pair<fs::path, dashboard::Job>> found;
  each_job(folder_of(run), [&](const fs::path& file, const Json& j) {
    if (!is_alive(j)) return;
    dashboard::Job job{j.at("command"), j.at("stage"), j.at("unit"), j.at("detail"), j.at("done"), j.at("total"), 0.0};
    const double rate = j.at("rate").is_number() ? j.at("rate").get<double>() : 0.0;
    job.rate = std::isfinite(rate) && rate > 0.0 ? rate : 0.0;
    found.emplace_back(file, std::move(job));
  });
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<dashboard::Job> jobs;
  jobs.reserve(found.size());
  for (auto& [file, job] : found) jobs.push_back(std::move(job));
  return jobs;
}

int as_job(const std::string& run, const std::string& command, Context& context,
           const std::function<int(Context&)>& work) {
  JobReporter job(RunFolder(run), command, context.reporter);
  Context watched{context.out, job, context.color_out};
  return work(watched);
}

}  // namespace gloss::app
