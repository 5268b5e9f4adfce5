#include "gloss/model/subject_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/model/subject_model_impl.h"

namespace gloss::model {
namespace {

at::Device find_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name != "cuda") fail_unknown_name("device", name, std::vector<std::string>{"cpu", "cuda"});
  if (!at::hasCUDA())
    throw Error(ErrorKind::usage, "", fmt::format("device 'cuda' is not there: libtorch {}", libtorch_version()),
                "use --device cpu, or build against a libtorch with CUDA on a machine that has a GPU");
  // A product in TF32 keeps ten bits of a float's 23: whoever set that elsewhere in this process did not mean this.
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  return at::kCUDA;
}

/// Errors: usage for a name that is none, or a type that this device's products cannot be computed in.
at::ScalarType find_dtype(const std::string& name, at::Device device) {
  const std::vector<std::string> known{"float32", "bfloat16", "float16"};
  if (name == known[0]) return at::kFloat;
  if (name != known[1] && name != known[2]) fail_unknown_name("dtype", name, known);
  const at::ScalarType type = name == known[1] ? at::kBFloat16 : at::kHalf;
  const at::Tensor probe = at::ones({2, 2}, at::TensorOptions(type).device(device));
  try {
    at::mm(probe, probe);
    at::gelu(probe);
  } catch (const c10::Error&) {
    throw Error(ErrorKind::usage, "",
                fmt::format("libtorch {} cannot compute in {} on device '{}'", libtorch_version(), name, device.str()),
                "use --dtype float32: the weights stay in memory as the files have them");
  }
  return type;
}

std::string read_config(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    fail_input(folder.string(), "is no folder, wanted a Hugging Face model folder");
  if (!std::filesystem::exists(folder / "config.json", ignored))
    fail_input(folder.string(), "has no config.json, wanted a Hugging Face model folder",
               "the folder that holds config.json, the weights (model.safetensors) and tokenizer.json");
  return read_file(folder / "config.json");
}

/// Where the files' names lack what the plan's begin with, or have something else there, takes that.
void adapt_names(std::vector<PlannedTensor>& plan, const Architecture& family, const WeightFiles& files) {
  const std::string first = plan.front().name;
  if (files.has(first)) return;
  for (const std::string_view other : family.other_prefixes) {
    const auto renamed = [&](const std::string& name) {
      return name.starts_with(family.prefix) ? std::string(other) + name.substr(family.prefix.size()) : name;
    };
    if (!files.has(renamed(first))) continue;
    for (PlannedTensor& planned : plan) planned.name = renamed(planned.name);
    return;
  }
}

}  // namespace

void check_ids(std::span<const TokenId> tokens, const Config& config, std::size_t length) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (to_index(tokens[i]) >= config.vocabulary)
      fail_input("tokens",
                 fmt::format("token {} at position {} of context {} is not below the vocabulary of {}",
                             to_index(tokens[i]), i % length, i / length, config.vocabulary),
                 "the tokenizer belongs to another model");
  }
}

std::uint32_t check_tokens(std::span<const TokenId> tokens, std::uint32_t batch, const Config& config) {
  if (tokens.empty() || batch == 0 || tokens.size() % batch != 0)
    fail_input("tokens", fmt::format("{} tokens are no batch of {} contexts of one length", tokens.size(), batch));
  const std::size_t length = tokens.size() / batch;
  if (length > config.max_context)
    fail_input("tokens",
               fmt::format("a context of {} tokens is longer than the model's {}", length, config.max_context),
               "the number of positions in config.json is the limit; choose a smaller --ctx-len");
  check_ids(tokens, config, length);
  return static_cast<std::uint32_t>(length);
}

at::Tensor to_torch(std::span<const TokenId> tokens, std::uint32_t batch, at::Device device) {
  at::Tensor ids = at::empty({static_cast<std::int64_t>(tokens.size())}, at::kLong);
  std::transform(tokens.begin(), tokens.end(), ids.data_ptr<std::int64_t>(),
                 [](TokenId id) { return static_cast<std::int64_t>(to_index(id)); });
  return ids.view({batch, -1}).to(device);
}

at::Tensor SubjectModel::Impl::run(std::span<const TokenId> tokens, std::uint32_t batch, std::span<const Edit> edits,
                                   const Hook& hook, bool normed) const {
  check_tokens(tokens, batch, config);
  PassInput input{to_torch(tokens, batch, device)};
  input.normed = normed;
  std::vector<at::Tensor> values;
  values.reserve(edits.size());
  for (const Edit& edit : edits) {
    values.push_back(unwrap(edit.value).to(device, weights.compute));
    input.normed = input.normed || edit.at.site == Site::mlp_normed;
  }
  return forward(config, weights, rotary, input, [&](Hookpoint here, at::Tensor& x) {
    for (std::size_t i = 0; i < edits.size(); ++i) {
      if (edits[i].at == here) x = edits[i].how == Edit::How::add ? x + values[i] : values[i].expand(x.sizes());
    }
    return hook(here, x);
  });
}

void SubjectModel::Impl::check(Hookpoint hookpoint) const { Hookpoint::parse(hookpoint.name(), config.hookpoints()); }

std::uint32_t SubjectModel::Impl::width(Hookpoint hookpoint) const {
  if (hookpoint.site == Site::mlp_hidden) return config.hidden;
  if (hookpoint.site == Site::attn_heads) return config.heads * config.head_width;
  return config.width;
}

void SubjectModel::Impl::check(std::span<const Edit> edits, std::size_t rows) const {
  for (const Edit& edit : edits) {
    check(edit.at);
    const Tensor& v = edit.value;
    const bool fits = v.rows() == 1 || v.rows() == static_cast<std::int64_t>(rows);
    if (!fits || v.columns() != width(edit.at))
      fail_input(fmt::format("edit at {}", edit.at.name()),
                 fmt::format("is [{}, {}], wanted [{}, {}]", v.rows(), v.columns(), rows, width(edit.at)));
  }
}

SubjectModel SubjectModel::load(const std::filesystem::path& folder, const LoadOptions& options) {
  const auto impl = std::make_shared<Impl>();
  impl->device = find_device(options.device);
  const std::string config = read_config(folder);
  impl->config = parse_config(config, (folder / "config.json").string());
  const at::ScalarType dtype = find_dtype(options.dtype, impl->device);
  const Architecture& family = architecture_of(impl->config);
  std::vector<PlannedTensor> plan = family.plan(impl->config);
  const WeightFiles files = WeightFiles::open(folder);
  adapt_names(plan, family, files);
  impl->weights = guarded([&] { return load_weights(impl->config, plan, files, impl->device, dtype); });
  Hasher hasher;
  hasher.add(config);
  add_to_fingerprint(hasher, files, plan);
  impl->fingerprint = hasher.digest_hex();
  SubjectModel model;
  model.impl_ = impl;
  return model;
}

const Config& SubjectModel::config() const { return impl_->config; }
std::uint32_t SubjectModel::width(Hookpoint hookpoint) const {
  impl_->check(hookpoint);
  return impl_->width(hookpoint);
}
const std::string& SubjectModel::fingerprint() const { return impl_->fingerprint; }

std::vector<Tensor> SubjectModel::activations(std::span<const TokenId> tokens, std::uint32_t batch,
                                              std::span<const Hookpoint> hookpoints,
                                              std::span<const Edit> edits) const {
  for (const Hookpoint hookpoint : hookpoints) impl_->check(hookpoint);
  impl_->check(edits, tokens.size());
  std::vector<Tensor> found(hookpoints.size());
  std::size_t missing = hookpoints.size();
  if (missing == 0) return found;
  const bool normed =
      std::any_of(hookpoints.begin(), hookpoints.end(), [](const Hookpoint& h) { return h.site == Site::mlp_normed; });
  guarded([&] {
    const Hook keep = [&](Hookpoint here, at::Tensor& activation) {
      for (std::size_t i = 0; i < hookpoints.size(); ++i) {
        if (hookpoints[i] != here) continue;
        found[i] = wrap(activation.to(at::kFloat));
        --missing;
      }
      return missing == 0 ? After::stop : After::go_on;
    };
    impl_->run(tokens, batch, edits, keep, normed);
  });
  return found;
}

Tensor SubjectModel::logits(std::span<const TokenId> tokens, std::uint32_t batch, std::span<const Edit> edits) const {
  impl_->check(edits, tokens.size());
  return guarded([&] {
    const at::Tensor normed = impl_->run(tokens, batch, edits, [](Hookpoint, at::Tensor&) { return After::go_on; });
    return wrap(logits_of(impl_->config, impl_->weights, normed));
  });
}

Tensor SubjectModel::unembedding(std::uint32_t first, std::uint32_t count) const {
  const std::uint32_t vocabulary = impl_->config.vocabulary;
  if (first > vocabulary || count > vocabulary - first)
    fail_input("unembedding",
               fmt::format("{} rows from {} on are not all below the vocabulary of {}", count, first, vocabulary));
  return guarded([&] {
    const at::Tensor rows = impl_->weights.of(Part::head).narrow(0, first, count).to(at::kFloat);
    const at::Tensor folded = rows * impl_->weights.of(Part::final_norm).to(at::kFloat);
    return wrap(impl_->config.norm == Norm::layer ? folded - folded.mean(-1, true) : folded);
  });
}

double SubjectModel::mean_loss(const Tensor& logits, std::span<const TokenId> tokens, std::uint32_t batch) {
  if (logits.rows() != static_cast<std::int64_t>(tokens.size()))
    fail_input("logits", fmt::format("{} rows for {} tokens", logits.rows(), tokens.size()));
  Config bounds;
  bounds.vocabulary = static_cast<std::uint32_t>(logits.columns());
  bounds.max_context = std::numeric_limits<std::uint32_t>::max();
  const std::int64_t length = check_tokens(tokens, batch, bounds);
  if (length < 2) fail_input("tokens", "a context of 1 token predicts nothing, wanted 2 or more");
  return guarded([&] {
    const at::Tensor& all = unwrap(logits);
    const at::Tensor ids = to_torch(tokens, batch, all.device());
    double sum = 0.0;
    // One context at a time: the temporaries are as large as the logits they are made of.
    for (std::int64_t b = 0; b < batch; ++b) {
      const at::Tensor rows = all.narrow(0, b * length, length - 1);
      const at::Tensor next = ids[b].narrow(0, 1, length - 1);
      const at::Tensor chosen = rows.gather(1, next.unsqueeze(1)).squeeze(1);
      sum += (at::logsumexp(rows, at::IntArrayRef{1}) - chosen).sum(at::kDouble).item<double>();
    }
    return sum / static_cast<double>(static_cast<std::int64_t>(batch) * (length - 1));
  });
}

}  // namespace gloss::model
