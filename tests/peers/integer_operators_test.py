"""Single operators between QuantizeLinear and DequantizeLinear run on integers here, and give what onnxruntime gives."""

import json
import pathlib
import tempfile
import unittest

import narrow_cli
import numpy as np
import onnx
import peers
from onnx import helper, numpy_helper

RESULT_SCALE = np.float32(0.05)
MAX_STEPS = 1
MIN_IDENTICAL = 99.5  # percent
OPSET = 21
IMAGE = [1, 8, 11, 10]
ROWS = [3, 8]


class Case:
    """One node: activations of these shapes, then int8 weights of these shapes, then float or integer constants."""

    def __init__(self, op, inputs, weights=(), weight_axis=0, constants=(), **attributes):
        self.op, self.inputs, self.weights, self.weight_axis, self.constants = op, inputs, weights, weight_axis, constants
        self.attributes = attributes

    def model(self):
        random = np.random.default_rng(3)
        nodes, names, initializers = [], [], []

        def constant(name, array):
            initializers.append(numpy_helper.from_array(np.asarray(array), name))
            return name

        scale, zero = constant("scale", np.float32(0.03)), constant("zero", np.uint8(110))
        for i in range(len(self.inputs)):
            nodes.append(helper.make_node("QuantizeLinear", [f"x{i}", scale, zero], [f"x{i}_q"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"x{i}_q", scale, zero], [f"x{i}_r"]))
            names.append(f"x{i}_r")
        for i, shape in enumerate(self.weights):
            channels = shape[self.weight_axis]
            parameters = [
                constant(f"w{i}_q", random.integers(-127, 128, shape).astype(np.int8)),
                constant(f"w{i}_scale", random.uniform(0.002, 0.01, channels).astype(np.float32)),
                constant(f"w{i}_zero", np.zeros(channels, np.int8)),
            ]
            nodes.append(helper.make_node("DequantizeLinear", parameters, [f"w{i}"], axis=self.weight_axis))
            names.append(f"w{i}")
        names += ["" if array is None else constant(f"c{i}", array) for i, array in enumerate(self.constants)]
        nodes.append(helper.make_node(self.op, names, ["y"], name="op", **self.attributes))
        scale, zero = constant("y_scale", RESULT_SCALE), constant("y_zero", np.uint8(120))
        nodes.append(helper.make_node("QuantizeLinear", ["y", scale, zero], ["y_q"]))
        nodes.append(helper.make_node("DequantizeLinear", ["y_q", scale, zero], ["out"]))
        inputs = [
            helper.make_tensor_value_info(f"x{i}", onnx.TensorProto.FLOAT, shape) for i, shape in enumerate(self.inputs)
        ]
        output = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, "g", inputs, [output], initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)

    def feed(self):
        random = np.random.default_rng(5)
        return {f"x{i}": random.standard_normal(shape).astype(np.float32) for i, shape in enumerate(self.inputs)}


def ones(*shape):
    return np.linspace(-1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def up(shape, weights, **attributes):
    return Case("ConvTranspose", [shape], [weights], weight_axis=1, **attributes)


CASES = {
    "conv_1d": Case("Conv", [[1, 8, 20]], [[16, 8, 3]], pads=[1, 1]),
    "conv_2d": Case("Conv", [IMAGE], [[16, 8, 3, 3]], strides=[2, 2]),
    "conv_3d": Case("Conv", [[1, 8, 6, 7, 8]], [[16, 8, 3, 3, 3]]),
    "conv_groups": Case("Conv", [IMAGE], [[16, 4, 3, 3]], group=2),
    "conv_depthwise": Case("Conv", [IMAGE], [[8, 1, 3, 3]], group=8),
    "conv_depthwise_multiplied": Case("Conv", [IMAGE], [[16, 1, 3, 3]], group=8),
    "conv_depthwise_1d": Case("Conv", [[1, 8, 20]], [[8, 1, 5]], group=8),
    "conv_depthwise_3d": Case("Conv", [[1, 8, 6, 6, 6]], [[8, 1, 3, 3, 3]], group=8),
    "conv_dilated": Case("Conv", [IMAGE], [[16, 8, 3, 3]], dilations=[2, 3]),
    "conv_same": Case("Conv", [IMAGE], [[16, 8, 3, 3]], auto_pad="SAME_UPPER", strides=[2, 2]),
    "up_doubles": up(IMAGE, [8, 16, 2, 2], strides=[2, 2]),
    "up_padded": up(IMAGE, [8, 16, 3, 3], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    "up_strides_differ": up(IMAGE, [8, 16, 3, 3], strides=[2, 1]),
    "up_1d": up([1, 8, 10], [8, 16, 4], strides=[2], pads=[1, 1]),
    "up_3d": up([1, 8, 5, 5, 5], [8, 16, 2, 2, 2], strides=[2, 2, 2]),
    "up_dilated": up(IMAGE, [8, 16, 3, 3], dilations=[2, 2]),
    "up_groups": up(IMAGE, [8, 4, 3, 3], group=2, strides=[2, 2]),
    "up_output_shape": up(IMAGE, [8, 16, 3, 3], strides=[2, 2], output_shape=[22, 20]),
    "up_same": up(IMAGE, [8, 16, 3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
    "gemm": Case("Gemm", [[4, 32]], [[16, 32]], transB=1),
    "gemm_of_two": Case("Gemm", [[32, 4], [32, 8]], transA=1),
    "matmul": Case("MatMul", [[2, 4, 32]], [[32, 16]], weight_axis=1),
    "matmul_of_two": Case("MatMul", [[2, 4, 32], [2, 32, 8]]),
    "add": Case("Add", [IMAGE, [8, 1, 1]]),
    "sub": Case("Sub", [IMAGE, IMAGE]),
    "mul": Case("Mul", [IMAGE, [1, 8, 1, 1]]),
    "div": Case("Div", [ROWS, ROWS]),
    "max": Case("Max", [ROWS, ROWS]),
    "min": Case("Min", [ROWS, ROWS]),
    "max_pool": Case("MaxPool", [IMAGE], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "average_pool": Case("AveragePool", [IMAGE], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "global_average_pool": Case("GlobalAveragePool", [IMAGE]),
    "global_max_pool": Case("GlobalMaxPool", [IMAGE]),
    "concat": Case("Concat", [IMAGE, [1, 4, 11, 10]], axis=1),
    "resize": Case("Resize", [IMAGE], constants=[None, np.array([1, 1, 2, 2], np.float32)], mode="nearest"),
    "pad": Case("Pad", [IMAGE], constants=[np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(0.7)]),
    "pad_reflect": Case("Pad", [IMAGE], constants=[np.array([0, 0, 1, 1, 0, 0, 1, 1])], mode="reflect"),
    "transpose": Case("Transpose", [IMAGE], perm=[0, 2, 3, 1]),
    "gather": Case("Gather", [ROWS], constants=[np.array([1, 2])]),
    "gather_nd": Case("GatherND", [ROWS], constants=[np.array([[1], [2]])]),
    "gather_elements": Case("GatherElements", [ROWS], constants=[np.array([[1, 2]])]),
    "slice": Case("Slice", [IMAGE], constants=[np.array([0]), np.array([2]), np.array([1])]),
    "depth_to_space": Case("DepthToSpace", [IMAGE], blocksize=2),
    "softmax": Case("Softmax", [ROWS]),
    "layer_normalization": Case("LayerNormalization", [ROWS], constants=[ones(8), ones(8)]),
    "reduce_mean": Case("ReduceMean", [IMAGE], constants=[np.array([2, 3])]),
    "reduce_sum": Case("ReduceSum", [ROWS], constants=[np.array([0])]),
    "reduce_max": Case("ReduceMax", [IMAGE], constants=[np.array([2, 3])]),
    "batch_normalization": Case("BatchNormalization", [IMAGE], constants=[ones(8), ones(8), ones(8), ones(8) + 2]),
    "prelu": Case("PRelu", [IMAGE], constants=[ones(8, 1, 1)]),
    "mul_by_channel": Case("Mul", [IMAGE], constants=[ones(8, 1, 1)]),
    "leaky_relu": Case("LeakyRelu", [ROWS]),
    "hard_swish": Case("HardSwish", [ROWS]),
    "hard_sigmoid": Case("HardSigmoid", [ROWS]),
    "sigmoid": Case("Sigmoid", [ROWS]),
    "tanh": Case("Tanh", [ROWS]),
    "gelu": Case("Gelu", [ROWS]),
    "clip": Case("Clip", [ROWS], constants=[np.float32(0), np.float32(6)]),
}


class IntegerOperatorsTest(unittest.TestCase):
    def check(self, case):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            path, feeds, outputs = folder / "model.onnx", folder / "feeds", folder / "out.npz"
            onnx.save(case.model(), path)
            feeds.mkdir()
            np.savez(feeds / "0.npz", **case.feed())
            report = narrow_cli.run_narrow("validate", path, path, "--data", feeds, "--no-speed", "--quiet", "--format", "json")
            validation = json.loads(report)["validation"]
            (row,) = [node for node in validation["coverage"]["nodes"] if node["node"] == "op"]
            self.assertTrue(row["integer"], row)
            if validation["saturates_pairs"]:
                self.skipTest(f"{validation['isa']}: runtimes saturate sums of products at different places")
            narrow_cli.run_narrow("run", path, "--data", feeds, "-o", outputs, "--runtime", "integer", "--quiet")
            theirs = peers.make_session(path).run(None, case.feed())[0]
            steps = np.rint(np.abs(np.load(outputs)["out"] - theirs) / RESULT_SCALE)
            self.assertLessEqual(steps.max(), MAX_STEPS)
            self.assertGreaterEqual(100 * np.mean(steps == 0), MIN_IDENTICAL)

    def test_operators(self):
        for name, case in CASES.items():
            with self.subTest(name):
                self.check(case)


if __name__ == "__main__":
    unittest.main(verbosity=2)
