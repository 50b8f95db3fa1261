// Operators on strings, of classical models and of optimizers. Expected values by hand; the rest against onnxruntime
// in tests/peers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::vector<Tensor> run_domain(const std::string& domain, int version, const std::string& graph, const Feed& feed) {
  Workspace workspace;
  const std::string header =
      "<ir_version: 9, opset_import: [\"\": 20, \"" + domain + "\": " + std::to_string(version) + "]> ";
  return compile_float(test::model_from_text(header + graph)).run(feed, workspace);
}

TEST(Strings, SplitConcatAndMatch) {
  const Feed feed{{"x", Tensor::of_strings({2}, {" a b  c ", ""})}};
  const auto y = run_text(R"(g (string[2] x) => (string[2,N] p, int64[2] n)
      { p, n = StringSplit <maxsplit = 1> (x) })",
                          feed, 20);
  EXPECT_THAT(y[0].strings(), ElementsAre("a", "b  c", "", ""));
  EXPECT_THAT(values_of<int64_t>(y[1]), ElementsAre(2, 0));
  const auto joined =
      run_text("g (string[2,1] x, string[2] z) => (string[2,2] y) { y = StringConcat(x, z) }",
               {{"x", Tensor::of_strings({2, 1}, {"a", "b"})}, {"z", Tensor::of_strings({2}, {"1", "2"})}}, 20);
  EXPECT_THAT(joined[0].strings(), ElementsAre("a1", "a2", "b1", "b2"));
  EXPECT_THROW(run_text("g (string[2] x) => (bool[2] y) { y = RegexFullMatch <pattern = \"(\"> (x) }", feed, 20),
               Error);
}

TEST(Strings, CaseBeyondAscii) {
  const auto y =
      run_text("g (string[2] x) => (string[N] y) { y = StringNormalizer <case_change_action = \"UPPER\"> (x) }",
               {{"x", Tensor::of_strings({2}, {"\xC3\xA4z", "\xD1\x8F"})}}, 10);
  EXPECT_THAT(y[0].strings(), ElementsAre("\xC3\x84Z", "\xD0\xAF"));
}

TEST(TreeEnsemble, MissingValuesFollowTheirBranch) {
  // x <= 0.5 gives 1, otherwise 2; NaN goes where the node says.
  const auto run = [](int missing) {
    return values_of<float>(run_domain("ai.onnx.ml", 3,
                                       R"(g (float[3,1] x) => (float[3,1] y) { y = ai.onnx.ml.TreeEnsembleRegressor <
        n_targets = 1, nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [0, 0, 0],
        nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = [0.5, 0.0, 0.0], nodes_truenodeids = [1, 0, 0],
        nodes_falsenodeids = [2, 0, 0], target_treeids = [0, 0], target_nodeids = [1, 2], target_ids = [0, 0],
        target_weights = [1.0, 2.0], nodes_missing_value_tracks_true = [)" +
                                           std::to_string(missing) + ", 0, 0]> (x) }",
                                       {{"x", floats({3, 1}, {0.5F, 0.6F, std::nanf("")})}})[0]);
  };
  EXPECT_THAT(run(0), ElementsAre(1, 2, 2));
  EXPECT_THAT(run(1), ElementsAre(1, 2, 1));
}

// Keys behind a repeated one keep their place.
TEST(LabelEncoder, TheFirstOfEqualKeysCounts) {
  const auto y = run_domain("ai.onnx.ml", 3,
                            R"(g (string[3] x) => (int64[3] y) { y = ai.onnx.ml.LabelEncoder <
      keys_strings = ["a", "a", "b"], values_int64s = [1, 2, 3]> (x) })",
                            {{"x", Tensor::of_strings({3}, {"b", "a", "z"})}});
  EXPECT_THAT(values_of<int64_t>(y[0]), ElementsAre(3, 1, -1));
}

// Expected values: onnxruntime 1.31.1.
TEST(Normalizer, TheLargestMayBeNegative) {
  const auto y = run_domain("ai.onnx.ml", 1,
                            R"(g (float[4,3] x) => (float[4,3] y) { y = ai.onnx.ml.Normalizer <norm = "MAX"> (x) })",
                            {{"x", floats({4, 3}, {1, -3, 2, 0, 0, 0, -1, -2, -4, -0.5F, 0, -1})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(0.5F, -1.5F, 1, 0, 0, 0, 1, 2, 4, -0.5F, 0, -1));
}

TEST(LinearClassifier, ProbitOfOneScoreForTwoClasses) {
  const auto y = run_domain("ai.onnx.ml", 1,
                            R"(g (float[2,1] x) => (int64[2] l, float[2,2] s) { l, s = ai.onnx.ml.LinearClassifier <
      classlabels_ints = [4, 5], coefficients = [1.0], intercepts = [0.0], post_transform = "PROBIT"> (x) })",
                            {{"x", floats({2, 1}, {0.4F, 0.9F})}});
  EXPECT_THAT(values_of<int64_t>(y[0]), ElementsAre(5, 5));
  // Winitzki's formula by hand, in float64.
  EXPECT_THAT(values_of<float>(y[1]),
              Pointwise(FloatNear(1e-5F), {0.25335267F, -0.25335267F, -1.2817122F, 1.2817122F}));
}

TEST(TreeEnsemble, ACircleOfNodesIsRefused) {
  EXPECT_THROW(run_domain("ai.onnx.ml", 3,
                          R"(g (float[1,1] x) => (float[1,1] y) { y = ai.onnx.ml.TreeEnsembleRegressor <
        n_targets = 1, nodes_treeids = [0, 0], nodes_nodeids = [0, 1], nodes_featureids = [0, 0],
        nodes_modes = ["BRANCH_LEQ", "BRANCH_LEQ"], nodes_values = [0.5, 0.5], nodes_truenodeids = [1, 1],
        nodes_falsenodeids = [1, 1], target_treeids = [0], target_nodeids = [1], target_ids = [0],
        target_weights = [1.0]> (x) })",
                          {{"x", floats({1, 1}, {0})}}),
               Error);
}

struct Classified {
  std::vector<int64_t> labels;
  std::vector<float> scores;
};

// Rows -1 and 1 go to the leaves 1 and 2 of a stump; `weights`: the lists class_nodeids, class_ids and class_weights.
Classified classify(const std::string& weights, const std::string& more, size_t count, const std::string& labels) {
  std::string trees = "0";
  for (size_t i = 1; i < count; ++i) trees += ", 0";
  const auto y =
      run_domain("ai.onnx.ml", 3,
                 R"(g (float[2,1] x) => (int64[2] l, float[2,C] s) { l, s = ai.onnx.ml.TreeEnsembleClassifier <
      nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [0, 0, 0],
      nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = [0.0, 0.0, 0.0], nodes_truenodeids = [1, 0, 0],
      nodes_falsenodeids = [2, 0, 0], class_treeids = [)" +
                     trees + "], " + weights + ", classlabels_int64s = " + labels + more + "> (x) }",
                 {{"x", floats({2, 1}, {-1, 1})}});
  return {values_of<int64_t>(y[0]), values_of<float>(y[1])};
}

// Expected values: onnxruntime 1.31.1.
TEST(TreeClassifier, OfTwoClassesTheSecondDecides) {
  const std::string both = "class_nodeids = [1, 1, 2, 2], class_ids = [0, 1, 0, 1], class_weights = ";
  const auto run = [&](const std::string& weights, const std::string& more) {
    return classify(both + weights, more, 4, "[0, 1]");
  };
  const auto plain = run("[0.3, 0.6, 0.7, 0.2]", "");
  EXPECT_THAT(plain.labels, ElementsAre(1, 1));
  EXPECT_THAT(plain.scores, Pointwise(FloatNear(1e-6F), {0.3F, 0.6F, 0.7F, 0.2F}));
  EXPECT_THAT(run("[-0.3, 0.6, 0.7, -0.2]", "").labels, ElementsAre(1, 0));
  EXPECT_THAT(run("[0.3, 0.6, 0.7, 0.2]", ", post_transform = \"SOFTMAX\"").scores,
              Pointwise(FloatNear(1e-6F), {0.42555746F, 0.57444251F, 0.62245935F, 0.37754068F}));
  EXPECT_THAT(run("[0.3, 0.6, 0.7, 0.2]", ", post_transform = \"LOGISTIC\"").scores,
              Pointwise(FloatNear(1e-6F), {0.57444251F, 0.64565629F, 0.66818774F, 0.54983395F}));
  EXPECT_THAT(run("[0.3, 0.6, 0.7, 0.2]", ", post_transform = \"PROBIT\"").scores,
              Pointwise(FloatNear(1e-5F), {-0.52444589F, 0.25335351F, 0.52444589F, -0.84175611F}));
}

TEST(TreeClassifier, BaseValuesOfTwoClasses) {
  const std::string both =
      "class_nodeids = [1, 1, 2, 2], class_ids = [0, 1, 0, 1], class_weights = [-0.3, 0.6, 0.7, -0.2]";
  // Two: the second score is its base value and the first class's score.
  const auto two = classify(both, ", base_values = [0.1, 0.25]", 4, "[0, 1]");
  EXPECT_THAT(two.labels, ElementsAre(0, 1));
  EXPECT_THAT(two.scores, Pointwise(FloatNear(1e-6F), {0.05F, -0.05F, -0.95F, 0.95F}));
  const auto one = classify(both, ", base_values = [0.25]", 4, "[0, 1]");
  EXPECT_THAT(one.labels, ElementsAre(1, 0));
  EXPECT_THAT(one.scores, Pointwise(FloatNear(1e-6F), {-0.05F, 0.6F, 0.95F, -0.2F}));
  const std::string split = "class_nodeids = [1, 2], class_ids = [0, 1], class_weights = [0.4, 0.3]";
  const auto half = classify(split, ", base_values = [0.1, 0.25]", 2, "[0, 1]");
  EXPECT_THAT(half.labels, ElementsAre(1, 1));
  EXPECT_THAT(half.scores, Pointwise(FloatNear(1e-6F), {0.5F, 0.0F, 0.0F, 0.25F}));
}

TEST(TreeClassifier, ARowWithoutASecondScoreSplitsTheFirst) {
  const std::string split = "class_nodeids = [1, 2], class_ids = [0, 1], class_weights = [-0.4, 0.3]";
  const auto plain = classify(split, "", 2, "[0, 1]");
  EXPECT_THAT(plain.labels, ElementsAre(0, 1));
  EXPECT_THAT(plain.scores, Pointwise(FloatNear(1e-6F), {0.4F, -0.4F, 0.0F, 0.3F}));
  // Winitzki's formula by hand for 0.4, whose complement has the opposite sign; -0.4 is no probability, nor is 1.4.
  const std::string odds = "class_nodeids = [1, 2], class_ids = [0, 1], class_weights = [0.4, 0.3]";
  const auto probit = classify(odds, ", post_transform = \"PROBIT\"", 2, "[0, 1]").scores;
  EXPECT_THAT(std::vector<float>(probit.begin(), probit.begin() + 2),
              Pointwise(FloatNear(1e-5F), {0.25335267F, -0.25335267F}));
  EXPECT_THAT(classify(split, ", post_transform = \"LOGISTIC\"", 2, "[0, 1]").scores,
              Pointwise(FloatNear(1e-6F), {0.59868765F, 0.40131235F, 0.5F, 0.57444251F}));
  const std::string column = "class_nodeids = [1, 2], class_ids = [0, 0], class_weights = [0.3, 0.7]";
  const auto positive = classify(column, "", 2, "[10, 20]");
  EXPECT_THAT(positive.labels, ElementsAre(10, 20));
  EXPECT_THAT(positive.scores, Pointwise(FloatNear(1e-6F), {0.7F, 0.3F, 0.3F, 0.7F}));
}

TEST(TreeClassifier, OfManyClassesOneThatALeafScoresWins) {
  const std::string weights = "class_nodeids = [1, 2, 2], class_ids = [2, 1, 0], class_weights = [-0.3, -0.2, -0.5]";
  const auto plain = classify(weights, "", 3, "[10, 20, 30]");
  EXPECT_THAT(plain.labels, ElementsAre(30, 20));
  EXPECT_THAT(plain.scores, Pointwise(FloatNear(1e-6F), {0.0F, 0.0F, -0.3F, -0.5F, -0.2F, 0.0F}));
  const auto based = classify(weights, ", base_values = [0.1, 0.25, -0.1]", 3, "[10, 20, 30]");
  EXPECT_THAT(based.labels, ElementsAre(20, 20));
  EXPECT_THROW(classify(weights, ", base_values = [0.25]", 3, "[10, 20, 30]"), Error);
}

TEST(ZipMap, MakesAMapOfEachRow) {
  const auto run = [](const std::string& labels) {
    return run_domain("ai.onnx.ml", 1,
                      "g (float[2,2] x) => (seq(map(int64, float)) y) { y = ai.onnx.ml.ZipMap <" + labels + "> (x) }",
                      {{"x", floats({2, 2}, {0, 1, 2, 3})}})[0]
        .sequence();
  };
  const std::vector<Tensor> maps = run("classlabels_int64s = [7, 5]");
  ASSERT_EQ(maps.size(), 2);
  EXPECT_THAT(values_of<int64_t>(maps[1].sequence()[0]), ElementsAre(7, 5));
  EXPECT_THAT(values_of<float>(maps[1].sequence()[1]), ElementsAre(2, 3));
  EXPECT_THAT(run("classlabels_strings = [\"a\", \"b\"]")[0].sequence()[0].strings(), ElementsAre("a", "b"));
  EXPECT_THROW(run("classlabels_int64s = [7]"), Error);
}

TEST(MapOperators, AreRefusedForTheirInput) {
  try {
    run_domain("ai.onnx.ml", 1,
               "g (float[2] x) => (float[2] y) { y = ai.onnx.ml.DictVectorizer <int64_vocabulary = [0, 1]> (x) }",
               {{"x", floats({2}, {0, 1})}});
    FAIL() << "it ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("a map"));
  }
}

TEST(Optimizers, MomentumAndAdagrad) {
  const Feed feed{{"r", Tensor::scalar(0.1F)},
                  {"t", Tensor::scalar<int64_t>(0)},
                  {"x", floats({1}, {1})},
                  {"d", floats({1}, {2})},
                  {"s", floats({1}, {4})}};
  const std::string head = "g (float r, int64 t, float[1] x, float[1] d, float[1] s) => (float[1] y, float[1] u) ";
  const std::string domain = "ai.onnx.preview.training";
  // The first step takes the whole gradient: s' = 0.5 * 4 + 2, x' = 1 - 0.1 * s'.
  const auto momentum =
      run_domain(domain, 1, head + "{ y, u = " + domain + R"(.Momentum <alpha = 0.5, beta = 0.9, norm_coefficient = 0.0,
          mode = "standard"> (r, t, x, d, s) })",
                 feed);
  EXPECT_THAT(values_of<float>(momentum[0]), Pointwise(FloatNear(1e-6F), {0.6F}));
  EXPECT_THAT(values_of<float>(momentum[1]), ElementsAre(4));
  // s' = 4 + 2^2, x' = 1 - 0.1 * 2 / sqrt(8).
  const auto adagrad =
      run_domain(domain, 1, head + "{ y, u = " + domain + ".Adagrad <epsilon = 0.0> (r, t, x, d, s) }", feed);
  EXPECT_THAT(values_of<float>(adagrad[0]), Pointwise(FloatNear(1e-6F), {0.92928932F}));
  EXPECT_THAT(values_of<float>(adagrad[1]), ElementsAre(8));
}

}  // namespace
}  // namespace narrow::exec
