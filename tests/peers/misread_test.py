"""What OpenVINO reads wrongly where dimensions are not known, as its target spells it: the first element for all channels."""

import json
import unittest

import metrics
import narrow_cli
import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import peers

CHANNELS = 12
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


class Graph:
    def __init__(self, seed):
        self.draw = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def constant(self, value):
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def weight(self, *shape, size=0.3):
        return self.constant((self.draw.standard_normal(shape) * size).astype(np.float32))

    def op(self, kind, *inputs, **attributes):
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        self.nodes.append(onnx.helper.make_node(kind, names, [f"v{len(self.nodes)}"], f"{kind}{len(self.nodes)}", **attributes))
        return self.nodes[-1].output[0]

    def dimensions(self, value, first, last):
        return self.op("Slice", self.op("Shape", value), np.array([first]), np.array([last]), np.array([0]))

    def save(self, path, inputs, result):
        self.op("Identity", result)
        self.nodes[-1].output[0] = "y"
        values = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
        graph = onnx.helper.make_graph(self.nodes, "g", values, [onnx.helper.make_tensor_value_info("y", FLOAT, None)],
                                       self.constants)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)


def class_token(graph, z):
    """As vision transformers put it in front of their patches."""
    token = graph.op("Expand", graph.weight(1, CHANNELS, 1), graph.op("Concat", graph.dimensions(z, 0, 1), np.array([CHANNELS, 1]), axis=0))
    patches = graph.op("Reshape", z, graph.op("Concat", graph.dimensions(z, 0, 2), np.array([-1]), axis=0))
    return graph.op("Concat", token, patches, axis=2)


def anchors(graph, z):
    """The head of a YOLO: channels by anchor."""
    shape = graph.op("Concat", graph.dimensions(z, 0, 1), np.array([3, CHANNELS // 3]), graph.dimensions(z, 2, 4), axis=0)
    return graph.op("Transpose", graph.op("Reshape", z, shape), perm=[0, 1, 3, 4, 2])


def recurrent(graph, z):
    """Rows of an image as a sequence; no operator of the model asks for a shape."""
    row = graph.op("Transpose", graph.op("Reshape", z, np.array([0, CHANNELS, -1])), perm=[2, 0, 1])
    return graph.op("GRU", row, graph.weight(1, 12, CHANNELS), graph.weight(1, 12, 4), hidden_size=4)


def cropped(graph, z):
    end = graph.op("Sub", graph.dimensions(z, 2, 3), np.array([1]))
    return graph.op("Slice", z, np.array([0]), end, np.array([2]))


class BiasTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        cls.images = np.random.default_rng(2).standard_normal((6, 1, 3, 16, 16)).astype(np.float32)
        np.save(cls.folder / "images.npy", cls.images)

    def convert(self, name, tail, shape, *settings, relu=False):
        graph = Graph(3)
        value = graph.op("Relu", graph.op("Conv", "x", graph.weight(8, 3, 3, 3), graph.weight(8, size=1), pads=[1] * 4))
        value = graph.op("Conv", value, graph.weight(CHANNELS, 8, 3, 3), graph.weight(CHANNELS, size=2), pads=[1] * 4)
        path, quantized = self.folder / f"{name}.onnx", self.folder / f"{name}.int8.onnx"
        graph.save(path, {"x": (FLOAT, shape)}, tail(graph, graph.op("Relu", value) if relu else value))
        narrow_cli.run_narrow("quantize", path, "-o", quantized, "--data", self.folder / "images.npy", "--no-speed", "--quiet",
                              "--plan-out", self.folder / f"{name}.plan.json", *settings)
        return path, quantized

    def outputs(self, path):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return np.concatenate([session.run(None, {"x": image})[0] for image in self.images])

    def openvino_outputs(self, path):
        compiled = peers.openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.concatenate([compiled([image])[0] for image in self.images])

    def test_each_channel_has_its_own(self):
        for tail in (class_token, anchors, recurrent, cropped):
            for relu in (False, True):
                name = f"{tail.__name__}{relu}"
                with self.subTest(tail=tail.__name__, relu=relu):
                    path, quantized = self.convert(name, tail, ["n", 3, "h", "w"], "--set", "target=openvino", relu=relu)
                    wanted = self.outputs(path)
                    self.assertGreater(metrics.sqnr_db(self.openvino_outputs(quantized), wanted), 25)
                    result = self.folder / f"{name}.npz"
                    narrow_cli.run_narrow("run", quantized, "--data", self.folder / "images.npy", "-o", result, "--quiet",
                                          "--runtime", "integer")
                    self.assertGreater(metrics.sqnr_db(np.load(result)["y"].reshape(wanted.shape), wanted), 25)

    def test_products_stay_integers(self):
        _, quantized = self.convert("products", anchors, ["n", 3, "h", "w"], "--set", "target=openvino")
        products = [kind for kind in peers.openvino_products(quantized) if kind[1] == "Convolution"]
        self.assertEqual([precision for _, _, precision in products], ["u8", "u8"])
        layers = json.loads((self.folder / "products.plan.json").read_text())["layers"]
        self.assertEqual([layer["decision"] for layer in layers if layer["op"] == "Conv"], ["quantize"] * 2)

    def test_known_shapes_and_other_targets_keep_their_biases(self):
        for shape, target in ((["n", 3, "h", "w"], "onnxruntime"), ([1, 3, 16, 16], "openvino")):
            _, quantized = self.convert("kept", anchors, shape, "--set", f"target={target}")
            convolutions = [node for node in onnx.load(quantized).graph.node if node.op_type == "Conv"]
            self.assertEqual([len(node.input) for node in convolutions], [3, 3], target)


class ExpandTest(unittest.TestCase):
    def test_rotary_frequencies(self):
        """As LLaMA computes them: a constant for each pair, expanded to the batch, times positions."""
        folder = narrow_cli.class_folder(type(self))
        graph = Graph(4)
        frequencies = (1 / 100 ** (np.arange(4) / 4)).astype(np.float32).reshape(1, 4, 1)
        shape = graph.op("Concat", graph.dimensions("x", 0, 1), np.array([4, 1]), axis=0)
        angles = graph.op("MatMul", graph.op("Expand", frequencies, shape), graph.op("Unsqueeze", "position", np.array([1])))
        turned = graph.op("Mul", graph.op("MatMul", "x", graph.weight(16, 4)), graph.op("Cos", graph.op("Transpose", angles, perm=[0, 2, 1])))
        path, quantized = folder / "rope.onnx", folder / "rope.int8.onnx"
        graph.save(path, {"x": (FLOAT, ["b", "s", 16]), "position": (FLOAT, ["b", "s"])}, turned)
        draw = np.random.default_rng(5)
        feeds = [{"x": draw.standard_normal((2, 7, 16)).astype(np.float32), "position": np.tile(np.arange(7, dtype=np.float32), (2, 1))}
                 for _ in range(4)]
        for number, feed in enumerate(feeds):
            folder.joinpath(f"data/test_data_set_{number}").mkdir(parents=True, exist_ok=True)
            for place, (name, value) in enumerate(feed.items()):
                target = folder / f"data/test_data_set_{number}/input_{place}.pb"
                target.write_bytes(onnx.numpy_helper.from_array(value, name).SerializeToString())
        narrow_cli.run_narrow("quantize", path, "-o", quantized, "--data", folder / "data", "--set", "target=openvino",
                              "--no-speed", "--quiet", "--plan-out", folder / "plan.json")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        wanted = np.concatenate([session.run(None, feed)[0] for feed in feeds])
        compiled = peers.openvino.Core().compile_model(str(quantized), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        got = np.concatenate([compiled(feed)[0] for feed in feeds])
        self.assertGreater(metrics.sqnr_db(got, wanted), 30)
        reasons = [layer.get("reason", {}).get("text", "") for layer in json.loads((folder / "plan.json").read_text())["layers"]]
        self.assertTrue(any("an expanded constant, wrongly" in reason for reason in reasons), reasons)


if __name__ == "__main__":
    unittest.main(verbosity=2)
