#include "gloss/formats/safetensors.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "gloss/base/error.h"
#include "gloss/base/random.h"

namespace gloss::formats {
namespace {

using ::testing::ElementsAre;

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

/// A file of this header and `data` bytes behind it.
std::string file_of(std::string_view header, std::size_t data) {
  const std::uint64_t size = header.size();
  std::string bytes(sizeof(size), '\0');
  std::memcpy(bytes.data(), &size, sizeof(size));
  bytes += header;
  for (std::size_t i = 0; i < data; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

SafeTensors parse(std::string bytes) { return SafeTensors::parse(MappedFile::of_bytes(std::move(bytes), "f")); }

std::filesystem::path temporary() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  return std::filesystem::path(::testing::TempDir()) / fmt::format("gloss-{}.safetensors", info->name());
}

constexpr std::string_view kGood =
    R"({"__metadata__":{"format":"pt","k":"v"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
    R"("b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},"empty":{"dtype":"I64","shape":[0,5],"data_offsets":[11,11]},)"
    R"("scalar":{"dtype":"I8","shape":[],"data_offsets":[11,12]}})";

TEST(SafeTensors, ReadsNamesShapesBytesAndMetadata) {
  const SafeTensors f = parse(file_of(kGood, 12));
  EXPECT_EQ(f.tensors().size(), 4U);
  EXPECT_THAT(f.metadata(), ElementsAre(std::pair("format", "pt"), std::pair("k", "v")));
  EXPECT_EQ(f.file_name(), "f");
  const TensorView& b = f.tensor("b");
  EXPECT_EQ(b.dtype, Dtype::u8);
  EXPECT_THAT(b.shape, ElementsAre(3));
  EXPECT_EQ(b.element_count(), 3U);
  EXPECT_EQ(std::to_integer<int>(b.bytes[0]), 8);
  EXPECT_EQ(f.tensor("empty").element_count(), 0U);
  EXPECT_EQ(f.tensor("scalar").element_count(), 1U);
  EXPECT_TRUE(f.contains("a"));
  EXPECT_FALSE(f.contains("c"));
}

TEST(SafeTensors, TensorsComeInTheOrderOfTheirBytes) {
  const SafeTensors f = parse(file_of(R"({"z":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                      R"("a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                                      3));
  EXPECT_EQ(f.tensors()[0].name, "z");
  EXPECT_EQ(f.tensors()[1].name, "a");
}

TEST(SafeTensors, EveryTruncationIsAnError) {
  const std::string good = file_of(kGood, 12);
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_NE(error_of([&] { (void)parse(good.substr(0, n)); }), "(no error)") << "accepted a file cut at byte " << n;
  }
  EXPECT_EQ(error_of([&] { (void)parse(good + "x"); }), "f: 1 bytes after the last tensor");
}

TEST(SafeTensors, FlippedBytesAreAnErrorOrAFileThatHoldsTogether) {
  const std::string good = file_of(kGood, 12);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const unsigned bit : {1U, 4U, 128U}) {
      std::string bad = good;
      bad[i] = static_cast<char>(static_cast<unsigned char>(bad[i]) ^ bit);
      try {
        std::size_t total = 0;
        const SafeTensors f = parse(bad);
        for (const TensorView& t : f.tensors()) total += t.bytes.size();
        EXPECT_EQ(total, 12U) << i;
      } catch (const Error&) {
      }
    }
  }
}

struct Fault {
  std::string_view header;
  std::size_t data;
  std::string_view message;
};

TEST(SafeTensors, FaultsSayWhereAndWhat) {
  const std::vector<Fault> faults = {
      {"[]", 0, "f: bytes 8 to 10: the header is not JSON"},
      {"{", 0, "f: bytes 8 to 9: the header is not JSON"},
      {R"({"a":3})", 0, "f: tensor 'a': header entry is not {dtype, shape, data_offsets}"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "f: tensor 'a': header entry is not {dtype, shape, data_offsets}"},
      {R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, "f: tensor 'a': dtype 'F31' is not known"},
      {R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, "f: tensor 'a': dtype 'number' is not known"},
      {R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "f: tensor 'a': shape is not a short array"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
       "f: tensor 'a': shape is not a short array"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
       "f: tensor 'a': shape: wanted a whole number that is not negative"},
      {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4,
       "f: tensor 'a': shape: wanted a whole number that is not negative"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "f: tensor 'a': data_offsets is not [begin, end]"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":["0",4]}})", 4,
       "f: tensor 'a': data_offsets: wanted a whole number that is not negative"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
       "f: tensor 'a': bytes 4 to 0 of the data, but the file holds 4 bytes of data\n"
       "hint: the file is cut off or damaged: download or copy it again"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7,
       "f: tensor 'a': bytes 0 to 8 of the data, but the file holds 7 bytes of data\n"
       "hint: the file is cut off or damaged: download or copy it again"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
       "f: tensor 'a': 8 bytes, but F32 of shape [3] needs 12"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, "f: tensor 'b': its bytes overlap another tensor's or leave a hole"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "f: tensor 'b': its bytes overlap another tensor's or leave a hole"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2,
       "f: tensor 'a': its bytes overlap another tensor's or leave a hole"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 4, "f: 3 bytes after the last tensor"},
      {R"({"__metadata__":[]})", 0, "f: __metadata__ is not an object of strings"},
      {R"({"__metadata__":{"a":1}})", 0, "f: __metadata__ 'a' is not a string"},
  };
  for (const Fault& fault : faults)
    EXPECT_EQ(error_of([&] { (void)parse(file_of(fault.header, fault.data)); }), fault.message) << fault.header;
}

TEST(SafeTensors, SizesThatOverflowAreAnError) {
  const std::string what = error_of(
      [] { (void)parse(file_of(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0)); });
  EXPECT_THAT(what, ::testing::StartsWith("f: tensor 'a': 0 bytes, but F32 of shape [4611686018427387904, 4] needs"));
}

TEST(SafeTensors, AHeaderThatClaimsTooMuchIsNotRead) {
  EXPECT_EQ(error_of([] { (void)parse("short"); }),
            "f: 5 bytes are too few for a safetensors file\nhint: the file is cut off or is something else");
  std::string huge(16, '\xFF');
  EXPECT_EQ(error_of([&] { (void)parse(huge); }),
            "f: the header claims 18446744073709551615 bytes, but the file has 16\n"
            "hint: the file is cut off, or is no safetensors file (a Git LFS pointer?)");
  EXPECT_THAT(error_of([] { (void)parse("version https://git-lfs.github.com/spec/v1\noid sha256:12\n"); }),
              ::testing::HasSubstr("a Git LFS pointer?"));
}

TEST(SafeTensors, AskingForATensorNamesTheNearest) {
  const SafeTensors f = parse(file_of(R"({"encoder.weight":{"dtype":"U8","shape":[2,1],"data_offsets":[0,2]}})", 2));
  EXPECT_EQ(error_of([&] { (void)f.tensor("encoder.wieght"); }),
            "f: has no tensor 'encoder.wieght' among its 1\nhint: the nearest name in it is 'encoder.weight'");
  EXPECT_EQ(error_of([&] { (void)f.tensor("x"); }), "f: has no tensor 'x' among its 1");
  const std::vector<std::uint64_t> shape{1, 2};
  EXPECT_EQ(error_of([&] { (void)f.tensor("encoder.weight", Dtype::u8, shape); }),
            "f: tensor 'encoder.weight': is U8 [2, 1], wanted U8 [1, 2]");
  EXPECT_EQ(error_of([&] {
              (void)f.tensor("encoder.weight", Dtype::f32, std::vector<std::uint64_t>{2, 1});
            }),
            "f: tensor 'encoder.weight': is U8 [2, 1], wanted F32 [2, 1]");
}

TEST(SafeTensors, ViewsAreOfTheRightTypeAndAligned) {
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const SafeTensors f = parse(file_of(header, 5));
  EXPECT_THAT(f.view<std::uint8_t>("a", Dtype::u8), ElementsAre(0));
  EXPECT_EQ(error_of([&] { (void)f.view<float>("a", Dtype::f32); }), "f: tensor 'a': is U8, wanted F32");
  const bool odd_header = header.size() % 4 != 3;  // then the float behind one byte is unaligned
  EXPECT_EQ(error_of([&] { (void)f.view<float>("b", Dtype::f32); }),
            odd_header ? "f: tensor 'b': its bytes are not aligned" : "(no error)");
}

TEST(ToFloats, ReadsEveryFloatTypeEvenUnaligned) {
  const auto check = [](const char* dtype, std::string_view bytes, float wanted) {
    const std::string header =
        fmt::format(R"({{"p":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},"x":{{"dtype":"{}","shape":[1],)"
                    R"("data_offsets":[1,{}]}}}})",
                    dtype, 1 + bytes.size());
    std::string file = file_of(header, 1);
    file += bytes;
    const SafeTensors f = parse(file);
    EXPECT_THAT(to_floats(f.tensor("x")), ElementsAre(wanted)) << dtype;
  };
  using namespace std::string_view_literals;
  check("F32", "\x00\x00\xC0\x3F"sv, 1.5F);
  check("F16", "\x00\x3E"sv, 1.5F);
  check("BF16", "\xC0\x3F"sv, 1.5F);
  check("F64", "\x00\x00\x00\x00\x00\x00\xF8\x3F"sv, 1.5F);
  const SafeTensors f = parse(file_of(R"({"n":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", 4));
  EXPECT_EQ(error_of([&] { (void)to_floats(f.tensor("n")); }),
            "tensor 'n': is I32, wanted a float type (F32, F16, BF16, F64)");
}

TEST(Dtypes, NamesAndSizes) {
  EXPECT_EQ(name_of(Dtype::boolean), "BOOL");
  EXPECT_EQ(name_of(Dtype::bf16), "BF16");
  EXPECT_EQ(size_bytes(Dtype::f64), 8U);
  EXPECT_EQ(size_bytes(Dtype::f16), 2U);
  EXPECT_EQ(format_shape(std::vector<std::uint64_t>{768, 32768}), "[768, 32768]");
  EXPECT_EQ(format_shape({}), "[]");
}

TEST(Writer, GivesBackWhatWasWrittenAndAlignsIt) {
  const auto path = temporary();
  std::vector<double> wide(5);
  std::vector<float> floats(7);
  std::vector<std::uint16_t> narrow(3);
  Random random(1);
  for (double& v : wide) v = random.normal();
  for (float& v : floats) v = static_cast<float>(random.normal());
  for (std::uint16_t& v : narrow) v = static_cast<std::uint16_t>(random.below(65536));
  for (std::size_t padding = 0; padding < 70; ++padding) {
    SafeTensorsWriter w(
        path, {{"w", Dtype::f64, {5}}, {"f", Dtype::f32, {7, 1}}, {"n", Dtype::u16, {3}}, {"e", Dtype::u8, {0}}},
        {{"key", std::string(padding, 'x')}});
    w.write_values(std::span<const double>(wide));
    const auto bytes = std::as_bytes(std::span<const float>(floats));
    w.write(bytes.first(5));  // calls may split anywhere
    w.write(bytes.subspan(5));
    w.write_values(std::span<const std::uint16_t>(narrow));
    w.commit();
    const SafeTensors f = SafeTensors::open(path);
    EXPECT_EQ(f.metadata().at("key"), std::string(padding, 'x'));
    EXPECT_TRUE(std::ranges::equal(f.view<double>("w", Dtype::f64), wide));
    EXPECT_TRUE(std::ranges::equal(f.view<float>("f", Dtype::f32), floats));
    EXPECT_TRUE(std::ranges::equal(f.view<std::uint16_t>("n", Dtype::u16), narrow));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(f.tensor("w").bytes.data()) % 64, 0U);
  }
  std::filesystem::remove(path);
}

TEST(Writer, NotWritingWhatWasDeclaredIsAMistakeOfTheProgram) {
  const auto path = temporary();
  {
    SafeTensorsWriter w(path, {{"a", Dtype::u8, {4}}}, {});
    const std::array<std::uint8_t, 3> three{};
    w.write_values(std::span<const std::uint8_t>(three));
    EXPECT_THROW(w.commit(), std::logic_error);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THROW(SafeTensorsWriter(path, {{"a", Dtype::u64, {std::uint64_t{1} << 62, 8}}}, {}), std::logic_error);
}

TEST(Writer, MetadataThatIsNoTextIsRepaired) {
  const auto path = temporary();
  SafeTensorsWriter w(path, {}, {{"name", "a\xFF"}});
  w.commit();
  EXPECT_EQ(SafeTensors::open(path).metadata().at("name"), "a\uFFFD");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace gloss::formats
