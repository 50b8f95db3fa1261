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
// A run packs the weights, and the program takes some megabytes whatever the model.
constexpr double kRunShare = 1.45;
constexpr double kTiedRunShare = 1.65;  // 2 and more where the transposed table is in memory too

int64_t wanted_megabytes() {
  const char* text = std::getenv("NARROW_MEMORY_TEST_MB");
  return text == nullptr ? 300 : std::atoll(text);
}

/// What is read of the weights otherwise than as it lies in the file.
enum class Form {
  kPlain,
  kTransposed,  // every other matrix
  kTied         // those, and rows of the first matrix, which is 4 times as high, are the input of the products
};

constexpr int64_t kTiedHeight = 4;

std::string graph_text(Form form, int64_t size) {
  const std::string n = std::to_string(size);
  const int64_t first = form == Form::kTied ? 1 : 0;
  const int64_t last = form == Form::kTied ? kLayers - kTiedHeight : kLayers - 1;
  std::string nodes;
  if (form == Form::kTied) nodes = " x1 = Gather (w0, ids)";
  for (int64_t i = first; i <= last; ++i) {
    const std::string k = std::to_string(i);
    const bool turned = form != Form::kPlain && i % 2 == 1;
    if (turned) nodes += " t" + k + " = Transpose <perm = [1, 0]> (w" + k + ")";
    nodes += " x" + std::to_string(i + 1) + " = MatMul (x" + k + (turned ? ", t" : ", w") + k + ")";
  }
  if (form == Form::kTied) nodes += " t0 = Transpose (w0) y = MatMul (x" + std::to_string(last + 1) + ", t0)";
  const std::string input = form == Form::kTied ? "int64[N,S] ids" : "float[N," + n + "] x0";
  const std::string output = form == Form::kTied ? "float[N,S," + std::to_string(kTiedHeight * size) + "] y"
                                                 : "float[N," + n + "] x" + std::to_string(last + 1);
  return "agraph (" + input + ") => (" + output + ") {" + nodes + " }";
}

/// Products of matrices in one external file, written row by row, and an input; returns the bytes of the elements.
int64_t write_model(const TemporaryFolder& folder, Form form) {
  const auto elements = static_cast<double>(wanted_megabytes()) * kMegabyte / sizeof(float) / kLayers;
  const int64_t size = static_cast<int64_t>(std::sqrt(elements)) / 64 * 64;
  onnx::ModelProto proto = graph_from_text(graph_text(form, size)).proto();
  const int64_t matrix = size * size * static_cast<int64_t>(sizeof(float));
  std::ofstream data(folder.path("m.data"), std::ios::binary);
  std::vector<float> row(static_cast<size_t>(size));
  uint32_t state = 1;
  for (int64_t i = 0, matrices = 0; matrices < kLayers; ++i) {
    const int64_t height = form == Form::kTied && i == 0 ? kTiedHeight : 1;
    onnx::TensorProto& weight = *proto.mutable_graph()->add_initializer();
    weight.set_name("w" + std::to_string(i));
    weight.set_data_type(onnx::TensorProto::FLOAT);
    weight.add_dims(height * size);
    weight.add_dims(size);
    graph::set_external(weight, {.location = "m.data",
                                 .offset = static_cast<uint64_t>(matrices * matrix),
                                 .length = static_cast<uint64_t>(height * matrix)});
    for (int64_t r = 0; r < height * size; ++r) {
      for (float& value : row) {
        state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
        value = (static_cast<float>(state >> 8) * 0x1p-23F - 1) / std::sqrt(static_cast<float>(size));
      }
      data.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof(float)));
    }
    matrices += height;
  }
  folder.write("m.onnx", proto.SerializeAsString());
  const std::string ids(2 * sizeof(int64_t), '\0');
  const std::string x(static_cast<size_t>(size) * sizeof(float), '\0');
  folder.write("x.npy", form == Form::kTied ? npy("<i8", "1, 2", ids) : npy("<f4", "1, " + std::to_string(size), x));
  return kLayers * matrix;
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

void expect_bounds(Form form) {
#ifdef NARROW_SANITIZED
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  const TemporaryFolder folder;
  const auto weights = static_cast<double>(write_model(folder, form));
  const std::string model = folder.path("m.onnx");
  const auto expect_peak = [&](const std::vector<std::string>& arguments, double share, const std::string& what) {
    const double peak = static_cast<double>(peak_of(arguments)) / weights;
    std::printf("%s: %.2f of %.0f MB\n", what.c_str(), peak, weights / kMegabyte);
    EXPECT_LE(peak, share) << what;
  };
  expect_peak({"inspect", model, "--quiet", "--format", "json"}, 0.4, "inspect");
  expect_peak({"run", model, "--data", folder.path("x.npy"), "-o", folder.path("y.npz"), "--quiet"},
              form == Form::kTied ? kTiedRunShare : kRunShare, "run");
  for (const std::string config :
       {"weight-only-int8", "weight-only-int4", "matmul-nbits-int4", "dynamic-int8", "fp16"}) {
    // A table of nearly half of the weights is rounded by columns, which are on all its pages.
    const double share = form == Form::kTied && config == "fp16" ? 1.35 : 1.2;
    expect_peak(
        {"quantize", model, "-o", folder.path("out.onnx"), "--config", "configs/" + config + ".json", "--quiet"}, share,
        config);
  }
}

TEST(Memory, LoadAndConversionsStayBelowTheWeightsAndAFifth) {
  expect_bounds(Form::kPlain);
}

TEST(Memory, TransposedWeightsTakeNoMore) {
  expect_bounds(Form::kTransposed);
}

TEST(Memory, TiedWeightsTakeNoMore) {
  expect_bounds(Form::kTied);
}

}  // namespace
}  // namespace narrow::test
