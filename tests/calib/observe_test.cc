#include "calib/observe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "lib/base/error.h"

namespace narrow::calib {
namespace {

/// y = 2 x, refusing to compute for a first element of -1000.
class Double : public exec::Kernel {
 public:
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const auto from = inputs[0].data<float>();
    if (from[0] == -1000.0F) throw Error(ErrorKind::kModel, "can not double this");
    outputs[0] = workspace.allocate(DataType::kFloat32, inputs[0].shape());
    const auto to = outputs[0].mutable_data<float>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = 2 * from[i];
  }
};

exec::Program doubling() {
  exec::ProgramBuilder builder;
  const Shape shape{-1, 64};
  builder.add_input("x", DataType::kFloat32, &shape);
  builder.add_step({.node = "twice", .fused = {"twice"}, .op_type = "Double"}, std::make_unique<Double>(), {"x"},
                   {"y"});
  builder.add_output("y");
  return builder.finish();
}

/// Sample i is i, i + 1, ... i + 63, divided by 8; samples in `bad` begin with -1000, those in `missing` fail to read.
class Ramps : public DataReader {
 public:
  std::vector<int64_t> bad;
  std::vector<int64_t> missing;

  int64_t size() const override { return 40; }
  int64_t samples() const override { return 40; }
  std::string source(int64_t index) const override { return fmt::format("'ramp{}'", index); }
  std::vector<std::filesystem::path> files() const override { return {}; }
  exec::Feed read(int64_t index) const override {
    if (std::count(missing.begin(), missing.end(), index) > 0)
      throw Error(ErrorKind::kData, "'ramp{}': is gone", index);
    Tensor x(DataType::kFloat32, {1, 64});
    const auto values = x.mutable_data<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(index + static_cast<int64_t>(i)) / 8;
    if (std::count(bad.begin(), bad.end(), index) > 0) values[0] = -1000;
    return {{"x", x}};
  }
};

ObserveOptions options_for(int workers) {
  ObserveOptions options;
  options.values = {"x", "y"};
  options.with_histogram = {"y"};
  for (int64_t i = 0; i < 40; ++i) options.samples.push_back(i);
  options.workers = workers;
  return options;
}

TEST(ObserveTest, SeesInputsAndValuesOnceASample) {
  const Observations seen = observe(doubling(), Ramps(), options_for(1));
  EXPECT_EQ(seen.samples, 40);
  EXPECT_EQ(seen.values.at("x").count, 40 * 64);
  EXPECT_EQ(seen.values.at("x").max, (39 + 63) / 8.0F);
  EXPECT_EQ(seen.values.at("y").count, 40 * 64);
  EXPECT_EQ(seen.values.at("y").max, (39 + 63) / 4.0F);
  EXPECT_EQ(seen.values.at("y").min, 0.0F);
  EXPECT_EQ(seen.values.at("y").histogram->zeros(), 1);
  EXPECT_FALSE(seen.values.at("x").histogram.has_value());
}

TEST(ObserveTest, AnyNumberOfWorkersSeesTheSame) {
  const Observations one = observe(doubling(), Ramps(), options_for(1));
  for (const int workers : {2, 3, 100}) {
    const Observations many = observe(doubling(), Ramps(), options_for(workers));
    for (const auto& [name, seen] : one.values) {
      const ValueStatistics& other = many.values.at(name);
      EXPECT_EQ(other.count, seen.count);
      EXPECT_EQ(other.min, seen.min);
      EXPECT_EQ(other.max, seen.max);
      EXPECT_EQ(other.histogram, seen.histogram);
    }
  }
}

TEST(ObserveTest, OnlyTheGivenSamplesAreRun) {
  ObserveOptions options = options_for(2);
  options.samples = {3, 3, 5};
  const Observations seen = observe(doubling(), Ramps(), options);
  EXPECT_EQ(seen.values.at("x").count, 3 * 64);
  EXPECT_EQ(seen.values.at("x").min, 3 / 8.0F);
  options.samples = {};
  EXPECT_EQ(observe(doubling(), Ramps(), options).values.at("x").count, 0);
}

TEST(ObserveTest, ProgressIsCountedOneCallAtATime) {
  ObserveOptions options = options_for(3);
  std::atomic<int> inside{0};
  int64_t last = 0;
  options.progress = [&](std::string_view stage, int64_t done, int64_t total) {
    EXPECT_EQ(inside.fetch_add(1), 0);
    EXPECT_EQ(stage, "observe");
    EXPECT_EQ(done, last + 1);
    EXPECT_EQ(total, 40);
    last = done;
    inside.fetch_sub(1);
  };
  observe(doubling(), Ramps(), options);
  EXPECT_EQ(last, 40);
}

std::string failure_of(const Ramps& data, int workers) {
  try {
    observe(doubling(), data, options_for(workers));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ObserveTest, TheEarliestFailureIsNamedForAnyNumberOfWorkers) {
  Ramps data;
  data.bad = {7, 8, 9, 30};
  for (const int workers : {1, 3}) {
    EXPECT_EQ(failure_of(data, workers), "sample 7: 'ramp7': node 'twice' (Double): can not double this");
  }
  data.missing = {5, 8};
  for (const int workers : {1, 3}) EXPECT_EQ(failure_of(data, workers), "sample 5: 'ramp5': is gone");
}

/// Sums of what it is told, by sample.
class Sums : public RunWatch {
 public:
  void on_value(int64_t sample, const std::string& value, const Tensor& tensor) override {
    if (value == "y") values[static_cast<size_t>(sample)] += tensor.data<float>()[0];
  }
  void on_outputs(int64_t sample, const std::vector<Tensor>& made) override {
    outputs[static_cast<size_t>(sample)] += made.at(0).data<float>()[1];
  }

  std::vector<float> values = std::vector<float>(40);
  std::vector<float> outputs = std::vector<float>(40);
};

TEST(Observe, AWatchSeesEachSampleOnce) {
  Sums watch;
  ObserveOptions options = options_for(3);
  options.watch = &watch;
  observe(doubling(), Ramps(), options);
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(watch.values[i], static_cast<float>(i) / 4);
    EXPECT_EQ(watch.outputs[i], static_cast<float>(i + 1) / 4);
  }
}

}  // namespace
}  // namespace narrow::calib
