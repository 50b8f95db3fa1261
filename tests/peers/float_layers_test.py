"""Layers that a rule keeps float between integer layers stay float in onnxruntime, whatever it optimizes."""

import json
import unittest

import metrics
import narrow_cli
import numpy as np
import onnx
import peers
from onnx import TensorProto, helper, numpy_helper

MIN_SQNR_DB = 30  # with one scale for a whole weight 19


def uneven_model():
    """Layers "wide" and "dense" multiply a channel that is small by weights that are large."""
    random = np.random.default_rng(3)
    draw = lambda *shape: random.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
    constants = {"w0": draw(8, 3, 3, 3), "w1": draw(8, 8, 3, 3), "w2": draw(8, 8, 3, 3), "w3": draw(8, 8), "w4": draw(8, 8)}
    constants |= {f"b{i}": draw(8, 1).reshape(8) for i in range(3)}
    for small in ("w0", "b0", "w2", "b2"):
        constants[small][0] /= 100
    for large in ("w1", "w3"):
        constants[large][:, 0] *= 100
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a"], "first", **pads),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "w1", "b1"], ["b"], "wide", **pads),
        helper.make_node("Relu", ["b"], ["s"], "relu_1"),
        helper.make_node("Conv", ["s", "w2", "b2"], ["c"], "second", **pads),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "pool"),
        helper.make_node("Flatten", ["d"], ["e"], "flat"),
        helper.make_node("Gemm", ["e", "w3"], ["f"], "dense", transB=1),
        helper.make_node("Gemm", ["f", "w4"], ["y"], "last", transB=1),
    ]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "uneven", values[:1], values[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def siblings_model():
    """Products "kept" and "other" read one value; "added" has a bias behind it, "gemm" no transB."""
    random = np.random.default_rng(7)
    draw = lambda *shape: random.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[0]))
    constants = {"w0": draw(32, 64), "w1": draw(64, 64), "w2": draw(64, 64), "w3": draw(64, 64), "b3": draw(64), "w4": draw(64, 8)}
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("MatMul", ["a", "w1"], ["k"], "kept"),
        helper.make_node("MatMul", ["a", "w2"], ["o"], "other"),
        helper.make_node("Mul", ["k", "o"], ["m"], "mul"),
        helper.make_node("MatMul", ["m", "w3"], ["n"], "added"),
        helper.make_node("Add", ["n", "b3"], ["p"], "add"),
        helper.make_node("Gemm", ["p", "w4"], ["y"], "gemm"),
    ]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "siblings", values[:1], values[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class FloatLayersTest(unittest.TestCase):
    def test_kept_layers_stay_float(self):
        folder = narrow_cli.class_folder(type(self))
        samples = np.random.default_rng(5).standard_normal((48, 3, 16, 16)).astype(np.float32)
        np.save(folder / "x.npy", samples)
        onnx.save(uneven_model(), folder / "model.onnx")
        # 16-bit activations: what is lost is the weights'.
        output = self.quantized(folder, {
            "defaults": {"activations": "uint16"},
            "rules": [{"match": {"name": name}, "keep": "float32"} for name in ("wide", "dense")],
        })
        wanted = peers.run_onnxruntime(folder / "model.onnx", samples)
        self.assertGreater(metrics.sqnr_db(peers.run_onnxruntime(output, samples), wanted), MIN_SQNR_DB)

    def quantized(self, folder, config):
        (folder / "c.json").write_text(json.dumps(config | {"recovery": "none"}), encoding="utf-8")
        output = folder / "q.onnx"
        narrow_cli.quantize(folder / "model.onnx", output, folder / "x.npy", folder / "c.json", "--no-speed", "--quiet")
        return output

    def test_weights_of_two_bits_load(self):
        folder = narrow_cli.class_folder(type(self))
        samples = np.random.default_rng(5).standard_normal((48, 3, 16, 16)).astype(np.float32)
        np.save(folder / "x.npy", samples)
        onnx.save(uneven_model(), folder / "model.onnx")
        for weights in ("int2", "uint2"):
            with self.subTest(weights):
                rules = [{"match": {"name": name}, "mode": "weight_only", "weights": weights} for name in ("wide", "dense")]
                output = self.quantized(folder, {"rules": rules})
                wanted = peers.run_onnxruntime(output, samples, optimized=False)
                self.assertGreater(metrics.sqnr_db(peers.run_onnxruntime(output, samples), wanted), MIN_SQNR_DB)

    def test_products_beside_integer_siblings_load(self):
        folder = narrow_cli.class_folder(type(self))
        samples = np.random.default_rng(5).standard_normal((48, 32)).astype(np.float32)
        np.save(folder / "x.npy", samples)
        onnx.save(siblings_model(), folder / "model.onnx")
        for weights in ({"type": "int2"}, {"type": "uint2"}, {"type": "int2", "block": 32}, {"type": "int8", "block": 32}):
            with self.subTest(weights):
                rules = [{"match": {"name": name}, "mode": "weight_only", "weights": weights} for name in ("kept", "added", "gemm")]
                output = self.quantized(folder, {"rules": rules})
                wanted = peers.run_onnxruntime(output, samples, optimized=False)
                self.assertGreater(metrics.sqnr_db(peers.run_onnxruntime(output, samples), wanted), MIN_SQNR_DB)


if __name__ == "__main__":
    unittest.main(verbosity=2)
