#include "lib/base/cpu_quota.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_folder.h"

namespace narrow::test {
namespace {

/// A tree of files as Linux shows them.
class CpuQuota : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = folder_.path() / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<double> quota() const { return cpu_quota(folder_.path()); }

  TempFolder folder_;
};

TEST_F(CpuQuota, IsAbsentWithoutGroupsOrLimits) {
  EXPECT_EQ(quota(), std::nullopt);
  write("proc/self/cgroup", "0::/job\n");
  write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, IsTheLeastFromTheGroupUpwards) {
  write("proc/self/cgroup", "0::/slice/job\n");
  write("sys/fs/cgroup/slice/job/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota(), 4.0);
  write("sys/fs/cgroup/slice/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
}

// docker --cpus: the container sees its own group as the root of what is mounted.
TEST_F(CpuQuota, IsThatOfTheMountWhereTheGroupIsNotInSight) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CpuQuota, VersionOneHasTwoFilesAndMinusOneForNoLimit) {
  write("proc/self/cgroup", "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), std::nullopt);
  write("sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 2.5);
}

}  // namespace
}  // namespace narrow::test
