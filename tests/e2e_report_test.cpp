// What `gloss report` writes, on the project's own small model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "shared_run.h"

namespace {

namespace fs = std::filesystem;
using gloss::testing::content;
using gloss::testing::copy_of_run;
using gloss::testing::Outcome;
using gloss::testing::run_gloss;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

TEST(Report, OfChosenLatentsIsOneFileThatStandsAlone) {
  const TemporaryFolder folder("chosen");
  const fs::path run = copy_of_run(folder);
  ASSERT_EQ(run_gloss({"explain", run.string(), "--latents", "random:12"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run.string()}).code, 0);
  const std::string settings = content(run / "run.toml");
  const fs::path out = folder.path() / "mail.html";
  const std::vector<std::string> command{"report", run.string(), "--latents", "random:3", "--out", out.string()};
  Outcome outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, out.string() + "\n");
  const std::string page = content(out);
  for (const char* part : {"<h1>3 latents of run</h1>", "default-src 'none'", "data-label=\"Shuffled\"", "decile 10 · ",
                           "Judged: detection of", "How strongly it fires", ">promotes<"})
    EXPECT_THAT(page, HasSubstr(part));
  for (const char* loading : {"<script", "src=", "href=\"http", "url(", "@import"})
    EXPECT_EQ(page.find(loading), std::string::npos) << "the file stands alone, but holds " << loading;
  EXPECT_EQ(content(run / "run.toml"), settings) << "not a setting of the run";
  EXPECT_FALSE(fs::exists(run / "report"));

  outcome = run_gloss(command);
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("mail.html: is there already"));
  ASSERT_EQ(run_gloss({"report", run.string(), "--latents", "random:3"}).code, 0);
  EXPECT_EQ(content(run / "report/latents.html"), page) << "the same latents, and nothing that changes";

  outcome = run_gloss({"report", run.string(), "--latents", "density>0.99"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("'density>0.99' chooses no latent of"));
  outcome = run_gloss({"report", run.string(), "--latents", "dead"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("none of which is explained"));
  EXPECT_EQ(run_gloss({"report", run.string(), "--out", out.string()}).code, 2) << "--out is of --latents";
}

}  // namespace
