"""Products among nodes that ONNX's schemas say little of: operators of com.microsoft, and sequences."""

import json
import unittest

import metrics
import narrow_cli
import numpy as np
import onnx
import peers
from onnx import TensorProto, helper, numpy_helper

MIN_SQNR_DB = {"static": 25, "dynamic": 25, "float16": 55}


def weight(name, *shape, seed):
    values = np.random.default_rng(seed).standard_normal(shape) / np.sqrt(shape[0])
    return numpy_helper.from_array(values.astype(np.float32), name)


def fused_model():
    """No value between the nodes is declared."""
    microsoft = {"domain": "com.microsoft"}
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("Gelu", ["a"], ["b"], "gelu", **microsoft),
        helper.make_node("MatMul", ["b", "w1"], ["c"], "second"),
        helper.make_node("BiasGelu", ["c", "bias"], ["d"], "bias_gelu", **microsoft),
        helper.make_node("SkipLayerNormalization", ["d", "b", "gamma", "beta"], ["e"], "skip", **microsoft),
        helper.make_node("MatMul", ["e", "w2"], ["f"], "third"),
        helper.make_node("QuickGelu", ["f"], ["g"], "quick_gelu", **microsoft),
        helper.make_node("FusedMatMul", ["g", "w3"], ["h"], "fused", transB=1, **microsoft),
        helper.make_node("MatMul", ["h", "w4"], ["y"], "fourth"),
    ]
    constants = [weight(f"w{i}", 16, 16, seed=i) for i in range(5)]
    constants += [weight(name, 16, seed=9) for name in ("bias", "gamma", "beta")]
    return nodes, constants


def sequence_model():
    """Pieces of a product go through a sequence, a map over it and a branch that gives one."""
    body = helper.make_graph([helper.make_node("Mul", ["item", "item"], ["square"], "square")], "body",
                             [helper.make_tensor_value_info("item", TensorProto.FLOAT, None)],
                             [helper.make_tensor_value_info("square", TensorProto.FLOAT, None)])

    def branch(name, node):
        return helper.make_graph([node], name, [],
                                 [helper.make_tensor_sequence_value_info(node.output[0], TensorProto.FLOAT, None)])

    then_branch = branch("then", helper.make_node("SequenceInsert", ["mapped", "a"], ["more"], "more"))
    else_branch = branch("else", helper.make_node("SplitToSequence", ["a"], ["parts"], "parts", axis=1))
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("SplitToSequence", ["a"], ["s"], "split", axis=1),
        helper.make_node("SequenceMap", ["s"], ["mapped"], "map", body=body),
        helper.make_node("If", ["always"], ["chosen"], "if", then_branch=then_branch, else_branch=else_branch),
        helper.make_node("ConcatFromSequence", ["chosen"], ["b"], "concat", axis=1),
        helper.make_node("MatMul", ["b", "w1"], ["y"], "second"),
    ]
    constants = [weight("w0", 16, 16, seed=0), weight("w1", 16, 16, seed=1)]
    return nodes, constants + [numpy_helper.from_array(np.array(False), "always")]


class NeighboursTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        cls.samples = np.random.default_rng(5).standard_normal((32, 6, 16)).astype(np.float32)
        np.save(cls.folder / "x.npy", cls.samples)

    def check(self, made, mode, decision, products):
        nodes, constants = made
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 6, 16]) for name in "xy"]
        graph = helper.make_graph(nodes, "neighbours", values[:1], values[1:], constants)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
        path, output = self.folder / "model.onnx", self.folder / f"{mode}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        report = json.loads(narrow_cli.run_narrow(
            "quantize", path, "-o", output, "--data", self.folder / "x.npy", "--set", f"mode={mode}", "--no-speed",
            "--quiet", "--format", "json"))
        decided = {layer["node"]: layer["decision"] for layer in report["plan"]["layers"]}
        self.assertEqual({name: decided[name] for name in products}, dict.fromkeys(products, decision))
        wanted = peers.run_onnxruntime(path, self.samples)
        self.assertGreater(metrics.sqnr_db(peers.run_onnxruntime(output, self.samples), wanted), MIN_SQNR_DB[mode])

    def test_operators_of_microsoft(self):
        for mode, decision in [("static", "quantize"), ("dynamic", "dynamic"), ("float16", "float16")]:
            with self.subTest(mode=mode):
                self.check(fused_model(), mode, decision, ["first", "second", "third", "fourth"])

    def test_sequences(self):
        for mode, decision in [("static", "quantize"), ("float16", "float16")]:
            with self.subTest(mode=mode):
                self.check(sequence_model(), mode, decision, ["first", "second"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
