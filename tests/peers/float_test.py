"""The float executor against onnxruntime: every real model, and RNN, GRU and LSTM with each of their attributes."""

import itertools
import pathlib
import tempfile
import unittest
import wave

import models
import narrow_cli
import numpy as np
import onnx
import onnxruntime

RELATIVE = 1e-4
ABSOLUTE = 1e-5

# Free dimensions, by model and input, where 1 will not do.
SHAPES = {
    ("ch_PP-OCRv4_det_infer", "x"): (1, 3, 64, 96),
    ("ch_ppocr_mobile_v2.0_cls_infer", "x"): (1, 3, 48, 192),
    ("silero_vad", "input"): (1, 576),
    ("silero_vad", "state"): (2, 1, 128),
}


def session(model):
    """As the file says: no optimization that would change the arithmetic."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def speech(root):
    with wave.open(str(root / "audio" / "speech_16k.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return samples.astype(np.float32) / 32768


def value_of(model, given, root, random):
    if (model, given.name) == ("silero_vad", "input"):
        return speech(root)[None, 20000:20576]
    if given.name == "sr":
        return np.array(16000, np.int64)
    shape = SHAPES.get((model, given.name))
    if shape is None:
        shape = [size if isinstance(size, int) else 1 for size in given.shape]
    return random.standard_normal(shape).astype(np.float32)


def run_narrow(model, feed, folder):
    data, output = folder / "feed.npz", folder / "out"
    np.savez(data, **feed)
    narrow_cli.run_narrow("run", model, "--data", data, "-o", f"{output}/", "--quiet", "--runtime", "float")
    with np.load(next(output.glob("*.npz"))) as arrays:
        return {name: arrays[name] for name in arrays.files}


def far(actual, expected):
    """The share of elements that are neither relatively nor absolutely near, and the largest distance."""
    distance = np.abs(actual.astype(np.float64) - expected)
    limit = np.maximum(ABSOLUTE, RELATIVE * np.abs(expected.astype(np.float64)))
    return np.count_nonzero(~(distance <= limit)), distance.max(initial=0)


class FloatTest(unittest.TestCase):
    def compare(self, model, feed):
        """`model`: a path."""
        peer = session(str(model))
        expected = dict(zip([output.name for output in peer.get_outputs()], peer.run(None, feed), strict=True))
        with tempfile.TemporaryDirectory() as name:
            actual = run_narrow(model, feed, pathlib.Path(name))
        self.assertEqual(actual.keys(), expected.keys())
        for name, value in expected.items():
            self.assertEqual(actual[name].shape, value.shape, name)
            self.assertEqual(actual[name].dtype, value.dtype, name)
            count, largest = far(actual[name], value)
            self.assertEqual(count, 0, f"{name}: {count} of {value.size} elements differ, by up to {largest}")


@unittest.skipIf(models.find_data() is None, "no real models: NARROW_DATA names no folder with models/")
class RealModels(FloatTest):
    def test_each(self):
        root = models.find_data()
        paths = sorted((root / "models").glob("*.onnx"))
        self.assertGreaterEqual(len(paths), 17)
        for path in paths:
            with self.subTest(path.stem):
                random = np.random.default_rng(7)
                feed = {i.name: value_of(path.stem, i, root, random) for i in session(str(path)).get_inputs()}
                self.compare(path, feed)


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, BATCH, INPUT, HIDDEN = 5, 3, 4, 6


def recurrent_model(operator, direction, optional, attributes):
    """A model and its feed. `optional`: bias, lengths, initial state and peepholes are inputs too."""
    random = np.random.default_rng(3)
    count, gates = 2 if direction == "bidirectional" else 1, GATES[operator]

    def values(*shape):
        return random.uniform(-1, 1, shape).astype(np.float32)

    feed = {"x": values(STEPS, BATCH, INPUT)}
    weights = {"w": values(count, gates * HIDDEN, INPUT), "r": values(count, gates * HIDDEN, HIDDEN)}
    inputs = ["x", "w", "r"]
    if optional:
        weights["b"] = values(count, 2 * gates * HIDDEN)
        feed |= {"lens": np.array([2, 5, 3], np.int32), "h": values(count, BATCH, HIDDEN)}
        inputs += ["b", "lens", "h"]
        if operator == "LSTM":
            feed["c"] = values(count, BATCH, HIDDEN)
            weights["p"] = values(count, 3 * HIDDEN)
            inputs += ["c", "p"]
    outputs = ["y", "y_h"] + (["y_c"] if operator == "LSTM" else [])
    node = onnx.helper.make_node(
        operator, inputs, outputs, hidden_size=HIDDEN, direction=direction, **attributes(count)
    )
    graph = onnx.helper.make_graph(
        [node],
        "recurrent",
        [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in feed.items()
        ],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * (4 if name == "y" else 3)) for name in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8), feed


VARIANTS = {
    "RNN": [
        lambda count: {},
        lambda count: {"clip": 0.7, "activations": ["Affine"] * count, "activation_alpha": [0.7] * count,
                       "activation_beta": [0.1] * count},
        lambda count: {"activations": ["ThresholdedRelu"] * count, "activation_alpha": [0.3] * count},
        lambda count: {"activations": ["Elu"] * count, "activation_alpha": [0.5] * count},
    ],
    "GRU": [
        lambda count: {},
        lambda count: {"linear_before_reset": 1},
        lambda count: {"linear_before_reset": 1, "clip": 0.5, "activations": ["HardSigmoid", "Softplus"] * count,
                       "activation_alpha": [0.3] * count, "activation_beta": [0.4] * count},
        lambda count: {"clip": 0.6, "activations": ["Sigmoid", "LeakyRelu"] * count, "activation_alpha": [0.1] * count},
    ],
    "LSTM": [
        lambda count: {},
        lambda count: {"input_forget": 1},
        lambda count: {"clip": 0.5, "activations": ["HardSigmoid", "Softsign", "ScaledTanh"] * count,
                       "activation_alpha": [0.3, 1.2] * count, "activation_beta": [0.4, 0.8] * count},
    ],
}


class Recurrent(FloatTest):
    def check(self, operator):
        for direction, optional in itertools.product(("forward", "reverse", "bidirectional"), (False, True)):
            for index, attributes in enumerate(VARIANTS[operator]):
                with self.subTest(direction=direction, optional=optional, variant=index):
                    model, feed = recurrent_model(operator, direction, optional, attributes)
                    with tempfile.TemporaryDirectory() as name:
                        path = pathlib.Path(name) / "model.onnx"
                        onnx.save(model, path)
                        self.compare(path, feed)

    def test_rnn(self):
        self.check("RNN")

    def test_gru(self):
        self.check("GRU")

    def test_lstm(self):
        self.check("LSTM")


if __name__ == "__main__":
    unittest.main(verbosity=2)
