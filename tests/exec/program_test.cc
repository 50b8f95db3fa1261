#include "lib/exec/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <mutex>

#include "lib/base/error.h"
#include "lib/base/thread_scope.h"
#include "lib/exec/batch_parts.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Adds 1 to its input, in place where it may; tells what it saw.
class AddOne final : public Kernel {
 public:
  explicit AddOne(LayoutUse use) : use_(use) {}
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    exclusive = inputs[0].exclusive();
    layout = inputs[0].layout();
    outputs[0] = workspace.allocate(DataType::kFloat32, inputs[0].shape(), inputs[0].layout());
    const auto from = inputs[0].data<float>();
    const auto to = outputs[0].mutable_data<float>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = from[i] + 1;
  }
  LayoutUse layout_use() const override { return use_; }

  mutable bool exclusive = false;
  mutable Layout layout = Layout::kPlain;

 private:
  LayoutUse use_;
};

StepInfo info(const std::string& name) {
  return {.node = name, .fused = {name}, .op_type = "AddOne"};
}

TEST(Program, MovesValuesInAtTheirLastUse) {
  ProgramBuilder builder;
  builder.add_input("x", DataType::kFloat32, nullptr);
  auto first = std::make_unique<AddOne>(LayoutUse::kAny);
  auto second = std::make_unique<AddOne>(LayoutUse::kAny);
  const AddOne& reads_feed = *first;
  const AddOne& reads_value = *second;
  builder.add_step(info("a"), std::move(first), {"x"}, {"y"});
  builder.add_step(info("b"), std::move(second), {"y"}, {"z"});
  builder.add_output("z");
  const Program program = builder.finish();
  Workspace workspace;
  const Feed feed{{"x", floats({2}, {1, 2})}};
  EXPECT_THAT(values_of<float>(program.run(feed, workspace)[0]), ElementsAre(3, 4));
  EXPECT_FALSE(reads_feed.exclusive) << "the caller still holds its input";
  EXPECT_TRUE(reads_value.exclusive);
  EXPECT_THAT(values_of<float>(feed.at("x")), ElementsAre(1, 2));
}

TEST(Program, ValueThatIsAlsoAnOutputIsNotHandedOver) {
  ProgramBuilder builder;
  builder.add_input("x", DataType::kFloat32, nullptr);
  auto second = std::make_unique<AddOne>(LayoutUse::kAny);
  const AddOne& reads_output = *second;
  builder.add_step(info("a"), std::make_unique<AddOne>(LayoutUse::kAny), {"x"}, {"y"});
  builder.add_step(info("b"), std::move(second), {"y"}, {"z"});
  builder.add_output("y");
  builder.add_output("z");
  const Program program = builder.finish();
  Workspace workspace;
  const auto results = program.run({{"x", floats({1}, {1})}}, workspace);
  EXPECT_FALSE(reads_output.exclusive);
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(2));
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(3));
}

TEST(Program, ConvertsLayoutsAndReturnsPlain) {
  ProgramBuilder builder;
  builder.add_input("x", DataType::kFloat32, nullptr);
  auto kernel = std::make_unique<AddOne>(LayoutUse::kChannelsLast);
  const AddOne& seen = *kernel;
  builder.add_step(info("a"), std::move(kernel), {"x"}, {"y"});
  builder.add_output("y");
  const Program program = builder.finish();
  Workspace workspace;
  const auto results = program.run({{"x", floats({1, 2, 3}, {1, 2, 3, 4, 5, 6})}}, workspace);
  EXPECT_EQ(seen.layout, Layout::kChannelsLast);
  EXPECT_EQ(results[0].layout(), Layout::kPlain);
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(2, 3, 4, 5, 6, 7));
}

std::string failure(const Feed& feed) {
  const Program program = compile_float(test::graph_from_text("g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }"));
  Workspace workspace;
  try {
    program.run(feed, workspace);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
  return "no error";
}

TEST(Program, ChecksTheFeed) {
  EXPECT_EQ(failure({{"x", floats({2, 3}, {1, 2, 3, 4, 5, 6})}}), "no error");
  EXPECT_EQ(failure({}), "input 'x' is missing");
  EXPECT_EQ(failure({{"x", floats({1, 2}, {1, 2})}}), "input 'x' is float32 [1,2], expected float32 [?,3]");
  EXPECT_EQ(failure({{"x", Tensor::of<int64_t>({1, 3}, {1, 2, 3})}}),
            "input 'x' is int64 [1,3], expected float32 [?,3]");
  EXPECT_THAT(failure({{"x", floats({1, 3}, {1, 2, 3})}, {"z", floats({1}, {1})}}), HasSubstr("no input 'z'"));
}

TEST(Program, NamesTheNodeThatCanNotCompute) {
  const Program program =
      compile_float(test::graph_from_text("g (float[A] x, float[B] y) => (float[C] z) { z = Add(x, y) }"));
  Workspace workspace;
  try {
    program.run({{"x", floats({2}, {1, 2})}, {"y", floats({3}, {1, 2, 3})}}, workspace);
    FAIL() << "shapes do not broadcast";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel);
    EXPECT_STREQ(error.what(), "node 'z' (Add): shapes [2] and [3] do not broadcast");
  }
}

class Recorder final : public TensorListener {
 public:
  void on_value(const std::string& value, const Tensor& tensor) override {
    seen.push_back(value + shape_text(tensor.shape()));
  }
  std::vector<std::string> seen;
};

TEST(Program, TellsListenersOfInputsAndValues) {
  const Program program =
      compile_float(test::graph_from_text("g (float[2] x) => (float[2] z) { y = Relu(x) \n z = Neg(y) }"));
  Recorder recorder;
  Workspace workspace;
  program.run({{"x", floats({2}, {1, 2})}}, workspace, {.listener = &recorder});
  EXPECT_THAT(recorder.seen, ElementsAre("x[2]", "y[2]", "z[2]"));
}

TEST(ProgramBuilder, RefusesAValueThatNothingMakes) {
  ProgramBuilder builder;
  builder.add_step(info("a"), std::make_unique<AddOne>(LayoutUse::kAny), {"missing"}, {"y"});
  builder.add_output("y");
  EXPECT_THROW(builder.finish(), Error);
}

// Adds 1, and keeps how many samples it was given.
class CountsSamples final : public Kernel {
 public:
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    {
      const std::lock_guard lock(mutex_);
      seen.push_back(inputs[0].shape()[0]);
      threads.push_back(thread_count());
    }
    AddOne(LayoutUse::kPlain).run(inputs, outputs, workspace);
  }
  mutable std::vector<int64_t> seen;
  mutable std::vector<int> threads;

 private:
  mutable std::mutex mutex_;
};

TEST(Program, RunsSamplesOneByOneAtAnyThreadCount) {
  ProgramBuilder builder;
  builder.add_input("x", DataType::kFloat32, nullptr);
  auto kernel = std::make_unique<CountsSamples>();
  const CountsSamples& counts = *kernel;
  builder.add_step(info("a"), std::move(kernel), {"x"}, {"y"});
  builder.add_output("y");
  builder.treat_samples_apart(ProgramBuilder::Apart::kSamples);
  const Program program = builder.finish();
  Workspace workspace;
  const Feed feed{{"x", floats({3, 2}, {1, 2, 3, 4, 5, 6})}};
  for (const int threads : {1, 2, 8}) {
    const ThreadCountScope some(threads);
    EXPECT_THAT(values_of<float>(program.run(feed, workspace)[0]), ElementsAre(2, 3, 4, 5, 6, 7));
  }
  EXPECT_THAT(counts.seen, testing::Each(1));
  EXPECT_EQ(counts.seen.size(), 9U);
}

// Large images: a batch is its samples, bit for bit.
TEST(Program, FloatConvolutionsOfABatchAreThoseOfItsSamples) {
  const std::string graph = R"(g (float[N,3,96,96] x, float[40,3,3,3] w, float[40,1,3,3] d, float[10,40] m)
=> (float[N,10] y) {
  c = Conv <pads = [1,1,1,1]> (x, w)
  r = Relu(c)
  e = Conv <group = 40, pads = [1,1,1,1]> (r, d)
  p = GlobalAveragePool(e)
  f = Flatten(p)
  y = Gemm <transB = 1> (f, m)
})";
  graph::Model model = test::graph_from_text(graph, 17);
  uint32_t seed = 1;
  const std::vector<std::pair<std::string, Shape>> weights{{"w", {40, 3, 3, 3}}, {"d", {40, 1, 3, 3}}, {"m", {10, 40}}};
  for (const auto& [name, shape] : weights) {
    *model.mutable_graph().add_initializer() = graph::tensor_proto(name, pseudo_random(shape, ++seed));
  }
  const Program program = compile_float(model);
  const Tensor x = pseudo_random({5, 3, 96, 96}, 9);
  Workspace workspace;
  std::vector<float> singles;
  for (int64_t n = 0; n < 5; ++n) {
    Tensor sample(DataType::kFloat32, {1, 3, 96, 96});
    std::memcpy(sample.mutable_bytes(), x.bytes() + n * 3 * 96 * 96 * 4, sample.byte_size());
    const std::vector<float> one = values_of<float>(program.run({{"x", sample}}, workspace)[0]);
    singles.insert(singles.end(), one.begin(), one.end());
  }
  for (const int threads : {1, 2, 4}) {
    const ThreadCountScope some(threads);
    EXPECT_EQ(values_of<float>(program.run({{"x", x}}, workspace)[0]), singles) << threads;
  }
}

TEST(Program, CutsABatchWhereSamplesAreApart) {
  ProgramBuilder builder;
  builder.add_input("x", DataType::kFloat32, nullptr);
  auto kernel = std::make_unique<CountsSamples>();
  const CountsSamples& counts = *kernel;
  builder.add_step(info("a"), std::move(kernel), {"x"}, {"y"});
  builder.add_output("y");
  builder.treat_samples_apart(ProgramBuilder::Apart::kParts);
  const Program program = builder.finish();
  const ThreadCountScope two(2);
  Workspace workspace;
  const Feed feed{{"x", floats({3, 2}, {1, 2, 3, 4, 5, 6})}};
  const Tensor y = program.run(feed, workspace)[0];
  EXPECT_EQ(y.shape(), (Shape{3, 2}));
  EXPECT_THAT(values_of<float>(y), ElementsAre(2, 3, 4, 5, 6, 7));
  EXPECT_THAT(counts.seen, testing::UnorderedElementsAre(1, 2));
  EXPECT_THAT(counts.threads, ElementsAre(1, 1));
  EXPECT_EQ(thread_count(), 2);
  program.run({{"x", floats({1, 2}, {1, 2})}}, workspace);
  EXPECT_EQ(counts.seen.size(), 3U) << "one sample is no batch";
  EXPECT_EQ(counts.threads.back(), 2);
}

TEST(BatchParts, KeepsEveryThreadBusy) {
  const auto parts = [](int64_t samples, size_t threads) {
    return batch_parts({Tensor(DataType::kFloat32, {samples, 2})}, threads);
  };
  EXPECT_EQ(parts(1, 2), 1U);
  EXPECT_EQ(parts(2, 2), 2U);
  EXPECT_EQ(parts(3, 2), 2U);
  EXPECT_EQ(parts(5, 4), 1U);  // one thread would have two samples, the others one
  EXPECT_EQ(parts(8, 1), 1U);
  EXPECT_EQ(parts(0, 2), 1U);
  EXPECT_EQ(batch_parts({Tensor(DataType::kFloat32, {4, 2}), Tensor(DataType::kInt64, {2, 4})}, 2), 1U);
  EXPECT_EQ(batch_parts({Tensor(DataType::kFloat32, {4, 2}), Tensor(DataType::kInt64, {})}, 2), 1U);
}

}  // namespace
}  // namespace narrow::exec
