#include <gtest/gtest.h>

#include "gloss/store/store.h"
#include "gloss/store/store_test_util.h"

namespace gloss::store {
namespace {

using Latents = std::vector<std::pair<LatentId, double>>;

TEST(StoreKinds, AreKeptByHookpointAndKindAndReplacedWhole) {
  const TestFolder folder;
  {
    Store store(folder.file());
    EXPECT_FALSE(store.kind("layers.1", "positional"));
    store.put_kind("layers.1", "positional", {"information > 0.05", {{LatentId{3}, 0.5}, {LatentId{70000}, 0.0625}}});
    store.put_kind("layers.2", "positional", {"information > 0.05", {{LatentId{4}, 0.25}}});
    store.put_kind("layers.1", "dead", {"firings <= 0", {}});
  }
  Store store(folder.file());
  EXPECT_EQ(store.kind("layers.1", "positional")->latents, (Latents{{LatentId{3}, 0.5}, {LatentId{70000}, 0.0625}}));
  EXPECT_EQ(store.kind("layers.2", "positional")->latents, (Latents{{LatentId{4}, 0.25}}));
  ASSERT_TRUE(store.kind("layers.1", "dead")) << "looked for and found nowhere";
  EXPECT_TRUE(store.kind("layers.1", "dead")->latents.empty());
  EXPECT_FALSE(store.kind("layers.2", "dead"));
  store.put_kind("layers.1", "positional", {"information > 0.3", {{LatentId{3}, 0.5}}});
  EXPECT_EQ(store.kind("layers.1", "positional")->rule, "information > 0.3");
  EXPECT_EQ(store.kind("layers.1", "positional")->latents, (Latents{{LatentId{3}, 0.5}}));
  EXPECT_EQ(store.kind("layers.2", "positional")->latents.size(), 1U);
  store.put_kind("layers.1", "dense", {"share > 0.1", {{LatentId{3}, 0.125}}});
  EXPECT_EQ(store.kinds_of("layers.1", LatentId{3}),
            (std::vector<std::pair<std::string, double>>{{"dense", 0.125}, {"positional", 0.5}}));
  EXPECT_TRUE(store.kinds_of("layers.1", LatentId{4}).empty());
  EXPECT_NO_THROW(store.verify());
}

}  // namespace
}  // namespace gloss::store
