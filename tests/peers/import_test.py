"""Settings that onnxruntime's own tools write and read, imported: the same scales come out."""

import json
import unittest

import narrow_cli
import numpy as np
import onnx
import peers
from onnxruntime import quantization
from onnxruntime.quantization import calibrate, quant_utils, tensor_quant_overrides

DATA = narrow_cli.ROOT / "tests" / "data"
SAMPLES = 20
# Values that both quantize: onnxruntime leaves the BatchNormalization of this model in float, narrow folds it.
MIN_COMMON = 12


def activation_parameters(path):
    """{value: (scale, zero point)} of each QuantizeLinear with one scale."""
    model = onnx.load(path)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[1] in constants and node.input[0] not in constants:
            found[node.input[0]] = (np.ravel(constants[node.input[1]])[0], np.ravel(constants[node.input[2]])[0])
    return found


class ImportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        cls.model = DATA / "glyphs.onnx"
        pixels = np.load(DATA / "glyphs_calib.npy")[:SAMPLES].astype(np.float32)
        cls.samples = np.ascontiguousarray((pixels / np.float32(127.5) - 1).transpose(0, 3, 1, 2))

    def quantize_there(self, name, **options):
        """onnxruntime's quantize_static; returns the model and its calibration cache."""
        output, cache = self.folder / f"{name}.ort.onnx", self.folder / f"{name}.cache.json"
        quantization.quantize_static(
            str(self.model), str(output), peers.SampleReader("image", self.samples), per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            calibration_cache_path=str(cache), **options,
        )  # fmt: skip
        return output, cache

    def quantize_here(self, name, *settings):
        config, ranges = self.folder / f"{name}.config.json", self.folder / f"{name}.ranges.json"
        output = self.folder / f"{name}.onnx"
        told = narrow_cli.run_narrow(
            "import", self.model, "-o", config, "--calibration-out", ranges, "--format", "json", *settings
        )
        narrow_cli.run_narrow(
            "quantize", self.model, "-o", output, "--config", config, "--calibration", ranges, "--recovery", "none", "--quiet"
        )  # fmt: skip
        return output, json.loads(told)

    def check_scales(self, theirs, ours, min_common=MIN_COMMON):
        theirs, ours = activation_parameters(theirs), activation_parameters(ours)
        common = sorted(set(theirs) & set(ours))
        self.assertGreaterEqual(len(common), min_common)
        for value in common:
            np.testing.assert_allclose(ours[value][0], theirs[value][0], rtol=1e-6, err_msg=value)
            # A range that is symmetric about 0 puts the zero point between two integers: either is right.
            self.assertLessEqual(abs(int(ours[value][1]) - int(theirs[value][1])), 1 if value == "image" else 0, value)

    def test_the_cache_of_quantize_static_gives_its_scales(self):
        theirs, cache = self.quantize_there("cache")
        ours, told = self.quantize_here("cache", "--calibration-table", cache)
        self.check_scales(theirs, ours)
        self.assertTrue(any("are not needed" in note for note in told["notes"]), "ranges of values that share a scale")

    def test_what_write_calibration_table_writes_is_the_same(self):
        theirs, cache = self.quantize_there("table")
        ranges = calibrate.load_tensors_data(cache)
        quant_utils.write_calibration_table(dict(ranges.items()), dir=str(self.folder))
        ours, _ = self.quantize_here("table", "--calibration-table", self.folder / "calibration.json")
        self.check_scales(theirs, ours)

    def test_excluded_nodes_are_float_in_both(self):
        excluded = ["/classifier", "/block1/depthwise/conv"]
        theirs, cache = self.quantize_there("exclude", nodes_to_exclude=excluded)
        listed = self.folder / "exclude.json"
        listed.write_text(json.dumps(excluded), encoding="utf-8")
        ours, _ = self.quantize_here("exclude", "--calibration-table", cache, "--nodes-to-exclude", listed)
        for path in (theirs, ours):
            model = onnx.load(path)
            made = {output: node.op_type for node in model.graph.node for output in node.output}
            for node in model.graph.node:
                if node.name in excluded:
                    self.assertNotEqual(made.get(node.input[1]), "DequantizeLinear", node.name)

    def test_tensor_overrides(self):
        kind = quantization.QuantType
        overrides = {
            "/stem/relu_output": [{"scale": np.array(0.25, np.float32), "zero_point": np.array(0, np.uint8)}],
            "/block2/first/relu_output": [{"quant_type": kind.QUInt8, "rmin": np.array(0, np.float32), "rmax": np.array(20, np.float32)}],
            "classifier.weight": [{"quant_type": kind.QInt8, "symmetric": True, "axis": 0}],
            "head.conv.weight": [{"quant_type": kind.QUInt8, "symmetric": False}],
        }
        written = self.folder / "overrides.json"
        written.write_text(tensor_quant_overrides.TensorQuantOverridesHelper(overrides).pprint_str(2), encoding="utf-8")
        theirs, cache = self.quantize_there("overrides", extra_options={"TensorQuantOverrides": overrides})
        ours, _ = self.quantize_here("overrides", "--calibration-table", cache, "--tensor-quant-overrides", written)
        scales = activation_parameters(ours)
        self.assertAlmostEqual(float(scales["/block2/first/relu_output"][0]), 20 / 255, places=6)
        self.check_scales(theirs, ours)
        types = {tensor.name: tensor.data_type for tensor in onnx.load(ours).graph.initializer}
        weights = {name: kind_ for name, kind_ in types.items() if name.startswith(("classifier.weight", "head.conv.weight"))}
        self.assertIn(onnx.TensorProto.INT8, weights.values())
        self.assertIn(onnx.TensorProto.UINT8, weights.values())


if __name__ == "__main__":
    unittest.main(verbosity=1)
