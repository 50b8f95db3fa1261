"""Small QDQ models of the structures that other quantizers leave: where pairs stand, what is folded and what is not."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 8
SIZE = 12
SIGNED_STEP = np.float32(4 / 127)
CLIPPED_STEP = np.float32(6 / 255)


class Structure:
    """Nodes and constants under construction; every operation returns the name of its result."""

    def __init__(self, domain=""):
        self.domain = domain  # of QuantizeLinear and DequantizeLinear
        self.nodes, self.constants = [], []
        self.random = np.random.default_rng(5)

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operation, inputs, domain="", **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], name=f"{operation}{len(self.nodes)}", domain=domain, **attributes))
        return name

    def quantize(self, value, scale, zero_point, **axis):
        return self.linear("QuantizeLinear", value, scale, zero_point, **axis)

    def dequantize(self, value, scale, zero_point, **axis):
        return self.linear("DequantizeLinear", value, scale, zero_point, **axis)

    def linear(self, operation, value, scale, zero_point, **axis):
        constants = [self.constant(np.asarray(scale, np.float32)), self.constant(zero_point)]
        return self.add(operation, [value, *constants], self.domain, **axis)

    def pair(self, value, scale, zero_point, **axis):
        return self.dequantize(self.quantize(value, scale, zero_point, **axis), scale, zero_point, **axis)

    def weights(self, shape):
        """Of products whose results have about the deviation of their inputs."""
        return (self.random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def normalize(self, value, channels=CHANNELS):
        gamma = self.random.choice([-1, 1], channels) * self.random.uniform(0.5, 1.5, channels)
        parameters = [gamma, self.random.uniform(-0.5, 0.5, channels), self.random.uniform(-0.2, 0.2, channels),
                      self.random.uniform(0.5, 1.5, channels)]
        return self.add("BatchNormalization", [value, *(self.constant(p.astype(np.float32)) for p in parameters)])

    def model(self, result, opset=13):
        self.nodes[-1].output[0] = "y"
        assert result == f"v{len(self.nodes) - 1}"
        graph = helper.make_graph(
            self.nodes, "structure", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, SIZE, SIZE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], self.constants)
        domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=8)


def stored_by_channel(made, real):
    """int8 codes of each output channel behind DequantizeLinear."""
    scales = np.abs(real).reshape(len(real), -1).max(axis=1) / 127
    codes = np.round(real / scales.reshape(-1, *[1] * (real.ndim - 1))).astype(np.int8)
    return made.dequantize(made.constant(codes), scales, np.zeros(len(real), np.int8), axis=0)


def nncf():
    """Normalization stays between product and clamp; depthwise convolutions read a scale for each channel; a residual
    sum's new operand is symmetric int8; Dropout stays."""
    made = Structure()
    zero, signed_zero = np.uint8(0), np.int8(0)
    x = made.pair("x", SIGNED_STEP, signed_zero)
    first = made.add("Conv", [x, stored_by_channel(made, made.weights((CHANNELS, 4, 3, 3)))], pads=[1] * 4)
    clipped = made.add("Clip", [made.normalize(first), made.constant(np.float32([0])), made.constant(np.float32([6]))])
    steps = np.geomspace(0.3, 1, CHANNELS) * CLIPPED_STEP
    wide = made.pair(clipped, steps, np.zeros(CHANNELS, np.uint8), axis=1)
    depthwise = made.add("Conv", [wide, stored_by_channel(made, made.weights((CHANNELS, 1, 3, 3)))], pads=[1] * 4, group=CHANNELS)
    relu = made.pair(made.add("Relu", [made.normalize(depthwise)]), CLIPPED_STEP, zero)
    pointwise = made.add("Conv", [relu, stored_by_channel(made, made.weights((CHANNELS, CHANNELS, 1, 1)))])
    branch = made.pair(made.normalize(pointwise), SIGNED_STEP, signed_zero)
    total = made.pair(made.add("Relu", [made.add("Add", [branch, relu])]), CLIPPED_STEP, zero)
    pooled = made.add("MaxPool", [total], kernel_shape=[2, 2], strides=[2, 2])
    dropped = made.add("Dropout", [made.add("Concat", [pooled, pooled], axis=1)])
    bias = made.constant(made.weights((6, 1)).ravel())
    last = made.add("Conv", [dropped, stored_by_channel(made, made.weights((6, 2 * CHANNELS, 1, 1))), bias])
    return made.model(made.add("GlobalAveragePool", [last]))


def stored_by_powers_of_two(made, real):
    scale = 2.0 ** np.ceil(np.log2(np.abs(real).max() / 127))
    return made.dequantize(made.constant(np.round(real / scale).astype(np.int8)), scale, np.int8(0))


def quark():
    """Scales are powers of two, one for each tensor; a bias has 8 bits and a scale of its own; a pooling is corrected by
    a factor; QuantizeLinear and DequantizeLinear are those of com.microsoft."""
    made = Structure(domain="com.microsoft")
    step, zero = 2.0**-5, np.int8(0)
    x = made.pair("x", step, zero)
    kernel = [stored_by_powers_of_two(made, made.weights(s)) for s in [(CHANNELS, 4, 3, 3), (CHANNELS, 1, 3, 3), (5, CHANNELS)]]
    bias = [stored_by_powers_of_two(made, made.weights((n, 2))[:, 0]) for n in (CHANNELS, CHANNELS, 5)]
    first = made.pair(made.add("Relu", [made.add("Conv", [x, kernel[0], bias[0]], strides=[2, 2])]), step, zero)
    second = made.pair(made.add("Conv", [first, kernel[1], bias[1]], group=CHANNELS), step, zero)
    pooled = made.add("GlobalAveragePool", [second])
    factor = made.dequantize(made.constant(np.int8(66)), 2.0**-6, zero)
    flat = made.add("Flatten", [made.pair(made.add("Mul", [pooled, factor]), 2.0**-7, zero)])
    return made.model(made.pair(made.add("Gemm", [flat, kernel[2], bias[2]], transB=1), 2.0**-7, zero))


def tensorrt():
    """Weights stay float, with a pair of their own; each reader of a value has a pair; sums and results are float."""
    made = Structure()
    zero = np.int8(0)

    def weight(shape):
        real = made.weights(shape)
        scales = np.abs(real).reshape(len(real), -1).max(axis=1) / 127
        return made.pair(made.constant(real), scales, np.zeros(len(real), np.int8), axis=0)

    first = made.add("Relu", [made.add("Conv", [made.pair("x", SIGNED_STEP, zero), weight((CHANNELS, 4, 3, 3))], pads=[1] * 4)])
    bias = made.constant(made.weights((CHANNELS, 1)).ravel())
    second = made.add("Conv", [made.pair(first, CLIPPED_STEP, zero), weight((CHANNELS, CHANNELS, 3, 3)), bias], pads=[1] * 4)
    total = made.add("Relu", [made.add("Add", [second, made.pair(first, CLIPPED_STEP, zero)])])
    return made.model(made.add("Conv", [made.pair(total, CLIPPED_STEP, zero), weight((4, CHANNELS, 1, 1))]), opset=17)


STRUCTURES = {"nncf": nncf, "quark": quark, "tensorrt": tensorrt}
