#include "gloss/formats/npz_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/base/error.h"
#include "gloss/formats/zip_testing.h"

namespace gloss::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string npy(const std::string& header, const std::string& data, char major = 1) {
  std::string out = "\x93NUMPY";
  out += major;
  out += '\0';
  if (major == 1)
    append_number(out, static_cast<std::uint16_t>(header.size()));
  else
    append_number(out, static_cast<std::uint32_t>(header.size()));
  return out + header + data;
}

std::string floats(const std::vector<float>& values) {
  std::string out;
  for (const float v : values) append_number(out, v);
  return out;
}

NpzFile parse(std::string bytes) { return NpzFile::parse(MappedFile::of_bytes(std::move(bytes), "a.npz")); }

std::string error_of(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

std::string one(const std::string& header, const std::string& data = floats({1, 2, 3, 4, 5, 6})) {
  return make_zip({{.name = "w.npy", .data = npy(header, data)}});
}

TEST(NpzFile, ReadsStoredDeflatedAndColumnOrderedArrays) {
  const std::string data = floats({1, 2, 3, 4, 5, 6});
  const NpzFile file = parse(make_zip(
      {{.name = "a.npy", .data = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", data)},
       {.name = "b.npy",
        .data = npy("{'shape': (2, 3), 'fortran_order': True, 'descr': '<f4'}", data, 2),
        .deflate = true},
       {.name = "c.npy", .data = npy("{\"descr\": \"<f4\", 'fortran_order': True, 'shape': (6L,)}", data, 3)},
       {.name = "d.npy", .data = npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", floats({7}))}}));
  EXPECT_EQ(file.tensors().size(), 4U);
  EXPECT_THAT(file.tensor("a").shape, ElementsAre(2, 3));
  EXPECT_THAT(to_floats(file.tensor("a")), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(to_floats(file.tensor("b")), ElementsAre(1, 3, 5, 2, 4, 6));
  EXPECT_THAT(to_floats(file.tensor("c")), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_TRUE(file.tensor("d").shape.empty());
  EXPECT_FALSE(file.contains("e"));
}

TEST(NpzFile, EveryFaultIsNamed) {
  const struct {
    std::string header;
    const char* message;
  } faults[] = {
      {"{'descr': '|O', 'fortran_order': False, 'shape': (6,)}", "holds Python objects (dtype '|O')"},
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (6,)}", "has dtype '>f4', wanted little-endian"},
      {"{'descr': '|V2', 'fortran_order': False, 'shape': (12,)}", "bfloat16 has no name"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}", "a structured dtype"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (7,)}",
       "24 bytes of data, but its shape [7] of '<f4' needs 28"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "more than there can be"},
      {"{'descr': '<f4', 'fortran_order': False}", "not all of descr"},
      {"{'descr': '<f4', 'descr': '<f4'}", "'descr' twice"},
      {"{'descr': '<f4', 'colour': 1}", "a key 'colour'"},
      {"{'descr': '<f4', 'fortran_order': 0}", "neither True nor False"},
      {"{'shape': (1, -2)}", "no size"},
      {"{'descr': '<f4", "a string without an end"},
      {"", "no '{'"},
  };
  for (const auto& fault : faults) EXPECT_THAT(error_of(one(fault.header)), HasSubstr(fault.message)) << fault.header;
  EXPECT_THAT(error_of(make_zip({{.name = "w.npy", .data = "no npy at all"}})), HasSubstr("do not begin as a .npy"));
  EXPECT_THAT(error_of(make_zip({{.name = "w.npy", .data = npy("{}", "", 9)}})), HasSubstr("is .npy version 9"));
  EXPECT_THAT(error_of("nothing"), HasSubstr("a.npz"));
}

TEST(NpzFile, EveryTruncationIsAnErrorNotACrash) {
  const std::string good = one("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }");
  ASSERT_NO_THROW(parse(good));
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_THROW(parse(good.substr(0, n)), Error) << n;
  const std::string inner =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", floats({1, 2, 3, 4, 5, 6}));
  for (std::size_t n = 0; n < inner.size(); ++n)
    EXPECT_THROW(parse(make_zip({{.name = "w.npy", .data = inner.substr(0, n)}})), Error) << n;
}

}  // namespace
}  // namespace gloss::formats
