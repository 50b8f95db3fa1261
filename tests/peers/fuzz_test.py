"""Random graphs in the float executor and in onnxruntime without optimizations.

NARROW_FUZZ_SEED (1): the first graph; NARROW_FUZZ_COUNT (300): how many. The graphs that differ are named by seed, and
kept where NARROW_FUZZ_KEEP names a folder. A graph that onnxruntime dies of is named and left out; one that narrow dies of
is a failure.
"""

import functools
import os
import pathlib
import shutil
import tempfile
import unittest

import fuzz_cases
import numpy as np
import onnx
from onnx import numpy_helper

CHUNK = 50
RELATIVE = 2e-4


def difference(actual, expected, moved):
    """What differs, or None. Floats may be off by rounding, measured by the largest of the tensor.

    `moved()`: what rounding of the inputs does to each element, asked where that limit is not kept.
    """
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return f"{actual.dtype}{actual.shape}, expected {expected.dtype}{expected.shape}"
    if expected.dtype.kind != "f":
        wrong = int(np.count_nonzero(actual != expected))
        return f"{wrong} of {expected.size} elements" if wrong else None
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    limit = 1e-5 * max(1.0, np.abs(np.nan_to_num(expected)).max(initial=0.0))
    if np.allclose(actual, expected, rtol=RELATIVE, atol=limit, equal_nan=True):
        return None
    near = np.abs(actual - expected) <= limit + RELATIVE * np.abs(expected) + 2 * moved()
    if np.all(near | (np.isnan(actual) & np.isnan(expected)) | (actual == expected)):
        return None
    return f"by up to {np.nanmax(np.abs(actual - expected))} of {np.nanmax(np.abs(expected))}"


def reason(log, name):
    """What the log says about one folder."""
    lines = log.splitlines()
    for i, line in enumerate(lines):
        if line.strip() == f'"{name}"':
            return " ".join(text.strip() for text in lines[max(0, i - 3) : i])
    return "no result"


def findings(root, names, log):
    for name in names:
        operators = sorted({node.op_type for node in onnx.load(root / name / "model.onnx").graph.node})
        for i, result in enumerate(fuzz_cases.expected_of(root / name)):
            path = root / name / f"actual_{i}.pb"
            if not path.exists():
                yield name, f"{name} {operators}: {reason(log, name)}"
                break
            moved = functools.partial(fuzz_cases.conditioning, root / name, i)
            found = difference(numpy_helper.to_array(onnx.load_tensor(path)), result, moved)
            if found:
                yield name, f"{name} {operators}: output {i}: {found}"
                break


class FuzzTest(unittest.TestCase):
    def run_chunk(self, seeds):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for text in fuzz_cases.write_cases(root, seeds):
                print(text, flush=True)
            names = [str(seed) for seed in seeds if (root / str(seed)).exists()]
            if not names:
                return 0, []
            found = list(findings(root, names, fuzz_cases.run_narrow(root, names)))
            if keep := os.environ.get("NARROW_FUZZ_KEEP"):
                for case, text in found:
                    shutil.copytree(root / case, pathlib.Path(keep) / case, dirs_exist_ok=True)
                    (pathlib.Path(keep) / case / "finding.txt").write_text(text + "\n")
        return len(names), [text for _, text in found]

    def test_random_graphs(self):
        first = int(os.environ.get("NARROW_FUZZ_SEED", "1"))
        count = int(os.environ.get("NARROW_FUZZ_COUNT", "300"))
        compared, found = 0, []
        for begin in range(first, first + count, CHUNK):
            graphs, texts = self.run_chunk(range(begin, min(begin + CHUNK, first + count)))
            compared += graphs
            found += texts
            for text in texts:
                print(text, flush=True)
        print(f"{compared} of {count} graphs compared", flush=True)
        self.assertGreater(compared, count // 2)
        self.assertFalse(found, "narrow and onnxruntime differ")


if __name__ == "__main__":
    unittest.main(verbosity=2)
