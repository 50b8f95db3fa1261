#include "lib/exec/kernels/curve_loops.h"

#include <gtest/gtest.h>

#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

namespace narrow::exec::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

struct CurveCase {
  const char* name;
  Curve curve;
  double (*exact)(double);
  double steps;     // units in the last place of the result ...
  double absolute;  // ... or this
};

const CurveCase kCurves[] = {
    {"erf", Curve::kErf, [](double x) { return std::erf(x); }, 8, 0},
    {"exp", Curve::kExp, [](double x) { return std::exp(x); }, 3, 0},
    // Where the factor is the difference of nearly equal numbers, its error is that of the larger one, times x.
    {"gelu", Curve::kGelu, [](double x) { return x / 2 * (1 + std::erf(x / std::numbers::sqrt2)); }, 8, 1e-6},
    {"gelu_tanh", Curve::kGeluTanh,
     [](double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))); }, 8,
     1e-6},
    {"log", Curve::kLog, [](double x) { return std::log(x); }, 4, 0},
    // e^x is rounded, to a multiple of 1.4e-45, before x multiplies it.
    {"mish", Curve::kMish, [](double x) { return x * std::tanh(softplus(x)); }, 6, 1.6e-43},
    // Below -88.7 e^-x is infinite.
    {"sigmoid", Curve::kSigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 4, 3e-39},
    {"softplus", Curve::kSoftplus, softplus, 4, 0},
    {"tanh", Curve::kTanh, [](double x) { return std::tanh(x); }, 4, 0},
};

/// Both signs, from the smallest numbers to the largest, dense where the curves bend.
std::vector<float> arguments() {
  std::vector<float> x{0.0F, -0.0F, 1e-45F, 1e-30F, 0.625F, 3.94F, 87.5F, 88.7F, 89.5F, 103.5F, 105.5F, 1e30F};
  for (float value = 1e-6F; value < 120; value *= 1.0007F) x.push_back(value);
  for (size_t i = x.size(); i-- > 0;) x.push_back(-x[i]);
  return x;
}

/// The distance from |value| to the next float32 above it.
double step_at(double value) {
  const auto magnitude = static_cast<float>(std::abs(value));
  return static_cast<double>(std::nextafter(magnitude, kInfinity)) - static_cast<double>(magnitude);
}

std::vector<float> mapped(Curve curve, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  map_curve(curve, x.data(), y.data(), x.size());
  return y;
}

TEST(CurveLoops, AreAsNearAsTheySay) {
  const std::vector<float> x = arguments();
  for (const CurveCase& test : kCurves) {
    SCOPED_TRACE(test.name);
    const std::vector<float> y = mapped(test.curve, x);
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = test.exact(static_cast<double>(x[i]));
      if (std::isnan(exact)) {
        ASSERT_TRUE(std::isnan(y[i])) << x[i];
      } else if (std::abs(exact) > static_cast<double>(std::numeric_limits<float>::max())) {
        ASSERT_EQ(y[i], exact > 0 ? kInfinity : -kInfinity) << x[i];
      } else {
        ASSERT_NEAR(y[i], exact, std::max(test.steps * step_at(exact), test.absolute)) << x[i];
      }
    }
  }
}

TEST(CurveLoops, GiveTheLimitsOfInfinityAndKeepNaN) {
  const std::vector<float> ends{-kInfinity, kInfinity};
  EXPECT_EQ(mapped(Curve::kErf, ends), (std::vector<float>{-1, 1}));
  EXPECT_EQ(mapped(Curve::kExp, ends), (std::vector<float>{0, kInfinity}));
  EXPECT_EQ(mapped(Curve::kSigmoid, ends), (std::vector<float>{0, 1}));
  EXPECT_EQ(mapped(Curve::kSoftplus, ends), (std::vector<float>{0, kInfinity}));
  EXPECT_EQ(mapped(Curve::kTanh, ends), (std::vector<float>{-1, 1}));
  EXPECT_EQ(mapped(Curve::kGelu, ends)[1], kInfinity);
  EXPECT_EQ(mapped(Curve::kMish, ends)[1], kInfinity);
  EXPECT_EQ(mapped(Curve::kLog, ends)[1], kInfinity);
  EXPECT_EQ(mapped(Curve::kLog, {0.0F, -0.0F}), (std::vector<float>{-kInfinity, -kInfinity}));
  EXPECT_TRUE(std::isnan(mapped(Curve::kLog, ends)[0]));
  for (const CurveCase& test : kCurves) EXPECT_TRUE(std::isnan(mapped(test.curve, {kNaN})[0])) << test.name;
}

TEST(CurveLoops, KeepTheSignOfZero) {
  for (const Curve curve : {Curve::kErf, Curve::kTanh, Curve::kGelu, Curve::kMish}) {
    EXPECT_TRUE(std::signbit(mapped(curve, {-0.0F})[0]));
    EXPECT_FALSE(std::signbit(mapped(curve, {0.0F})[0]));
  }
}

TEST(CurveLoops, GiveTheSameBitsOnEveryInstructionSetAndAtEveryPlace) {
  const std::vector<float> x = arguments();
  const int64_t all = hwy::SupportedTargets();
  for (const CurveCase& test : kCurves) {
    SCOPED_TRACE(test.name);
    const std::vector<float> expected = mapped(test.curve, x);
    for (int64_t rest = all; rest != 0; rest &= rest - 1) {
      hwy::SetSupportedTargetsForTest(rest & -rest);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      const std::vector<float> y = mapped(test.curve, x);
      for (size_t i = 0; i < x.size(); ++i) {
        if (std::isnan(expected[i])) continue;
        ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(expected[i])) << x[i];
      }
      // One at a time: the end of a row is computed as its middle is.
      for (size_t i = 0; i < x.size(); i += 97) {
        if (std::isnan(expected[i])) continue;
        ASSERT_EQ(mapped(test.curve, {x[i]})[0], expected[i]) << x[i];
      }
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

}  // namespace
}  // namespace narrow::exec::test
