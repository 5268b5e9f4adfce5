#include "gloss/app/providers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "gloss/app/llm_options.h"
#include "gloss/base/error.h"
#include "gloss/base/testing.h"

namespace gloss::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Providers : public ::testing::Test {
 protected:
  std::vector<Provider> read(const std::string& text) {
    std::ofstream(file_) << text;
    return read_providers(file_);
  }
  std::string fault(const std::string& text) {
    try {
      read(text);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::bad_input);
      return e.what();
    }
    return "no error";
  }
  static const Provider& row(const std::vector<Provider>& rows, const std::string& name) {
    return *std::find_if(rows.begin(), rows.end(), [&](const Provider& p) { return p.name == name; });
  }
  const ::gloss::testing::TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path(), file_ = folder_ / "providers.toml";
};

TEST_F(Providers, AreBuiltInWithoutAFile) {
  std::vector<std::string> names;
  for (const Provider& p : read_providers(folder_ / "none.toml")) names.push_back(p.name);
  EXPECT_THAT(names, ::testing::ElementsAre("anthropic", "llama-server", "openai", "openrouter", "together", "vllm"));
  const auto rows = read_providers("");
  EXPECT_EQ(row(rows, "anthropic").dialect, "anthropic");
  EXPECT_TRUE(row(rows, "openai").prices_of("gpt-4o-mini").known());
  EXPECT_FALSE(row(rows, "openai").prices_of("gpt-9").known());
  EXPECT_FALSE(row(rows, "vllm").prices_of("").known());
}

TEST_F(Providers, AFileAddsRowsAndReplacesValues) {
  const auto rows = read(
      "[mine]\nurl = \"http://10.0.0.1/v1\"\ndialect = \"openai-completions\"\nin_flight = 200\nkey_env = \"MY_KEY\"\n"
      "model = \"m\"\n[mine.prices]\ninput = 1\noutput = 2.5\n[mine.prices.big]\ninput = 3\ncached_input = 0.3\n"
      "output = 15\n[openai]\nmodel = \"gpt-4o\"\nbatch_discount = 0.4\n");
  const Provider& mine = row(rows, "mine");
  EXPECT_EQ(mine.url, "http://10.0.0.1/v1");
  EXPECT_EQ(mine.in_flight, 200U);
  EXPECT_EQ(mine.prices_of("m").output, 2.5);
  EXPECT_EQ(mine.prices_of("m").cached_input, 1.0);
  EXPECT_EQ(mine.prices_of("big").cached_input, 0.3);
  const Provider& openai = row(rows, "openai");
  EXPECT_EQ(openai.url, "https://api.openai.com/v1");
  EXPECT_EQ(openai.model, "gpt-4o");
  EXPECT_EQ(openai.prices_of("gpt-4o").batch_discount, 0.4);
}

TEST_F(Providers, FaultsSayWhereAndWhat) {
  EXPECT_THAT(fault("[x"), HasSubstr(file_.string() + ":1"));
  EXPECT_THAT(fault("[x]\nmodel = \"m\"\n"), HasSubstr(":1:1: provider 'x' has no url"));
  EXPECT_THAT(fault("[x]\nurl = \"u\"\nmodle = \"m\"\n"),
              AllOf(HasSubstr(":3:9: unknown key 'modle'"), HasSubstr("did you mean 'model'?")));
  EXPECT_THAT(fault("x = 1\n"), HasSubstr("'x' is no table"));
  EXPECT_THAT(fault("[x]\nurl = 3\n"), HasSubstr("'url' is no text"));
  EXPECT_THAT(fault("[x]\nurl = \"u\"\nin_flight = 0\n"), HasSubstr("whole number from 1 to 4096"));
  EXPECT_THAT(fault("[x]\nurl = \"u\"\ndialect = \"opnai\"\n"), HasSubstr("did you mean 'openai'?"));
  EXPECT_THAT(fault("[x]\nurl = \"u\"\n[x.prices]\ninput = -1\n"), HasSubstr("'input' is no number from 0"));
  EXPECT_THAT(fault("[x]\nurl = \"u\"\n[x.prices.m]\nprompt = 1\n"), HasSubstr("unknown key 'prompt'"));
}

TEST_F(Providers, AKeyInTheFileIsRefusedAndNotShown) {
  EXPECT_THAT(fault("[x]\nurl = \"u\"\nkey_env = \"sk-secret-0123\"\n"),
              AllOf(HasSubstr("is no name of an environment variable"), Not(HasSubstr("secret"))));
  EXPECT_THAT(fault("[x]\nurl = \"u\"\nkey = \"sk-secret-0123\"\n"),
              AllOf(HasSubstr("unknown key 'key'"), Not(HasSubstr("secret"))));
}

TEST_F(Providers, OptionsOfAClientComeFromTheRowAndTheFlags) {
  read(
      "[mine]\nurl = \"http://10.0.0.1/v1\"\nkey_env = \"GLOSS_TEST_MINE\"\nmodel = \"m\"\n[mine.prices]\ninput = "
      "1\noutput = 2\n");
  LlmOptions o;
  o.url = "mine";
  o.providers = file_.string();
  ::unsetenv("GLOSS_TEST_MINE");
  EXPECT_THROW(client_options(o), Error) << "the key is wanted";
  ::setenv("GLOSS_TEST_MINE", "sk-secret-0123456789", 1);
  llm::ClientOptions c = client_options(o);
  EXPECT_EQ(c.api_key, "sk-secret-0123456789");
  EXPECT_EQ(c.provider, "mine");
  EXPECT_EQ(c.model, "m");
  EXPECT_EQ(c.prices.output, 2.0);
  o.prices = "3,4";
  o.model = "n";
  o.in_flight = 5;
  c = client_options(o);
  EXPECT_EQ(c.prices.output, 4.0);
  EXPECT_EQ(c.model, "n");
  EXPECT_EQ(c.in_flight, 5U);
  o.url = "mien";
  EXPECT_THROW(client_options(o), Error);
  o.url = "http://127.0.0.1:1/v1";
  o.prices = "";
  o.most_dollars = 1.0;
  EXPECT_THROW(client_options(o), Error) << "a budget without prices";
  ::unsetenv("GLOSS_TEST_MINE");
}

}  // namespace
}  // namespace gloss::app
