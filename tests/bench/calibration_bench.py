#!/usr/bin/env python3
"""Times `narrow calibrate` beside onnxruntime's MinMax calibration: the same models and the same 100 samples, in turn.

usage: build/peers/bin/python tests/bench/calibration_bench.py [--repetitions N] [--only NAME]... [--write]

Both sides read the samples as one .npy of the model's float32 input. "process" is a whole process from start to exit;
"alone" leaves imports, reading and hashing out: narrow's stages compile, observe and choose ranges against
onnxruntime's create_calibrator, collect_data and compute_data. Times are medians, ratios are medians of the ratios of
neighbouring runs. --write puts the section into docs/benchmarks.md.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "peers"))

import bench_document  # noqa: E402
import models  # noqa: E402
import narrow_cli  # noqa: E402
import numpy as np  # noqa: E402

METHODS = ("minmax", "percentile", "entropy", "mse")
MODELS = ("squeezenet-winml-fp16to32", "mobilenet_v1_0.25_224-keras", "cifar10-resnet56")
NARROW_STAGES = ("compile", "observe", "choose ranges")

# Runs in a process of its own; prints the seconds of calibration alone.
PEER = """
import sys, time, pathlib, tempfile
import numpy as np, onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

class Reader(CalibrationDataReader):
    def __init__(self, name, samples):
        self.feeds = iter([{name: samples[i : i + 1]} for i in range(len(samples))])
    def get_next(self):
        return next(self.feeds, None)

path, data = sys.argv[1:]
samples = np.load(data)
graph = onnx.load(path).graph
initializers = {tensor.name for tensor in graph.initializer}
name = next(value.name for value in graph.input if value.name not in initializers)
with tempfile.TemporaryDirectory() as folder:
    start = time.monotonic()
    augmented = str(pathlib.Path(folder, "augmented.onnx"))
    calibrator = create_calibrator(pathlib.Path(path), augmented_model_path=augmented, calibrate_method=CalibrationMethod.MinMax)
    calibrator.collect_data(Reader(name, samples))
    calibrator.compute_data()
    print(time.monotonic() - start)
"""


@dataclasses.dataclass
class Run:
    process: float  # seconds
    alone: float
    mebibytes: float  # peak resident memory


# A child starts with its parent's peak memory, so a small process starts it: prints seconds and peak memory in KB last.
LAUNCHER = """
import os, subprocess, sys, time
start = time.monotonic()
child = subprocess.Popen(sys.argv[1:], stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print()
print(time.monotonic() - start, usage.ru_maxrss)
sys.exit(status != 0)
"""


def run_process(command):
    """Returns stdout, seconds and peak memory in MiB of a child that must succeed."""
    command = [str(part) for part in command]
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    run = subprocess.run(launch, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"calibration_bench: {' '.join(command[:3])} failed\n{run.stderr}")
    output, last = run.stdout.rstrip().rsplit("\n", 1)
    seconds, kilobytes = last.split()
    return output, float(seconds), int(kilobytes) / 1024


def run_narrow(path, data, method, folder):
    output, seconds, mebibytes = run_process(
        [narrow_cli.NARROW, "calibrate", path, "--data", data, "--method", method, "-o", folder / "ranges.json", "--format", "json"]
    )
    stages = {stage["name"]: stage["seconds"] for stage in json.loads(output)["stages"]}
    return Run(seconds, sum(stages[name] for name in NARROW_STAGES), mebibytes)


def run_peer(path, data):
    output, seconds, mebibytes = run_process([sys.executable, "-c", PEER, path, data])
    return Run(seconds, float(output.split()[-1]), mebibytes)


def measure(path, data, folder, repetitions):
    """Runs by side: each method of narrow, and "onnxruntime"; all sides in turn, the first round is not counted."""
    runs = {side: [] for side in (*METHODS, "onnxruntime")}
    for repetition in range(repetitions + 1):
        for side, collected in runs.items():
            run = run_peer(path, data) if side == "onnxruntime" else run_narrow(path, data, side, folder)
            if repetition > 0:
                collected.append(run)
    return runs


def ratio(runs, side, base, key):
    return statistics.median(getattr(a, key) / getattr(b, key) for a, b in zip(runs[side], runs[base]))


def table_rows(name, runs, path):
    size = path.stat().st_size / 1e6
    for side, collected in runs.items():
        label = "onnxruntime minmax" if side == "onnxruntime" else f"narrow {side}"
        process, alone = (statistics.median(getattr(run, key) for run in collected) for key in ("process", "alone"))
        memory = max(run.mebibytes for run in collected) * 1.048576
        yield (
            f"| {name} | {label} | {process:.2f} | {alone:.2f} | {ratio(runs, side, 'minmax', 'process'):.2f} "
            f"| {ratio(runs, side, 'onnxruntime', 'process'):.2f} | {ratio(runs, side, 'onnxruntime', 'alone'):.2f} "
            f"| {memory:.0f} | {memory - size:.0f} |"
        )


def conditions(repetitions):
    import onnxruntime

    return (
        f"{bench_document.conditions()}; default threads on both sides; "
        f"{repetitions} repetitions in turn after one that is not counted; onnxruntime {onnxruntime.__version__}, its MinMax.\n"
        "100 samples in one float32 .npy. Seconds are medians, ratios medians of ratios of runs next to each other.\n"
        "onnxruntime observes every value of the graph, narrow those that a quantized model needs."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", action="append", help="part of a model's name; may be given several times")
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    arguments = parser.parse_args()
    root = models.find_data()
    if root is None:
        sys.exit("calibration_bench: no data: set NARROW_DATA to the folder that holds models/")
    lines = ["## Calibration", "", *conditions(arguments.repetitions).split("\n"), ""]
    lines += [
        "| model | side | process s | alone s | process / narrow minmax | process / onnxruntime | alone / onnxruntime | peak MB | peak MB beyond the model file |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for model in models.MODELS:
        if model.name not in MODELS or (arguments.only and not any(part in model.name for part in arguments.only)):
            continue
        samples = models.load_samples(model, root)
        path = root / "models" / f"{model.name}.onnx"
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            np.save(folder / "samples.npy", samples.values[samples.calibration])
            rows = list(table_rows(model.name, measure(path, folder / "samples.npy", folder, arguments.repetitions), path))
        print("\n".join(rows), flush=True)
        lines += rows
    if arguments.write:
        bench_document.write_section("calibration", "\n".join(lines))


if __name__ == "__main__":
    main()
