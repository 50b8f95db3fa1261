"""narrow's defaults against onnxruntime's MinMax on the real models; both results run in onnxruntime."""

import pathlib
import tempfile
import unittest

import compare
import models
import peers

TOLERANCE = 0.5  # points of agreement, dB of SQNR
# Where the peer itself fails, or the set has no labels and so few samples that either side may win by chance (vww96 is
# calibrated and evaluated on 12 images each), limits of our own.
MIN_AGREEMENT_ALONE = 99.0
MIN_SQNR_DB_ALONE = 25.0


@unittest.skipIf(models.find_data() is None, "no real models: NARROW_DATA names no folder with models/")
class RealModelsTest(unittest.TestCase):
    def check(self, model):
        root = models.find_data()
        samples = models.load_samples(model, root)
        path = root / "models" / f"{model.name}.onnx"
        reference = peers.run_onnxruntime(path, samples.values[samples.evaluation])
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            quantized = compare.quantize_with_narrow(model, samples, path, folder)
            self.assertTrue(
                peers.INTEGER_OPS & peers.onnxruntime_ops(quantized).keys(), "onnxruntime runs nothing on integers"
            )
            ours = compare.score(model, samples, reference, quantized)
            theirs = compare.minmax_score(model, samples, reference, path, folder)
        print(f"[narrow {ours.columns()} | onnxruntime MinMax {theirs.columns()}] ", end="", flush=True)
        if theirs.failure or ours.top1 is None:
            if model.classifies:
                self.assertGreaterEqual(ours.agreement, MIN_AGREEMENT_ALONE)
            self.assertGreaterEqual(ours.sqnr, MIN_SQNR_DB_ALONE)
            return
        self.assertGreaterEqual(ours.sqnr, theirs.sqnr - TOLERANCE)
        if model.classifies:
            self.assertGreaterEqual(ours.agreement, theirs.agreement - TOLERANCE)


def add_test(model):
    name = "test_" + "".join(letter if letter.isalnum() else "_" for letter in model.name)
    setattr(RealModelsTest, name, lambda self: self.check(model))


for real_model in models.MODELS:
    add_test(real_model)


if __name__ == "__main__":
    unittest.main(verbosity=2)
