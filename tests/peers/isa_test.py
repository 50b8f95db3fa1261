"""`--isa avx2` computes what onnxruntime computes on such a CPU: valgrind is one, of AVX2 at most, and executes every
instruction as told, those that saturate pairs of products among them. Nothing in onnxruntime caps its own kernels."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import agreement
import models
import narrow_cli
import numpy as np
import onnx
import peers
from onnx import TensorProto, helper, numpy_helper

SAMPLES = 2
MIN_IDENTICAL = 99.5  # percent of the quantized elements
MIN_CHANGED = 5.0  # percent that saturation changes in a layer that is made to saturate

RUN = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
values = numpy.load(sys.argv[2])
names = [output.name for output in session.get_outputs()]
runs = [session.run(names, {session.get_inputs()[0].name: values[i : i + 1]}) for i in range(len(values))]
numpy.savez(sys.argv[3], **{name: numpy.concatenate([run[i] for run in runs]) for i, name in enumerate(names)})
"""


def onnxruntime_with_avx2(path, values, folder):
    """Every output over the samples, one at a time, on valgrind's CPU: name -> array."""
    data, outputs = folder / "values.npy", folder / "theirs.npz"
    np.save(data, values)
    command = ["valgrind", "--tool=none", "-q", sys.executable, "-c", RUN, path, data, outputs]
    subprocess.run(command, check=True, capture_output=True)
    with np.load(outputs) as arrays:
        return dict(arrays)


def ours_with_avx2(path, values, folder):
    """The same by our integer runtime, oneDNN capped as --isa avx2 caps it."""
    before = os.environ.get("ONEDNN_MAX_CPU_ISA")
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    try:
        return agreement.run_ours(path, {onnx.load(path).graph.input[0].name: values}, folder)
    finally:
        del os.environ["ONEDNN_MAX_CPU_ISA"]
        if before is not None:
            os.environ["ONEDNN_MAX_CPU_ISA"] = before


def wide_layer(operation, weight_shape, input_shape, output_shape, largest, **attributes):
    """One operator with weights up to `largest` and the input it reads: half of it near 255."""
    random = np.random.default_rng(1)
    weights = random.integers(-largest, largest + 1, weight_shape).astype(np.int8)
    numbers = {"sx": np.float32(0.02), "zx": np.uint8(0), "sw": np.float32(0.01), "zw": np.int8(0), "sy": np.float32(1),
               "zy": np.uint8(128)}
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in numbers.items()]
    constants.append(numpy_helper.from_array(weights, "w"))
    node = helper.make_node(operation, ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy"], ["y"], **attributes)
    graph = helper.make_graph([node], "layer", [helper.make_tensor_value_info("x", TensorProto.UINT8, input_shape)],
                              [helper.make_tensor_value_info("y", TensorProto.UINT8, output_shape)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    values = random.integers(0, 256, input_shape).astype(np.uint8)
    return model, np.where(values < 128, 0, 255 - values // 16).astype(np.uint8)


def layers(largest):
    return {
        "matmul": wide_layer("QLinearMatMul", (64, 24), [1, 8, 64], [1, 8, 24], largest),
        "conv": wide_layer("QLinearConv", (16, 16, 3, 3), [1, 16, 6, 6], [1, 16, 6, 6], largest, pads=[1, 1, 1, 1]),
        "pointwise": wide_layer("QLinearConv", (24, 32, 1, 1), [1, 32, 5, 5], [1, 24, 5, 5], largest),
    }


@unittest.skipIf(shutil.which("valgrind") is None, "needs valgrind")
@unittest.skipUnless(agreement.has_fma(), "needs AVX2")
class IsaTest(unittest.TestCase):
    def check(self, name, largest):
        model, values = layers(largest)[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            path = folder / "layer.onnx"
            onnx.save(model, path)
            theirs = onnxruntime_with_avx2(path, values, folder)["y"]
            np.testing.assert_array_equal(ours_with_avx2(path, values, folder)["y"], theirs)
            exact = agreement.Difference()
            exact.add(peers.make_session(path).run(None, {"x": values})[0], theirs)
            return exact

    def test_sums_saturate_where_onnxruntimes_do(self):
        for name in layers(127):
            with self.subTest(name):
                self.assertLess(self.check(name, 127).identical(), 100 - MIN_CHANGED)

    def test_weights_of_seven_bits_are_exact(self):
        for name in layers(63):
            with self.subTest(name):
                self.assertEqual(self.check(name, 63).unequal, 0)

    # With weights of eight bits networks go ways of their own: which products are added in pairs differs where a layer
    # has 3 channels, or one for each group, and what one layer saturates the next one reads.
    @unittest.skipIf(models.find_data() is None, "no real models: NARROW_DATA names no folder with models/")
    def test_real_model_for_such_cpus(self):
        model = next(model for model in models.MODELS if model.name == "cifar10-resnet20")
        samples = models.load_samples(model, models.find_data())
        values = samples.values[samples.evaluation][:SAMPLES]
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            data, quantized, exposed = folder / "calibration.npy", folder / "int8.onnx", folder / "exposed.onnx"
            np.save(data, samples.values[samples.calibration])
            narrow_cli.run_narrow("quantize", models.find_data() / "models" / f"{model.name}.onnx", "-o", quantized, "--data",
                                  data, "--set", "target=x86-avx2", "--recovery", "none", "--no-speed", "--quiet")
            onnx.save(agreement.with_quantized_outputs(onnx.load(quantized)), exposed)
            theirs = onnxruntime_with_avx2(exposed, values, folder)
            for name, ours in (("AVX2", ours_with_avx2(exposed, values, folder)),
                               ("all", agreement.run_ours(exposed, {model.input: values}, folder))):
                found = agreement.total(agreement.compare_tensors(onnx.load(quantized), ours, theirs))
                print(f"[{model.name}, {name}, against onnxruntime with AVX2: {found}] ", end="", flush=True)
                self.assertGreaterEqual(found.identical(), MIN_IDENTICAL, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
