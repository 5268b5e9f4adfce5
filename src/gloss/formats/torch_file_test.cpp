#include "gloss/formats/torch_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/formats/json_file.h"
#include "gloss/formats/zip_testing.h"

namespace gloss::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

const std::filesystem::path kGolden = std::filesystem::path(GLOSS_SOURCE_DIR) / "src/gloss/formats/testdata";

TorchFile parse(std::string bytes) { return TorchFile::parse(MappedFile::of_bytes(std::move(bytes), "f")); }

template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    return e.what();
  }
  return "(no error)";
}
std::string parse_error(const std::string& bytes) {
  return error_of([&] { (void)parse(bytes); });
}

std::string hex_of(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  return text;
}

void expect_tensors(const TorchFile& file, const Json& wanted) {
  ASSERT_EQ(file.tensors().size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const TensorView& t = file.tensors()[i];
    EXPECT_EQ(t.name, wanted[i]["name"].get<std::string>());
    EXPECT_EQ(name_of(t.dtype), wanted[i]["dtype"].get<std::string>()) << t.name;
    EXPECT_EQ(t.shape, wanted[i]["shape"].get<std::vector<std::uint64_t>>()) << t.name;
    EXPECT_EQ(hex_of(t.bytes), wanted[i]["bytes"].get<std::string>()) << t.name;
  }
}

TEST(TorchFile, ReadsWhatPyTorchWrites) {
  const Json expected = read_json(kGolden / "torch_expected.json");
  for (const char* name : {"state.pt", "state_legacy.pt", "state_protocol4.pt", "state_deflated.pt"}) {
    SCOPED_TRACE(name);
    const TorchFile file = TorchFile::open(kGolden / name);
    expect_tensors(file, expected["state"]);
    EXPECT_EQ(file.values(), Json::object());
    EXPECT_TRUE(file.contains("rows"));
    EXPECT_EQ(file.tensor("base").bytes.data() + 24, file.tensor("rows").bytes.data()) << "one storage, not two";
  }
}

TEST(TorchFile, NestedTensorsAreNamedByTheirPathAndValuesAreKept) {
  const TorchFile file = TorchFile::open(kGolden / "nested.pt");
  expect_tensors(file, read_json(kGolden / "torch_expected.json")["nested"]);
  const Json wanted = Json::parse(R"({
    "model": {"encoder": {}, "layers": [null, {}]},
    "config": {"d_in": 64, "lr": 0.001, "name": "tiny ö", "tied": false, "none": null, "sizes": [1, 2, [3]],
               "dtype": "torch.bfloat16", "device": "cuda:1", "shape": [5, 6], "big": 9223372036854775809,
               "huge": "0x0100000000000000000000", "negative": -1099511627776, "tags": ["one"], "7": "seven"},
    "step": 1000})");
  EXPECT_EQ(file.values(), wanted);
}

TEST(TorchFile, ABareTensorHasNoName) {
  const TorchFile file = TorchFile::open(kGolden / "bare.pt");
  ASSERT_EQ(file.tensors().size(), 1U);
  EXPECT_THAT(to_floats(file.tensor("")), ElementsAre(1.0F, 2.0F, 3.0F));
}

TEST(TorchFile, AWholeModuleIsRefused) {
  EXPECT_EQ(error_of([] { (void)TorchFile::open(kGolden / "module.pt"); }),
            (kGolden / "module.pt").string() +
                ": module/data.pkl: byte 2: the pickle imports '__main__.Net'\n"
                "hint: only tensors and plain values are read, and nothing is executed: save a state dict with "
                "torch.save(model.state_dict(), FILE), or convert it to safetensors");
}

TEST(TorchFile, AMissingTensorIsNamedWithTheNearest) {
  const TorchFile file = TorchFile::open(kGolden / "state.pt");
  EXPECT_EQ(error_of([&] { (void)file.tensor("transpose"); }), (kGolden / "state.pt").string() +
                                                                   ": has no tensor 'transpose' among its 21\n"
                                                                   "hint: the nearest name in it is 'transposed'");
}

TEST(TorchFile, EveryTruncationIsAnError) {
  for (const char* name : {"state.pt", "state_legacy.pt"}) {
    const std::string good = read_file(kGolden / name);
    for (std::size_t n = 0; n < good.size(); ++n)
      EXPECT_NE(parse_error(good.substr(0, n)), "(no error)") << name << " cut at byte " << n;
  }
}

TEST(TorchFile, EveryChangedByteIsReadOrRefused) {
  for (const char* name : {"state_deflated.pt", "state_legacy.pt", "nested.pt", "state_protocol4.pt"}) {
    const std::string good = read_file(kGolden / name);
    for (std::size_t n = 0; n < good.size(); ++n) {
      std::string bad = good;
      bad[n] = static_cast<char>(bad[n] ^ (1 << (n % 8)));
      EXPECT_THAT(parse_error(bad), ::testing::AnyOf("(no error)", ::testing::StartsWith("f"))) << "byte " << n;
    }
  }
}

/// A checkpoint of one pickle and one storage "0" of 24 bytes.
std::string checkpoint(const std::string& pickle, std::vector<ZipPart> more = {}) {
  more.push_back({.name = "archive/data.pkl", .data = pickle});
  more.push_back({.name = "archive/data/0", .data = std::string(24, '\1')});
  return make_zip(more);
}

PickledTensor plain() { return {.shape = {2, 3}, .strides = {3, 1}, .count = 6}; }

TEST(TorchFile, TensorsMustLieInTheirStorage) {
  EXPECT_EQ(parse_error(checkpoint(pickle_dict("w", pickle_tensor(plain())))), "(no error)");
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const std::vector<std::pair<PickledTensor, std::string>> faults = {
      {{.shape = {2, 3}, .strides = {3, 1}, .offset = 1, .count = 6},
       "shape [2, 3] with strides [3, 1] from element 1 leaves its storage of 6 elements"},
      {{.shape = {2, 3}, .strides = {4, 1}, .count = 6},
       "shape [2, 3] with strides [4, 1] from element 0 leaves its storage of 6 elements"},
      {{.shape = {kHuge, 4}, .strides = {4, 1}, .count = 6}, "leaves its storage of 6 elements"},
      {{.shape = {2, 3}, .strides = {kHuge, kHuge}, .count = 6}, "leaves its storage of 6 elements"},
      {{.shape = {3}, .strides = {1}, .offset = std::numeric_limits<std::int64_t>::max(), .count = 6},
       "leaves its storage of 6 elements"},
      {{.shape = {0, 3}, .strides = {3, 1}, .offset = 7, .count = 6}, "leaves its storage of 6 elements"},
      {{.shape = {-2, 3}, .strides = {3, 1}, .count = 6}, "its shape is -2, wanted a whole number from 0"},
      {{.shape = {2, 3}, .strides = {3, -1}, .count = 6}, "its strides is -1, wanted a whole number from 0"},
      {{.shape = {2, 3}, .strides = {3, 1}, .offset = -1, .count = 6},
       "its offset is -1, wanted a whole number from 0"},
      {{.shape = {6}, .strides = {3, 1}, .count = 6}, "shape [6] but strides [3, 1]"},
      {{.shape = std::vector<std::int64_t>(17, 1), .strides = std::vector<std::int64_t>(17, 1), .count = 6},
       "its shape is a tuple of 17, wanted a tuple of at most 16"},
      {{.shape = {2, 3}, .strides = {3, 1}, .count = kHuge}, "a storage of 4611686018427387904 elements"},
      {{.shape = {2, 3}, .strides = {3, 1}, .count = 7}, "storage '0' has 24 bytes, wanted 28 (7 elements of F32)"},
      {{.shape = {2, 3}, .strides = {3, 1}, .type = "DoubleStorage", .count = 6},
       "storage '0' has 24 bytes, wanted 48 (6 elements of F64)"},
      {{.shape = {2, 3}, .strides = {3, 1}, .key = "../0", .count = 6}, "has no entry 'archive/data/../0'"},
      {{.shape = {2, 3}, .strides = {3, 1}, .type = "QInt8Storage", .count = 6},
       "the pickle imports 'torch.QInt8Storage'"},
      {{.shape = {1000, 1000}, .strides = {0, 0}, .count = 6},
       "tensor 'w': does not lie row by row (strides [0, 0]), and copies of such tensors would take more than the "
       "1048576 bytes of the file\nhint: save them with .contiguous()"},
  };
  for (const auto& [tensor, message] : faults)
    EXPECT_THAT(parse_error(checkpoint(pickle_dict("w", pickle_tensor(tensor)))), HasSubstr(message));
}

TEST(TorchFile, ArgumentsThatAreNoTensorsAreRefused) {
  const std::string rebuild = pickle_global("torch._utils", "_rebuild_tensor_v2");
  const std::string parameter = pickle_global("torch._utils", "_rebuild_parameter");
  const std::vector<std::pair<std::string, std::string>> faults = {
      {rebuild + ")R", "tensor 'w': byte 43: is made of 0 arguments, the first of them nothing"},
      {rebuild + "(NNNNt" + "R", "is made of 4 arguments, the first of them None"},
      {rebuild + "(NQNNNtR", "a persistent id that names no storage"},
      {parameter + "(K\x01\x89}tR", "a parameter that is no tensor"},
      {pickle_global("torch", "device") + ")R", "a device of 0 arguments"},
  };
  for (const auto& [value, message] : faults)
    EXPECT_THAT(parse_error(checkpoint(pickle_dict("w", value))), HasSubstr(message));
}

TEST(TorchFile, NamesThatMeetWhenJoinedAreRefused) {
  const std::string pickle = "\x80\x02}(" + pickle_text("a.b") + pickle_tensor(plain()) + pickle_text("a") + "}" +
                             pickle_text("b") + pickle_tensor(plain()) + "su.";
  EXPECT_THAT(parse_error(checkpoint(pickle)), HasSubstr("two tensors are named 'a.b' when names are joined"));
}

TEST(TorchFile, ALaterKeyReplacesAnEarlierOne) {
  const std::string pickle = "\x80\x02}(" + pickle_text("a") + pickle_tensor(plain()) + pickle_text("a") + "K\x07u.";
  const TorchFile file = parse(checkpoint(pickle));
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_EQ(file.values(), Json({{"a", 7}}));
}

TEST(TorchFile, DeepAndUnfoldingValuesAreBounded) {
  EXPECT_THAT(parse_error(checkpoint("\x80\x02]q\x01h\x01"
                                     "a.")),
              HasSubstr("values nested deeper than 64"));
  std::string deep(100000, ']');
  EXPECT_THAT(parse_error(checkpoint("\x80\x02" + deep + std::string(99999, 'a') + ".")),
              HasSubstr("values nested deeper than 64"));
  std::string laughs = "]q\x01";
  for (int i = 0; i < 30; ++i) laughs += "(h\x01h\x01tq\x01";
  EXPECT_THAT(parse_error(checkpoint("\x80\x02" + laughs + ".")),
              HasSubstr("more than 4194304 values, counting shared ones again"));
}

TEST(TorchFile, ArchivesThatAreNoCheckpointsAreNamed) {
  EXPECT_THAT(parse_error(make_zip({{.name = "a.npy"}})),
              HasSubstr("f: is a zip archive of 1 entries without a 'data.pkl'"));
  const std::string pickle = "\x80\x02}.";
  EXPECT_THAT(parse_error(checkpoint(pickle, {{.name = "archive/byteorder", .data = "big"}})),
              HasSubstr("f: was written with byte order 'big', wanted 'little'"));
  EXPECT_THAT(parse_error(checkpoint(pickle, {{.name = "archive/constants.pkl"}})),
              HasSubstr("f: is a TorchScript program"));
  EXPECT_THAT(parse_error(checkpoint(pickle, {{.name = "other/data.pkl"}})),
              HasSubstr("f: holds two checkpoints, 'other/data.pkl' and 'archive/data.pkl'"));
  EXPECT_EQ(parse_error("hello"),
            "f: 5 bytes that do not begin as a PyTorch checkpoint does\n"
            "hint: wanted a file written by torch.save (zip, or the older form)");
  EXPECT_EQ(parse_error("version https://git-lfs.github.com/spec/v1\n"),
            "f: is a Git LFS pointer, wanted the checkpoint itself\nhint: fetch it with git lfs pull");
  EXPECT_THAT(parse_error(std::string(257, '\0') + "ustar"), HasSubstr("f: is a tar archive"));
}

TEST(TorchFile, LegacyStoragesAreHeldAgainstTheFile) {
  const std::string magic = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.";
  const std::string version = std::string("\x80\x02M\xe9\x03.", 6);
  const std::string system = "\x80\x02}" + pickle_text("little_endian") + "\x88s.";
  const std::string object = pickle_dict("w", pickle_tensor(plain()));
  const std::string keys = "\x80\x02]" + pickle_text("0") + "a.";
  std::string count;
  append_number<std::uint64_t>(count, 6);
  const std::string whole = magic + version + system + object + keys + count + std::string(24, '\2');
  EXPECT_EQ(parse(whole).tensor("w").bytes[23], std::byte{2});
  std::string big = whole;
  big.replace(whole.size() - 32, 8, std::string(8, '\xFF'));
  EXPECT_THAT(parse_error(big), HasSubstr("storage '0' of 18446744073709551615 elements, but 24 bytes are left"));
  std::string endian = system;
  endian.replace(endian.find('\x88'), 1, "\x89");
  EXPECT_THAT(parse_error(magic + version + endian + object + keys + count),
              HasSubstr("written on a big-endian machine"));
  EXPECT_THAT(parse_error(magic + version + system + object + "\x80\x02]" + pickle_text("1") + "a." + count),
              HasSubstr("a storage '1' that no tensor uses"));
  EXPECT_THAT(parse_error(magic + version + system + object + "\x80\x02]."), HasSubstr("f: has no storage '0'"));
  EXPECT_THAT(parse_error(magic + "\x80\x02K\x01."), HasSubstr("f: is not of version 1001 of its form"));
}

}  // namespace
}  // namespace gloss::formats
