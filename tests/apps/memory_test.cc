// Peak memory of load and of conversions without data, beside the size of the weights. NARROW_MEMORY_TEST_MB says how
// large the model is; the default is one for every day.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "lib/graph/external_data.h"
#include "lib/graph/model.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

constexpr int64_t kLayers = 9;
constexpr double kMegabyte = 1e6;

int64_t wanted_megabytes() {
  const char* text = std::getenv("NARROW_MEMORY_TEST_MB");
  return text == nullptr ? 300 : std::atoll(text);
}

/// Products of square matrices in one external file, written row by row; returns the bytes of their elements.
int64_t write_model(const TemporaryFolder& folder) {
  const auto elements = static_cast<double>(wanted_megabytes()) * kMegabyte / sizeof(float) / kLayers;
  const int64_t size = static_cast<int64_t>(std::sqrt(elements)) / 64 * 64;
  std::string text = "agraph (float[N," + std::to_string(size) + "] x0) => (float[N," + std::to_string(size) + "] x" +
                     std::to_string(kLayers) + ") {";
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string n = std::to_string(i);
    text += " x" + std::to_string(i + 1) + " = MatMul (x" + n + ", w" + n + ")";
  }
  onnx::ModelProto proto = graph_from_text(text + " }").proto();
  const int64_t bytes = size * size * static_cast<int64_t>(sizeof(float));
  std::ofstream data(folder.path("m.data"), std::ios::binary);
  std::vector<float> row(static_cast<size_t>(size));
  uint32_t state = 1;
  for (int64_t i = 0; i < kLayers; ++i) {
    onnx::TensorProto& weight = *proto.mutable_graph()->add_initializer();
    weight.set_name("w" + std::to_string(i));
    weight.set_data_type(onnx::TensorProto::FLOAT);
    for (int axis = 0; axis < 2; ++axis) weight.add_dims(size);
    graph::set_external(
        weight,
        {.location = "m.data", .offset = static_cast<uint64_t>(i * bytes), .length = static_cast<uint64_t>(bytes)});
    for (int64_t r = 0; r < size; ++r) {
      for (float& value : row) {
        state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
        value = (static_cast<float>(state >> 8) * 0x1p-23F - 1) / std::sqrt(static_cast<float>(size));
      }
      data.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof(float)));
    }
  }
  folder.write("m.onnx", proto.SerializeAsString());
  return kLayers * bytes;
}

/// Bytes that a run of narrow had in memory at most, mapped files included.
int64_t peak_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), narrow_program());
  std::vector<char*> raw;
  for (std::string& argument : arguments) raw.push_back(argument.data());
  raw.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execv(raw[0], raw.data());
    ::_exit(127);
  }
  int status = 0;
  struct rusage usage {};
  EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << arguments[1];
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

TEST(Memory, LoadAndConversionsStayBelowTheWeightsAndAFifth) {
#ifdef NARROW_SANITIZED
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  const TemporaryFolder folder;
  const auto weights = static_cast<double>(write_model(folder));
  const std::string model = folder.path("m.onnx");
  const auto expect_peak = [&](const std::vector<std::string>& arguments, double share, const std::string& what) {
    const double peak = static_cast<double>(peak_of(arguments)) / weights;
    std::printf("%s: %.2f of %.0f MB\n", what.c_str(), peak, weights / kMegabyte);
    EXPECT_LE(peak, share) << what;
  };
  expect_peak({"inspect", model, "--quiet", "--format", "json"}, 0.4, "inspect");
  for (const std::string config :
       {"weight-only-int8", "weight-only-int4", "matmul-nbits-int4", "dynamic-int8", "fp16"}) {
    expect_peak(
        {"quantize", model, "-o", folder.path("out.onnx"), "--config", "configs/" + config + ".json", "--quiet"}, 1.2,
        config);
  }
}

}  // namespace
}  // namespace narrow::test
