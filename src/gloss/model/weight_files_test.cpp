#include "gloss/model/weight_files.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gloss/base/output_file.h"
#include "gloss/formats/zip_testing.h"
#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

Config tiny_config() {
  Config c;
  c.layers = 2;
  c.width = 8;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_width = 2;
  c.hidden = 12;
  c.vocabulary = 16;
  c.max_context = 32;
  return c;
}

using Named = std::map<std::string, TestTensor>;

/// What torch.save writes of a state dict. `transposed`: every matrix as a view of its transpose's storage.
std::string checkpoint_of(const Named& tensors, bool transposed) {
  std::vector<formats::ZipPart> parts(1);
  parts[0].name = "pytorch_model/data.pkl";
  std::string pickle = "\x80\x02" + formats::pickle_global("collections", "OrderedDict") + ")R(";
  for (const auto& [name, tensor] : tensors) {
    formats::PickledTensor t;
    t.key = std::to_string(parts.size() - 1);
    t.count = static_cast<std::int64_t>(tensor.values.size());
    t.shape.assign(tensor.shape.begin(), tensor.shape.end());
    t.strides.assign(t.shape.size(), 1);
    std::vector<float> values = tensor.values;
    if (t.shape.size() == 2 && transposed) {
      const auto rows = static_cast<std::size_t>(t.shape[0]);
      const auto columns = static_cast<std::size_t>(t.shape[1]);
      for (std::size_t i = 0; i < values.size(); ++i) values[(i % columns) * rows + i / columns] = tensor.values[i];
      t.strides = {1, t.shape[0]};
    } else if (t.shape.size() == 2) {
      t.strides = {t.shape[1], 1};
    }
    pickle += formats::pickle_text(name) + formats::pickle_tensor(t);
    formats::ZipPart part;
    part.name = "pytorch_model/data/" + t.key;
    part.data.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    parts.push_back(part);
  }
  parts[0].data = pickle + "u.";
  return formats::make_zip(parts);
}

struct Folder {
  TemporaryFolder root;
  TestModel tiny = TestModel::make(tiny_config(), 1);

  const std::filesystem::path& path() const { return root.path(); }
  std::string at(std::string_view file) const { return (path() / file).string(); }
  std::string load_error() const {
    return error_of([&] { SubjectModel::load(path()); });
  }
  void write_bin(bool transposed = false) const {
    tiny.write_config(path());
    write_file(path() / "pytorch_model.bin", checkpoint_of(tiny.tensors, transposed));
  }
  void write_bin_shards() const {
    tiny.write_config(path());
    std::vector<Named> parts(2);
    nlohmann::json map = nlohmann::json::object();
    for (const auto& [name, tensor] : tiny.tensors) {
      const std::size_t part = map.size() % 2;
      parts[part][name] = tensor;
      map[name] = fmt::format("pytorch_model-{:05}-of-00002.bin", part + 1);
    }
    for (std::size_t i = 0; i < parts.size(); ++i)
      write_file(path() / fmt::format("pytorch_model-{:05}-of-00002.bin", i + 1), checkpoint_of(parts[i], false));
    write_file(path() / "pytorch_model.bin.index.json", nlohmann::json{{"weight_map", map}}.dump());
  }
};

std::vector<float> logits_of(const SubjectModel& model) {
  return to_host(model.logits(random_tokens(10, model.config().vocabulary, 3), 2));
}

TEST(WeightFiles, PyTorchFilesGiveTheSameModelAsSafetensors) {
  Folder wanted;
  wanted.tiny.write(wanted.path());
  const SubjectModel model = SubjectModel::load(wanted.path());
  Folder whole;
  whole.write_bin();
  Folder transposed;
  transposed.write_bin(true);
  Folder shards;
  shards.write_bin_shards();
  for (const Folder* f : {&whole, &transposed, &shards}) {
    const SubjectModel other = SubjectModel::load(f->path());
    EXPECT_EQ(logits_of(other), logits_of(model));
    EXPECT_EQ(other.fingerprint(), model.fingerprint());
  }
}

TEST(WeightFiles, SafetensorsGoBeforePyTorchFiles) {
  Folder f;
  f.tiny.write(f.path());
  write_file(f.path() / "pytorch_model.bin", "no checkpoint");
  EXPECT_EQ(f.load_error(), "no error");
}

TEST(WeightFiles, FaultsOfACheckpointNameTheFile) {
  Folder f;
  f.tiny.write_config(f.path());
  write_file(f.path() / "pytorch_model.bin", "x");
  EXPECT_EQ(f.load_error(), f.at("pytorch_model.bin") +
                                ": 1 bytes that do not begin as a PyTorch checkpoint does\n"
                                "hint: wanted a file written by torch.save (zip, or the older form)");
  f.tiny.tensors.erase("model.norm.weight");
  f.write_bin();
  EXPECT_EQ(f.load_error().find(f.at("pytorch_model.bin") + ": has no tensor 'model.norm.weight' among its"), 0U)
      << f.load_error();
}

TEST(WeightFiles, AShardOfACheckpointThatIsMissingIsNamed) {
  Folder f;
  f.write_bin_shards();
  std::filesystem::remove(f.path() / "pytorch_model-00002-of-00002.bin");
  EXPECT_EQ(f.load_error(), f.at("pytorch_model.bin.index.json") +
                                ": names the shard 'pytorch_model-00002-of-00002.bin', which is not there\n"
                                "hint: the download of the model is not complete");
}

}  // namespace
}  // namespace gloss::model
