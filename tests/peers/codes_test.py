"""Binary and codebook weights of real models: smaller error than 4 bits per channel, and the sizes that they promise."""

import json
import pathlib
import tempfile
import unittest

import codes
import formats
import metrics
import models
import narrow_cli
import numpy as np
import onnx
import peers
from batch_test import make_feeds, run, write_data

MODELS = ("squeezenet-winml-fp16to32", "cifar10-resnet20", "ch_ppocr_mobile_v2.0_cls_infer", "mlperftiny_ad01")
LARGE = 4096  # elements of a weight that counts as large
# Of the weights' float bytes, scales included; what is not quantized (biases) in its own size.
MOST_BYTES = {"binary": 0.04, "codebook": 0.135}


def convert(model, output, *settings):
    """The report of a weight-only conversion."""
    report = output.with_suffix(".json")
    sets = [part for setting in ("mode=weight_only", *settings) for part in ("--set", setting)]
    narrow_cli.run_narrow("quantize", model, "-o", output, "--report", report, "--quiet", *sets)
    return json.loads(report.read_text(encoding="utf-8"))


def float_weights(model):
    """{name: values} of the large weights that narrow's conversion keeps under their names."""
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(model).graph.initializer
        if len(tensor.dims) >= 2 and np.prod(tensor.dims) >= LARGE and tensor.data_type == onnx.TensorProto.FLOAT
    }


class RealModelsTest(unittest.TestCase):
    def check_errors(self, model):
        """The error of each large layer, and onnxruntime's outputs against ours."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            convert(model, folder / "codebook.onnx", "weights.type=codebook", "weights.entries=16")
            convert(model, folder / "int4.onnx", "weights.type=int4")
            weights = float_weights(model)
            coded = codes.coded_weights(folder / "codebook.onnx", {n: w.shape for n, w in weights.items()})
            linear = formats.dequantized_initializers(folder / "int4.onnx")
            common = {n for n in coded if n in linear and weights[n].shape == linear[n].shape}
            for tensor in common:
                error = np.sum((coded[tensor].values() - weights[tensor]) ** 2)
                other = np.sum((linear[tensor] - weights[tensor]) ** 2)
                self.assertLess(error, other, tensor)
            return len(common)

    def test_codebooks_have_smaller_errors_than_four_bits(self):
        root = models.find_data()
        if root is None:
            self.skipTest("no data")
        layers = sum(self.check_errors(root / "models" / f"{name}.onnx") for name in MODELS)
        self.assertGreaterEqual(layers, 40)

    def test_sizes_of_squeezenet(self):
        root = models.find_data()
        if root is None:
            self.skipTest("no data")
        model = root / "models" / "squeezenet-winml-fp16to32.onnx"
        feeds = make_feeds(model)
        with tempfile.TemporaryDirectory() as name:
            output, ours = pathlib.Path(name, "coded.onnx"), pathlib.Path(name, "ours.npz")
            data = write_data(feeds, pathlib.Path(name, "data"))
            for kind, most in MOST_BYTES.items():
                report = convert(model, output, f"weights.type={kind}")
                self.assertLessEqual(report["weight_size_ratio"], most)
                weight_bytes = report["quantized_model"]["weight_bytes"]
                self.assertLessEqual(report["quantized_model"]["file_bytes"], 1.03 * weight_bytes + 20000)
                narrow_cli.run_narrow("run", output, "--data", data, "-o", ours, "--quiet")
                for mine, theirs in zip(np.load(ours).values(), run(output, feeds), strict=True):
                    self.assertGreaterEqual(metrics.sqnr_db(np.ravel(mine), theirs), 60)
                sample = np.concatenate([next(iter(feed.values())) for feed in feeds])
                self.assertGreaterEqual(metrics.sqnr_db(np.ravel(peers.run_openvino(output, sample)), theirs), 60)


if __name__ == "__main__":
    unittest.main(verbosity=1)
