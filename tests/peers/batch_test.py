"""Every real model in every ready way: it converts, onnxruntime loads and runs it, and its outputs are like the float ones."""

import json
import os
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


# Inputs whose free dimensions, or values, can not be just any, by the number of the sample: a branch that no sample takes
# would have no ranges, and stay float.
GIVEN = {
    ("silero_vad", "input"): lambda random, i: random.normal(0, 0.1, (1, (576, 288)[i % 2])).astype(np.float32),
    ("silero_vad", "state"): lambda random, i: random.normal(0, 0.3, (2, 1, 128)).astype(np.float32),
    ("silero_vad", "sr"): lambda random, i: np.array((16000, 8000)[i % 2], np.int64),
}


def side(dimension, axis):
    """A free dimension: batch 1, sides a multiple of 32."""
    return dimension if isinstance(dimension, int) else 1 if axis == 0 else 64


def make_value(model, value, random, i):
    """Random numbers; masks and token types of ones and zeros are integers below 2."""
    if (model, value.name) in GIVEN:
        return GIVEN[(model, value.name)](random, i)
    shape = [side(dimension, axis) for axis, dimension in enumerate(value.shape)]
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    if "int" in kind:
        return random.integers(0, 2, shape).astype(SHAPES[kind])
    return random.standard_normal(shape).astype(SHAPES[kind])


def make_feeds(path):
    inputs = peers.make_session(path).get_inputs()
    random = np.random.default_rng(3)
    return [{value.name: make_value(path.stem, value, random, i) for value in inputs} for i in range(SAMPLES)]


def write_data(feeds, folder):
    """One file a sample: inputs need not be batches."""
    folder.mkdir()
    for i, feed in enumerate(feeds):
        np.savez(folder / f"{i}.npz", **feed)
    return folder


def run(path, feeds):
    session = peers.make_session(path)
    rows = [session.run(None, feed) for feed in feeds]
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
            data, output = write_data(feeds, folder / "data"), folder / "out.onnx"
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
    paths = sorted((root / "models").glob("*.onnx")) if root else []
    if "NARROW_MINILM" in os.environ:
        paths.append(pathlib.Path(os.environ["NARROW_MINILM"]))
    for path in paths:
        for config in CONFIGS:
            name = f"test_{path.stem}_{config}".replace("-", "_").replace(".", "_")
            setattr(BatchTest, name, lambda self, path=path, config=config: self.check(path, config))


add_tests()

if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    unittest.main(verbosity=1)
