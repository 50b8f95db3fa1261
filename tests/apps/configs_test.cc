// Every file of configs/ is what it says.
#include <gtest/gtest.h>

#include <filesystem>

#include "apps/config.h"
#include "lib/base/json.h"

namespace narrow::apps {
namespace {

namespace fs = std::filesystem;

bool is_schema(const fs::path& path) {
  return path.string().ends_with(".schema.json");
}

TEST(Configs, EachConfigIsRead) {
  int configs = 0;
  for (const auto& entry : fs::directory_iterator("configs")) {
    if (is_schema(entry.path())) continue;
    ++configs;
    ConfigFlags flags;
    flags.config_path = entry.path().string();
    EXPECT_NO_THROW(read_config(flags)) << entry.path();
  }
  EXPECT_GE(configs, 13);
}

TEST(Configs, TheDefaultSpelledOutIsTheDefault) {
  ConfigFlags flags;
  flags.config_path = "configs/int8.json";
  EXPECT_EQ(to_json(read_config(flags)), to_json(read_config({})));
}

TEST(Configs, EachSchemaIsAnObjectSchemaWithATitle) {
  int schemas = 0;
  for (const auto& entry : fs::directory_iterator("configs")) {
    if (!is_schema(entry.path())) continue;
    ++schemas;
    const Json schema = read_json(entry.path());
    EXPECT_EQ(schema["type"], "object") << entry.path();
    EXPECT_TRUE(schema["title"].is_string()) << entry.path();
    EXPECT_TRUE(schema["properties"].is_object()) << entry.path();
  }
  EXPECT_EQ(schemas, 6);
}

TEST(Configs, TheSchemaKnowsTheKeysThatTheReaderKnows) {
  // Each key of the schema is accepted by the reader; a key beside them is refused by both.
  const Json schema = read_json("configs/config.schema.json");
  const Json sample{{"$schema", ""},
                    {"extends", ""},
                    {"target", "onnxruntime"},
                    {"format", "qoperator"},
                    {"integer_io", "all"},
                    {"inputs", Json::object()},
                    {"calibration", Json::object()},
                    {"defaults", Json::object()},
                    {"rules", Json::array()},
                    {"recovery", Json::array()},
                    {"recovery_seconds", 60},
                    {"gates", Json::object()}};
  EXPECT_EQ(schema["properties"].size(), sample.size());
  for (const auto& item : schema["properties"].items()) EXPECT_TRUE(sample.contains(item.key())) << item.key();
  EXPECT_NO_THROW(make_config(ConfigSource("c.json", sample.dump()), {}));
  const Json& gates = schema["properties"]["gates"]["properties"];
  EXPECT_EQ(gates.size(), report::gate_table().size());
  for (const report::GateRow& row : report::gate_table()) EXPECT_TRUE(gates.contains(std::string(row.name)));
}

}  // namespace
}  // namespace narrow::apps
