"""Weights that operators in the file decode (binary, codebooks), decoded by numpy alone."""

import dataclasses

import numpy as np
import onnx
from onnx import numpy_helper


@dataclasses.dataclass(frozen=True)
class Coded:
    codes: np.ndarray  # 0 and 1, or numbers of entries, in the weight's shape
    entries: np.ndarray  # [codebooks, entries]; of a binary weight [1, 2]: -1 and 1
    codebook: np.ndarray  # of each element, broadcastable
    scale: np.ndarray  # of each element, broadcastable

    def values(self):
        return self.entries[self.codebook, self.codes] * self.scale


def unpack(stored, bits, shape):
    """Codes from bytes, the first in the lowest bits."""
    bit = np.unpackbits(stored.reshape(-1), bitorder="little").reshape(-1, bits)
    codes = bit @ (1 << np.arange(bits))
    return codes[: np.prod(shape)].reshape(shape)


def bits_of(entries):
    return next(bits for bits in (1, 2, 4, 8) if entries <= 1 << bits)


def coded_weights(path, shapes, channels=0):
    """{name: Coded} of the weights {name: shape} whose codes are in the file; `channels`: as many share a codebook."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = {node.output[0]: node for node in graph.node}
    result = {}
    for name, shape in shapes.items():
        if name + "_binary" in constants:
            source = inputs[name + "_decoded"].input[1]
            scale = constants[source] if source in constants else block_scales(constants, inputs[source])
            codes = unpack(constants[name + "_binary"], 1, shape)
            result[name] = Coded(codes, np.array([[-1.0, 1.0]], np.float32), np.zeros((), int), scale)
        elif name + "_codebook" in constants:
            result[name] = codebook_weight(constants, inputs, name, shape, channels)
    return result


def block_scales(constants, gather):
    """The scale of each element along the axis."""
    axis = next(attribute.i for attribute in gather.attribute if attribute.name == "axis")
    return np.take(constants[gather.input[0]], constants[gather.input[1]], axis)


def codebook_weight(constants, makers, name, shape, channels):
    node = makers[name + "_decoded"]
    scale = np.ones((), np.float32)
    if node.op_type == "Mul":
        scale = constants[node.input[1]]
        node = makers[node.input[0]]
    entries = constants[node.input[0]]
    adder = makers[node.input[1]]
    codebook, count = np.zeros((), int), 1
    if adder.op_type == "Add":
        first = constants[adder.input[1]]
        count = len(np.unique(first))
        codebook = first // (entries.size // count)
        assert np.array_equal(codebook.reshape(-1), np.arange(first.size) // channels)
    entries = entries.reshape(count, -1)
    return Coded(unpack(constants[name + "_codebook"], bits_of(entries.shape[1]), shape), entries, codebook, scale)


def nearest_distance(coded, weight):
    """Distances of weight / scale to the nearest entry, and to the entry that was taken."""
    values = weight / coded.scale
    books = np.broadcast_to(coded.codebook, weight.shape)
    nearest = np.full(weight.shape, np.inf)
    for k in range(coded.entries.shape[1]):
        nearest = np.minimum(nearest, np.abs(values - coded.entries[books, k]))
    return nearest, np.abs(values - coded.entries[books, coded.codes])
