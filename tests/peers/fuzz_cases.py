"""Cases of the fuzz test: a folder for each random graph, with what onnxruntime makes of it and what narrow does.

Either may die of a graph. onnxruntime writes the cases in a process of its own, and goes on behind the graph that killed it,
which is no case; where narrow dies, the cases it did not come to run one by one, so that the one at fault is named.
"""

import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import fuzz_graph
import fuzz_ops
import numpy as np
import onnx
from onnx import numpy_helper


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


def write_case(folder, seed):
    """Model, inputs, and onnxruntime's outputs; nothing where it refuses the whole graph."""
    graph = random_graph(seed)
    if not graph.nodes:
        return
    model, feed = graph.model()
    try:
        expected = fuzz_graph.run_onnxruntime(model, feed)
    except Exception:  # its own bugs, such as shapes that it infers wrongly
        return
    folder.mkdir()
    for i, info in enumerate(model.graph.input):
        (folder / f"input_{i}.pb").write_bytes(numpy_helper.from_array(feed[info.name]).SerializeToString())
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    np.savez(folder / "expected.npz", *expected)


def write_in_order(root, seeds):
    for seed in seeds:
        (root / "at").write_text(str(seed))
        write_case(root / str(seed), seed)


def write_cases(root, seeds):
    """Returns a line for each graph that onnxruntime died of."""
    deaths, seeds = [], list(seeds)
    while seeds:
        child = multiprocessing.get_context("fork").Process(target=write_in_order, args=(root, seeds))
        child.start()
        child.join()
        if child.exitcode >= 0:
            if child.exitcode > 0:
                raise RuntimeError(f"no case could be made of seed {(root / 'at').read_text()}")
            break
        seed = int((root / "at").read_text())
        shutil.rmtree(root / str(seed), ignore_errors=True)
        deaths.append(f"{seed}: onnxruntime died of {signal.Signals(-child.exitcode).name}; left out")
        seeds = seeds[seeds.index(seed) + 1 :]
    return deaths


def expected_of(folder):
    with np.load(folder / "expected.npz", allow_pickle=True) as file:  # strings are objects
        return [file[name] for name in file.files]


def perturbed(array, random):
    """Floats moved by two units in the last place, up or down."""
    if array.dtype.kind != "f":
        return array
    step = 2 * np.finfo(array.dtype).eps
    return (array * (1 + random.choice([-step, step], array.shape))).astype(array.dtype)


def move_results(graph, seed):
    """The graph with each float32 result of its nodes, those of bodies too, multiplied by 1 and at most two units more or less.

    What rounding does inside a graph, made at random (Parker, Monte Carlo Arithmetic, 1997). Multiples of 1/16 are taken for
    exact: functions with jumps may read them.
    """
    step = 2 * float(np.finfo(np.float32).eps)
    floats = {
        info.name
        for info in [*graph.value_info, *graph.output]
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    nodes = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                move_results(attribute.g, seed)
        nodes.append(node)
        for i, name in enumerate(node.output):
            if name not in floats:
                continue
            at = lambda suffix, name=name: f"{name}_{suffix}"
            node.output[i] = at("exact")
            scalar = lambda number: {"value": numpy_helper.from_array(np.float32(number))}
            # onnxruntime has no RandomUniformLike of opset 22: the sine of a number far from 0 is as good.
            for op, reads, makes, attributes in [
                ("Constant", [], "sixteen", scalar(16)),
                ("Mul", [at("exact"), at("sixteen")], "parts", {}),
                ("Floor", [at("parts")], "whole", {}),
                ("Equal", [at("parts"), at("whole")], "is_exact", {}),
                ("Constant", [], "much", scalar(1e5)),
                ("Constant", [], "seed", scalar(seed)),
                ("Constant", [], "one", scalar(1)),
                ("Constant", [], "step", scalar(step)),
                ("Mul", [at("exact"), at("much")], "far", {}),
                ("Add", [at("far"), at("seed")], "angle", {}),
                ("Sin", [at("angle")], "random", {}),
                ("Mul", [at("random"), at("step")], "part", {}),
                ("Add", [at("one"), at("part")], "factor", {}),
                ("Mul", [at("exact"), at("factor")], "moved", {}),
            ]:
                nodes.append(onnx.helper.make_node(op, reads, [at(makes)], **attributes))
            nodes.append(onnx.helper.make_node("Where", [at("is_exact"), at("exact"), at("moved")], [name]))
    moved = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(moved)


def conditioning(folder, index, runs=8):
    """How far each element of an output moves in onnxruntime where inputs and results are moved by rounding.

    A stable computation may be as far off as that (Higham, Accuracy and Stability of Numerical Algorithms, 1.5): graphs that
    amplify rounding, such as a loop that multiplies or a normalization of what is nearly constant, say nothing about who is
    right within it.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "model.onnx"))
    feed = {
        info.name: numpy_helper.to_array(onnx.load_tensor(folder / f"input_{i}.pb"))
        for i, info in enumerate(model.graph.input)
    }
    expected, random = expected_of(folder)[index], np.random.default_rng(0)
    moved = np.zeros(expected.shape)
    for run in range(runs):
        near = {name: perturbed(array, random) for name, array in feed.items()}
        changed = onnx.ModelProto.FromString(model.SerializeToString())
        move_results(changed.graph, run + 1)
        output = fuzz_graph.run_onnxruntime(changed, near)[index]
        if output.shape == expected.shape:  # else a jump was crossed
            moved = np.maximum(moved, np.abs(output.astype(np.float64) - expected.astype(np.float64)))
    return moved


def run_folders(root):
    command = [os.environ["NARROW_EXEC_TEST"], "--gtest_filter=OperatorCases.*"]
    environment = {**os.environ, "NARROW_OPERATOR_CASES": str(root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run_narrow(root, names):
    """The log: below what is said of a case stands its name in quotes."""
    run = run_folders(root)
    log = run.stdout
    if run.returncode >= 0:
        return log
    for name in names:
        if (root / name / "actual_0.pb").exists():
            continue
        with tempfile.TemporaryDirectory() as alone:
            (pathlib.Path(alone) / name).symlink_to(root / name)
            run = run_folders(alone)
        log += run.stdout
        if run.returncode < 0:
            log += f'\nnarrow died of {signal.Signals(-run.returncode).name}\n"{name}"\n'
    return log
