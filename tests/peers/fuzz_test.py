"""Random graphs in the float executor and in onnxruntime without optimizations.

NARROW_FUZZ_SEED (1): the first graph; NARROW_FUZZ_COUNT (300): how many. The graphs that differ are named by seed, and
kept where NARROW_FUZZ_KEEP names a folder.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import numpy as np
import onnx
from onnx import numpy_helper

import fuzz_graph
import fuzz_ops

CHUNK = 50
RELATIVE = 2e-4


def random_graph(seed):
    graph = fuzz_graph.Graph(seed)
    wanted = graph.integer(1, 9)
    for _ in range(6 * wanted):
        if len(graph.nodes) >= wanted:
            break
        values, nodes = len(graph.values), len(graph.nodes)
        try:
            graph.pick(fuzz_ops.MAKERS)(graph)
        except fuzz_graph.Unfit:
            del graph.values[values:], graph.nodes[nodes:]
    return graph


def difference(actual, expected):
    """What differs, or None. Floats may be off by rounding, measured by the largest of the tensor."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return f"{actual.dtype}{actual.shape}, expected {expected.dtype}{expected.shape}"
    if expected.dtype.kind != "f":
        wrong = int(np.count_nonzero(actual != expected))
        return f"{wrong} of {expected.size} elements" if wrong else None
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    limit = 1e-5 * max(1.0, np.abs(np.nan_to_num(expected)).max(initial=0.0))
    if np.allclose(actual, expected, rtol=RELATIVE, atol=limit, equal_nan=True):
        return None
    return f"by up to {np.nanmax(np.abs(actual - expected))} of {np.nanmax(np.abs(expected))}"


def write_case(folder, seed):
    """Model and inputs for narrow; returns onnxruntime's outputs, or None where it refuses the whole graph."""
    graph = random_graph(seed)
    if not graph.nodes:
        return None
    model, feed = graph.model()
    try:
        expected = fuzz_graph.run_onnxruntime(model, feed)
    except Exception:  # its own bugs, such as shapes that it infers wrongly
        return None
    folder.mkdir()
    for i, info in enumerate(model.graph.input):
        (folder / f"input_{i}.pb").write_bytes(numpy_helper.from_array(feed[info.name]).SerializeToString())
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return expected


def run_narrow(root):
    command = [os.environ["NARROW_EXEC_TEST"], "--gtest_filter=OperatorCases.*"]
    environment = {**os.environ, "NARROW_OPERATOR_CASES": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def reason(log, name):
    """What the log says about one folder."""
    lines = log.splitlines()
    for i, line in enumerate(lines):
        if line.strip() == f'"{name}"':
            return " ".join(text.strip() for text in lines[max(0, i - 3) : i])
    return "no result"


def findings(root, expected, log):
    for name, results in expected.items():
        operators = sorted({node.op_type for node in onnx.load(root / name / "model.onnx").graph.node})
        for i, result in enumerate(results):
            path = root / name / f"actual_{i}.pb"
            if not path.exists():
                yield name, f"{name} {operators}: {reason(log, name)}"
                break
            found = difference(numpy_helper.to_array(onnx.load_tensor(path)), result)
            if found:
                yield name, f"{name} {operators}: output {i}: {found}"
                break


class FuzzTest(unittest.TestCase):
    def run_chunk(self, seeds):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            expected = {str(seed): write_case(root / str(seed), seed) for seed in seeds}
            expected = {name: results for name, results in expected.items() if results is not None}
            if not expected:
                return 0, []
            log = run_narrow(root)
            found = list(findings(root, expected, log))
            if keep := os.environ.get("NARROW_FUZZ_KEEP"):
                for case, text in found:
                    shutil.copytree(root / case, pathlib.Path(keep) / case, dirs_exist_ok=True)
                    np.savez(pathlib.Path(keep) / case / "expected.npz", *expected[case])
                    (pathlib.Path(keep) / case / "finding.txt").write_text(text + "\n")
        return len(expected), [text for _, text in found]

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
