// Nodes that read nothing stand in any place of a graph: every command and every step of recovery must take them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/io/load.h"
#include "lib/plan/recovery.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

/// Between the products that recovery changes stand a random vector, an empty sequence and what fills it.
void write_model(const TemporaryFolder& folder) {
  graph::Model model = graph_from_text(R"(g (float[N,4] x) => (float[N,4] y)
    <float[4,4] v = {1, 2, 3, 4, -1, 2, -3, 4, 1, -2, 3, -4, 2, 1, 4, 3}, float[4] b = {1, 2, 3, 4},
     float[4,4] w = {0.1, 2, 3, 4, -1, 2, -3, 4, 1, -2, 3, -0.4, 2, 1, 4, 3}> {
      r = RandomUniform <shape: ints = [1, 4], seed: float = 1.0> ()
      s = SequenceEmpty ()
      a = Gemm (x, v, b)
      t = SequenceInsert (s, a)
      c = ConcatFromSequence <axis: int = 0> (t)
      d = Relu (c)
      e = Add (d, r)
      f = Gemm (e, w, b)
      h = Relu (f)
      y = MatMul (h, w) })");
  io::save_model(model, folder.path("m.onnx"));
}

std::string samples() {
  std::string elements;
  for (int i = 0; i < 40 * 4; ++i) {
    const float value = static_cast<float>((i * 37 + 11) % 101) / 50.0F - 1.0F;
    elements.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return npy("<f4", "40, 4", elements);
}

class NoInput : public testing::Test {
 protected:
  NoInput() {
    write_model(folder_);
    folder_.write("x.npy", samples());
  }

  void expect_success(const std::string& arguments) const {
    const Outcome outcome = run_narrow(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << arguments << '\n' << outcome.err;
  }

  std::string model() const { return folder_.path("m.onnx"); }
  std::string data() const { return " --data " + folder_.path("x.npy"); }
  std::string quantize() const {
    return "quantize " + model() + data() + " --no-speed --quiet -o " + folder_.path("q.onnx") + " ";
  }

  TemporaryFolder folder_;
};

TEST_F(NoInput, EveryModeAndStepOfRecovery) {
  for (const std::string steps : {"auto", "none"}) expect_success(quantize() + "--recovery " + steps);
  for (const plan::RecoveryMethod method : plan::all_recovery_methods()) {
    folder_.write("c.json", R"({"recovery": [")" + std::string(plan::recovery_method_name(method)) + R"("]})");
    expect_success(quantize() + "--config " + folder_.path("c.json"));
  }
  for (const std::string mode : {"dynamic", "weight_only", "float16", "bfloat16"}) {
    expect_success("quantize " + model() + " --quiet -o " + folder_.path(mode + ".onnx") + " --set mode=" + mode);
  }
}

TEST_F(NoInput, EveryCommand) {
  const std::string out = folder_.path("q.onnx");
  expect_success(quantize() + "--plan-out " + folder_.path("p.json") + " --calibration-out " + folder_.path("r.json"));
  expect_success(quantize() + "--plan " + folder_.path("p.json"));
  expect_success("tune " + model() + data() + " --quiet --no-speed --max-size 9 --trials 3 -o " +
                 folder_.path("t.onnx"));
  expect_success("calibrate " + model() + data() + " --quiet -o " + folder_.path("c.json"));
  expect_success("plan " + model() + " --calibration " + folder_.path("c.json") + " --quiet -o " +
                 folder_.path("p.json"));
  for (const std::string& file : {model(), out}) {
    expect_success("run " + file + data() + " --quiet -o " + folder_.path("y.npz"));
    expect_success("inspect " + file);
  }
  expect_success("validate " + model() + " " + out + data() + " --quiet --no-speed");
  expect_success("diff " + model() + " " + out);
  expect_success("bench " + model() + " " + out + " --quiet --seconds 0.05");
}

}  // namespace
}  // namespace narrow::test
