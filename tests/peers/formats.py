#!/usr/bin/env python3
"""Which number formats narrow writes, and who runs them: the rows of docs/number-formats.md, converted and run.

usage: build/peers/bin/python tests/peers/formats.py [--table]      (--table: writes the table in docs/number-formats.md)

A small model without normalization (so that the file's weights are the model's own) is converted once for each row.
"""

import argparse
import dataclasses
import pathlib
import tempfile

import metrics
import ml_dtypes
import narrow_cli
import numpy as np
import onnx
import peers
from onnx import TensorProto, helper, numpy_helper

TABLE = narrow_cli.ROOT / "docs" / "number-formats.md"
MARKS = ("<!-- table: formats.py -->\n", "<!-- end of table -->\n")
TYPES = {
    "int8": (np.int8, -128, 127),
    "uint8": (np.uint8, 0, 255),
    "int16": (np.int16, -32768, 32767),
    "uint16": (np.uint16, 0, 65535),
    "int4": (ml_dtypes.int4, -8, 7),
    "uint4": (ml_dtypes.uint4, 0, 15),
    "int2": (ml_dtypes.int2, -2, 1),
    "uint2": (ml_dtypes.uint2, 0, 3),
    "float8e4m3fn": (ml_dtypes.float8_e4m3fn, -448, 448),
    "float8e5m2": (ml_dtypes.float8_e5m2, -57344, 57344),
    "float4e2m1": (ml_dtypes.float4_e2m1fn, -6, 6),
}
CODED = {"binary": 2, "codebook2": 2, "codebook3": 3, "codebook16": 16, "codebook256": 256}  # entries
CHANNELS = 4  # that share a codebook where several do
BLOCK = 16


@dataclasses.dataclass(frozen=True)
class Row:
    mode: str
    weights: str
    activations: str = "float32"
    granularity: str = "per_channel"

    def name(self):
        return f"{self.mode} {self.weights} {self.activations} {self.granularity}"

    def settings(self):
        sets = [f"target={self.target()}", f"mode={self.mode}"]
        if self.is_half():
            return [part for setting in sets for part in ("--set", setting)]
        if self.weights.startswith("codebook"):
            sets += ["weights.type=codebook", f"weights.entries={CODED[self.weights]}"]
        else:
            sets.append(f"weights.type={self.weights}")
        if self.granularity == "per_channel_group":
            sets += [f"weights.channels={CHANNELS}", "granularity=per_tensor"]
        elif self.granularity == "per_block":
            sets.append(f"weights.block={BLOCK}")
        else:
            sets.append(f"granularity={self.granularity}")
        if self.mode == "static":
            sets.append("recovery=[]")  # codes are those of the float weights
            sets.append(f"activations={self.activations}")
        return [part for setting in sets for part in ("--set", setting)]

    def target(self):
        """What onnxruntime fuses and then refuses is written for no runtime in particular."""
        eight_or_sixteen = {"int8", "uint8", "int16", "uint16"}
        weights = eight_or_sixteen | {"int4", "uint4"}
        blocks = self.granularity != "per_block" or self.weights in ("int4", "uint4")
        known = self.weights in weights and self.activations in eight_or_sixteen and blocks
        return "onnxruntime" if known or self.mode != "static" else "generic"

    def is_half(self):
        return self.mode in ("float16", "bfloat16")

    def is_coded(self):
        return self.weights in CODED

    def needs_data(self):
        return self.mode == "static"


def rows():
    """Every format that the documentation calls supported."""
    found = [Row("weight_only", w, granularity=g) for w in TYPES for g in ("per_tensor", "per_channel", "per_block")]
    found += [Row("weight_only", "binary", granularity=g) for g in ("per_tensor", "per_channel", "per_block")]
    found += [
        Row("weight_only", w, granularity=g)
        for w in CODED
        for g in ("per_tensor", "per_channel", "per_channel_group")
        if w != "binary"
    ]
    found += [Row("static", w, a) for w in TYPES for a in ("uint8", "int8", "uint16", "int16")]
    found += [Row("static", "int8", a) for a in TYPES if a not in ("uint8", "int8", "uint16", "int16")]
    found += [Row("static", w, w) for w in ("float8e4m3fn", "float8e5m2")]
    found += [Row("static", "int8", "uint8", g) for g in ("per_tensor", "per_block")]
    found += [Row("static", "int4", "uint8", "per_block")]
    found += [Row("dynamic", w, "uint8", g) for w in ("int8", "uint8") for g in ("per_tensor", "per_channel")]
    found += [Row(half, half, half, "") for half in ("float16", "bfloat16")]
    return found


def make_model(path):
    """image [n, 4, 8, 8] -> Conv, Relu, ConvTranspose, Relu, Gemm, MatMul -> [n, 10]; weights of normal random numbers."""
    random = np.random.default_rng(5)

    def weight(name, *shape):
        fan_in = np.prod(shape) / max(shape[0], shape[-1])
        return numpy_helper.from_array((random.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32), name)

    weights = [
        weight("conv_w", 16, 4, 3, 3),
        weight("deconv_w", 16, 8, 2, 2),
        weight("gemm_w", 24, 8 * 8 * 8),
        weight("matmul_w", 24, 10),
        weight("conv_b", 16),
        weight("gemm_b", 24),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "conv_w", "conv_b"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["cr"], "relu"),
        helper.make_node("ConvTranspose", ["cr", "deconv_w"], ["d"], "deconv", strides=[2, 2]),
        helper.make_node("Relu", ["d"], ["dr"], "relu2"),
        helper.make_node("Flatten", ["dr"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "gemm_w", "gemm_b"], ["g"], "gemm", transB=1),
        helper.make_node("MatMul", ["g", "matmul_w"], ["scores"], "matmul"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 4, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in weights}


class Workbench:
    """The model, its data and narrow's conversions, in a folder of their own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.model = self.folder / "small.onnx"
        self.weights = make_model(self.model)
        self.samples = np.random.default_rng(6).standard_normal((64, 4, 8, 8)).astype(np.float32)
        self.data = self.folder / "samples.npy"
        np.save(self.data, self.samples)
        self.reference = peers.run_onnxruntime(self.model, self.samples)

    def convert(self, row, rounding="half_even"):
        output = self.folder / f"{row.name().replace(' ', '_')}_{rounding}.onnx"
        data = ["--data", self.data] if row.needs_data() else []
        settings = [*row.settings(), "--set", f"weights.rounding={rounding}"]
        narrow_cli.run_narrow("quantize", self.model, "-o", output, "--no-speed", "--quiet", *data, *settings)
        return output

    def run_ours(self, path):
        result = path.with_suffix(".npz")
        narrow_cli.run_narrow("run", path, "--data", self.data, "-o", result, "--quiet")  # integers where there are any
        return np.load(result)["scores"]


def dequantized_weights(path):
    """Float weights by numpy alone from the file's initializers: {node that reads it: (codes, scales, zeros, values)}."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    readers = {name: node.name for node in graph.node for name in node.input}
    result = {}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
            continue
        codes, scales = constants[node.input[0]], constants[node.input[1]]
        if codes.ndim < 2:
            continue
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        zeros = constants[node.input[2]] if len(node.input) > 2 else np.zeros(scales.shape, codes.dtype)
        axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)

        def spread(values):
            if values.ndim == 0:
                return values
            if block:
                return np.repeat(values, block, axis)[tuple(slice(0, size) for size in codes.shape)]
            return values.reshape([-1 if i == axis else 1 for i in range(codes.ndim)])

        scale, zero = spread(scales), spread(zeros.astype(np.float32))
        values = (codes.astype(np.float32) - zero) * scale
        result[readers[node.output[0]]] = (codes, scale, zero, values)
    return result


def dequantized_initializers(path):
    """{name: values} by the names of the float initializers that DequantizeLinear nodes stand for."""
    graph = onnx.load(path).graph
    makers = {node.name: node.output[0] for node in graph.node}
    readers = {name: node.name for node in graph.node for name in node.input}
    values = dequantized_weights(path)
    result = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.name in makers and readers.get(node.output[0]) in values:
            result[node.name.removesuffix("_DequantizeLinear")] = values[readers[node.output[0]]][3]
    return result


def opset_of(path):
    return next(entry.version for entry in onnx.load(path).opset_import if entry.domain == "")


def table_line(bench, row):
    path = bench.convert(row)
    sqnr = metrics.sqnr_db(bench.run_ours(path), bench.reference)
    try:
        theirs = peers.run_onnxruntime(path, bench.samples)
        runs = "yes" if np.isfinite(theirs).all() else "no: not finite"
    except Exception as error:
        runs = "no: " + (str(error).split(" : ") + ["", "fail"])[2].lower()
    ratio = path.stat().st_size / bench.model.stat().st_size
    return (
        f"| {row.mode} | {row.weights} | {row.activations} | {row.granularity} | {row.target()} | {opset_of(path)} | {runs} "
        f"| {ratio:.2f} | {sqnr:.0f} |\n"
    )


def make_table():
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(folder)
        head = (
            "| mode | weights | activations | granularity | target | opset | onnxruntime runs it | file / float | SQNR dB |\n"
            "|---|---|---|---|---|---|---|---|---|\n"
        )
        return head + "".join(table_line(bench, row) for row in rows())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true")
    table = make_table()
    if not parser.parse_args().table:
        print(table)
        return
    text = TABLE.read_text(encoding="utf-8")
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    TABLE.write_text(before + MARKS[0] + table + MARKS[1] + after, encoding="utf-8")


if __name__ == "__main__":
    main()
