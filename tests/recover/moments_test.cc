// Sums over rows, against a loop over their elements.
#include "lib/recover/moments.h"

#include <gtest/gtest.h>

#include <random>

#include "lib/base/thread_scope.h"
#include "lib/recover/row_products.h"

namespace narrow::recover {
namespace {

struct Layer {
  size_t groups = 1;
  size_t taps = 1;
  size_t channels = 1;  // of a group
  size_t outputs = 1;   // of a group

  size_t columns() const { return taps * channels; }
};

std::vector<Rows> random_rows(const Layer& layer, const std::vector<size_t>& counts) {
  std::mt19937 random(11);
  std::uniform_int_distribution<int> small(-4, 4);  // sums of their products are exact
  std::vector<Rows> blocks;
  for (const size_t count : counts) {
    Rows& rows = blocks.emplace_back();
    rows.count = count;
    for (size_t i = 0; i < count * layer.groups * layer.columns(); ++i)
      rows.x.push_back(static_cast<float>(small(random)));
    for (size_t i = 0; i < count * layer.groups * layer.outputs; ++i)
      rows.y.push_back(static_cast<float>(small(random)));
    rows.x.resize(rows.x.size() + kRowPadding, 1e30F);
    rows.y.resize(rows.y.size() + kRowPadding, 1e30F);
  }
  return blocks;
}

std::vector<Sums> summed(const Layer& layer, const std::vector<Rows>& blocks, int threads) {
  const ThreadCountScope scope(threads);
  std::vector<Sums> sums(layer.groups,
                         Sums(static_cast<int64_t>(layer.columns()), static_cast<int64_t>(layer.outputs)));
  std::vector<const Rows*> pointers;
  for (const Rows& rows : blocks) pointers.push_back(&rows);
  add_rows(sums, layer.taps, pointers);
  return sums;
}

void expect_sums(const Layer& layer) {
  const std::vector<Rows> blocks = random_rows(layer, {3, 1, 20, 7});
  const std::vector<Sums> sums = summed(layer, blocks, 2);
  for (size_t group = 0; group < layer.groups; ++group) {
    const auto x = [&](const Rows& rows, size_t row, size_t column) {
      const size_t at = (row * layer.taps + column / layer.channels) * layer.groups + group;
      return static_cast<double>(rows.x[at * layer.channels + column % layer.channels]);
    };
    const auto y = [&](const Rows& rows, size_t row, size_t output) {
      return static_cast<double>(rows.y[(row * layer.groups + group) * layer.outputs + output]);
    };
    Sums wanted(static_cast<int64_t>(layer.columns()), static_cast<int64_t>(layer.outputs));
    for (const Rows& rows : blocks) {
      for (size_t row = 0; row < rows.count; ++row, wanted.rows += 1) {
        for (size_t i = 0; i < layer.columns(); ++i) {
          wanted.x[i] += x(rows, row, i);
          for (size_t j = i; j < layer.columns(); ++j) {
            wanted.inner.values[i * layer.columns() + j] += x(rows, row, i) * x(rows, row, j);
          }
        }
        for (size_t o = 0; o < layer.outputs; ++o) {
          wanted.y[o] += y(rows, row, o);
          wanted.yy[o] += y(rows, row, o) * y(rows, row, o);
          for (size_t j = 0; j < layer.columns(); ++j) {
            wanted.cross.values[o * layer.columns() + j] += y(rows, row, o) * x(rows, row, j);
          }
        }
      }
    }
    ASSERT_EQ(sums[group].rows, wanted.rows);
    ASSERT_EQ(sums[group].x, wanted.x);
    ASSERT_EQ(sums[group].y, wanted.y);
    ASSERT_EQ(sums[group].yy, wanted.yy);
    ASSERT_EQ(sums[group].cross.values, wanted.cross.values);
    for (size_t i = 0; i < layer.columns(); ++i) {
      for (size_t j = i; j < layer.columns(); ++j) {
        ASSERT_EQ(sums[group].inner.values[i * layer.columns() + j], wanted.inner.values[i * layer.columns() + j]);
      }
    }
  }
}

TEST(Moments, SumsOfOneGroup) {
  expect_sums({.taps = 1, .channels = 5, .outputs = 3});
  expect_sums({.taps = 9, .channels = 8, .outputs = 40});
  expect_sums({.taps = 2, .channels = 33, .outputs = 1});
}

TEST(Moments, SumsOfGroupsOfOneChannel) {
  expect_sums({.groups = 21, .taps = 9});
  expect_sums({.groups = 3, .taps = 25});
}

TEST(Moments, SumsOfOtherGroups) {
  expect_sums({.groups = 3, .taps = 4, .channels = 6, .outputs = 2});
  expect_sums({.groups = 2, .taps = 3, .channels = 1, .outputs = 2});
}

TEST(Moments, SumsDoNotDependOnTheThreads) {
  const Layer layer{.taps = 9, .channels = 16, .outputs = 50};
  std::vector<Rows> blocks = random_rows(layer, {30, 50});
  for (Rows& rows : blocks) {
    for (float& value : rows.x) value *= 0.1F;
  }
  const Sums one = summed(layer, blocks, 1)[0];
  const Sums three = summed(layer, blocks, 3)[0];
  EXPECT_EQ(one.inner.values, three.inner.values);
  EXPECT_EQ(one.cross.values, three.cross.values);
}

// x = 1, 2, 3 and y = 2, 4, 9 by hand.
TEST(Moments, AFreeBiasLeavesCovariances) {
  Sums sums(1, 1);
  sums.rows = 3;
  sums.inner.values = {14};
  sums.cross.values = {37};
  sums.x = {6};
  sums.y = {15};
  sums.yy = {101};
  const Moments free(sums);
  EXPECT_NEAR(free.inner.at(0, 0), 2.0 / 3, 1e-12);
  EXPECT_NEAR(free.cross.at(0, 0), 37.0 / 3 - 10, 1e-12);
  EXPECT_NEAR(free.variance_y[0], 101.0 / 3 - 25, 1e-12);
  const int64_t output = 0;
  // Weight 3: what is left of y - 3 x is 5 - 3 * 2 = -1, the bias: -1 + 1, -2 + 1, 0 + 1.
  EXPECT_NEAR(output_errors(free, {&output, 1}, {{3}})[0], 2.0 / 3, 1e-12);
  const Moments fixed(sums, Bias::kFixed);
  EXPECT_NEAR(output_errors(fixed, {&output, 1}, {{3}})[0], 5.0 / 3, 1e-12);
}

}  // namespace
}  // namespace narrow::recover
