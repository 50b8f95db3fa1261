#include "apps/range_room.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace narrow::apps {
namespace {

/// One row of two channels.
Tensor row(float first, float second) {
  return Tensor::of<float>({1, 2}, {first, second});
}

TEST(RangeRoom, IsAsWideAsSamplesDiffer) {
  RangeRoom room({"x"});
  room.on_value(0, "x", row(-2, 1));
  room.on_value(1, "x", row(3, -2));
  // Above: 1 and 3, which deviate by 1 from 2; four times as many samples reach 1.08 deviations further than 3. Below:
  // 2 and 2, which do not differ. The range may be another than what was seen, as percentiles are.
  const quant::Range wider = room.widened("x", {-1.5F, 2.0F});
  EXPECT_FLOAT_EQ(wider.rmin, -1.5F);
  EXPECT_NEAR(wider.rmax, 2 * (1 + 1.08 / 3), 1e-5);
}

TEST(RangeRoom, IsThatOfWholeSamples) {
  // In parts, as a body that runs several times makes them; what is not finite is no range.
  RangeRoom room({"x"});
  room.on_value(0, "x", row(1, 0));
  room.on_value(0, "x", row(3, std::numeric_limits<float>::infinity()));
  room.on_value(1, "x", row(3, 2));
  EXPECT_FLOAT_EQ(room.widened("x", {0, 3}).rmax, 3);
}

TEST(RangeRoom, OtherValuesKeepTheirRange) {
  RangeRoom room({"x"});
  room.on_value(0, "y", row(1, 0));
  room.on_value(1, "y", row(3, 0));
  EXPECT_EQ(room.widened("y", {-1, 3}), (quant::Range{-1, 3}));
  EXPECT_EQ(room.widened("x", {-1, 3}), (quant::Range{-1, 3}));
}

}  // namespace
}  // namespace narrow::apps
