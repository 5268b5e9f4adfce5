#include "gloss/app/given_explanations.h"

#include <gtest/gtest.h>

#include <string>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"

namespace gloss::app {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;

TEST(WrittenExplanations, AreReadByHookpointInTheOrderOfLatents) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "human.csv";
  write_file(file,
             "hookpoint,latent,text\nlayers.1,7,\"commas, and \"\"quotes\"\"\"\nlayers.10,3,other\nlayers.1,2,two\r\n");
  const auto written = WrittenExplanations::read(file);
  const auto found = written.of("layers.1", 8);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].latent, LatentId{2});
  EXPECT_EQ(found[0].text, "two");
  EXPECT_EQ(found[1].text, "commas, and \"quotes\"");
  EXPECT_TRUE(found[1].ok());
  EXPECT_EQ(written.of("layers.10", 8).size(), 1U);
  written.check_hookpoints({"layers.1", "layers.10"});
  EXPECT_EQ(error_of([&] { written.check_hookpoints({"layers.1"}); }),
            file.string() + ": line 3: hookpoint 'layers.10' is not in this run; it has layers.1");
  EXPECT_EQ(error_of([&] { written.of("layers.1", 7); }),
            file.string() + ": line 2: latent 7, but layers.1 has latents 0 to 6");
}

TEST(WrittenExplanations, FaultsNameFileAndLine) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "human.csv";
  const std::pair<const char*, const char*> faults[] = {
      {"layers.1,7,a,b\n",
       ": line 1: has 4 fields, wanted hookpoint,latent,text\nhint: a text with a comma stands in double quotes"},
      {"layers.1,7,a\nlayers.1,x,b\n", ": line 2: 'x' is not a latent's number"},
      {"layers.1,-1,a\n", ": line 1: '-1' is not a latent's number"},
      {"layers.1,7,\" \"\n", ": line 1: the explanation is empty"},
      {"layers.1,7,a\nlayers.1,7,b\n", ": line 2: layers.1 latent 7 has an explanation above"},
      {"hookpoint,latent,text\n", ": holds no explanation\nhint: wanted rows hookpoint,latent,text"},
  };
  for (const auto& [text, message] : faults) {
    write_file(file, text);
    EXPECT_EQ(error_of([&] { WrittenExplanations::read(file); }), file.string() + message) << text;
  }
}

}  // namespace
}  // namespace gloss::app
