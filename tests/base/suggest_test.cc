#include "lib/base/suggest.h"

#include <gtest/gtest.h>

namespace narrow {
namespace {

const std::vector<std::string> kWords{"percentile", "minmax", "entropy"};

TEST(SuggestTest, FindsTheNearestWord) {
  EXPECT_EQ(nearest("percentlie", kWords), "percentile");
  EXPECT_EQ(did_you_mean("mimax", kWords), "; did you mean 'minmax'?");
}

TEST(SuggestTest, SaysNothingWhenNoWordIsNear) {
  EXPECT_EQ(nearest("xyzzy-and-more", kWords), "");
  EXPECT_EQ(did_you_mean("xyzzy-and-more", kWords), "");
}

}  // namespace
}  // namespace narrow
