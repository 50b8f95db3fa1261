#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/graph/model.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

const std::string kRun = "run " + kModel + " --data " + kData + " --config " + kConfig + " --quiet -o ";

TEST(Run, WritesOneArrayForEachOutput) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kRun + folder.path("out.npz"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("1 output of 200 feeds (float runtime)"));
  const std::string bytes = read_text(folder.path("out.npz"));
  EXPECT_THAT(bytes, HasSubstr("logits.npy"));
  EXPECT_THAT(bytes, HasSubstr("'shape': (200, 16)"));
}

TEST(Run, SameBytesAtAnyThreadCount) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_narrow(kRun + folder.path("a.npz") + " --threads 1").exit_code, 0);
  ASSERT_EQ(run_narrow(kRun + folder.path("b.npz") + " --threads 2").exit_code, 0);
  EXPECT_EQ(read_text(folder.path("a.npz")), read_text(folder.path("b.npz")));
}

TEST(Run, AFolderGetsOneFileForEachFeed) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_narrow(kRun + folder.path("outputs")).exit_code, 0);
  EXPECT_THAT(read_text(folder.path("outputs/feed_000199.npz")), HasSubstr("'shape': (1, 16)"));
}

TEST(Run, AFolderThatItMadeGoesWhereItFails) {
  const TemporaryFolder folder;
  const std::string other = folder.write("other.npy", npy("<f4", "(1, 3)", std::string(12, '\0')));
  const Outcome run = run_narrow("run " + kModel + " --data " + other + " --quiet -o " + folder.path("results/inner"));
  EXPECT_EQ(run.exit_code, 5) << run.err;
  EXPECT_EQ(folder.listing(), "other.npy");
}

TEST(Run, AFileOverTheLimitIsAnErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 300, .rlim_max = before.rlim_max};  // room for the error's line
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Outcome file = run_narrow(kRun + folder.path("out.npz"));
  const Outcome files = run_narrow(kRun + folder.path("folder"));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  expect_error(file, 5, HasSubstr("File too large"));
  expect_error(files, 5, HasSubstr("File too large"));
  EXPECT_EQ(folder.listing(), "");
}

TEST(Run, IntegerRuntimeWantsAQuantizedModel) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kRun + folder.path("o.npz") + " --runtime integer");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("the model is not quantized"));
}

/// A model of one node, and the arguments that run it.
std::string run_text(const TemporaryFolder& folder, const std::string& graph) {
  onnx::ModelProto proto = graph_from_text(graph).proto();
  proto.mutable_opset_import(0)->set_version(20);
  folder.write("m.onnx", proto.SerializeAsString());
  return "run " + folder.path("m.onnx") + " --quiet -o ";
}

/// Additive masks of attention.
TEST(Run, InfinityGoesInAndOut) {
  const TemporaryFolder folder;
  const std::string run = run_text(folder, "agraph (float[N,2] x) => (float[N,2] y) { y = Neg (x) }");
  const std::string one("\0\0\x80\x3f", 4);
  const std::string minus_one("\0\0\x80\xbf", 4);
  const std::string infinity("\0\0\x80\x7f", 4);
  const std::string minus_infinity("\0\0\x80\xff", 4);
  folder.write("x.npy", npy("<f4", "1, 2", minus_infinity + one));
  const Outcome outcome = run_narrow(run + folder.path("y.npz") + " --data " + folder.path("x.npy"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(read_text(folder.path("y.npz")), HasSubstr(infinity + minus_one));
}

TEST(Run, StringsGoInAndOut) {
  const TemporaryFolder folder;
  const std::string run = run_text(folder, "agraph (string[N] x) => (string[N] y) { y = StringConcat (x, x) }");
  const std::string elements("a\0\0\0b\0\0\0", 8);
  folder.write("x.npy", npy("<U1", "2,", elements));
  const Outcome outcome = run_narrow(run + folder.path("y.npz") + " --data " + folder.path("x.npy"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string bytes = read_text(folder.path("y.npz"));
  EXPECT_THAT(bytes, HasSubstr("{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }"));
  EXPECT_THAT(bytes, HasSubstr(std::string("a\0\0\0a\0\0\0b\0\0\0b\0\0\0", 16)));
  const Outcome speed = run_narrow("bench " + folder.path("m.onnx") + " --seconds 0.01 --quiet");
  EXPECT_EQ(speed.exit_code, 0) << speed.err;
}

// The bytes of the file are ONNX's SequenceProto: name, element type 1 (tensor), then the tensors.
TEST(Run, ASequenceIsWrittenAsAProto) {
  const TemporaryFolder folder;
  const std::string run = run_text(folder, "agraph (int64[N] x) => (seq(int64[N]) y) { y = SequenceConstruct (x, x) }");
  folder.write("x.npy", npy("|i1", "1,", "\x05"));
  const Outcome outcome = run_narrow(run + folder.path("out") + " --data " + folder.path("x.npy"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string element("\x1a\x0e\x08\x01\x10\x07J\x08\x05\0\0\0\0\0\0\0", 16);
  EXPECT_EQ(read_text(folder.path("out/feed_000000/output_0.pb")), "\n\x01y\x10\x01" + element + element);
  const Outcome joined = run_narrow(run + folder.path("y.npz") + " --data " + folder.path("x.npy"));
  EXPECT_EQ(joined.exit_code, 2);
  EXPECT_THAT(joined.err, HasSubstr("output 'y': it is a sequence, of which NumPy has none; give -o a folder"));
}

TEST(Run, AModelWithoutInputsNeedsNoData) {
  const TemporaryFolder folder;
  const std::string run = run_text(folder, "agraph () => (int64[2] y) { y = Constant <value_ints = [3, 4]> () }");
  const Outcome outcome = run_narrow(run + folder.path("y.npz"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("1 output of 1 feed"));
  EXPECT_THAT(read_text(folder.path("y.npz")), HasSubstr(std::string("\x03\0\0\0\0\0\0\0\x04", 9)));
  const Outcome missing = run_narrow("run " + kModel + " -o " + folder.path("z.npz"));
  expect_error(missing, 2, HasSubstr("option --data is missing: the model has 1 input"));
}

// A function's quantized nodes make it a quantized model: auto is the integer runtime.
TEST(Run, AFunctionMayBeTheQuantizedPart) {
  const TemporaryFolder folder;
  folder.write("m.onnx", model_from_text(R"(<ir_version: 10, opset_import: ["" : 17, "my" : 1]>
    g (float[N,2] x) => (float[N,2] y) { y = my.product(x) }
    <opset_import: ["" : 17], domain: "my"> product (x) => (y) {
      s = Constant <value = float {0.5}> ()  z = Constant <value = int8 {0}> ()
      w_q = Constant <value = int8[2,2] {1, 2, 3, 4}> ()  w = DequantizeLinear(w_q, s, z)  y = MatMul(x, w) })")
                             .proto()
                             .SerializeAsString());
  folder.write("x.npy", npy("<f4", "1, 2", std::string("\0\0\x80?\0\0\x80?", 8)));
  const std::string run = "run " + folder.path("m.onnx") + " --data " + folder.path("x.npy") + " --quiet -o ";
  const Outcome outcome = run_narrow(run + folder.path("y.npz"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("integer runtime"));
  EXPECT_THAT(read_text(folder.path("y.npz")), HasSubstr(std::string("\0\0\0@\0\0@@", 8)));  // 2 3
}

TEST(Run, AnOutputListedTwiceIsWrittenOnce) {
  const TemporaryFolder folder;
  const std::string run = run_text(folder, "agraph (float[N] x) => (float[N] y, float[N] y) { y = Relu (x) }");
  folder.write("x.npy", npy("<f4", "1,", std::string("\0\0\x80?", 4)));
  EXPECT_EQ(run_narrow(run + folder.path("y.npz") + " --data " + folder.path("x.npy")).exit_code, 0);
  EXPECT_EQ(run_narrow(run + folder.path("out") + " --data " + folder.path("x.npy")).exit_code, 0);
}

TEST(Run, WithoutOutputsThereIsNothingToWrite) {
  const TemporaryFolder folder;
  const std::string run = run_text(folder, "agraph (float[N] x) => () { y = Relu (x) }");
  expect_error(run_narrow(run + folder.path("y.npz") + " --data " + kData), 3,
               HasSubstr("has no outputs: there is nothing to write"));
}

// 2^40 elements of four bytes.
TEST(Run, MemoryThatThereIsNotIsToldWithTheNode) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer ends the program where malloc returns null";
#endif
  const TemporaryFolder folder;
  const std::string run = run_text(folder, "agraph (int64[2] i) => (float[M,N] y) { [big] y = ConstantOfShape (i) }");
  const std::string size("\0\0\x10\0\0\0\0\0", 8);
  folder.write("i.npy", npy("<i8", "2,", size + size));
  expect_error(run_narrow(run + folder.path("y.npz") + " --data " + folder.path("i.npy")), 4,
               HasSubstr("node 'big' (ConstantOfShape): a tensor of 4096.0 GiB does not fit into memory"));
}

// y = x + w, with w = 10 as a default. 1 + 10 and 1 + 3.
TEST(Run, AnInputWithADefaultIsFedWhereTheDataHaveIt) {
  const TemporaryFolder folder;
  onnx::ModelProto proto =
      graph_from_text("agraph (float[1] x, float[1] w) => (float[1] y) <float[1] w = {10}> { y = Add (x, w) }").proto();
  folder.write("m.onnx", proto.SerializeAsString());
  const std::string run = "run " + folder.path("m.onnx") + " --quiet -o " + folder.path("y.npz") + " --data ";
  const auto input = [&](const std::string& file, const std::string& name, float value) {
    const std::string bytes = graph::tensor_proto(name, Tensor::of<float>({1}, {value})).SerializeAsString();
    return folder.write(file, bytes);
  };
  const auto output = [&] {
    const std::string bytes = read_text(folder.path("y.npz"));
    float value = 0;
    std::memcpy(&value, bytes.data() + bytes.find("}") + 1 + bytes.substr(bytes.find("}")).find('\n'), sizeof value);
    return value;
  };
  std::filesystem::create_directory(folder.path("set"));
  input("set/input_0.pb", "x", 1);
  Outcome outcome = run_narrow(run + folder.path("set"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(output(), 11);
  input("set/input_1.pb", "w", 3);
  outcome = run_narrow(run + folder.path("set"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(output(), 4);
}

TEST(Bench, WithoutDataASequenceCanNotBeMadeUp) {
  const TemporaryFolder folder;
  run_text(folder, "agraph (seq(float[N]) x) => (int64 y) { y = SequenceLength (x) }");
  expect_error(run_narrow("bench " + folder.path("m.onnx") + " --quiet"), 2,
               HasSubstr("input 'x' is a sequence: give --data"));
}

TEST(Inspect, TellsWhatIsThere) {
  const Outcome outcome = run_narrow("inspect " + kModel + " --format json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "stdout");
  // tests/data/README.md counts 55,216 that were trained; 11 BatchNormalizations add mean and variance of 737 channels.
  EXPECT_EQ(json["parameters"], 55216 + 2 * 737);
  EXPECT_EQ(json["opsets"]["ai.onnx"], 17);
  EXPECT_EQ(json["inputs"][0]["name"], "image");
  EXPECT_EQ(json["inputs"][0]["shape"], "[?,1,32,32]");
  EXPECT_EQ(json["outputs"][0]["name"], "logits");
  EXPECT_EQ(json["quantize_nodes"], 0);
  EXPECT_GT(json["quantization"]["macs"].get<int64_t>(), 0);
}

TEST(Inspect, TellsThatAnOldOpsetWasRaised) {
  const TemporaryFolder folder;
  onnx::ModelProto proto = graph_from_text("agraph (float[N,3] x) => (float[N,3] y) { y = Relu (x) }").proto();
  proto.mutable_opset_import(0)->set_version(5);
  folder.write("old.onnx", proto.SerializeAsString());
  const Outcome outcome = run_narrow("inspect " + folder.path("old.onnx") + " --format json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "stdout");
  EXPECT_EQ(json["file_opset"], 5);
  EXPECT_EQ(json["opsets"]["ai.onnx"], 9);
  EXPECT_EQ(json["notes"], Json::array({"opset 5 of the file was raised to 9"}));
  EXPECT_THAT(run_narrow("inspect " + folder.path("old.onnx")).out, HasSubstr("opset 5 of the file was raised to 9"));
  const std::string out = folder.path("out.onnx");
  const Outcome quantized = run_narrow("quantize " + folder.path("old.onnx") + " -o " + out +
                                       " --config configs/weight-only-int8.json --format json");
  EXPECT_THAT(quantized.out, HasSubstr("opset 5 of the file was raised to 9")) << quantized.err;
}

TEST(Bench, GivesSpeedAndLatencyOfEachModel) {
  const Outcome outcome =
      run_narrow("bench " + kModel + " " + kModel + " --batch 2 --seconds 0.05 --quiet --format json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "stdout");
  ASSERT_EQ(json["models"].size(), 2U);
  EXPECT_EQ(json["batch"], 2);
  for (const Json& model : json["models"]) {
    EXPECT_GT(model["samples_per_second"].get<double>(), 0);
    EXPECT_GE(model["latency_ms"]["p95"].get<double>(), model["latency_ms"]["median"].get<double>());
  }
}

}  // namespace
}  // namespace narrow::test
