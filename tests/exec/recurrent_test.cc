// RNN, GRU and LSTM against numbers of onnxruntime 1.31 (inputs: pseudo_random of seeds 1 to 7; 3 steps, batch 2, input
// and hidden size 2). ONNX's node tests cover the plain cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

struct Case {
  std::string op_type;
  std::string attributes;
  int64_t directions = 1;
  std::vector<int32_t> lengths;
  std::vector<std::vector<float>> results;
};

int64_t gates_of(const Case& test) {
  return test.op_type == "RNN" ? 1 : test.op_type == "GRU" ? 3 : 4;
}

Feed feed_of(const Case& test) {
  const int64_t gates = gates_of(test);
  const int64_t d = test.directions;
  Feed feed{{"x", pseudo_random({3, 2, 2}, 1)},
            {"w", pseudo_random({d, gates * 2, 2}, 2)},
            {"r", pseudo_random({d, gates * 2, 2}, 3)},
            {"b", pseudo_random({d, gates * 4}, 4)},
            {"n", Tensor::of<int32_t>({2}, std::span<const int32_t>(test.lengths))},
            {"h", pseudo_random({d, 2, 2}, 5)}};
  if (test.op_type == "LSTM") {
    feed["c"] = pseudo_random({d, 2, 2}, 6);
    feed["p"] = pseudo_random({d, 6}, 7);
  }
  return feed;
}

std::string text_of(const Case& test, std::string_view type = "float") {
  const bool lstm = test.op_type == "LSTM";
  std::string inputs;
  for (const std::string_view name : {"x", "w", "r", "b", "n", "h", "c", "p"}) {
    if (!lstm && (name == "c" || name == "p")) continue;
    inputs += fmt::format("{}{} {}", inputs.empty() ? "" : ", ", name == "n" ? "int32" : type, name);
  }
  return fmt::format("g ({}) => ({} y, {} yh{}) {{ y, yh{} = {} <hidden_size = 2{}> (x, w, r, b, n, h{}) }}", inputs,
                     type, type, lstm ? fmt::format(", {} yc", type) : "", lstm ? ", yc" : "", test.op_type,
                     test.attributes.empty() ? "" : ", " + test.attributes, lstm ? ", c, p" : "");
}

// The text format takes a type without brackets for a scalar: ranks are taken away again.
graph::Model model_of(const Case& test, std::string_view type = "float") {
  graph::Model model = test::graph_from_text(text_of(test, type), 14);
  for (onnx::ValueInfoProto& input : *model.mutable_graph().mutable_input()) {
    input.mutable_type()->mutable_tensor_type()->clear_shape();
  }
  return model;
}

std::vector<Tensor> run_case(const Case& test, const Feed& feed, std::string_view type = "float") {
  Workspace workspace;
  return compile_float(model_of(test, type)).run(feed, workspace);
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"RNN",
       R"(direction = "bidirectional", activations = ["Relu", "LeakyRelu"], activation_alpha = [0.1], clip = 0.9)",
       2,
       {3, 2},
       {{0.2127374F,  0.9F, 0, 0.9F, -0.09F, 0.08406807F, -0.09F, -0.02094186F,
         0.06538965F, 0.9F, 0, 0.9F, -0.09F, 0.2264479F,  -0.09F, -0.03710276F,
         0.135485F,   0.9F, 0, 0,    -0.09F, 0.5689149F,  0,      0},
        {0.135485F, 0.9F, 0, 0.9F, -0.09F, 0.08406807F, -0.09F, -0.02094186F}}},
      {"GRU",
       R"(direction = "reverse")",
       1,
       {2, 3},
       {{-0.3768556F, 0.4746881F, -0.1728841F, 0.4450139F, -0.392215F, 0.4492724F, -0.216069F, 0.621927F, 0, 0,
         -0.2705096F, 0.645298F},
        {-0.3768556F, 0.4746881F, -0.1728841F, 0.4450139F}}},
      {"GRU",
       "linear_before_reset = 1, clip = 0.5",
       1,
       {3, 1},
       {{-0.4551418F, 0.4631242F, -0.2424746F, 0.5313332F, -0.4594837F, 0.4252791F, 0, 0, -0.4144132F, 0.2394798F, 0,
         0},
        {-0.4144132F, 0.2394798F, -0.2424746F, 0.5313332F}}},
      {"LSTM",
       R"(direction = "bidirectional", input_forget = 1)",
       2,
       {3, 2},
       {{-0.1618075F,  -0.1127317F,  0.4276593F,  -0.06730423F,
         0.03820518F,  -0.08750974F, 0.06948336F, -0.03863492F,
         -0.1502775F,  -0.3019741F,  0.3284172F,  -0.1934542F,
         0.05855178F,  -0.1094902F,  0.2238786F,  -0.06761366F,
         -0.07969986F, -0.3712533F,  0,           0,
         0.03528035F,  -0.1077405F,  0,           0},
        {-0.07969986F, -0.3712533F, 0.3284172F, -0.1934542F, 0.03820518F, -0.08750974F, 0.06948336F, -0.03863492F},
        {-0.2181449F, -0.6525205F, 0.5932339F, -0.397408F, 0.1098288F, -0.2737655F, 0.1382105F, -0.1010037F}}},
      {"LSTM",
       R"(clip = 0.4, activations = ["HardSigmoid", "Softsign", "ScaledTanh"], activation_alpha = [0.3, 1.5],
          activation_beta = [0.4, 0.7])",
       1,
       {1, 3},
       {{-0.1487967F, 0.1039538F, 0.1716259F, 0.1554242F, 0, 0, 0.07463644F, 0.0007365229F, 0, 0, -0.004272317F,
         -0.08041907F},
        {-0.1487967F, 0.1039538F, -0.004272317F, -0.08041907F},
        {-0.2759013F, 0.1915309F, -0.008712564F, -0.1478129F}}}};
  return kCases;
}

void expect_near(const Tensor& actual, const std::vector<float>& expected) {
  const Tensor values = to_float32(actual);
  ASSERT_EQ(values.size(), static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(values.data<float>()[i], expected[i], 2e-6F) << i;
}

class Recurrent : public ::testing::TestWithParam<size_t> {};

TEST_P(Recurrent, GivesTheNumbersOfOnnxruntime) {
  const Case& test = cases()[GetParam()];
  const auto results = run_case(test, feed_of(test));
  ASSERT_EQ(results.size(), test.results.size());
  EXPECT_EQ(results[0].shape(), (Shape{3, test.directions, 2, 2}));
  for (size_t i = 0; i < results.size(); ++i) expect_near(results[i], test.results[i]);
}

TEST_P(Recurrent, PackedConstantWeightsGiveTheSame) {
  const Case& test = cases()[GetParam()];
  const Feed feed = feed_of(test);
  graph::Model model = model_of(test);
  for (const char* name : {"w", "r", "b"}) {
    *model.mutable_graph().add_initializer() = graph::tensor_proto(name, feed.at(name));
  }
  Feed rest = feed;
  for (const char* name : {"w", "r", "b"}) rest.erase(name);
  Workspace workspace;
  const auto results = compile_float(model).run(rest, workspace);
  for (size_t i = 0; i < results.size(); ++i) expect_near(results[i], test.results[i]);
}

TEST_P(Recurrent, TakesFloat64) {
  const Case& test = cases()[GetParam()];
  Feed feed;
  for (const auto& [name, tensor] : feed_of(test)) {
    if (name == "n") {
      feed[name] = tensor;
      continue;
    }
    feed[name] = Tensor(DataType::kFloat64, tensor.shape());
    std::copy(tensor.data<float>().begin(), tensor.data<float>().end(), feed[name].mutable_data<double>().begin());
  }
  const auto results = run_case(test, feed, "double");
  EXPECT_EQ(results[0].type(), DataType::kFloat64);
  for (size_t i = 0; i < results.size(); ++i) expect_near(results[i], test.results[i]);
}

TEST_P(Recurrent, WhatHasNoStepsEndsInZeros) {
  Case test = cases()[GetParam()];
  const auto whole = run_case(test, feed_of(test));
  test.lengths[0] = 0;
  const auto results = run_case(test, feed_of(test));
  for (size_t i = 0; i < results.size(); ++i) {
    // Each result is rows of 2, samples alternating; the second sample's are as they were.
    for (int64_t at = 0; at < results[i].size(); ++at) {
      const bool first = at / 2 % 2 == 0;
      EXPECT_EQ(results[i].data<float>()[static_cast<size_t>(at)],
                first ? 0 : whole[i].data<float>()[static_cast<size_t>(at)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Recurrent, ::testing::Range<size_t>(0, 5));

TEST(RecurrentErrors, NamesWhatDoesNotFit) {
  const Case& test = cases()[1];
  Feed feed = feed_of(test);
  feed["h"] = pseudo_random({1, 3, 2}, 5);
  try {
    run_case(test, feed);
    FAIL() << "the state is of another batch";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "node 'y' (GRU): initial_h is [1,3,2], expected [1,2,2]");
  }
}

}  // namespace
}  // namespace narrow::exec
