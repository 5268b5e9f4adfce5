// gloss doctor: what this machine, model, coder and language model can do.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "gloss/app/coder_input.h"
#include "gloss/app/command.h"
#include "gloss/app/llm_options.h"
#include "gloss/app/version.h"
#include "gloss/base/error.h"
#include "gloss/base/parallel.h"
#include "gloss/base/quantity.h"
#include "gloss/llm/chat_template.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {
namespace {

using Json = nlohmann::ordered_json;

struct DoctorOptions {
  std::string model;
  CoderInput sae;
  LlmOptions llm;
  bool json = false;
};

class NoCache : public llm::ReplyCache {
 public:
  std::optional<llm::Reply> find(std::string_view) override { return {}; }
  void put(const llm::Reply&) override {}
};

Json machine() {
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
  const std::filesystem::space_info disk = std::filesystem::space(".");
  return {{"gloss", version_short()},
          {"libtorch", model::libtorch_version()},
          {"threads", available_threads()},
          {"memory", format_bytes(pages * page)},
          {"free disk here", format_bytes(disk.available)}};
}

Json describe_model(const std::string& folder) {
  const model::SubjectModel subject = model::SubjectModel::load(folder);
  const model::Config& c = subject.config();
  Json hookpoints = Json::object();
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    for (const model::Hookpoint place : model::hookpoints_of_layer(layer, c.hookpoints()))
      hookpoints[place.name()] = subject.width(place);
  }
  Json pieces;
  try {
    pieces = text::Tokenizer::load(folder).vocabulary_size();
  } catch (const Error& e) {  // the rest is of use without it
    pieces = std::string("none: ") + e.what();
  }
  return {{"architecture", c.architecture},
          {"layers", c.layers},
          {"width", c.width},
          {"heads", c.heads},
          {"key/value heads", c.kv_heads},
          {"vocabulary", c.vocabulary},
          {"tokenizer pieces", pieces},
          {"longest context", c.max_context},
          {"fingerprint", subject.fingerprint()},
          {"hookpoints", hookpoints}};
}

Json describe_coder(const std::filesystem::path& folder, const CoderInput& input) {
  Json row = {{"folder", folder.string()}};
  row.update(describe(sparse::Coder::load(folder, coder_options(input, "cpu")).info()));
  return row;
}

Json describe_coders(const CoderInput& input) {
  const std::vector<std::string> hookpoints = sparse::Coder::hookpoints(input.sae);
  if (hookpoints.empty()) return Json::array({describe_coder(input.sae, input)});
  Json all = Json::array();
  for (const std::string& hookpoint : hookpoints) {
    Json row = describe_coder(sparse::Coder::find(input.sae, hookpoint), input);
    row["hookpoint"] = hookpoint;
    all.push_back(std::move(row));
  }
  return all;
}

Json describe_endpoint(const LlmOptions& options) {
  NoCache cache;
  const std::unique_ptr<llm::LanguageModel> client = open_language_model(options, cache, available_threads());
  Json result = {{options.is_native() ? "folder" : "url", options.url}, {"model", client->model()}};
  if (options.is_native()) {
    const auto chat = llm::ChatTemplate::load(options.url.substr(options.url.find(':') + 1));
    result["chat template"] = chat.is_plain() ? "none: System, User and Assistant with a colon" : chat.where();
  }
  llm::Request request;
  request.messages = {{"user", "Answer with the single word: ready"}};
  request.max_tokens = 16;
  client->submit(request, [&](const llm::Reply& reply) {
    result["test reply"] = reply.ok() ? reply.text : "failed: " + reply.failure;
  });
  client->run();
  return result;
}

void print(std::ostream& out, const Json& value, const std::string& indent) {
  for (const auto& [key, item] : value.items()) {
    const std::string name = value.is_array() ? "-" : key;
    if (item.is_structured()) {
      out << indent << name << "\n";
      print(out, item, indent + "  ");
    } else {
      out << indent << fmt::format("{:<22} {}", name, item.is_string() ? item.get<std::string>() : item.dump()) << "\n";
    }
  }
}

int doctor(const DoctorOptions& o, Context& context) {
  Json result = {{"machine", machine()}};
  if (!o.model.empty()) result["model"] = describe_model(o.model);
  if (!o.sae.sae.empty()) result["coders"] = describe_coders(o.sae);
  if (!o.llm.url.empty()) result[o.llm.is_native() ? "language model" : "endpoint"] = describe_endpoint(o.llm);
  if (o.json)
    context.out << result.dump(2) << "\n";
  else
    print(context.out, result, "");
  return kDone;
}

}  // namespace

Runner setup_doctor(CLI::App& cli) {
  auto o = std::make_shared<DoctorOptions>();
  cli.add_option("--model", o->model, "Hugging Face model folder: lists its hookpoints with their widths");
  add_coder_input(cli, o->sae);
  add_llm(cli, o->llm);
  cli.add_flag("--json", o->json, "print one JSON document");
  return [o](Context& context) { return doctor(*o, context); };
}

}  // namespace gloss::app
