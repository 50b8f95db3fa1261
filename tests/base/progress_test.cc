#include "lib/base/progress.h"

#include <gtest/gtest.h>

#include <thread>

#include "lib/base/error.h"

namespace narrow {
namespace {

TEST(Interruption, IsThrownUntilItIsAnswered) {
  EXPECT_NO_THROW(check_interruption());
  request_interruption();
  EXPECT_THROW(check_interruption(), Error);
  EXPECT_THROW(check_interruption(), Error);
  acknowledge_interruption();
  EXPECT_NO_THROW(check_interruption());
}

TEST(Interruption, LeavesAloneWhatIsBeingFinished) {
  {
    const FinishingScope finishing;
    EXPECT_FALSE(finishing.interrupted());
    request_interruption();
    EXPECT_NO_THROW(check_interruption());
    std::thread([] { EXPECT_NO_THROW(check_interruption()); }).join();
    EXPECT_TRUE(finishing.interrupted());
  }
  EXPECT_NO_THROW(check_interruption());
  request_interruption();
  {
    const FinishingScope finishing;
    EXPECT_NO_THROW(check_interruption());
    EXPECT_TRUE(finishing.interrupted());
  }
  EXPECT_NO_THROW(check_interruption());
}

}  // namespace
}  // namespace narrow
