// Validation as other CPUs compute, on a layer made to saturate.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/json.h"
#include "lib/io/load.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

// y[m] = 4 * w * x with all w = `weight` / 127 and x up to 1: at 127, pairs of u8 x s8 reach 2 * 255 * 127 = 64770,
// twice what int16 holds; at 63 they reach 32130, which fits.
struct Models {
  std::string real;
  std::string quantized;
  std::string data;
};

Models write_models(const TemporaryFolder& folder, int weight) {
  const auto repeated = [](const std::string& text) {
    std::string all = text;
    for (int i = 1; i < 16; ++i) all += ", " + text;
    return all;
  };
  const std::string real = fmt::format(
      "agraph (float[N,4,1,1] x) => (float[N,4,1,1] y) <float[4,4,1,1] w = {{{}}}> {{ [conv] y = Conv(x, w) }}",
      repeated(fmt::format("{:.9g}", weight / 127.0)));
  const std::string quantized = fmt::format(R"(agraph (float[N,4,1,1] x) => (float[N,4,1,1] y)
<float sx = {{0.00392156886}}, uint8 zx = {{0}}, float sw = {{0.00787401572}}, int8 zw = {{0}}, float sy = {{0.0156862754}},
 uint8 zy = {{0}}, int8[4,4,1,1] w_q = {{{}}}>
{{
  x_q = QuantizeLinear(x, sx, zx)
  x_r = DequantizeLinear(x_q, sx, zx)
  w = DequantizeLinear(w_q, sw, zw)
  [conv] c = Conv(x_r, w)
  y_q = QuantizeLinear(c, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
}})",
                                            repeated(std::to_string(weight)));
  Models models{folder.path("real.onnx"), folder.path("quantized.onnx"), folder.path("x.npy")};
  io::save_model(graph_from_text(real), models.real);
  io::save_model(graph_from_text(quantized), models.quantized);
  const std::string one("\x00\x00\x80\x3f", 4);
  folder.write("x.npy", npy("<f4", "1, 4, 1, 1", one + one + one + one));
  return models;
}

Json validated(const Models& models, const std::string& more) {
  const Outcome outcome = run_narrow("validate " + models.real + " " + models.quantized + " --data " + models.data +
                                     " --no-speed --quiet --format json " + more);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return parse_json(outcome.out, "stdout");
}

bool has_avx2() {
  const TemporaryFolder folder;
  const Models models = write_models(folder, 63);
  const std::string command = "validate " + models.real + " " + models.quantized + " --data " + models.data;
  const int code = run_narrow(command + " --isa avx2 --quiet --no-speed").exit_code;
  EXPECT_THAT(code, testing::AnyOf(0, 4));
  return code == 0;
}

TEST(InstructionSets, SaturationIsFoundAndReducedRangeCuresIt) {
  if (!has_avx2()) GTEST_SKIP() << "this CPU has no AVX2";
  const TemporaryFolder folder;
  const Json wide = validated(write_models(folder, 127), "--isa avx2")["validation"];
  EXPECT_EQ(wide["isa"], "avx2");
  EXPECT_TRUE(wide["saturates_pairs"].get<bool>());
  ASSERT_EQ(wide["checks"].size(), 1U);
  EXPECT_EQ(wide["checks"][0]["node"], "conv");
  EXPECT_EQ(wide["checks"][0]["beyond_one"], 4);
  // Two pairs of 32767 instead of 64770: 65534 of 129540, in steps of 4 / 255.
  EXPECT_EQ(wide["checks"][0]["most_steps"], 255 - 129);
  const Json narrow = validated(write_models(folder, 63), "--isa avx2")["validation"];
  EXPECT_EQ(narrow["checks"][0]["beyond_one"], 0);
  EXPECT_EQ(narrow["outputs"][0]["agreement"], nullptr);
}

TEST(InstructionSets, AllRunsEachBelowThisOne) {
  const TemporaryFolder folder;
  const Json report = validated(write_models(folder, 127), "--isa all");
  for (const Json& run : report["isas"]) {
    const bool saturates = run["saturates_pairs"].get<bool>();
    EXPECT_EQ(run["inexact_nodes"].size(), saturates ? 1U : 0U) << run.dump();
    EXPECT_NE(run["isa"], report["validation"]["isa"]);
  }
  EXPECT_EQ(report["validation"]["checks"].size(), 1U);
}

TEST(InstructionSets, UnknownNamesAreRefused) {
  const TemporaryFolder folder;
  const Models models = write_models(folder, 63);
  expect_error(
      run_narrow("validate " + models.real + " " + models.quantized + " --data " + models.data + " --isa avx3"), 2,
      HasSubstr("unknown instruction set 'avx3'; known are sse41, avx, avx2"));
}

TEST(Validate, ShowsIntegerBesideSimulation) {
  const TemporaryFolder folder;
  const Json validation = validated(write_models(folder, 63), "")["validation"];
  EXPECT_TRUE(validation["checks"].empty());
  ASSERT_EQ(validation["layers"].size(), 2U);
  for (const Json& layer : validation["layers"]) {
    EXPECT_EQ(layer["difference"]["unequal"], 0);
    EXPECT_EQ(layer["simulated"]["sqnr_db"], layer["sqnr_db"]);
  }
}

}  // namespace
}  // namespace narrow::test
