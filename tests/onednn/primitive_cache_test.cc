#include "lib/onednn/primitive_cache.h"

#include <gtest/gtest.h>

namespace narrow::onednn {
namespace {

struct Counting {
  PrimitiveCache<int, int> cache{2};
  int made = 0;
  int get(int key) {
    return *cache.get(key, [&] {
      ++made;
      return std::make_shared<const int>(key * 10);
    });
  }
};

TEST(PrimitiveCache, MakesEachValueOnce) {
  Counting counting;
  EXPECT_EQ(counting.get(1), 10);
  EXPECT_EQ(counting.get(2), 20);
  EXPECT_EQ(counting.get(1), 10);
  EXPECT_EQ(counting.made, 2);
}

TEST(PrimitiveCache, ForgetsTheLeastRecentlyUsed) {
  Counting counting;
  counting.get(1);
  counting.get(2);
  counting.get(1);
  counting.get(3);  // pushes out 2
  EXPECT_EQ(counting.cache.size(), 2U);
  counting.get(1);
  EXPECT_EQ(counting.made, 3);
  counting.get(2);
  EXPECT_EQ(counting.made, 4);
}

TEST(PrimitiveCache, KnowsTheLatest) {
  Counting counting;
  EXPECT_EQ(counting.cache.latest(), nullptr);
  counting.get(1);
  counting.get(2);
  EXPECT_EQ(*counting.cache.latest(), 20);
  counting.get(1);
  EXPECT_EQ(*counting.cache.latest(), 10);
}

TEST(PrimitiveCache, AFailedMakeLeavesNothing) {
  Counting counting;
  EXPECT_THROW(counting.cache.get(1, []() -> std::shared_ptr<const int> { throw 1; }), int);
  EXPECT_EQ(counting.cache.size(), 0U);
  EXPECT_EQ(counting.get(1), 10);
}

}  // namespace
}  // namespace narrow::onednn
