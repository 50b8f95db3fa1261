"""The float executor against onnxruntime, operator by operator; what onnxruntime can not load is left out, and said."""

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
            inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
    outputs = [onnx.ValueInfoProto(name=f"y{i}") for i in range(case.outputs)]
    graph = helper.make_graph([node], case.name, inputs, outputs, initializers)
    opsets = [helper.make_opsetid(case.domain, case.opset)]
    if case.domain:
        opsets.append(helper.make_opsetid("", 17))
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run_onnxruntime(model, case):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {name: value for i, (name, value) in enumerate(zip(names_of(case), case.inputs)) if value is not None}
    wanted = {value.name for value in session.get_inputs()}
    return session.run(None, {name: value for name, value in feed.items() if name in wanted})


def write_case(folder, case):
    """Model, inputs and onnxruntime's outputs in the form of ONNX's node tests."""
    model = make_model(case)
    results = run_onnxruntime(model, case)
    data = folder / case.name / "test_data_set_0"
    data.mkdir(parents=True)
    model.graph.ClearField("output")
    for i, result in enumerate(results):
        array = np.asarray(result)
        kind = onnx.TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)
        model.graph.output.append(helper.make_tensor_value_info(f"y{i}", kind, array.shape))
        (data / f"output_{i}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    fed = [value for i, value in enumerate(case.inputs) if value is not None and i not in case.constants]
    for i, value in enumerate(fed):
        (data / f"input_{i}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())
    (folder / case.name / "model.onnx").write_bytes(model.SerializeToString())


class OperatorsTest(unittest.TestCase):
    maxDiff = None

    def test_agrees_with_onnxruntime(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            written = 0
            for case in operator_cases.all_cases():
                try:
                    write_case(folder, case)
                    written += 1
                except Exception as error:  # onnxruntime's exceptions have no common base
                    print(f"[onnxruntime has no {case.name}: {str(error).splitlines()[0][:160]}]", flush=True)
            report = folder / "report.json"
            environment = {**os.environ, "NARROW_ONNX_TESTS": name}
            command = [os.environ["NARROW_EXEC_TEST"], "--gtest_filter=Backend.*", f"--gtest_output=json:{report}"]
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
            result = json.loads(report.read_text())["testsuites"][0]["testsuite"][0]
        # A line that starts with the quoted name of a folder is a wrong result; the count of ONNX's own tests is not ours.
        wrong = [f["failure"] for f in result.get("failures", []) if "passed" not in f["failure"].split("\n")[1]]
        self.assertEqual("", "\n".join(wrong))
        self.assertGreater(written, 100)
        self.assertEqual((int(result["passed"]), int(result["refused"])), (written, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
