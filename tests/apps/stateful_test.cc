// Models whose output feeds an input of the next sample, through every command that reads samples.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/io/load.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

constexpr int64_t kSamples = 40;  // enough for recovery, and for some samples held apart

/// The same numbers on every platform.
class Numbers {
 public:
  float next() { return static_cast<float>(static_cast<double>(random_()) / 2147483648.0 - 1); }

  std::string weight(const std::string& name, int rows, int columns, float size) {
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (float& value : values) value = size * next();
    return fmt::format("float[{},{}] {} = {{{:.9g}}}", rows, columns, name, fmt::join(values, ", "));
  }

 private:
  std::mt19937 random_{1};
};

class Stateful : public testing::Test {
 protected:
  Stateful() {
    Numbers numbers;
    const std::string weights =
        fmt::format("{}, {}, {}, {}", numbers.weight("wx", 8, 16, 0.6F), numbers.weight("ws", 16, 16, 0.4F),
                    numbers.weight("w1", 16, 16, 0.5F), numbers.weight("w2", 16, 4, 0.5F));
    io::save_model(graph_from_text("g (float[1,8] x, float[1,16] s) => (float[1,4] y, float[1,16] next) <" + weights +
                                   R"(> {
  a = MatMul(x, wx)
  b = MatMul(s, ws)
  c = Add(a, b)
  d = Relu(c)
  next = Tanh(d)
  e = MatMul(d, w1)
  f = Relu(e)
  y = MatMul(f, w2)
})"),
                   model_);
    std::string elements;
    for (int64_t i = 0; i < kSamples * 8; ++i) {
      std::array<char, 4> bytes{};
      const float value = 2 * numbers.next();
      std::memcpy(bytes.data(), &value, bytes.size());
      elements.append(bytes.data(), bytes.size());
    }
    folder_.write("x.npy", npy("<f4", fmt::format("{}, 8", kSamples), elements));
    folder_.write("c.json", R"({"inputs": {"s": {"from_output": "next"}}})");
  }

  Outcome run(const std::string& command) const {
    Outcome outcome = run_narrow(command + " --quiet" + data_);
    EXPECT_EQ(outcome.exit_code, 0) << command << ": " << outcome.err;
    return outcome;
  }

  /// The file that the command writes behind -o.
  std::string made(const std::string& command) const {
    run(command + " -o " + folder_.path("made.onnx"));
    return read_text(folder_.path("made.onnx"));
  }

  TemporaryFolder folder_;
  std::string model_ = folder_.path("m.onnx");
  std::string data_ = " --data " + folder_.path("x.npy") + " --config " + folder_.path("c.json");
};

TEST_F(Stateful, QuantizesInEveryWayTheSameAtAnyThreadCount) {
  for (const char* how : {"", "--samples 24", "--set mode=dynamic", "--set weights=int4", "--set mode=weight_only",
                          "--set activations=int8", "--recovery none", "--set format=qoperator"}) {
    const std::string command = "quantize " + model_ + " --no-speed " + how;
    EXPECT_EQ(made(command + " --threads 1"), made(command + " --threads 2")) << how;
  }
}

TEST_F(Stateful, RecoversAndIsRepeatedByItsPlanAndItsRanges) {
  const std::string plan = folder_.path("p.json");
  const std::string ranges = folder_.path("r.json");
  const std::string quantize = "quantize " + model_ + " --no-speed --samples 32";
  const std::string first = made(quantize + " --format json --plan-out " + plan + " --calibration-out " + ranges);
  EXPECT_THAT(read_text(plan), HasSubstr("\"recovery\""));
  EXPECT_EQ(made(quantize + " --plan " + plan), first);
  run("calibrate " + model_ + " --samples 32 -o " + folder_.path("again.json"));
  EXPECT_EQ(read_text(folder_.path("again.json")), read_text(ranges));
}

TEST_F(Stateful, TheRangesAreThoseOfTheRunWithItsState) {
  run("run " + model_ + " -o " + folder_.path("outputs/"));
  run("calibrate " + model_ + " --method minmax --threads 2 -o " + folder_.path("r.json"));
  const Json table = read_json(folder_.path("r.json"));
  // The last sample's `next` is handed to nobody; the first begins with zeros.
  float most = 0;
  for (int64_t i = 0; i + 1 < kSamples; ++i) {
    const std::string npz = read_text(fmt::format("{}outputs/feed_{:06}.npz", folder_.path(""), i));
    const size_t array = npz.find("NUMPY", npz.find("next.npy"));
    const size_t at = npz.find('\n', array) + 1;
    for (size_t k = 0; k < 16; ++k) {
      float value = 0;
      std::memcpy(&value, npz.data() + at + 4 * k, sizeof value);
      most = std::max(most, value);
    }
  }
  EXPECT_GT(most, 0.5F);
  EXPECT_FLOAT_EQ(table["values"]["s"]["max"].get<float>(), most);
  EXPECT_EQ(table["values"]["s"]["min"], 0);
}

TEST_F(Stateful, Tunes) {
  const std::string tune = "tune " + model_ + " --no-speed --trials 4 --samples 26 --min-sqnr 30";
  EXPECT_EQ(made(tune + " --threads 1"), made(tune + " --threads 2"));
  made("tune " + model_ + " --trials 3 --max-latency 60000");
}

TEST_F(Stateful, IsMeasuredOnItsOwnSamples) {
  const std::string quantized = folder_.path("q.onnx");
  run("quantize " + model_ + " -o " + quantized);
  run("bench " + model_ + " " + quantized + " --seconds 0.01");
  const Json dry = parse_json(run("plan " + model_ + " --dry-run --measure --format json").out, "stdout");
  EXPECT_FALSE(dry["speed"]["random_inputs"].get<bool>());
}

TEST_F(Stateful, IsCheckedKernelByKernel) {
  const std::string quantized = folder_.path("q.onnx");
  run("quantize " + model_ + " --no-speed -o " + quantized);
  for (const char* how : {"--check-kernels 40", "--isa sse41", "--isa all"}) {
    const Json report =
        parse_json(run("validate " + model_ + " " + quantized + " --no-speed --format json " + how).out, "stdout");
    EXPECT_FALSE(report["validation"]["checks"].empty()) << how;
    const bool saturates = report["validation"]["saturates_pairs"].get<bool>();
    for (const Json& check : report["validation"]["checks"]) {
      EXPECT_GT(check["elements"], 0) << how;
      if (!saturates) {
        EXPECT_EQ(check["beyond_one"], 0) << how;
      }
    }
  }
}

}  // namespace
}  // namespace narrow::test
