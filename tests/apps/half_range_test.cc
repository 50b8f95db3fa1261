// Values beyond the largest float16: what is said of results that they spoil.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/io/load.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

/// Four times the sum of the input, then something of ordinary size.
class HalfRange : public testing::Test {
 protected:
  HalfRange() {
    io::save_model(graph_from_text(R"(g (float[N,2] x) => (float[N,2] y)
      <float[2,2] w = {4, 4, 4, 4}, float[2,2] v = {0.001, 0.002, -0.001, 0.001}>
      { a = MatMul (x, w)  b = Relu (a)  y = MatMul (b, v) })"),
                   folder_.path("m.onnx"));
    folder_.write("small.npy", samples(1));
    folder_.write("large.npy", samples(30000));
  }

  static std::string samples(float value) {
    std::string elements;
    for (int i = 0; i < 4; ++i) {
      for (const float each : {value + static_cast<float>(i), 1.0F}) {
        elements.append(reinterpret_cast<const char*>(&each), sizeof(each));
      }
    }
    return npy("<f4", "4, 2", elements);
  }

  Outcome quantize(const std::string& more) const {
    return run_narrow("quantize " + folder_.path("m.onnx") + " --no-speed -o " + folder_.path("q.onnx") + " " + more);
  }

  std::string file(const std::string& name) const { return folder_.path(name); }

  TemporaryFolder folder_;
};

TEST_F(HalfRange, ResultsThatOverflowAreSaidAloudWithWhatToDo) {
  const Outcome outcome = quantize("--set mode=float16 --data " + file("small.npy") + " --eval " + file("large.npy") +
                                   " --min-sqnr 10 --format json");
  EXPECT_EQ(outcome.exit_code, 1);
  // Infinity less infinity, and infinity.
  const std::string warning = "output 'y': 8 of 8 elements are NaN or infinite where the float model's are finite";
  EXPECT_THAT(outcome.err, HasSubstr("narrow: warning: " + warning + ": float16 ends at 65504; keep the nodes"));
  EXPECT_THAT(outcome.err, HasSubstr("gate failed: min_sqnr_db is not a number, wanted at least 10"));
  const Json report = parse_json(outcome.out, "stdout");
  EXPECT_THAT(report["warnings"].dump(), HasSubstr(warning));
  EXPECT_EQ(report["validation"]["outputs"][0]["not_finite"], 8);

  const Outcome wide = quantize("--set mode=bfloat16 --data " + file("small.npy") + " --eval " + file("large.npy"));
  EXPECT_EQ(wide.err, "") << "bfloat16 has the range";
  EXPECT_EQ(
      run_narrow("validate " + file("m.onnx") + " " + file("m.onnx") + " --no-speed --data " + file("large.npy")).err,
      "");
}

}  // namespace
}  // namespace narrow::test
