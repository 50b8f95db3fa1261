"""Every real model in every ready way: it converts, onnxruntime loads and runs it, and its outputs are like the float ones."""

import json
import pathlib
import tempfile
import unittest

import metrics
import models
import narrow_cli
import numpy as np
import onnxruntime
import peers

CONFIGS = ("int8", "dynamic-int8", "weight-only-int4", "fp16", "mixed", "extreme")
SAMPLES = 4
# Random inputs are far from what the models were trained on: accuracy is measured elsewhere, but float16 must hold.
MIN_FLOAT16_SQNR_DB = 30
MAX_SIZE_ERROR = 0.01
SHAPES = {"float32": np.float32, "float": np.float32, "int64": np.int64, "double": np.float64, "int32": np.int32}


def side(dimension, axis):
    """A free dimension: batch 1, sides a multiple of 32."""
    return dimension if isinstance(dimension, int) else 1 if axis == 0 else 64


def make_feeds(path):
    """{input: [SAMPLES, ...]} of random numbers; masks and token types of ones and zeros are integers below 2."""
    session = peers.make_session(path)
    random = np.random.default_rng(3)
    feeds = {}
    for value in session.get_inputs():
        shape = [SAMPLES] + [side(dimension, axis + 1) for axis, dimension in enumerate(value.shape[1:])]
        kind = value.type.removeprefix("tensor(").removesuffix(")")
        if "int" in kind:
            feeds[value.name] = random.integers(0, 2, shape).astype(SHAPES[kind])
        else:
            feeds[value.name] = random.standard_normal(shape).astype(SHAPES[kind])
    return feeds


def run(path, feeds):
    session = peers.make_session(path)
    names = [value.name for value in session.get_inputs()]
    rows = [session.run(None, {name: feeds[name][i : i + 1] for name in names}) for i in range(SAMPLES)]
    return [np.concatenate([np.ravel(row[k]) for row in rows]) for k in range(len(rows[0]))]


class BatchTest(unittest.TestCase):
    def check_dry_run(self, path, config, output):
        """The file is as large as was said before it was made, and every layer has a decision and a reason."""
        dry = json.loads(narrow_cli.run_narrow(
            "plan", path, "--dry-run", "--format", "json", "--quiet", "--method", "minmax",
            "--config", narrow_cli.ROOT / "configs" / f"{config}.json",
        ))  # fmt: skip
        written = sum(file.stat().st_size for file in output.parent.glob(output.name + "*"))
        self.assertLessEqual(abs(dry["file_bytes"] - written), MAX_SIZE_ERROR * written)
        for layer in dry["layers"]:
            self.assertTrue(layer["rule"], layer["node"])
            if layer["decision"] == "float32":
                self.assertTrue(layer["reason"], layer["node"])

    def check(self, path, config):
        feeds = make_feeds(path)
        reference = run(path, feeds)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            data, output = folder / "data.npz", folder / "out.onnx"
            np.savez(data, **feeds)
            narrow_cli.run_narrow(
                "quantize", path, "-o", output, "--data", data, "--eval", data, "--no-speed", "--quiet",
                "--config", narrow_cli.ROOT / "configs" / f"{config}.json", "--method", "minmax",
            )  # fmt: skip
            outputs = run(output, feeds)
            self.check_dry_run(path, config, output)
        for expected, actual in zip(reference, outputs, strict=True):
            if expected.dtype != np.float32 or expected.shape != actual.shape:
                continue
            self.assertTrue(np.isfinite(actual).all())
            if config == "fp16":
                self.assertGreaterEqual(metrics.sqnr_db(actual, expected), MIN_FLOAT16_SQNR_DB)


def add_tests():
    root = models.find_data()
    for path in sorted((root / "models").glob("*.onnx")) if root else []:
        if path.stem == "silero_vad":
            continue  # its feeds follow each other: all_models_test.py has them
        for config in CONFIGS:
            name = f"test_{path.stem}_{config}".replace("-", "_").replace(".", "_")
            setattr(BatchTest, name, lambda self, path=path, config=config: self.check(path, config))


add_tests()

if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    unittest.main(verbosity=1)
