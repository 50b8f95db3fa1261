"""Models that onnxruntime's own quantizer wrote, and structures of other quantizers, run in our integer runtime on
integers, and give onnxruntime's results."""

import json
import logging
import pathlib
import tempfile
import unittest

import agreement
import foreign
import metrics
import models
import narrow_cli
import numpy as np
import onnx
import peers
from onnxruntime import quantization
from onnxruntime.quantization import QuantFormat, QuantType, shape_inference

DATA = narrow_cli.ROOT / "tests" / "data"
CALIBRATION = 20
SAMPLES = 16
MIN_INTEGER_MACS = 0.98
MIN_IDENTICAL = 99.5  # percent of the quantized elements
# Of the first output. A dynamic model rounds each activation by its own range, so that a last bit of float32 moves
# whole tensors.
MIN_SQNR_DB = 40.0

STATIC = {
    "qdq_u8": {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QUInt8, "per_channel": True},
    "qdq_s8": {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QInt8, "per_channel": True},
    "qoperator_u8": {"quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8, "per_channel": True},
    "qoperator_asymmetric_weights": {
        "quant_format": QuantFormat.QOperator,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QUInt8,
    },
}
DYNAMIC = {"dynamic_s8": {"weight_type": QuantType.QInt8}, "dynamic_u8": {"weight_type": QuantType.QUInt8}}


def glyph_values(name):
    pixels = np.load(DATA / name).astype(np.float32)
    # A fifth of a grey level beside the ties that pixel / 127.5 - 1 falls on.
    return np.ascontiguousarray((pixels / np.float32(127.5) - 1).transpose(0, 3, 1, 2)) + np.float32(0.2 / 127.5)


class Case:
    """A prepared float model with calibration and evaluation values."""

    def __init__(self, path, folder, calibration, evaluation):
        self.folder = folder
        self.model = folder / "float.onnx"
        self.calibration = calibration[:CALIBRATION]
        self.evaluation = evaluation[:SAMPLES]
        logging.disable(logging.WARNING)
        shape_inference.quant_pre_process(str(path), str(self.model), skip_symbolic_shape=True)
        self.data = folder / "eval.npy"
        np.save(self.data, self.evaluation)

    def quantize(self, form):
        output = self.folder / f"{form}.onnx"
        if form in DYNAMIC:
            quantization.quantize_dynamic(str(self.model), str(output), **DYNAMIC[form])
        else:
            name = peers.float_inputs(onnx.load(self.model))[0].name
            reader = peers.SampleReader(name, self.calibration)
            quantization.quantize_static(str(self.model), str(output), reader, **STATIC[form])
        return output


class OthersTest(unittest.TestCase):
    def check(self, case, form):
        quantized = case.quantize(form)
        report = narrow_cli.run_narrow(
            "validate", case.model, quantized, "--data", case.data, "--no-speed", "--quiet", "--format", "json"
        )
        validation = json.loads(report)["validation"]
        floats = [row for row in validation["coverage"]["nodes"] if not row["integer"] and row["macs"]]
        self.assertGreaterEqual(validation["coverage"]["mac_share"], MIN_INTEGER_MACS, floats[:3])
        if validation["saturates_pairs"]:
            self.skipTest(f"{validation['isa']}: runtimes saturate sums of products at different places")
        theirs = agreement.run_onnxruntime(quantized, case.evaluation)
        name = peers.make_session(quantized).get_inputs()[0].name
        ours = agreement.run_ours(quantized, {name: case.evaluation}, case.folder)
        output = next(iter(theirs))
        sqnr = metrics.sqnr_db(ours[output], theirs[output])
        print(f"[{form} {sqnr:.1f} dB] ", end="", flush=True)
        self.assertGreaterEqual(sqnr, MIN_SQNR_DB if form != "qdq_s8" else 20.0)
        if form == "qdq_u8":
            self.check_tensors(quantized, name, case)

    def check_tensors(self, quantized, name, case):
        model = onnx.load(quantized)
        exposed = case.folder / "exposed.onnx"
        onnx.save(agreement.with_quantized_outputs(model), exposed)
        theirs = agreement.run_onnxruntime(exposed, case.evaluation)
        ours = agreement.run_ours(exposed, {name: case.evaluation}, case.folder)
        self.assertGreaterEqual(agreement.total(agreement.compare_tensors(model, ours, theirs)).identical(), MIN_IDENTICAL)

    def check_model(self, path, calibration, evaluation):
        with tempfile.TemporaryDirectory() as name:
            case = Case(path, pathlib.Path(name), calibration, evaluation)
            for form in [*STATIC, *DYNAMIC]:
                with self.subTest(form):
                    self.check(case, form)

    def test_glyphs(self):
        self.check_model(DATA / "glyphs.onnx", glyph_values("glyphs_calib.npy"), glyph_values("glyphs_eval.npy"))


class StructuresTest(unittest.TestCase):
    """Of NNCF, AMD Quark and TensorRT's toolkit, whose packages are too large to be peers here."""

    def check(self, name):
        model = foreign.STRUCTURES[name]()
        values = np.random.default_rng(7).standard_normal((SAMPLES, 4, foreign.SIZE, foreign.SIZE)).astype(np.float32)
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            path, exposed, data = folder / "model.onnx", folder / "exposed.onnx", folder / "values.npy"
            onnx.save(model, path)
            onnx.save(agreement.with_quantized_outputs(model), exposed)
            np.save(data, values)
            report = narrow_cli.run_narrow("validate", path, path, "--data", data, "--no-speed", "--quiet", "--format", "json")
            validation = json.loads(report)["validation"]
            floats = [row for row in validation["coverage"]["nodes"] if not row["integer"] and row["macs"]]
            self.assertEqual(validation["coverage"]["mac_share"], 1.0, floats)
            if validation["saturates_pairs"]:
                self.skipTest(f"{validation['isa']}: runtimes saturate sums of products at different places")
            theirs = agreement.run_onnxruntime(exposed, values)
            ours = agreement.run_ours(exposed, {"x": values}, folder)
            found = agreement.total(agreement.compare_tensors(model, ours, theirs))
            print(f"[{name}: {found}] ", end="", flush=True)
            self.assertGreaterEqual(found.identical(), MIN_IDENTICAL)
            self.assertGreaterEqual(metrics.sqnr_db(ours["y"], theirs["y"]), MIN_SQNR_DB)

    def test_structures(self):
        for name in foreign.STRUCTURES:
            with self.subTest(name):
                self.check(name)


class RecurrentTest(unittest.TestCase):
    """An LSTM that onnxruntime's own tool quantized dynamically: DynamicQuantizeLSTM."""

    STEPS, INPUTS, HIDDEN = 12, 24, 32

    def setUp(self):
        logging.disable(logging.WARNING)

    def make_model(self, direction):
        random = np.random.default_rng(5)
        count = 2 if direction == "bidirectional" else 1
        shapes = {"w": (count, 4 * self.HIDDEN, self.INPUTS), "r": (count, 4 * self.HIDDEN, self.HIDDEN), "b": (count, 8 * self.HIDDEN)}
        constants = [
            onnx.numpy_helper.from_array((random.standard_normal(shape) / 4).astype(np.float32), name) for name, shape in shapes.items()
        ]
        node = onnx.helper.make_node("LSTM", ["x", *shapes], ["y"], name="cells", hidden_size=self.HIDDEN, direction=direction)
        x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ["x", "y"])
        x.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto())
        for size in [self.STEPS, 1, self.INPUTS]:
            x.type.tensor_type.shape.dim.add().dim_value = size
        graph = onnx.helper.make_graph([node], "g", [x], [y], constants)
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)

    def check(self, direction, weight_type, per_channel):
        values = np.random.default_rng(7).standard_normal((4, self.STEPS, 1, self.INPUTS)).astype(np.float32)
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            path, quantized, feeds, outputs = (folder / name for name in ["model.onnx", "quantized.onnx", "feeds", "outputs"])
            onnx.save(self.make_model(direction), path)
            quantization.quantize_dynamic(str(path), str(quantized), weight_type=weight_type, per_channel=per_channel)
            self.assertEqual([node.op_type for node in onnx.load(quantized).graph.node], ["DynamicQuantizeLSTM"])
            feeds.mkdir()
            for i, sample in enumerate(values):
                np.savez(feeds / f"{i}.npz", x=sample)
            report = narrow_cli.run_narrow("validate", path, quantized, "--data", feeds, "--no-speed", "--quiet", "--format", "json")
            self.assertEqual(json.loads(report)["validation"]["coverage"]["mac_share"], 1.0)
            narrow_cli.run_narrow("run", quantized, "--data", feeds, "-o", outputs, "--runtime", "integer", "--quiet")
            session = peers.make_session(quantized)
            for sample, ours in zip(values, sorted(outputs.iterdir()), strict=True):
                theirs = session.run(None, {"x": sample})[0]
                np.testing.assert_allclose(np.load(ours)["y"], theirs, rtol=1e-4, atol=1e-5)

    def test_dynamic_lstm(self):
        for direction in ["forward", "reverse", "bidirectional"]:
            for weight_type in [QuantType.QInt8, QuantType.QUInt8]:
                for per_channel in [False, True]:
                    with self.subTest(direction=direction, weight_type=weight_type, per_channel=per_channel):
                        self.check(direction, weight_type, per_channel)


def add_test(model):
    def run(self):
        root = models.find_data()
        if root is None:
            self.skipTest("no real models: NARROW_DATA names no folder with models/")
        samples = models.load_samples(model, root)
        path = root / "models" / f"{model.name}.onnx"
        self.check_model(path, samples.values[samples.calibration], samples.values[samples.evaluation])

    setattr(OthersTest, "test_" + "".join(letter if letter.isalnum() else "_" for letter in model.name), run)


# The quantizer converts models of the oldest opsets badly, or crashes on them (mnist).
for real_model in models.MODELS:
    if real_model.name in ("cifar10-resnet20", "mlperftiny_kws_dscnn", "mobilenet_v1_0.25_224-keras", "mlperftiny_ad01"):
        add_test(real_model)


if __name__ == "__main__":
    unittest.main(verbosity=2)
