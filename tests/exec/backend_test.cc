// Runs ONNX's own backend node tests, where the folder is given by NARROW_ONNX_TESTS.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

namespace fs = std::filesystem;

std::string file_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Nullopt for sequences, optionals and the like.
std::optional<Tensor> read_tensor(const fs::path& path) {
  onnx::TensorProto proto;
  if (!proto.ParseFromString(file_text(path)) || proto.data_type() == 0) return std::nullopt;
  return graph::embedded_tensor(proto);
}

// The tolerance of ONNX's own runner.
bool close(const Tensor& actual, const Tensor& expected) {
  if (actual.type() != expected.type() || actual.shape() != expected.shape()) return false;
  if (expected.type() == DataType::kString) return actual.strings() == expected.strings();
  if (expected.type() == DataType::kFloat64) {
    for (size_t i = 0; i < expected.data<double>().size(); ++i) {
      const double a = actual.data<double>()[i];
      const double e = expected.data<double>()[i];
      if (!(a == e || std::abs(a - e) <= 1e-7 + 1e-3 * std::abs(e) || (std::isnan(a) && std::isnan(e)))) return false;
    }
    return true;
  }
  if (expected.type() == DataType::kFloat32 || expected.type() == DataType::kFloat16) {
    const Tensor left = to_float32(actual);
    const Tensor right = to_float32(expected);
    for (size_t i = 0; i < right.data<float>().size(); ++i) {
      const float a = left.data<float>()[i];
      const float e = right.data<float>()[i];
      if (!(a == e || std::abs(a - e) <= 1e-7F + 1e-3F * std::abs(e) || (std::isnan(a) && std::isnan(e)))) return false;
    }
    return true;
  }
  return std::equal(actual.bytes(), actual.bytes() + actual.byte_size(), expected.bytes());
}

enum class Outcome { kPass, kRefused, kWrong };

struct Verdict {
  Outcome outcome = Outcome::kPass;
  std::string detail;
};

Verdict run_case(const fs::path& folder) {
  onnx::ModelProto proto;
  if (!proto.ParseFromString(file_text(folder / "model.onnx"))) return {Outcome::kRefused, "not readable"};
  const graph::Model model(std::move(proto));
  const fs::path data = folder / "test_data_set_0";
  try {
    const Program program = compile_float(model);
    Feed feed;
    for (int i = 0; i < model.graph().input_size(); ++i) {
      const auto tensor = read_tensor(data / ("input_" + std::to_string(i) + ".pb"));
      if (!tensor) return {Outcome::kRefused, "an input is no tensor"};
      feed[model.graph().input(i).name()] = *tensor;
    }
    Workspace workspace;
    const std::vector<Tensor> results = program.run(feed, workspace);
    for (size_t i = 0; i < results.size(); ++i) {
      const auto expected = read_tensor(data / ("output_" + std::to_string(i) + ".pb"));
      if (!expected) return {Outcome::kRefused, "an output is no tensor"};
      if (!close(results[i], *expected)) {
        return {Outcome::kWrong, fmt::format("output {}: {} {}, expected {} {}", i, data_type_name(results[i].type()),
                                             shape_text(results[i].shape()), data_type_name(expected->type()),
                                             shape_text(expected->shape()))};
      }
    }
  } catch (const Error& error) {
    return {error.kind() == ErrorKind::kUnsupported ? Outcome::kRefused : Outcome::kWrong, error.what()};
  } catch (const std::exception& error) {
    return {Outcome::kWrong, std::string("exception: ") + error.what()};
  }
  return {};
}

TEST(Backend, NodeTestsPassOrAreRefused) {
  const char* root = std::getenv("NARROW_ONNX_TESTS");
  if (root == nullptr) GTEST_SKIP() << "NARROW_ONNX_TESTS is not set to ONNX's backend/test/data/node";
  // Random by definition.
  const std::set<std::string> skipped{"test_bernoulli", "test_bernoulli_double", "test_bernoulli_seed"};
  int passed = 0;
  int refused = 0;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (fs::exists(entry.path() / "model.onnx") && !skipped.contains(entry.path().filename())) {
      folders.push_back(entry.path());
    }
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) {
    const Verdict verdict = run_case(folder);
    passed += verdict.outcome == Outcome::kPass ? 1 : 0;
    refused += verdict.outcome == Outcome::kRefused ? 1 : 0;
    if (verdict.outcome == Outcome::kRefused && std::getenv("NARROW_SHOW_REFUSED") != nullptr) {
      std::fprintf(stderr, "refused %s: %s\n", folder.filename().c_str(), verdict.detail.c_str());
    }
    EXPECT_NE(verdict.outcome, Outcome::kWrong) << folder.filename() << ": " << verdict.detail;
  }
  RecordProperty("passed", passed);
  RecordProperty("refused", refused);
  std::fprintf(stderr, "%d passed, %d refused of %zu\n", passed, refused, folders.size());
  EXPECT_GT(passed, 700);
}

}  // namespace
}  // namespace narrow::exec
