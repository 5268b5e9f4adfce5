// gloss check: reads every artifact of a run whole, and tells which are what they should be.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/app/command.h"
#include "gloss/app/run_folder.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/quantity.h"
#include "gloss/dashboard/text_embeddings.h"
#include "gloss/formats/checked_file.h"
#include "gloss/formats/checked_json.h"
#include "gloss/formats/json_file.h"
#include "gloss/index/latent_weights.h"
#include "gloss/index/reader.h"
#include "gloss/index/statistics.h"
#include "gloss/store/store.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kUnchecked = ", without a checksum: an older gloss wrote it";
constexpr const char* kExplanationsHint = "delete it: gloss embed makes it anew";
constexpr const char* kEmbeddingsHint = "delete it: gloss explain makes it anew";

/// What was found of one artifact: fault is "" when it is sound.
struct Finding {
  std::string artifact, detail, fault, hint;
};

class Check {
 public:
  Check(fs::path root, Reporter& reporter) : run_(std::move(root)), reporter_(reporter) {}

  std::vector<Finding> all() {
    of("tokens.safetensors", [&] { return tokens(); });
    of("tokenizer.json", [&] { return tokenizer(); });
    for (const std::string& hookpoint : hookpoints()) check_hookpoint(hookpoint);
    for (const fs::path& spill : spill_folders())
      findings_.push_back({fs::relative(spill, run_.root()).string(), "a cache that was not finished", "",
                           "the same gloss cache command goes on there"});
    if (fs::exists(run_.embeddings())) of("embeddings.safetensors", [&] { return embeddings(); });
    if (fs::exists(run_.explanation_embeddings()))
      of(run_.explanation_embeddings().filename(), [&] { return explanation_embeddings(); });
    if (fs::exists(run_.results())) of("results.db", [&] { return results(); });
    for (const fs::path& file : manifests())
      of("manifests/" + file.filename().string(), [&] { return manifest(file); });
    return findings_;
  }

 private:
  void check_hookpoint(const std::string& hookpoint) {
    const std::string folder = fmt::format("latents/{}/", hookpoint);
    of(folder + "index.safetensors", [&] { return index(hookpoint); });
    if (fs::exists(run_.statistics(hookpoint)))
      of(folder + "statistics.safetensors", [&] { return statistics(hookpoint); });
    if (fs::exists(run_.weights(hookpoint))) of(folder + "weights.safetensors", [&] { return weights(hookpoint); });
    const fs::path coder = run_.latents(hookpoint) / "coder.json";
    if (fs::exists(coder)) of(folder + "coder.json", [&] { return checked(coder); });
  }
  void of(const std::string& artifact, const std::function<std::string()>& work) {
    stop_if_interrupted();
    reporter_.progress({"check", findings_.size(), 0, "artifacts", artifact});
    try {
      findings_.push_back({artifact, work(), "", ""});
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::interrupted) throw;
      findings_.push_back({artifact, "", e.what(), ""});
    }
  }

  std::string tokens() {
    tokens_ = text::TokenFile::open(run_.tokens());
    tokens_->verify();
    return fmt::format("{} contexts of {} tokens", tokens_->context_count(), tokens_->ctx_len());
  }

  std::string tokenizer() {
    const text::Tokenizer tokenizer = text::Tokenizer::load(run_.tokenizer());
    const fs::path made_with = run_.manifest("tokens");
    if (fs::exists(made_with)) {
      const Json json = formats::read_json(made_with);
      const Json& inputs = formats::Fields(json, made_with.string()).at("inputs");
      const std::string wanted = formats::Fields(inputs, made_with.string()).string("tokenizer");
      if (tokenizer.fingerprint() != wanted)
        fail_input(run_.tokenizer().string(),
                   fmt::format("is not what the tokens were made with: its fingerprint is {}, wanted {}",
                               tokenizer.fingerprint(), wanted),
                   "copy the run again");
    }
    if (tokens_) {
      for (const TokenId id : tokens_->tokens()) {
        if (to_index(id) >= tokenizer.vocabulary_size())
          fail_input(
              run_.tokenizer().string(),
              fmt::format("has {} pieces, but the tokens include number {}", tokenizer.vocabulary_size(), to_index(id)),
              "it belongs to other tokens");
      }
    }
    return fmt::format("{} pieces", tokenizer.vocabulary_size());
  }

  std::string index(const std::string& hookpoint) {
    const index::Reader reader = index::Reader::open(run_.index(hookpoint));
    reader.verify();
    const auto differs = [&](const std::string& what, const auto& found, const auto& wanted) {
      fail_input(reader.file_name(), fmt::format("has {} {}, wanted {}", what, found, wanted),
                 "it belongs to other tokens or another place");
    };
    if (reader.hookpoint() != hookpoint) differs("hookpoint", reader.hookpoint(), hookpoint);
    if (tokens_) {
      if (reader.ctx_len() != tokens_->ctx_len()) differs("ctx_len", reader.ctx_len(), tokens_->ctx_len());
      if (reader.token_count() != tokens_->token_count())
        differs("token_count", reader.token_count(), tokens_->token_count());
      const auto made_of = reader.metadata().find("tokens_fingerprint");
      if (made_of != reader.metadata().end() && made_of->second != tokens_->fingerprint())
        differs("tokens_fingerprint", made_of->second, tokens_->fingerprint());
    }
    std::uint64_t firings = 0;
    for (std::uint32_t f = 0; f < reader.latent_count(); ++f) firings += reader.count(LatentId{f});
    readers_.emplace(hookpoint, reader);
    return fmt::format("{} latents, {} firings", reader.latent_count(), format_count(static_cast<double>(firings)));
  }

  std::string statistics(const std::string& hookpoint) {
    const auto statistics = index::StatisticsReader::open(run_.statistics(hookpoint));
    const auto it = readers_.find(hookpoint);
    statistics.verify(it == readers_.end() ? index::Reader::open(run_.index(hookpoint)) : it->second);
    return fmt::format("of {} latents", statistics.latent_count());
  }

  std::string weights(const std::string& hookpoint) {
    const auto file = formats::SafeTensors::open(run_.weights(hookpoint));
    const bool checksums = file.metadata().contains(formats::checksum_key("header"));
    if (checksums) formats::check_arrays(file, "delete it and run gloss cache again, which makes it anew");
    const auto weights = index::LatentWeightsReader::open(run_.weights(hookpoint));
    for (std::uint32_t f = 0; f < weights.latent_count(); ++f) {
      for (std::size_t list = 0; list < index::kWeightLists; ++list)
        static_cast<void>(weights.entries(static_cast<index::WeightList>(list), LatentId{f}));
    }
    return fmt::format("of {} latents{}", weights.latent_count(), checksums ? "" : kUnchecked);
  }

  /// A JSON file with a checksum.
  static std::string checked(const fs::path& file) {
    static_cast<void>(formats::read_json(file));
    return formats::check_json_text(read_file(file), file.string()) ? "sound" : std::string("read") + kUnchecked;
  }

  std::string embeddings() const {
    const auto file = formats::SafeTensors::open(run_.embeddings());
    // Any of them: damage to the name of one must not pass for an older file.
    const bool checksums = std::any_of(file.metadata().begin(), file.metadata().end(),
                                       [](const auto& entry) { return formats::is_checksum_key(entry.first); });
    if (checksums) {
      formats::check_header(file, kEmbeddingsHint);
      formats::check_arrays(file, kEmbeddingsHint);
    }
    return fmt::format("{} windows{}", file.tensor("starts").element_count(), checksums ? "" : kUnchecked);
  }

  std::string explanation_embeddings() {
    const auto texts = dashboard::TextEmbeddings::open(run_.explanation_embeddings());
    const auto file = formats::SafeTensors::open(run_.explanation_embeddings());
    formats::check_header(file, kExplanationsHint);
    formats::check_arrays(file, kExplanationsHint);
    return fmt::format("{} explanations", texts.size());
  }

  std::string results() {
    const store::Store store(run_.results());
    store.verify();
    std::uint64_t latents = 0;
    for (const store::LatentRow& row : store.latents("")) {
      ++latents;
      const auto it = readers_.find(row.hookpoint);
      if (it == readers_.end()) continue;
      if (to_index(row.latent) >= it->second.latent_count() || row.firing_count != it->second.count(row.latent))
        fail_input(run_.results().string(),
                   fmt::format("says that latent {} of {} fires {} times, the index says otherwise",
                               to_index(row.latent), row.hookpoint, row.firing_count),
                   "it belongs to another index");
    }
    std::uint64_t judgements = 0;
    store.each_judged_window([&](std::string_view hookpoint, LatentId latent, std::uint64_t start) {
      ++judgements;
      if (tokens_ && start >= tokens_->token_count())
        fail_input(run_.results().string(),
                   fmt::format("has a judgement of latent {} of {} at token {}, but the run has {}", to_index(latent),
                               hookpoint, start, tokens_->token_count()));
    });
    return fmt::format("{} latents, {} explanations, {} judgements", latents, store.explanations("", "").size(),
                       format_count(static_cast<double>(judgements)));
  }

  std::string manifest(const fs::path& file) const {
    const Json json = formats::read_json(file);
    const bool checksum = formats::check_json_text(read_file(file), file.string());
    const formats::Fields fields(json, file.string());
    return std::string(fields.boolean("done") ? "done" : "begun, not finished") + (checksum ? "" : kUnchecked);
  }

  /// Everything below latents/, also what has no index: that is a finding too.
  std::vector<std::string> hookpoints() const {
    std::vector<std::string> names;
    for (const fs::path& folder : folders_of(run_.root() / "latents")) {
      if (fs::exists(folder / "index.safetensors") || !fs::exists(folder / "spill"))
        names.push_back(folder.filename().string());
    }
    return names;
  }
  std::vector<fs::path> spill_folders() const {
    std::vector<fs::path> spills;
    for (const fs::path& folder : folders_of(run_.root() / "latents")) {
      if (fs::exists(folder / "spill")) spills.push_back(folder / "spill");
    }
    return spills;
  }
  std::vector<fs::path> manifests() const {
    std::vector<fs::path> files;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(run_.root() / "manifests", ignored)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  static std::vector<fs::path> folders_of(const fs::path& root) {
    std::vector<fs::path> folders;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(root, ignored)) {
      if (entry.is_directory()) folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
    return folders;
  }

  RunFolder run_;
  Reporter& reporter_;
  std::vector<Finding> findings_;
  std::optional<text::TokenFile> tokens_;
  std::map<std::string, index::Reader> readers_;
};

Json to_json(const std::vector<Finding>& findings, std::size_t faults) {
  Json rows = Json::array();
  for (const Finding& f : findings) {
    Json row = {{"artifact", f.artifact}, {"sound", f.fault.empty()}};
    if (!f.detail.empty()) row["detail"] = f.detail;
    if (!f.fault.empty()) row["fault"] = f.fault;
    rows.push_back(std::move(row));
  }
  return {{"artifacts", rows}, {"faults", faults}};
}

}  // namespace

Runner setup_check(CLI::App& cli) {
  struct Options {
    std::string run;
    bool json = false;
  };
  auto o = std::make_shared<Options>();
  cli.add_option("run", o->run, "run folder")->required();
  cli.add_flag("--json", o->json, "print one JSON document");
  return [o](Context& context) {
    if (!fs::is_directory(o->run)) fail_input(o->run, "is no folder, wanted a run folder");
    const std::vector<Finding> findings = Check(o->run, context.reporter).all();
    std::size_t faults = 0;
    for (const Finding& f : findings) faults += f.fault.empty() ? 0 : 1;
    if (o->json) {
      context.out << to_json(findings, faults).dump(2) << "\n";
    } else {
      for (const Finding& f : findings) {
        context.out << fmt::format("{:<6} {:<44} {}\n", f.fault.empty() ? "ok" : "FAULT", f.artifact,
                                   f.fault.empty() ? f.detail : f.fault);
        if (!f.hint.empty()) context.out << fmt::format("       hint: {}\n", f.hint);
      }
      context.out << fmt::format("{} artifacts, {} at fault\n", findings.size(), faults);
    }
    return static_cast<int>(faults == 0 ? kDone : kBadInput);
  };
}

}  // namespace gloss::app
