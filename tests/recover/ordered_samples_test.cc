#include "lib/recover/ordered_samples.h"

#include <gtest/gtest.h>

#include <numeric>

#include "lib/base/error.h"

namespace narrow::recover {
namespace {

TEST(OrderedSamples, CommitsInOrderAtAnyNumberOfWorkers) {
  for (const int workers : {1, 3, 8}) {
    std::vector<int64_t> order;
    for_each_in_order(
        20, workers, [](int, int64_t) {}, [&](int, int64_t sample) { order.push_back(sample); });
    std::vector<int64_t> wanted(20);
    std::iota(wanted.begin(), wanted.end(), 0);
    EXPECT_EQ(order, wanted);
  }
}

TEST(OrderedSamples, RethrowsTheEarliestFailure) {
  for (const int workers : {1, 4}) {
    try {
      for_each_in_order(
          16, workers,
          [](int, int64_t sample) {
            if (sample == 3 || sample == 9) throw Error(ErrorKind::kData, "sample {}", sample);
          },
          [](int, int64_t) {});
      FAIL() << "no exception";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "sample 3");
    }
  }
}

}  // namespace
}  // namespace narrow::recover
