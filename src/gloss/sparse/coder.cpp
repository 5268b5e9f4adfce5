#include "gloss/sparse/coder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/natural_order.h"
#include "gloss/base/parallel.h"
#include "gloss/model/torch_tensor.h"
#include "gloss/sparse/encoder.h"
#include "gloss/sparse/format.h"
#include "gloss/sparse/torch_encode.h"

namespace gloss::sparse {
namespace {

constexpr std::size_t kRowsPerTask = 64;

std::size_t threads() { return static_cast<std::size_t>(std::max(1, at::get_num_threads())); }

at::Device find_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name != "cuda") fail_unknown_name("device", name, std::vector<std::string>{"cpu", "cuda"});
  if (!at::hasCUDA())
    throw Error(ErrorKind::usage, "", "device 'cuda' is not there: this libtorch has no CUDA, or there is no GPU",
                "use --device cpu");
  return at::kCUDA;
}

at::Tensor to_tensor(const std::vector<float>& values, std::int64_t rows, std::int64_t columns) {
  at::Tensor t = at::empty({rows, columns}, at::kFloat);
  std::copy(values.begin(), values.end(), t.data_ptr<float>());
  return t;
}

/// Row-major f32 in host memory, whatever it was.
at::Tensor on_host(const model::Tensor& t) { return model::unwrap(t).detach().to(at::kCPU, at::kFloat).contiguous(); }

void check_width(const model::Tensor& t, std::uint32_t wanted, std::string_view what) {
  if (t.holder() == nullptr || t.columns() != wanted)
    fail_input("sparse coder",
               fmt::format("{} has width {}, but the coder's cfg.json says {}", what, t.columns(), wanted),
               "was the coder trained on another model or hookpoint?");
}

void check_finite(const at::Tensor& x) {
  const float* values = x.data_ptr<float>();
  const float* end = values + x.numel();
  const float* bad = std::find_if(values, end, [](float v) { return !std::isfinite(v); });
  if (bad != end)
    fail_input("activations",
               fmt::format("row {}, column {} is {}, wanted finite numbers", (bad - values) / x.size(1),
                           (bad - values) % x.size(1), *bad),
               "the model's weights or its precision are at fault");
}

bool is_coder_folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::any_of(formats().begin(), formats().end(), [&](const Format& format) {
    return std::filesystem::is_regular_file(folder / format.marker, ignored);
  });
}

bool is_seed_name(std::string_view name) {
  constexpr std::string_view kSeed = "seed";
  return name.starts_with(kSeed) && name.size() > kSeed.size() &&
         std::all_of(name.begin() + kSeed.size(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string> subfolders(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  return names;
}

}  // namespace

struct Coder::Impl {
  CoderInfo info;
  std::string fingerprint;
  at::Device device = at::kCPU;
  TopkEncoder encoder;       // on the CPU
  at::Tensor w_enc, b_enc;   // elsewhere: [F, D], [F] on the device
  std::vector<float> w_dec;  // [F, O] row-major, empty when the file has none
  std::vector<float> b_dec;  // [O]
  at::Tensor w_skip;         // [O, D] on the host, undefined when there is none

  explicit Impl(CoderData data, at::Device where)
      : info(data.info), device(where), w_dec(std::move(data.w_dec)), b_dec(std::move(data.b_dec)) {
    if (device == at::kCPU) {
      encoder.pack(data.w_enc.data(), data.b_enc.data(), info.latents, info.input_width, threads());
    } else {
      w_enc = to_tensor(data.w_enc, info.latents, info.input_width).to(device);
      b_enc = to_tensor(data.b_enc, 1, info.latents).view({-1}).to(device);
    }
    if (info.skip_connection) w_skip = to_tensor(data.w_skip, info.output_width, info.input_width);
  }

  const float* subtracted() const { return info.subtract_bias ? b_dec.data() : nullptr; }

  Encoded encode_here(const at::Tensor& x) const {
    Encoded out;
    out.k = info.k;
    out.latent.resize(static_cast<std::size_t>(x.size(0)) * info.k);
    out.value.resize(out.latent.size());
    encoder.encode({x.data_ptr<float>(), subtracted(), static_cast<std::size_t>(x.size(0))}, info.k, threads(),
                   {out.latent.data(), out.value.data()});
    return out;
  }

  /// f W_dec + b_dec.
  at::Tensor decode(const Encoded& encoded, std::int64_t rows) const {
    if (w_dec.empty()) fail_input("sparse coder", "the file has no W_dec, so nothing can be reconstructed");
    if (rows < 0 || encoded.latent.size() != static_cast<std::size_t>(rows) * encoded.k ||
        encoded.value.size() != encoded.latent.size())
      throw std::invalid_argument("Coder::decode: the encoded values are not of this many rows");
    const std::size_t width = info.output_width;
    at::Tensor out = at::empty({rows, static_cast<std::int64_t>(width)}, at::kFloat);
    float* to = out.data_ptr<float>();
    const auto count = static_cast<std::size_t>(rows);
    parallel_for((count + kRowsPerTask - 1) / kRowsPerTask, threads(), [&](std::size_t task, std::size_t) {
      for (std::size_t row = task * kRowsPerTask; row < std::min(count, (task + 1) * kRowsPerTask); ++row) {
        std::copy(b_dec.begin(), b_dec.end(), to + row * width);
        kernels().weighted_sum(to + row * width, w_dec.data(), encoded.latent.data() + row * encoded.k,
                               encoded.value.data() + row * encoded.k, encoded.k, width);
      }
    });
    return out;
  }
};

Coder Coder::load(const std::filesystem::path& folder, const std::string& device) {
  const at::Device where = find_device(device);
  const Format& format = recognise(folder);
  const auto impl = std::make_shared<Impl>(format.load(folder), where);
  Hasher hasher;
  hasher.add(hash_path(folder / format.marker));
  for (const std::string_view name : format.weights) {
    if (std::filesystem::exists(folder / name)) hasher.add(hash_path(folder / name));
  }
  impl->fingerprint = hasher.digest_hex();
  Coder coder;
  coder.impl_ = impl;
  return coder;
}

std::filesystem::path Coder::find(const std::filesystem::path& root, const std::string& hookpoint) {
  if (is_coder_folder(root / hookpoint)) return root / hookpoint;
  if (is_coder_folder(root)) return root;
  const std::vector<std::string> known = hookpoints(root);
  const std::string nearest = nearest_name(hookpoint, known);
  fail_input(root.string(),
             fmt::format("has no coder for hookpoint '{}'; {}", hookpoint,
                         known.empty() ? "none of its folders holds a coder"
                                       : fmt::format("it has {}", fmt::join(known, ", "))),
             nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest));
}

std::vector<std::string> Coder::hookpoints(const std::filesystem::path& root) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(root, ignored))
    fail_input(root.string(), "is no folder, wanted a coder folder or a folder with one coder per hookpoint");
  std::vector<std::string> names;
  if (is_coder_folder(root)) return names;
  for (const std::string& name : subfolders(root)) {
    if (is_coder_folder(root / name)) names.push_back(name);
    for (const std::string& seed : subfolders(root / name)) {
      if (is_seed_name(seed) && is_coder_folder(root / name / seed)) names.push_back(name + "/" + seed);
    }
  }
  natural_sort(names);
  return names;
}

const CoderInfo& Coder::info() const { return impl_->info; }
const std::string& Coder::fingerprint() const { return impl_->fingerprint; }

std::span<const float> Coder::decoder_rows() const { return impl_->w_dec; }

void Coder::encoder_rows(std::size_t first, std::span<float> out) const {
  const std::size_t width = impl_->info.input_width;
  if (impl_->device == at::kCPU) {
    for (std::size_t i = 0; i * width < out.size(); ++i)
      impl_->encoder.copy_row(first + i, out.subspan(i * width, width));
    return;
  }
  const auto count = static_cast<std::int64_t>(out.size() / width);
  const at::Tensor rows = impl_->w_enc.narrow(0, static_cast<std::int64_t>(first), count).to(at::kCPU).contiguous();
  std::copy_n(rows.data_ptr<float>(), out.size(), out.begin());
}

Encoded Coder::encode(const model::Tensor& x) const {
  const at::NoGradGuard no_gradients;
  check_width(x, impl_->info.input_width, "the input");
  if (impl_->device == at::kCPU) {
    const at::Tensor host = on_host(x);
    check_finite(host);
    return impl_->encode_here(host);
  }
  at::Tensor u = model::unwrap(x).detach().to(impl_->device, at::kFloat);
  if (!at::isfinite(u).all().item<bool>()) check_finite(u.to(at::kCPU).contiguous());
  if (impl_->info.subtract_bias) u = u - to_tensor(impl_->b_dec, 1, u.size(1)).to(impl_->device);
  return encode_with_torch(u, impl_->w_enc, impl_->b_enc, impl_->info.k);
}

model::Tensor Coder::decode(const Encoded& encoded, std::int64_t rows) const {
  if (impl_->info.skip_connection)
    fail_input("sparse coder", "it has a skip connection, so a reconstruction needs the input too");
  return model::wrap(impl_->decode(encoded, rows).to(impl_->device));
}

model::Tensor Coder::decode(const Encoded& encoded, const model::Tensor& x) const {
  const at::NoGradGuard no_gradients;
  if (!impl_->info.skip_connection) return decode(encoded, x.rows());
  check_width(x, impl_->info.input_width, "the input");
  at::Tensor y = impl_->decode(encoded, x.rows());
  y.add_(at::mm(on_host(x), impl_->w_skip.t()));
  return model::wrap(y.to(impl_->device));
}

double Coder::fvu(const model::Tensor& x, const model::Tensor& target, const Encoded& encoded) const {
  const at::NoGradGuard no_gradients;
  check_width(target, impl_->info.output_width, "the target");
  const at::Tensor y = on_host(target).to(at::kDouble);
  const at::Tensor reconstruction = on_host(decode(encoded, x)).to(at::kDouble);
  if (y.size(0) != reconstruction.size(0))
    throw std::invalid_argument("Coder::fvu: input and target have different numbers of rows");
  const auto error = (y - reconstruction).square().sum().item<double>();
  const auto variance = (y - y.mean(0, true)).square().sum().item<double>();
  if (variance > 0.0) return error / variance;
  return error == 0.0 ? 0.0 : std::numeric_limits<double>::infinity();
}

}  // namespace gloss::sparse
