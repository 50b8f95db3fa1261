#include "lib/tensor/workspace.h"

#include <gtest/gtest.h>

#include <optional>

namespace narrow {
namespace {

TEST(WorkspaceTest, StorageIsUsedAgain) {
  Workspace workspace;
  const std::byte* first = workspace.allocate(DataType::kFloat32, {100}).bytes();
  const size_t reserved = workspace.reserved_bytes();
  EXPECT_EQ(workspace.allocate(DataType::kFloat32, {100}).bytes(), first);
  EXPECT_EQ(workspace.reserved_bytes(), reserved);
}

TEST(WorkspaceTest, LiveTensorsNeverShare) {
  Workspace workspace;
  const Tensor a = workspace.allocate(DataType::kUint8, {10});
  const Tensor b = workspace.allocate(DataType::kUint8, {10});
  EXPECT_NE(a.bytes(), b.bytes());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.bytes()) % 64, 0U);
}

TEST(WorkspaceTest, TensorsOutliveIt) {
  std::optional<Workspace> workspace(std::in_place);
  Tensor tensor = workspace->allocate(DataType::kInt32, {4});
  workspace.reset();
  tensor.mutable_data<int32_t>()[3] = 5;
  EXPECT_EQ(tensor.data<int32_t>()[3], 5);
}

}  // namespace
}  // namespace narrow
