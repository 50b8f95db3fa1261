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
from PIL import Image

RELATIVE = 1e-4
ABSOLUTE = 1e-5

# Free dimensions, by model and input, where 1 will not do.
SHAPES = {
    ("ch_PP-OCRv4_det_infer", "x"): (1, 3, 64, 96),
    ("ch_ppocr_mobile_v2.0_cls_infer", "x"): (1, 3, 48, 192),
    ("silero_vad", "input"): (1, 576),
    ("silero_vad", "state"): (2, 1, 128),
}


# Models that accumulate more on real data: which share of elements may lie beyond the tolerance, and how many times.
# docs/testing.md says why.
ACCUMULATES = {"FastestDet": (5e-5, 2.0), "ch_PP-OCRv4_det_infer": (5e-5, 2.0), "mlperftiny_ad01": (1e-3, 4.0)}
REAL_SAMPLES = 16

# Models of any image: folder, height and width, and value = (pixel - mean) / std of BGR or RGB.
PICTURES = {
    "FastestDet": ("coco_like", 352, 352, "BGR", 0.0, 255.0),
    "ch_PP-OCRv4_det_infer": ("coco_like", 320, 480, "BGR", 127.5, 64.0),
    "ultraface_RFB-320": ("faces", 240, 320, "RGB", 127.0, 128.0),
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


def tolerances(actual, expected):
    """By how many of its tolerances, relative or absolute, each element is off."""
    distance = np.abs(actual.astype(np.float64) - expected)
    return distance / np.maximum(ABSOLUTE, RELATIVE * np.abs(expected.astype(np.float64)))


def far(actual, expected):
    """How many elements are neither relatively nor absolutely near, and the largest distance."""
    distance = np.abs(actual.astype(np.float64) - expected)
    return np.count_nonzero(~(tolerances(actual, expected) <= 1)), distance.max(initial=0)


def pictures(name, root):
    folder, height, width, color, mean, deviation = PICTURES[name]
    files = sorted((root / folder).rglob("*.jpg"))
    chosen = [files[i] for i in models.spread(len(files), REAL_SAMPLES)]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB").resize((width, height))) for file in chosen])
    pixels = pixels[..., ::-1] if color == "BGR" else pixels
    return np.ascontiguousarray(((pixels.astype(np.float32) - mean) / deviation).transpose(0, 3, 1, 2), np.float32)


def real_values(root):
    """(model, samples of its one input) of those that there are data for."""
    for model in models.MODELS:
        values = models.load_samples(model, root).values
        yield model.name, values[models.spread(len(values), REAL_SAMPLES)]
    for name in PICTURES:
        yield name, pictures(name, root)


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


    def test_each_on_its_own_data(self):
        root = models.find_data()
        for name, values in real_values(root):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                path = root / "models" / f"{name}.onnx"
                peer = session(str(path))
                (given,) = peer.get_inputs()
                sizes = given.shape[1:]
                if len(given.shape) != values.ndim:
                    values = values.reshape([len(values), *sizes])
                off = []
                for sample in values:
                    feed = {given.name: sample[None]}
                    expected = peer.run(None, feed)
                    actual = run_narrow(path, feed, pathlib.Path(folder))
                    for output, value in zip(peer.get_outputs(), expected, strict=True):
                        self.assertEqual(actual[output.name].shape, value.shape)
                        off.append(tolerances(actual[output.name], value).ravel())
                off = np.concatenate(off)
                beyond = np.count_nonzero(~(off <= 1))
                found = f"{name}: {beyond} of {off.size} elements beyond, by up to {off.max():.2f} tolerances"
                print(found)
                share, times = ACCUMULATES.get(name, (0.0, 1.0))
                self.assertLessEqual(beyond, share * off.size, found)
                self.assertLessEqual(off.max(), times, found)


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
