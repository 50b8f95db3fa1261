"""Files that narrow writes for the real models give the same integers in our runtime and in onnxruntime."""

import json
import pathlib
import tempfile
import unittest

import agreement
import compare
import metrics
import models
import numpy as np
import onnx
import peers

SAMPLES = 50  # whose every quantized tensor is compared
MAX_TOP1_SAMPLES = 400
MIN_TOP1_EQUAL = 99.5  # percent
MIN_WITHIN_ONE = 99.0  # percent of the elements of all tensors
MIN_WITHIN_ONE_CHAINED = 99.0  # of each tensor
MIN_IDENTICAL_APART = 99.5  # percent of the elements of each tensor, its layer given the same integers
MIN_OUTPUT_SQNR_DB = 50.0
MIN_INTEGER_MACS = 0.95
BYTES_PER_CHANNEL = 12  # beyond a quarter of weight and bias: 4 + 4 + 4 + 1 of the constants less 1 of the bias
PARAMETERS = 60  # sets of scales and zero points for which every pair of bytes is compared


def grid_constants(plan):
    """Of the nodes that set images on their grid, as the plan says."""
    steps = plan.get("recovery", {}).get("steps", [])
    values = [grid["value"] for step in steps for grid in step.get("inputs", [])]
    return {value + ending for value in values for ending in ("_factors", "_shifts")}


@unittest.skipIf(models.find_data() is None, "no real models: NARROW_DATA names no folder with models/")
class AgreementTest(unittest.TestCase):
    def check(self, model):
        root = models.find_data()
        samples = models.load_samples(model, root)
        path = root / "models" / f"{model.name}.onnx"
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            report = folder / "report.json"
            plan = folder / "plan.json"
            more = ("--no-speed", "--report", report, "--plan-out", plan)
            quantized = compare.quantize_with_narrow(model, samples, path, folder, more)
            validation = json.loads(report.read_text(encoding="utf-8"))["validation"]
            macs = validation["coverage"]["mac_share"]
            self.assertGreaterEqual(macs, MIN_INTEGER_MACS)
            self.check_size(onnx.load(quantized), grid_constants(json.loads(plan.read_text(encoding="utf-8"))))
            if validation["saturates_pairs"]:
                self.skipTest(f"{validation['isa']}: runtimes saturate sums of products at different places")
            self.check_outputs(model, quantized, samples.values[self.pick(samples, MAX_TOP1_SAMPLES)], folder)
            self.check_tensors(quantized, samples.values[self.pick(samples, SAMPLES)], folder)
        print(f"integer MACs {100 * macs:.2f} %] ", end="", flush=True)

    def check_size(self, quantized, grids):
        (stored, replaced, channels), left = agreement.constant_bytes(quantized)
        print(f"[constants {stored / replaced:.4f} of float; ", end="", flush=True)
        self.assertLessEqual(set(left), grids, "float constants that are left")
        # A quarter of the weights; per channel an int32 bias, two scales and a zero point.
        self.assertLessEqual(stored, 0.25 * replaced + BYTES_PER_CHANNEL * channels)

    @staticmethod
    def pick(samples, count):
        return samples.evaluation[models.spread(len(samples.evaluation), count)]

    def check_outputs(self, model, quantized, values, folder):
        name = peers.make_session(quantized).get_inputs()[0].name
        theirs = agreement.run_onnxruntime(quantized, values)
        ours = agreement.run_ours(quantized, {name: values}, folder)
        self.assertEqual(ours.keys(), theirs.keys())
        output = next(iter(theirs))
        sqnr = metrics.sqnr_db(ours[output], theirs[output])
        equal = metrics.agreement(ours[output], theirs[output])
        print(f"{len(values)} samples: top-1 equal {equal:.2f} %, SQNR {sqnr:.1f} dB; ", end="", flush=True)
        self.assertGreaterEqual(sqnr, MIN_OUTPUT_SQNR_DB)
        if model.classifies:
            self.assertGreaterEqual(equal, MIN_TOP1_EQUAL)

    def check_tensors(self, quantized, values, folder):
        model = onnx.load(quantized)
        name = peers.make_session(quantized).get_inputs()[0].name
        exposed, apart = folder / "exposed.onnx", folder / "apart.onnx"
        onnx.save(agreement.with_quantized_outputs(model), exposed)
        onnx.save(agreement.with_layers_apart(model), apart)
        theirs = agreement.run_onnxruntime(exposed, values)
        chained = agreement.compare_tensors(model, agreement.run_ours(exposed, {name: values}, folder), theirs)
        feeds = {tensor.name: theirs[tensor.name.removesuffix(agreement.FED)] for tensor in self.fed(apart)}
        alone = agreement.compare_tensors(
            model, agreement.run_ours(apart, {name: values, **feeds}, folder), theirs
        )
        print(f"{agreement.total(chained)}; layers apart: {agreement.total(alone)}; ", end="", flush=True)
        self.assertGreaterEqual(agreement.total(chained).within_one(), MIN_WITHIN_ONE)
        for tensor, difference in chained.items():
            self.assertGreaterEqual(difference.within_one(), MIN_WITHIN_ONE_CHAINED, tensor)
        for tensor, difference in alone.items():
            self.assertLessEqual(difference.most, 1, tensor)
            self.assertGreaterEqual(difference.identical(), MIN_IDENTICAL_APART, tensor)

    @staticmethod
    def fed(path):
        return [value for value in onnx.load(path).graph.input if value.name.endswith(agreement.FED)]


@unittest.skipIf(not agreement.has_fma(), "onnxruntime's Add for AVX2 is the one that is followed")
class BinaryTest(unittest.TestCase):
    """Every pair of bytes, for many parameters: sums and products of two tensors are onnxruntime's, ties included."""

    def check(self, operation, data_type):
        limits = np.iinfo(data_type)
        numbers = np.arange(limits.min, limits.max + 1).astype(data_type)
        full_a, full_b = np.meshgrid(numbers, numbers, indexing="ij")
        for a, b in ((full_a, full_b), (full_a[:, :1], full_b), (full_a, full_b[:1]), (full_b, full_a[:, :1])):
            with tempfile.TemporaryDirectory() as name:
                path = pathlib.Path(name) / "pairs.onnx"
                onnx.save(agreement.binary_model(operation, data_type, (a.shape, b.shape), PARAMETERS), path)
                theirs = peers.make_session(path).run(None, {"a": a, "b": b})
                ours = agreement.run_ours(path, {"a": a, "b": b}, pathlib.Path(name))
            for i, expected in enumerate(theirs):
                np.testing.assert_array_equal(ours[f"y{i}"], expected, f"{operation} {i} {a.shape} {b.shape}")

    def test_sums_of_uint8(self):
        self.check("Add", np.uint8)

    def test_sums_of_int8(self):
        self.check("Add", np.int8)

    def test_products_of_uint8(self):
        self.check("Mul", np.uint8)

    def test_products_of_int8(self):
        self.check("Mul", np.int8)


class DifferenceTest(unittest.TestCase):
    def test_steps_are_counted(self):
        difference = agreement.Difference()
        difference.add(np.array([0, 255, 7, 7], np.uint8), np.array([255, 254, 7, 7], np.uint8))
        self.assertEqual((difference.unequal, difference.beyond_one, difference.most), (2, 1, 255))
        self.assertEqual((difference.identical(), difference.within_one()), (50.0, 75.0))

    def test_other_types_are_no_match(self):
        with self.assertRaises(AssertionError):
            agreement.Difference().add(np.zeros(2, np.uint8), np.zeros(2, np.int8))


def add_test(model):
    name = "test_" + "".join(letter if letter.isalnum() else "_" for letter in model.name)
    setattr(AgreementTest, name, lambda self: self.check(model))


for real_model in models.MODELS:
    add_test(real_model)


if __name__ == "__main__":
    unittest.main(verbosity=2)
