#include "gloss/formats/pickle.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "gloss/base/error.h"
#include "gloss/formats/zip_testing.h"

namespace gloss::formats {
namespace {

using Kind = PickleNode::Kind;

constexpr std::array<PickleGlobal, 3> kKnown{
    {{"m.Dict", PickleRole::dict}, {"m.call", PickleRole::call}, {"m.name", PickleRole::name}}};

Pickle read(std::string_view bytes) {
  return Pickle::read(std::as_bytes(std::span(bytes.data(), bytes.size())), kKnown, "f");
}

std::string error_of(std::string_view bytes) {
  try {
    (void)read(bytes);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    return e.what();
  }
  return "(no error)";
}

constexpr std::string_view kDamaged = "\nhint: the file is damaged, or is no pickle";
constexpr std::string_view kOnlyData =
    "\nhint: only tensors and plain values are read, and nothing is executed: save a state dict with "
    "torch.save(model.state_dict(), FILE), or convert it to safetensors";

TEST(Pickle, ReadsPlainValues) {
  EXPECT_EQ(read("\x80\x02N.").root().kind, Kind::none);
  EXPECT_EQ(read("\x80\x02\x88.").root().integer, 1);
  EXPECT_EQ(read(std::string_view("\x80\x02J\xFE\xFF\xFF\xFF.", 8)).root().integer, -2);
  EXPECT_EQ(read("\x80\x02K\xFF.").root().integer, 255);
  EXPECT_EQ(read(std::string_view("\x80\x02M\x01\x02.", 6)).root().integer, 513);
  EXPECT_EQ(read(std::string_view("\x80\x02G\x3F\xF8\0\0\0\0\0\0.", 12)).root().real, 1.5);
  EXPECT_EQ(read("\x80\x02" + pickle_text("tw\xC3\xB6") + ".").root().text, "tw\xC3\xB6");
}

TEST(Pickle, ReadsWholeNumbersOfAnyLength) {
  EXPECT_EQ(read(std::string_view("\x8a\x00.", 3)).root().integer, 0);
  EXPECT_EQ(read("\x8a\x01\xFF.").root().integer, -1);
  EXPECT_EQ(read(std::string_view("\x8a\x02\xFF\x00.", 5)).root().integer, 255);
  const Pickle natural = read(std::string_view("\x8a\x09\x01\0\0\0\0\0\0\x80\0.", 12));
  EXPECT_EQ(natural.root().kind, Kind::natural);
  EXPECT_EQ(natural.root().natural, (1ULL << 63) + 1);
  EXPECT_EQ(read("\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.").root().text, "0x1950a86a20f9469cfc6c");
}

TEST(Pickle, ReadsCollectionsAndSharesThroughTheMemo) {
  const Pickle p = read(
      "\x80\x02]q\x07(K\x01h\x07K\x02"
      "e.");
  EXPECT_EQ(p.root().kind, Kind::list);
  ASSERT_EQ(p.root().items.size(), 3U);
  EXPECT_EQ(p.root().items[1], p.root_index());  // it holds itself: going through it is the caller's to bound
  EXPECT_EQ(read("}(K\x01K\x02K\x03K\x04u.").root().items.size(), 4U);
  EXPECT_EQ(read("K\x01K\x02\x86.").root().kind, Kind::tuple);
}

TEST(Pickle, KnownGlobalsStandForDataAndNothingIsCalled) {
  EXPECT_EQ(read("cm\nDict\n)R.").root().kind, Kind::dict);
  EXPECT_EQ(read("cm\nDict\n]K\x01K\x02\x86"
                 "a\x85R.")
                .root()
                .items.size(),
            2U);
  const Pickle call = read("cm\ncall\nK\x01\x85R.");
  EXPECT_EQ(call.root().kind, Kind::call);
  EXPECT_EQ(call.node(call.root().items[0]).text, "m.call");
  EXPECT_EQ(read("cm\nname\n.").root().text, "m.name");
  EXPECT_EQ(read("cm\nDict\n)R}b.").root().kind, Kind::dict);
  EXPECT_EQ(error_of("cm\nname\n)R."),
            "f: byte 9: a call of 'm.name', which is read as a name only" + std::string(kOnlyData));
}

TEST(Pickle, EveryOtherGlobalIsRefusedByName) {
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"builtins", "eval"},
                                                        {"builtins", "getattr"},
                                                        {"m", "Dict2"},
                                                        {"subprocess", "Popen"},
                                                        {"numpy.core.multiarray", "_reconstruct"},
                                                        {"functools", "partial"}}) {
    const std::string message = fmt::format("the pickle imports '{}.{}'", module, name) + std::string(kOnlyData);
    EXPECT_EQ(error_of("\x80\x02" + pickle_global(module, name) + pickle_text("touch /tmp/x") + "\x85R."),
              "f: byte 2: " + message);
    EXPECT_EQ(error_of("\x80\x04" + pickle_text(module) + pickle_text(name) + "\x93."),
              fmt::format("f: byte {}: {}", 12 + module.size() + name.size(), message));
  }
  EXPECT_EQ(error_of("cos\x01\xFF" + std::string(300, 'x') + "\nsystem\n."),
            "f: byte 0: the pickle imports 'os?\xEF\xBF\xBD" + std::string(96, 'x') + "...'" + std::string(kOnlyData));
}

TEST(Pickle, OpcodesOutsideTheSubsetAreRefused) {
  EXPECT_EQ(error_of("(S'rm'\nios\nsystem\n."), "f: byte 1: opcode STRING is not read" + std::string(kOnlyData));
  EXPECT_EQ(error_of("(ios\nsystem\n."), "f: byte 1: opcode INST is not read" + std::string(kOnlyData));
  EXPECT_EQ(error_of("\x80\x02\x82\x01."), "f: byte 2: opcode EXT1 is not read" + std::string(kOnlyData));
  EXPECT_EQ(error_of("\xFF"), "f: byte 0: 0xff is no opcode of a pickle" + std::string(kDamaged));
  EXPECT_EQ(error_of("\x80\x09."), "f: byte 0: pickle protocol 9, wanted 2 to 5" + std::string(kOnlyData));
}

TEST(Pickle, DamageIsNamed) {
  const std::vector<std::pair<std::string, std::string>> faults = {
      {".", "byte 0: an opcode needs 1 values, but the stack holds 0"},
      {"K\x01\x86", "byte 2: an opcode needs 2 values, but the stack holds 1"},
      {"K\x01(.", "byte 3: the pickle ends inside a mark"},
      {"K\x01(\x85.", "byte 3: an opcode needs 1 values, but the stack holds 0"},
      {"t", "byte 0: an opcode needs a mark, but there is none"},
      {"q\x01", "byte 0: an opcode needs a value, but the stack is empty"},
      {std::string("j\xFF\xFF\xFF\xFF.", 6), "byte 0: memo 4294967295 was never written"},
      {"K\x01K\x02"
       "a.",
       "byte 4: an opcode adds to a list, but finds a whole number"},
      {"}K\x01K\x02"
       "a.",
       "byte 5: an opcode adds to a list, but finds a whole number"},
      {"](K\x01K\x02u.", "byte 6: an opcode adds to a dict, but finds a list"},
      {"}(K\x01u.", "byte 4: a dict with a key that has no value"},
      {"K\x01)R.", "byte 3: a call of a whole number, wanted a known function"},
      {"cm\ncall\nK\x01R.", "byte 10: a call with a whole number, wanted a tuple of arguments"},
      {"cm\nDict\nK\x01\x85R.", "byte 11: a list made of 1 arguments, the first a whole number"},
      {"cm\nDict\n]K\x01"
       "a\x85R.",
       "byte 13: a dict made of a whole number, wanted pairs"},
      {"K\x01K\x02\x93.", "byte 4: a global whose name is no string"},
      {"c" + std::string(2000, 'm'), "byte 0: a global whose name does not end within 1000 bytes"},
  };
  for (const auto& [bytes, message] : faults) EXPECT_EQ(error_of(bytes), "f: " + message + std::string(kDamaged));
  const std::string cut = "\nhint: the file is cut off or damaged: download or copy it again";
  EXPECT_EQ(error_of(""), "f: byte 0: an opcode needs 1 bytes, but 0 are left" + cut);
  EXPECT_EQ(error_of(std::string("X\xFF\xFF\xFF\xFF"
                                 "ab",
                                 7)),
            "f: byte 5: a string needs 4294967295 bytes, but 2 are left" + cut);
  EXPECT_EQ(error_of(std::string("\x8d\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                 "ab",
                                 11)),
            "f: byte 9: a string needs 18446744073709551615 bytes, but 2 are left" + cut);
  EXPECT_EQ(error_of(std::string("\x95\xFF\0\0\0\0\0\0\0.", 10)),
            "f: byte 0: a frame of 255 bytes, but 1 are left" + cut);
  EXPECT_EQ(error_of("K\x01K\x02\x62."),
            "f: byte 4: attributes are set on a whole number, wanted a dict" + std::string(kOnlyData));
}

TEST(Pickle, ALargeMemoIndexCostsNothing) {
  const Pickle p = read(std::string_view("K\x05r\xFE\xFF\xFF\xFFj\xFE\xFF\xFF\xFF\x86.", 14));
  EXPECT_EQ(p.root().items.size(), 2U);
}

TEST(Pickle, StackAndValuesAreBounded) {
  const std::string many(Pickle::kMaxNodes + 1, 'N');
  EXPECT_EQ(error_of(many), fmt::format("f: byte {}: more than {} values\nhint: keep long lists of numbers as tensors",
                                        Pickle::kMaxNodes, Pickle::kMaxNodes));
  EXPECT_EQ(error_of(std::string(Pickle::kMaxNodes + 1, '(')),
            fmt::format("f: byte {}: too many marks", Pickle::kMaxNodes) + std::string(kDamaged));
  // Lists that grow by all they hold, again and again.
  std::string doubling =
      "](NNNNNNNNNNNNNNNNtq\x01"
      "a";
  for (int i = 0; i < 40; ++i)
    doubling +=
        "(h\x01h\x01tq\x01"
        "a";
  EXPECT_EQ(read("]K\x01"
                 "a" +
                 std::string("."))
                .root()
                .items.size(),
            1U);
  EXPECT_EQ(error_of(doubling + "."), "(no error)");  // nodes are shared: unfolding is what must be bounded
}

}  // namespace
}  // namespace gloss::formats
