#include <gtest/gtest.h>

#include "calib/data_reader.h"
#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

InputConfig config_of(std::string_view text) {
  const Json json = parse_json(text, "c.json");
  JsonObject inputs(json, "inputs");
  return read_input_config(inputs);
}

std::string refused(std::string_view text) {
  return message_of(ErrorKind::kUsage, [&] { config_of(text); });
}

TEST(InputConfigTest, ReadsEachOptionAndWritesItBack) {
  constexpr std::string_view kText =
      R"({"data":{"resize":256,"crop":[224,200],"color":"BGR","layout":"NCHW","scale":0.5,"mean":[1.0,2.0,3.0],"std":[4.0]}})";
  const InputConfig config = config_of(kText);
  const InputOptions& options = config.at("data");
  EXPECT_EQ(options.resize, std::vector<int64_t>{256});
  EXPECT_EQ(options.crop, (std::vector<int64_t>{224, 200}));
  EXPECT_EQ(options.color, "BGR");
  EXPECT_EQ(options.layout, "NCHW");
  EXPECT_EQ(options.scale, 0.5);
  EXPECT_EQ(options.mean, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(options.std, (std::vector<double>{4}));
  EXPECT_EQ(to_json(config).dump(), kText);
}

TEST(InputConfigTest, OneNumberStandsForASquareOrForAllChannels) {
  const InputConfig config = config_of(R"({"x":{"crop":224,"mean":127.5}})");
  EXPECT_EQ(config.at("x").crop, (std::vector<int64_t>{224, 224}));
  EXPECT_EQ(config.at("x").mean, (std::vector<double>{127.5}));
  EXPECT_EQ(config_of(R"({"x":{}})").at("x"), InputOptions{});
}

TEST(InputConfigTest, SizesOfDetectors) {
  constexpr std::string_view kText = R"({"x":{"resize":[320,640],"letterbox":114,"multiple":32}})";
  const InputConfig config = config_of(kText);
  EXPECT_EQ(config.at("x").resize, (std::vector<int64_t>{320, 640}));
  EXPECT_EQ(config.at("x").letterbox, 114);
  EXPECT_EQ(config.at("x").multiple, 32);
  EXPECT_EQ(to_json(config).dump(), kText);
}

TEST(InputConfigTest, RefusesWithThePath) {
  EXPECT_EQ(refused(R"({"x":{"resize":[1,2,3]}})"), "inputs.x.resize: expected one side or [height, width]");
  EXPECT_EQ(refused(R"({"x":{"resize":320,"letterbox":114}})"), "inputs.x.letterbox: needs 'resize': [height, width]");
  EXPECT_EQ(refused(R"({"x":{"resize":[320,320],"letterbox":256}})"),
            "inputs.x.letterbox: is not a grey from 0 to 255");
  EXPECT_EQ(refused(R"({"x":{"multiple":0}})"), "inputs.x.multiple: is not positive");
  EXPECT_EQ(refused(R"({"x":{"resise":1}})"), "inputs.x.resise: unknown key; did you mean 'resize'?");
  EXPECT_EQ(refused(R"({"x":{"corp":1}})"), "inputs.x.corp: unknown key; did you mean 'crop'?");
  EXPECT_EQ(refused(R"({"x":{"resize":0}})"), "inputs.x.resize: is not positive");
  EXPECT_EQ(refused(R"({"x":{"crop":[1,2,3]}})"), "inputs.x.crop: expected one side or [height, width]");
  EXPECT_EQ(refused(R"({"x":{"crop":[1,-2]}})"), "inputs.x.crop: is not positive");
  EXPECT_EQ(refused(R"({"x":{"color":"rgb"}})"), "inputs.x.color: unknown value 'rgb'; known are RGB, BGR, GRAY");
  EXPECT_EQ(refused(R"({"x":{"layout":"NCWH"}})"),
            "inputs.x.layout: unknown value 'NCWH'; did you mean 'NCHW'?; known are NCHW, NHWC");
  EXPECT_EQ(refused(R"({"x":{"mean":"a"}})"), "inputs.x.mean: expected an array");
  EXPECT_EQ(refused(R"({"x":{"std":[1,0]}})"), "inputs.x.std: is zero");
  EXPECT_EQ(refused(R"({"x":{"scale":1e300}})"), "inputs.x.scale: is not a float32");
  EXPECT_EQ(refused(R"({"x":3})"), "inputs.x: expected an object");
}

}  // namespace
}  // namespace narrow::calib
