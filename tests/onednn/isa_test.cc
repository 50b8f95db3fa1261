#include "lib/onednn/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "lib/base/error.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

TEST(Isa, KnowsItsVersion) {
  EXPECT_THAT(version(), ::testing::StartsWith("3."));
}

TEST(Isa, LateOrUnknownCapsAreUsageErrors) {
  effective_isa();  // the first use fixes the instruction set
  for (const char* name : {"avx2", "avx9000"}) {
    try {
      set_max_isa(name);
      ADD_FAILURE() << "no error for " << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(name));
    }
  }
}

// 64 products of 255 * 127; in pairs they exceed int16.
int32_t widest_sum() {
  ConvolutionSpec spec;
  spec.source = DataType::kUint8;
  spec.destination = DataType::kInt32;
  spec.strides = spec.dilations = {1, 1};
  spec.pads_begin = spec.pads_end = {0, 0};
  spec.requantize = Requantize{.weight_scales = {1.0F}};
  Tensor source(DataType::kUint8, {1, 64, 1, 1}, Layout::kChannelsLast);
  for (auto& value : source.mutable_data<uint8_t>()) value = 255;
  Tensor weights(DataType::kInt8, {16, 64, 1, 1});
  for (auto& value : weights.mutable_data<int8_t>()) value = 127;
  Workspace workspace;
  return Convolution(spec, weights, Tensor()).run(source, Tensor(), workspace).data<int32_t>()[0];
}

// Runs in a process of its own, where oneDNN is not in use yet; exit code 0 if all is as expected.
[[noreturn]] void check_capped(const char* name, bool saturates) {
  set_max_isa(name);
  const bool exact = widest_sum() == 64 * 255 * 127;
  const bool as_told = effective_isa() == name && saturates_pairs() == saturates && exact == !saturates;
  std::fprintf(stderr, "%s: %s, sum %d\n", name, effective_isa().c_str(), widest_sum());
  std::_Exit(as_told ? 0 : 1);
}

TEST(IsaDeathTest, CapsTakeEffectAndSaturationIsForetold) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "needs AVX2";
  EXPECT_EXIT(check_capped("avx2", true), ::testing::ExitedWithCode(0), "");
  if (!__builtin_cpu_supports("avx512vnni")) GTEST_SKIP() << "needs AVX512 VNNI";
  EXPECT_EXIT(check_capped("avx512_core", true), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(check_capped("avx512_core_vnni", false), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace narrow::onednn::test
