#include "lib/tune/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"
#include "lib/tune/fill.h"

namespace narrow::tune {
namespace {

/// Layer "n" + `index` with its options, whose weight in 8 bits has a noise, and a value with the items that touch it.
void add_layer(Space& space, Sensitivity& sensitivity, size_t index, std::vector<Option> options, double weight_noise,
               double value_noise, std::vector<size_t> touching) {
  const std::string number = std::to_string(index);
  space.items.push_back({.node = "n" + number, .op_type = "Conv", .macs = 10, .options = std::move(options)});
  sensitivity["weight n" + number + " int8"] = {.noise = weight_noise, .divergence = {}, .agreement = {}};
  sensitivity["value v" + number] = {.noise = value_noise, .divergence = {}, .agreement = {}};
  space.values.push_back({.component = "value v" + number, .items = std::move(touching)});
}

/// Six layers in a row, each with a weight of 100 bytes and the value behind it; layer 3's weight makes nearly all the
/// noise.
struct Row {
  Space space;
  Sensitivity sensitivity;

  Row() {
    for (size_t i = 0; i < 6; ++i) {
      const std::string eight = "weight n" + std::to_string(i) + " int8";
      add_layer(space, sensitivity, i,
                {{.choice = Choice::kConfig, .weight = eight, .on_integers = true, .bytes = 100},
                 {.choice = Choice::kFloat, .weight = "", .on_integers = false, .bytes = 400}},
                i == 3 ? 1.0 : 1e-4 * static_cast<double>(i + 1), 1e-5,
                i == 5 ? std::vector<size_t>{5} : std::vector<size_t>{i, i + 1});
    }
    space.macs = 60;
    space.float_bytes = 2400;
  }

  NoiseModel model() const { return {space, sensitivity, {}}; }

  Assignment assignment(const std::vector<Choice>& choices) const {
    Assignment result;
    for (const Choice choice : choices) result.push_back(choice == Choice::kFloat ? 1 : 0);
    return result;
  }

  /// The truth is what the model predicts: 10 points are lost for a noise of 1.
  SearchHooks hooks() const {
    SearchHooks hooks;
    hooks.measure = [this](const std::vector<Choice>& choices) {
      const double noise = model().noise(assignment(choices));
      Measurement result;
      result.quality.drop = result.quality.expected_drop = 10 * noise;
      result.quality.sqnr_db = -10 * std::log10(noise + 1e-30);
      result.bytes = hooks_bytes(choices);
      return result;
    };
    hooks.price = [this](const std::vector<Choice>& choices) { return static_cast<double>(hooks_bytes(choices)); };
    return hooks;
  }

  int64_t hooks_bytes(const std::vector<Choice>& choices) const {
    int64_t bytes = 0;
    for (size_t i = 0; i < choices.size(); ++i) bytes += choices[i] == Choice::kFloat ? 400 : 100;
    return bytes;
  }
};

std::vector<Choice> only(size_t floating) {
  std::vector<Choice> choices(6, Choice::kConfig);
  choices[floating] = Choice::kFloat;
  return choices;
}

TEST(Search, FindsTheSensitiveLayerAndNoOther) {
  const Row row;
  const SearchResult result = search(row.space, row.model(), {.limit = Limit::kDrop, .value = 0.5}, row.hooks(), {});
  EXPECT_TRUE(result.kept);
  EXPECT_EQ(result.trials[result.best].choices, only(3));
}

TEST(Search, LimitsAreKeptAwayFromByTheErrorsOfFewSamples) {
  const Goal sqnr{.limit = Limit::kSqnr, .value = 30};
  EXPECT_TRUE(keeps(sqnr, {.quality = {.sqnr_db = 32.1, .sqnr_error = 1}}));
  EXPECT_FALSE(keeps(sqnr, {.quality = {.sqnr_db = 31.9, .sqnr_error = 1}}));
  const Goal drop{.limit = Limit::kDrop, .value = 0.5};
  EXPECT_TRUE(keeps(drop, {.quality = {.drop = 0, .expected_drop = 0.1, .most_drop = 0.4}}));
  EXPECT_FALSE(keeps(drop, {.quality = {.drop = 0, .expected_drop = 0.1, .most_drop = 0.6}}));
}

TEST(Search, KeepsEverythingWhereTheLimitAllowsIt) {
  const Row row;
  const SearchResult result = search(row.space, row.model(), {.limit = Limit::kDrop, .value = 50}, row.hooks(), {});
  EXPECT_TRUE(result.kept);
  EXPECT_EQ(result.trials.size(), 1U);
  EXPECT_EQ(result.trials[0].choices, std::vector<Choice>(6, Choice::kConfig));
}

TEST(Search, ValuesStayRoundedUntilAllThatTouchThemAreFloat) {
  const Row row;
  const NoiseModel model = row.model();
  const double weights = 1e-4 * (1 + 2 + 3 + 5 + 6) + 1;
  EXPECT_NEAR(model.noise({0, 0, 0, 0, 0, 0}), weights + 6e-5, 1e-12);
  EXPECT_NEAR(model.noise({0, 0, 1, 0, 0, 0}), weights - 3e-4 + 6e-5, 1e-12);
  EXPECT_NEAR(model.noise({0, 0, 1, 1, 0, 0}), weights - 3e-4 - 1 + 5e-5, 1e-12);
  const std::vector<Assignment> path = model.path();
  EXPECT_EQ(path.front(), Assignment({0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(path.back(), Assignment({1, 1, 1, 1, 1, 1}));
  for (size_t i = 1; i < path.size(); ++i) EXPECT_LT(model.noise(path[i]), model.noise(path[i - 1]));
}

/// Four layers in a row; each can be stored in 8 bits or 16 and computed in float32.
struct StoredRow {
  Space space;
  Sensitivity sensitivity;

  StoredRow() {
    for (size_t i = 0; i < 4; ++i) {
      const std::string eight = "weight n" + std::to_string(i) + " int8";
      add_layer(space, sensitivity, i,
                {{.choice = Choice::kConfig, .weight = eight, .on_integers = true, .bytes = 100},
                 {.choice = Choice::kStoredInt16, .weight = "", .bytes = 200},
                 {.choice = Choice::kStoredInt8, .weight = eight, .bytes = 100}},
                0.15, 0.4, {i});
    }
    space.macs = 40;
    space.float_bytes = 1600;
  }

  NoiseModel model() const { return {space, sensitivity, {}}; }

  Assignment assignment(const std::vector<Choice>& choices) const {
    Assignment result;
    for (const Choice choice : choices) {
      result.push_back(choice == Choice::kConfig ? 0 : choice == Choice::kStoredInt16 ? 1 : 2);
    }
    return result;
  }
};

TEST(Search, NarrowsBackToWhateverIsCheaper) {
  const StoredRow row;
  const NoiseModel model = row.model();
  SearchHooks hooks;
  hooks.measure = [&](const std::vector<Choice>& choices) {
    Measurement result;
    result.quality.drop = model.noise(row.assignment(choices));
    return result;
  };
  double least = 1e9;  // of all 81 mixtures that keep the limit
  for (size_t code = 0; code < 81; ++code) {
    const Assignment mixture{code % 3, code / 3 % 3, code / 9 % 3, code / 27};
    if (model.noise(mixture) <= 1) least = std::min(least, model.cost(mixture));
  }
  const SearchResult result = search(row.space, model, {.limit = Limit::kDrop, .value = 1}, hooks, {});
  EXPECT_TRUE(result.kept);
  EXPECT_NEAR(model.cost(row.assignment(result.trials[result.best].choices)), least, 1e-12);
}

TEST(Search, NoiseOfAChangeIsTheDifferenceOfBoth) {
  const Row row;
  const NoiseModel model = row.model();
  for (size_t code = 0; code < 64; ++code) {
    Assignment mixture;
    for (size_t i = 0; i < 6; ++i) mixture.push_back(code >> i & 1);
    for (size_t i = 0; i < 6; ++i) {
      Assignment changed = mixture;
      changed[i] = 1 - changed[i];
      EXPECT_NEAR(model.noise_change(mixture, i, changed[i]), model.noise(changed) - model.noise(mixture), 1e-12);
    }
  }
}

TEST(Search, FillsTheSizeThatItMayHave) {
  const Row row;
  const SearchResult result = search(row.space, row.model(), {.limit = Limit::kBytes, .value = 950}, row.hooks(), {});
  EXPECT_TRUE(result.kept);
  EXPECT_EQ(result.trials[result.best].measurement.bytes, 900);
  EXPECT_EQ(result.trials[result.best].choices, only(3));
}

TEST(Search, WhatTheJudgesCanNotTellApartIsChosenAsPredicted) {
  Row row;
  row.sensitivity["value v0"].noise = 10;  // the path's next step is two layers at once: the limit has room for one
  for (const double error : {0.5, 0.01}) {
    SearchHooks hooks = row.hooks();
    hooks.measure = [&](const std::vector<Choice>& choices) {
      Measurement result;
      result.bytes = row.hooks_bytes(choices);
      result.quality.sqnr_db = 30 - 1e-4 * static_cast<double>(result.bytes);  // larger files seem a little worse
      result.quality.sqnr_error = error;
      return result;
    };
    const SearchResult result = search(row.space, row.model(), {.limit = Limit::kBytes, .value = 950}, hooks, {});
    ASSERT_EQ(result.trials.size(), 2U);
    EXPECT_EQ(result.best, error > 0.1 ? 1U : 0U);
  }
}

TEST(Search, WhatIsLargeIsPaidForByWhatIsSmall) {
  // One table of 600 bytes and six layers that are noisier for their size: step by step, the layers would take the
  // room.
  Space space;
  Sensitivity sensitivity;
  const auto add = [&](const std::string& name, double few_bytes, double noise_of_few, double noise_of_more) {
    sensitivity[name + " few"] = {.noise = noise_of_few, .divergence = {}, .agreement = {}};
    sensitivity[name + " more"] = {.noise = noise_of_more, .divergence = {}, .agreement = {}};
    space.items.push_back(
        {.node = name,
         .op_type = "MatMul",
         .options = {{.choice = Choice::kStoredInt2, .weight = name + " few", .bytes = few_bytes},
                     {.choice = Choice::kStoredInt4, .weight = name + " more", .bytes = 2 * few_bytes}}});
    space.float_bytes += 16 * few_bytes;
  };
  add("table", 600, 1, 0.01);
  for (int i = 0; i < 6; ++i) add("layer" + std::to_string(i), 100, i == 0 ? 0.3 : 0.1, 0.01);
  const NoiseModel model(space, sensitivity, kBytesAlone);
  const auto bytes = [&](const Assignment& mixture) {
    double sum = 0;
    for (size_t i = 0; i < mixture.size(); ++i) sum += space.items[i].options[mixture[i]].bytes;
    return sum;
  };
  const Budget budget{.limit = 1850,
                      .price = bytes,
                      .option_price = [](const Option& option) { return option.bytes; },
                      .in_time = [] { return true; }};
  const Assignment start(7, 0);
  double least = 1e9;  // of all mixtures that fit
  for (size_t code = 0; code < 128; ++code) {
    Assignment mixture;
    for (size_t i = 0; i < 7; ++i) mixture.push_back(code >> i & 1);
    if (bytes(mixture) <= budget.limit) least = std::min(least, model.noise(mixture));
  }
  const Assignment filled = filled_up(space, model, budget, start);
  EXPECT_LE(bytes(filled), budget.limit);
  EXPECT_NEAR(model.noise(filled), least, 1e-12);
  EXPECT_EQ(filled[0], 1U);
}

TEST(Search, SaysSoWhenTheSizeCanNotBe) {
  const Row row;
  const SearchResult result = search(row.space, row.model(), {.limit = Limit::kBytes, .value = 500}, row.hooks(), {});
  EXPECT_FALSE(result.kept);
  EXPECT_EQ(result.trials[result.best].measurement.bytes, 600);
}

/// Of a row whose layers take 10 ms in float32 among others, 4 on integers.
SearchHooks timed(const Row& row) {
  SearchHooks hooks = row.hooks();
  hooks.price = [](const std::vector<Choice>& choices) {
    double seconds = 0;
    for (const Choice choice : choices) seconds += choice == Choice::kFloat ? 0.010 : 0.004;
    return seconds;
  };
  hooks.measure = [measure = hooks.measure, price = hooks.price](const std::vector<Choice>& choices) {
    Measurement measurement = measure(choices);
    measurement.seconds = price(choices);
    return measurement;
  };
  return hooks;
}

TEST(Search, FillsTheTimeThatItMayTake) {
  Row row;
  for (Item& item : row.space.items) {
    item.options[0].seconds = 0.004;
    item.options[1].seconds = 0.010;
  }
  row.space.float_seconds = 0.060;
  const SearchHooks hooks = timed(row);
  const SearchResult result = search(row.space, row.model(), {.limit = Limit::kSeconds, .value = 0.037}, hooks, {});
  EXPECT_TRUE(result.kept);
  const Trial& best = result.trials[result.best];
  EXPECT_NEAR(best.measurement.seconds.value(), 0.036, 1e-9);  // two layers in float32
  EXPECT_EQ(best.choices[3], Choice::kFloat);
  EXPECT_EQ(best.choices[5], Choice::kFloat);  // of the others it makes most noise
  const SearchResult never = search(row.space, row.model(), {.limit = Limit::kSeconds, .value = 0.02}, hooks, {});
  EXPECT_FALSE(never.kept);
  EXPECT_NEAR(never.trials[never.best].measurement.seconds.value(), 0.024, 1e-9);
}

// Each layer alone is faster in float32, but between layers on integers it has to change over.
TEST(Search, WhatIsFasterAloneMayBeSlowerTogether) {
  Row row;
  for (Item& item : row.space.items) {
    item.options[0].seconds = 0.004;
    item.options[1].seconds = 0.003;
    item.options[1].bytes = item.options[0].bytes;
  }
  row.space.float_seconds = 0.060;
  const SearchHooks hooks = timed(row);
  const SearchResult result = search(row.space, row.model(), {.limit = Limit::kSeconds, .value = 0.025}, hooks, {});
  EXPECT_TRUE(result.kept);
  EXPECT_EQ(result.trials[result.best].choices, std::vector<Choice>(6, Choice::kConfig));
}

TEST(Search, GoesOnFromKnownTrialsToTheSameResult) {
  const Row row;
  const Goal goal{.limit = Limit::kSqnr, .value = 35};
  const SearchResult whole = search(row.space, row.model(), goal, row.hooks(), {});
  SearchHooks counting = row.hooks();
  size_t measured = 0;
  counting.measure = [&](const std::vector<Choice>& choices) {
    ++measured;
    return row.hooks().measure(choices);
  };
  const std::vector<Trial> half(whole.trials.begin(), whole.trials.begin() + 2);
  const SearchResult resumed = search(row.space, row.model(), goal, counting, {.known = half});
  EXPECT_EQ(measured, whole.trials.size() - 2);
  ASSERT_EQ(resumed.trials.size(), whole.trials.size());
  for (size_t i = 0; i < whole.trials.size(); ++i) EXPECT_EQ(resumed.trials[i].choices, whole.trials[i].choices);
  EXPECT_EQ(resumed.best, whole.best);
}

TEST(Search, AnInterruptionKeepsTheBestSoFar) {
  const Row row;
  SearchHooks hooks = row.hooks();
  int left = 2;
  hooks.measure = [&](const std::vector<Choice>& choices) {
    if (left-- == 0) throw Error(ErrorKind::kInterrupted, "interrupted");
    return row.hooks().measure(choices);
  };
  const SearchResult result = search(row.space, row.model(), {.limit = Limit::kDrop, .value = 0.5}, hooks, {});
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.trials.size(), 2U);
  left = 0;
  EXPECT_THROW(search(row.space, row.model(), {.limit = Limit::kDrop, .value = 0.5}, hooks, {}), Error);
}

TEST(Search, AnInterruptionKeepsTheBestOfAllThatIsKnown) {
  const Row row;
  const Goal goal{.limit = Limit::kBytes, .value = 950};
  const SearchResult whole = search(row.space, row.model(), goal, row.hooks(), {});
  SearchHooks hooks = row.hooks();
  hooks.price = [](const std::vector<Choice>&) -> double { throw Error(ErrorKind::kInterrupted, "interrupted"); };
  SearchOptions options{.known = whole.trials};
  options.known.push_back({.choices = only(2), .measurement = row.hooks().measure(only(2)), .step = "earlier"});
  options.known.push_back({.choices = std::vector<Choice>(6, Choice::kStoredInt4),  // of a search with another limit
                           .measurement = {.quality = {.sqnr_db = 100}},
                           .step = "elsewhere"});
  const SearchResult result = search(row.space, row.model(), goal, hooks, options);
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.trials.size(), whole.trials.size() + 1);
  EXPECT_EQ(result.trials[result.best].choices, only(3));
  EXPECT_TRUE(result.kept);
}

// A search with another limit does not time what it measures.
TEST(Search, WhatIsKnownWithoutItsTimeIsMeasuredAgain) {
  Row row;
  for (Item& item : row.space.items) {
    item.options[0].seconds = 0.004;
    item.options[1].seconds = 0.010;
  }
  row.space.float_seconds = 0.060;
  const Goal goal{.limit = Limit::kSeconds, .value = 0.025};
  const std::vector<Choice> config(6, Choice::kConfig);
  const Trial known{.choices = config, .measurement = row.hooks().measure(config), .step = "path 0 of 6"};
  const SearchResult result = search(row.space, row.model(), goal, timed(row), {.known = {known}});
  EXPECT_TRUE(result.kept);
  EXPECT_NEAR(result.trials[result.best].measurement.seconds.value(), 0.024, 1e-9);
}

}  // namespace
}  // namespace narrow::tune
