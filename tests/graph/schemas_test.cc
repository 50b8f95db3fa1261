#include "lib/graph/schemas.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace narrow::graph {
namespace {

TEST(SchemasTest, HasEverySchemaOfOnnxAndIsAsFinished) {
  // ONNX's own registry is the independent list; GetSchema asks for each by name, domain and version.
  size_t functions = 0;
  const auto all = onnx::OpSchemaRegistry::get_all_schemas_with_history();
  ASSERT_GT(all.size(), 600U);
  for (const onnx::OpSchema& expected : all) {
    SCOPED_TRACE(expected.domain() + ":" + expected.Name() + " " + std::to_string(expected.SinceVersion()));
    const onnx::OpSchema* found = schemas().GetSchema(expected.Name(), expected.SinceVersion(), expected.domain());
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->Name(), expected.Name());
    EXPECT_EQ(found->domain(), expected.domain());
    EXPECT_EQ(found->SinceVersion(), expected.SinceVersion());
    EXPECT_EQ(found->deprecated(), expected.deprecated());
    ASSERT_EQ(found->inputs().size(), expected.inputs().size());
    for (size_t i = 0; i < expected.inputs().size(); ++i) {
      EXPECT_EQ(found->inputs()[i].GetTypes().size(), expected.inputs()[i].GetTypes().size());
    }
    EXPECT_EQ(found->attributes().size(), expected.attributes().size());
    ASSERT_EQ(found->HasFunction(), expected.HasFunction());
    if (!expected.HasFunction()) continue;
    ++functions;
    ASSERT_NE(found->GetFunction(), nullptr);
    EXPECT_EQ(found->GetFunction()->SerializeAsString(), expected.GetFunction()->SerializeAsString());
  }
  EXPECT_GT(functions, 10U);
}

TEST(SchemasTest, TheCheckersAskTheSameAndAreNotDeprecated) {
  size_t deprecated = 0;
  for (const onnx::OpSchema& expected : onnx::OpSchemaRegistry::get_all_schemas_with_history()) {
    SCOPED_TRACE(expected.domain() + ":" + expected.Name() + " " + std::to_string(expected.SinceVersion()));
    const onnx::OpSchema* found =
        checker_schemas().GetSchema(expected.Name(), expected.SinceVersion(), expected.domain());
    ASSERT_NE(found, nullptr);
    EXPECT_FALSE(found->deprecated());
    if (!expected.deprecated()) continue;
    ++deprecated;
    EXPECT_EQ(found->SinceVersion(), expected.SinceVersion());
    EXPECT_EQ(found->min_input(), expected.min_input());
    EXPECT_EQ(found->max_input(), expected.max_input());
    EXPECT_EQ(found->min_output(), expected.min_output());
    EXPECT_EQ(found->max_output(), expected.max_output());
    ASSERT_EQ(found->attributes().size(), expected.attributes().size());
    for (const auto& [name, attribute] : expected.attributes()) {
      EXPECT_EQ(found->attributes().at(name).type, attribute.type);
      EXPECT_EQ(found->attributes().at(name).required, attribute.required);
    }
  }
  EXPECT_GE(deprecated, 3U);
}

TEST(SchemasTest, GivesTheNewestVersionThatIsNotNewer) {
  const auto version = [](const char* name, int opset, const char* domain = "") {
    const onnx::OpSchema* schema = schemas().GetSchema(name, opset, domain);
    return schema == nullptr ? 0 : schema->SinceVersion();
  };
  EXPECT_EQ(version("Relu", 5), 1);
  EXPECT_EQ(version("Relu", 6), 6);
  EXPECT_EQ(version("Relu", 12), 6);
  EXPECT_EQ(version("Relu", 13), 13);
  EXPECT_EQ(version("Relu", 1000), 14);
  EXPECT_EQ(version("Einsum", 11), 0) << "Einsum is there since 12";
  EXPECT_EQ(version("Scaler", 3, "ai.onnx.ml"), 1);
  EXPECT_EQ(version("Adam", 1, "ai.onnx.preview.training"), 1);
  EXPECT_EQ(version("Adam", 1, "ai.onnx.preview"), 0);
  EXPECT_EQ(version("Relu", 13, "ai.onnx.ml"), 0);
  EXPECT_EQ(version("Relu", 13, "com.example"), 0);
  EXPECT_EQ(version("Rel", 13), 0);
  EXPECT_EQ(version("", 13), 0);
}

TEST(SchemasTest, FindsTheOperatorOfANodeUnderBothNamesOfTheDomain) {
  onnx::NodeProto node;
  node.set_op_type("Softmax");
  EXPECT_EQ(find_schema(node, 12)->SinceVersion(), 11);
  node.set_domain("ai.onnx");
  EXPECT_EQ(find_schema(node, 13)->SinceVersion(), 13);
}

TEST(SchemasTest, ThreadsGetTheSameSchema) {
  std::vector<std::thread> threads;
  std::array<const onnx::OpSchema*, 4> found{};
  for (const onnx::OpSchema*& schema : found) {
    threads.emplace_back([&schema] { schema = schemas().GetSchema("Conv", 11, ""); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<const onnx::OpSchema*>(found.begin(), found.end()).size(), 1U);
}

}  // namespace
}  // namespace narrow::graph
