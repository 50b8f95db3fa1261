#include "lib/tune/trail.h"

#include <gtest/gtest.h>

#include <limits>

#include "lib/base/error.h"

namespace narrow::tune {
namespace {

Trail example() {
  Trail trail;
  trail.model_sha256 = "a";
  trail.data_sha256 = "b";
  trail.options = {{"x", 1}};
  trail.nodes = {"n0", "n1"};
  trail.recovery = plan::RecoverySteps{{.method = plan::RecoveryMethod::kRound}};
  trail.float_seconds = 0.25;
  trail.groups["quantized alone: layer n0"] = {.noise = 0.2, .divergence = {}, .agreement = 0.5, .top1 = 0.75};
  trail.group_samples = 7;
  trail.sensitivity["value v uint8"] = {.noise = 0.1, .divergence = 0.25, .agreement = {}};
  Trial trial{.choices = {Choice::kStoredInt8, Choice::kFloat}, .measurement = {}, .step = "path 1 of 2", .kept = true};
  trial.measurement.bytes = 123;
  trial.measurement.quality = {.sqnr_db = std::numeric_limits<double>::infinity(),
                               .cosine = 1.0 / 3,
                               .agreement = 0.9,
                               .drop = 10,
                               .expected_drop = 0.1,
                               .most_drop = 0.2,
                               .sqnr_error = 0.3};
  trail.trials.push_back(trial);
  return trail;
}

TEST(Trail, ReadsBackWhatItWrote) {
  const Json json = to_json(example());
  const Trail trail = trail_from_json(parse_json(json_text(json), "trail"));
  EXPECT_EQ(to_json(trail), json);
  EXPECT_EQ(trail.trials[0].choices, example().trials[0].choices);
  EXPECT_EQ(trail.trials[0].measurement.quality.cosine, 1.0 / 3);
  EXPECT_EQ(trail.trials[0].measurement.quality.sqnr_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(trail.trials[0].measurement.quality.most_drop, 0.2);
  EXPECT_EQ(trail.trials[0].measurement.quality.sqnr_error, 0.3);
  EXPECT_EQ(trail.float_seconds, 0.25);
  EXPECT_EQ(trail.sensitivity.at("value v uint8").noise, 0.1);
  EXPECT_EQ(trail.group_samples, 7);
  EXPECT_EQ(trail.groups.at("quantized alone: layer n0").agreement, 0.5);
  EXPECT_EQ(trail.groups.at("quantized alone: layer n0").top1, 0.75);
}

TEST(Trail, RefusesWhatWasMadeFromSomethingElse) {
  const Trail trail = example();
  EXPECT_NO_THROW(check_trail(trail, example()));
  Trail other = example();
  other.data_sha256 = "c";
  EXPECT_THROW(check_trail(trail, other), Error);
  other = example();
  other.nodes = {"n0"};
  EXPECT_THROW(check_trail(trail, other), Error);
  other = example();
  other.options = {{"x", 2}};
  EXPECT_THROW(check_trail(trail, other), Error);
}

}  // namespace
}  // namespace narrow::tune
