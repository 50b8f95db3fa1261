// narrow tune on the small real case of tests/data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr size_t kDataSamples = 200;

const std::string kTune =
    "tune " + kModel + " --data " + kData + " --config " + kConfig + " --samples 48 --no-speed --quiet --trials 8";

Json tune(const TemporaryFolder& folder, const std::string& name, const std::string& more, int exit_code = 0,
          const std::string& recovery = "--recovery none") {
  const Outcome outcome = run_narrow(kTune + " --format json -o " + folder.path(name) + " " + recovery + " " + more);
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  return parse_json(outcome.out, "stdout");
}

TEST(Tune, KeepsTheLimitOnItsJudges) {
  const TemporaryFolder folder;
  const Json report = tune(folder, "a.onnx", "--min-sqnr 30 --report " + folder.path("r.html"));
  const Json& tuning = report["tuning"];
  EXPECT_TRUE(tuning["kept"].get<bool>());
  const Json& chosen = tuning["trials"][tuning["chosen"].get<size_t>()];
  EXPECT_GE(chosen["sqnr_db"].get<double>(), 30);
  EXPECT_LT(tuning["trials"][0]["sqnr_db"].get<double>(), 30);
  EXPECT_LE(tuning["trials"].size(), 9U);
  EXPECT_LT(report["file_size_ratio"].get<double>(), 1);
  EXPECT_THAT(read_text(folder.path("r.html")), HasSubstr("<svg "));
}

TEST(Tune, SameBytesAtAnyThreadCountAndByItsPlan) {
  const TemporaryFolder folder;
  tune(folder, "a.onnx", "--min-sqnr 30 --threads 1 --plan-out " + folder.path("plan"));
  tune(folder, "b.onnx", "--min-sqnr 30 --threads 2");
  EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("b.onnx")));
  const Outcome again = run_narrow(kQuantize + " --plan " + folder.path("plan") + " -o " + folder.path("c.onnx"));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("c.onnx")));
}

TEST(Tune, AResumedSearchEndsInTheSameModel) {
  const TemporaryFolder folder;
  const std::string trail = folder.path("trail.json");
  tune(folder, "a.onnx", "--min-sqnr 30 --trail " + trail);
  const std::string whole = read_text(trail);
  Json half = parse_json(whole, "trail");
  ASSERT_GT(half["trials"].size(), 2U);
  half["trials"].erase(half["trials"].begin() + 1, half["trials"].end());
  half["sensitivity"].erase(half["sensitivity"].begin() + 3, half["sensitivity"].end());
  write_file(trail, json_text(half));
  tune(folder, "b.onnx", "--min-sqnr 30 --trail " + trail);
  EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("b.onnx")));
  EXPECT_EQ(read_text(trail), whole);
}

TEST(Tune, FillsTheSize) {
  const TemporaryFolder folder;
  const Json report = tune(folder, "a.onnx", "--max-size 0.5");
  EXPECT_LE(report["file_size_ratio"].get<double>(), 0.5);
  EXPECT_TRUE(report["tuning"]["kept"].get<bool>());
}

TEST(Tune, AllInFloatIsTheModelAsItCame) {
  const TemporaryFolder folder;
  const Json report =
      tune(folder, "a.onnx", "--max-size 2 --plan-out " + folder.path("plan"), 0, R"(--set 'recovery=["equalize"]')");
  const Json& tuning = report["tuning"];
  EXPECT_EQ(tuning["trials"][tuning["chosen"].get<size_t>()]["step"], "model as it came");
  EXPECT_EQ(report["validation"]["outputs"][0]["max_abs_error"].get<double>(), 0);
  const Outcome again = run_narrow(kQuantize + " --plan " + folder.path("plan") + " -o " + folder.path("b.onnx"));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("b.onnx")));
}

TEST(Tune, SmallerThanFourBitsEverywhere) {
  const TemporaryFolder folder;
  const Json report = tune(folder, "a.onnx", "--max-size 0.15");
  EXPECT_TRUE(report["tuning"]["kept"].get<bool>());
  EXPECT_LE(report["file_size_ratio"].get<double>(), 0.15);
}

TEST(Tune, KeepsALatencyAndKnowsWhichItCanNot) {
  const TemporaryFolder folder;
  const Json all = tune(folder, "a.onnx", "--max-latency 60000");
  const Json& slowest = all["tuning"]["trials"][all["tuning"]["chosen"].get<size_t>()];
  EXPECT_GT(slowest["seconds"].get<double>(), 0);
  EXPECT_EQ(slowest["integer_macs"].get<double>(), 0);  // there is time for everything in float32
  const Json none = tune(folder, "b.onnx", "--max-latency 0.00001", 1);
  EXPECT_FALSE(none["tuning"]["kept"].get<bool>());
}

TEST(Tune, KeepsASpeedupAndKnowsWhichItCanNot) {
  const TemporaryFolder folder;
  const Json all = tune(folder, "a.onnx", "--min-speedup 0.00001");
  const Json& slowest = all["tuning"]["trials"][all["tuning"]["chosen"].get<size_t>()];
  EXPECT_EQ(slowest["integer_macs"].get<double>(), 0);  // there is time for everything in float32
  const Json none = tune(folder, "b.onnx", "--min-speedup 60000", 1);
  EXPECT_FALSE(none["tuning"]["kept"].get<bool>());
  EXPECT_EQ(none["tuning"]["limit"], "at least 60000 times as fast as the float model");
}

TEST(Tune, SaysHowNearItCame) {
  const TemporaryFolder folder;
  const Outcome outcome =
      run_narrow("tune " + kModel + " --data " + kData + " --config " + kConfig +
                 " --samples 16 --no-speed --recovery none --max-size 0.01 -o " + folder.path("a.onnx"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("is not kept; nearest: 0."));
}

TEST(Tune, WantsOneLimit) {
  const TemporaryFolder folder;
  const std::string base = "tune m.onnx --data d.npy -o " + folder.path("o.onnx");
  expect_error(run_narrow(base), 2, HasSubstr("give a limit"));
  expect_error(run_narrow(base + " --max-drop 1 --max-size 0.2"), 2, HasSubstr("exclude each other"));
  expect_error(run_narrow(base + " --max-drop 0"), 2, HasSubstr("is no limit"));
  expect_error(run_narrow(base + " --max-drop 1 --seconds -1"), 2, HasSubstr("is no time"));
}

TEST(Tune, SaysWhatToDoAboutATrailThatIsNone) {
  const TemporaryFolder folder;
  const std::string base = kTune + " --recovery none --min-sqnr 30 -o " + folder.path("o.onnx") + " --trail ";
  for (const char* text : {"{", "[]", R"({"format": "narrow-plan"})"}) {
    const Outcome outcome = run_narrow(base + folder.write("trail.json", text));
    expect_error(outcome, 2, HasSubstr("trail.json"));
    EXPECT_THAT(outcome.err, HasSubstr("give another file to begin anew")) << text;
  }
}

/// The first `distinct` of the samples, over and over.
std::string some_samples(const TemporaryFolder& folder, size_t distinct, size_t count) {
  const std::string all = read_text(kData);
  const size_t header = all.find('\n') + 1;
  const size_t size = (all.size() - header) / kDataSamples;
  std::string elements;
  for (size_t i = 0; i < count; ++i) elements += all.substr(header + i % distinct * size, size);
  return folder.write("few.npy", npy("|u1", std::to_string(count) + ", 32, 32, 1", elements));
}

TEST(Tune, WarnsWhereJudgesAreFewOrCopies) {
  const TemporaryFolder folder;
  const auto run = [&](size_t distinct, size_t count) {
    return run_narrow("tune " + kModel + " --data " + some_samples(folder, distinct, count) + " --config " + kConfig +
                      " --samples 48 --no-speed --trials 2 --recovery none --min-sqnr 20 -o " + folder.path("a.onnx"));
  };
  const Outcome one = run(1, 1);
  EXPECT_THAT(one.err, HasSubstr("0 of 1 sample that judge the trials differ"));
  EXPECT_THAT(one.out, HasSubstr("0 of 1 sample that judge the trials differ"));
  EXPECT_THAT(one.out, Not(HasSubstr("chose nothing else")));
  const Outcome copies = run(5, 100);
  EXPECT_THAT(copies.err, HasSubstr("0 of 26 samples that judge the trials differ"));
  EXPECT_THAT(copies.err, HasSubstr("(SQNR at least 20 dB) may not hold on other data"));
  EXPECT_THAT(copies.out, HasSubstr("of which 0 differ from each other"));
  const Outcome enough = run(kDataSamples, kDataSamples);
  EXPECT_THAT(enough.err, Not(HasSubstr("that judge the trials differ")));
  EXPECT_THAT(enough.out, HasSubstr("that chose nothing else"));
}

}  // namespace
}  // namespace narrow::test
