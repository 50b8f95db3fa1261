"""The float executor against onnxruntime, operator by operator."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import operator_cases
from narrow_cli import run_narrow

RELATIVE = 1e-4


def names_of(case):
    return ["" if value is None else f"x{i}" for i, value in enumerate(case.inputs)]


def make_model(case):
    """The node alone; values get their types from the arrays, outputs none at all."""
    node = helper.make_node(
        case.op, names_of(case), [f"y{i}" for i in range(case.outputs)], domain=case.domain, **case.attributes
    )
    inputs = []
    initializers = []
    for i, (name, value) in enumerate(zip(names_of(case), case.inputs)):
        if value is None:
            continue
        if i in case.constants:
            initializers.append(numpy_helper.from_array(value, name))
        else:
            inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype),
                                                        value.shape))
    outputs = [onnx.ValueInfoProto(name=f"y{i}") for i in range(case.outputs)]
    graph = helper.make_graph([node], case.name, inputs, outputs, initializers)
    opsets = [helper.make_opsetid(case.domain, case.opset)]
    if case.domain:
        opsets.append(helper.make_opsetid("", 17))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def run_onnxruntime(model, case):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {name: value for i, (name, value) in enumerate(zip(names_of(case), case.inputs)) if value is not None}
    wanted = {value.name for value in session.get_inputs()}
    return session.run(None, {name: value for name, value in feed.items() if name in wanted})


def write_case(folder, case):
    """Model and inputs for narrow; returns onnxruntime's outputs."""
    model = make_model(case)
    expected = [np.asarray(result) for result in run_onnxruntime(model, case)]
    folder.mkdir()
    # narrow's reader wants the types that onnxruntime infers.
    model.graph.ClearField("output")
    for i, array in enumerate(expected):
        kind = onnx.TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)
        model.graph.output.append(helper.make_tensor_value_info(f"y{i}", kind, array.shape))
    fed = [value for i, value in enumerate(case.inputs) if value is not None and i not in case.constants]
    for i, value in enumerate(fed):
        (folder / f"input_{i}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return expected


def difference(actual, expected):
    """What differs, or None. Floats may be off by rounding: relative to their own size or to that of the largest."""
    if actual.shape != expected.shape:
        return f"shape {actual.shape}, expected {expected.shape}"
    if expected.dtype == object:
        texts = [text.decode() if isinstance(text, bytes) else text for text in actual.ravel()]
        return None if texts == expected.ravel().tolist() else f"{texts}, expected {expected.ravel().tolist()}"
    if actual.dtype != expected.dtype:
        return f"{actual.dtype}, expected {expected.dtype}"
    if expected.dtype.kind != "f":
        wrong = np.count_nonzero(actual != expected)
        return f"{wrong} of {expected.size} elements" if wrong else None
    limit = 1e-6 * np.abs(np.nan_to_num(expected)).max(initial=1.0)
    if np.allclose(actual, expected, rtol=RELATIVE, atol=10 * limit, equal_nan=True):
        return None
    return f"by up to {np.nanmax(np.abs(actual - expected))}"


# Their first result's shape depends on values.
SHAPE_BY_VALUE = ["CropAndResize", "Pad", "Unique"]


def inferred_results(path, case):
    """(type, sizes) that narrow finds of each output of a model that declares none; a size that it does not know is "?",
    and so are the sizes where it does not know how many there are."""
    path.write_bytes(make_model(case).SerializeToString())
    facts = json.loads(run_narrow("inspect", path, "--format", "json"))
    return [(output["type"], output["shape"].strip("[]")) for output in facts["outputs"]]


class OperatorsTest(unittest.TestCase):
    def test_results_are_known_without_a_run(self):
        """What is not known to be float32 is not quantized, and ONNX knows nothing of these domains, or not all."""
        with tempfile.TemporaryDirectory() as name:
            for case in operator_cases.all_cases():
                if not case.domain:
                    continue
                results = run_onnxruntime(make_model(case), case)
                found = inferred_results(pathlib.Path(name) / "model.onnx", case)
                for i, (result, (kind, sizes)) in enumerate(zip(results, found, strict=True)):
                    with self.subTest(case=case.name, output=i):
                        self.assertEqual(kind, "string" if result.dtype == object else str(result.dtype))
                        if sizes != "?":
                            known = sizes.split(",") if sizes else []
                            self.assertEqual(len(known), result.ndim)
                            self.assertTrue(all(a in ("?", str(b)) for a, b in zip(known, result.shape)), sizes)
                        by_shapes = case.op not in SHAPE_BY_VALUE and "transBatchA" not in case.attributes
                        if i == 0 and case.domain == "com.microsoft" and by_shapes:
                            self.assertNotIn("?", sizes)

    def test_agrees_with_onnxruntime(self):
        cases = operator_cases.all_cases()
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            expected = {case.name: write_case(root / case.name, case) for case in cases}
            self.assertEqual(len(expected), len(cases), "names are used twice")
            command = [os.environ["NARROW_EXEC_TEST"], "--gtest_filter=OperatorCases.*"]
            environment = {**os.environ, "NARROW_OPERATOR_CASES": name}
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, 0, run.stdout)
            for case, results in expected.items():
                for i, result in enumerate(results):
                    with self.subTest(case=case, output=i):
                        proto = onnx.load_tensor(root / case / f"actual_{i}.pb")
                        self.assertIsNone(difference(numpy_helper.to_array(proto), result))


if __name__ == "__main__":
    unittest.main(verbosity=2)
