"""Products among operators of com.microsoft, of which ONNX has no schemas, beside sequences and maps, and in bodies."""

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


def branches_model():
    """Both branches and the graph around them read one weight, the branches another."""

    def branch(name, kind):
        nodes = [helper.make_node("MatMul", ["a", "w1"], [f"{name}_b"], f"{name}_second"),
                 helper.make_node(kind, [f"{name}_b"], [f"{name}_c"], f"{name}_{kind}"),
                 helper.make_node("MatMul", [f"{name}_c", "w0"], [f"{name}_y"], f"{name}_third")]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)])

    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("ReduceSum", ["x"], ["sum"], "sum", keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"], "positive"),
        helper.make_node("If", ["positive"], ["y"], "if", then_branch=branch("then", "Relu"),
                         else_branch=branch("else", "Tanh")),
    ]
    constants = [weight(f"w{i}", 64, 64, seed=i) for i in range(2)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 64]) for name in "xy"]
    graph = helper.make_graph(nodes, "branches", values[:1], values[1:],
                              constants + [numpy_helper.from_array(np.array(0, np.float32), "zero")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def classifier_model():
    """As scikit-learn's classifiers are exported: labels, and scores as a map of each sample."""
    learned = {"domain": "ai.onnx.ml"}
    coefficients = np.random.default_rng(3).standard_normal(12).tolist()
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("MatMul", ["b", "w1"], ["c"], "second"),
        helper.make_node("LinearClassifier", ["c"], ["label", "scores"], "classifier", coefficients=coefficients,
                         intercepts=[0.1, 0.2, 0.3], classlabels_ints=[7, 5, 9], post_transform="SOFTMAX", **learned),
        helper.make_node("ZipMap", ["scores"], ["maps"], "zip", classlabels_int64s=[7, 5, 9], **learned),
    ]
    maps = onnx.ValueInfoProto(name="maps")
    element = maps.type.sequence_type.elem_type.map_type
    element.key_type = TensorProto.INT64
    element.value_type.tensor_type.elem_type = TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]), maps]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 16])]
    graph = helper.make_graph(nodes, "classifier", inputs, outputs,
                              [weight("w0", 16, 16, seed=0), weight("w1", 16, 4, seed=1)])
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


class MapsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        cls.samples = np.random.default_rng(5).standard_normal((40, 16)).astype(np.float32)
        np.save(cls.folder / "x.npy", cls.samples)
        onnx.save(classifier_model(), cls.folder / "model.onnx")
        cls.labels, cls.maps = peers.make_session(cls.folder / "model.onnx").run(None, {"x": cls.samples})

    def test_a_run_gives_labels_and_maps(self):
        arguments = ["run", self.folder / "model.onnx", "--data", self.folder / "x.npy", "--quiet", "-o"]
        narrow_cli.run_narrow(*arguments, self.folder / "y.npz")
        with np.load(self.folder / "y.npz") as arrays:
            self.assertEqual(list(arrays), ["label"])
            np.testing.assert_array_equal(arrays["label"], self.labels)
        narrow_cli.run_narrow(*arguments, self.folder / "y")
        found = []
        for path in sorted((self.folder / "y").glob("feed_*/output_1.pb")):
            found += numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes()))
        # onnxruntime's maps come sorted.
        self.assertEqual([sorted(one) for one in found], [list(one) for one in self.maps])
        np.testing.assert_allclose([[one[key] for key in sorted(one)] for one in found],
                                   [list(one.values()) for one in self.maps], rtol=1e-4)

    def test_quantizing_passes_the_maps_through(self):
        for mode, decision in [("static", "quantize"), ("float16", "float16")]:
            with self.subTest(mode=mode):
                output = self.folder / f"{mode}.onnx"
                report = json.loads(narrow_cli.run_narrow(
                    "quantize", self.folder / "model.onnx", "-o", output, "--data", self.folder / "x.npy", "--set",
                    f"mode={mode}", "--no-speed", "--quiet", "--format", "json"))
                decided = {layer["node"]: layer["decision"] for layer in report["plan"]["layers"]}
                self.assertEqual((decided["first"], decided["second"]), (decision, decision))
                labels, maps = peers.make_session(output).run(None, {"x": self.samples})
                self.assertGreaterEqual(np.mean(labels == self.labels), 0.9)
                self.assertEqual([list(one) for one in maps], [list(one) for one in self.maps])
                scores = [np.array([list(one.values()) for one in made]) for made in (maps, self.maps)]
                self.assertGreater(metrics.sqnr_db(*scores), MIN_SQNR_DB[mode])


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


class BranchesTest(unittest.TestCase):
    def test_weights_that_graphs_share(self):
        """onnxruntime loads the file with all its optimizations, and it holds each weight once."""
        folder = narrow_cli.class_folder(type(self))
        model = folder / "model.onnx"
        onnx.save(branches_model(), model)
        samples = np.random.default_rng(5).standard_normal((8, 64)).astype(np.float32)
        # One by one: which branch is taken is up to the sample.
        run = lambda path: np.concatenate([peers.run_onnxruntime(path, samples[i : i + 1]) for i in range(8)])
        wanted = run(model)
        for weights, block, least, bits in [("int8", 0, 35, 8), ("int4", 32, 13, 4)]:
            with self.subTest(weights=weights):
                output = folder / f"{weights}.onnx"
                settings = ["--set", "mode=weight_only", "--set", f"weights={weights}"]
                settings += ["--set", f"weights.block={block}"] if block else []
                narrow_cli.run_narrow("quantize", model, "-o", output, *settings, "--no-speed", "--quiet")
                self.assertGreater(metrics.sqnr_db(run(output), wanted), least)
                self.assertLess(output.stat().st_size, 2 * 64 * 64 * bits / 8 + 4000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
