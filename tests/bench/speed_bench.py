#!/usr/bin/env python3
"""Times narrow beside onnxruntime and OpenVINO on the same models: float, or quantized by narrow.

usage: build/peers/bin/python tests/bench/speed_bench.py [--integer] [--batch N]... [--only NAME]... [--seconds S] [--rounds N] [--write]

Each side runs in a process of its own, all sides in turn, several rounds; samples a second are the best round's, so
that a disturbance does not count as slowness; the ratio is narrow's to the better peer's. Inputs are random numbers of
the model's own type; a model whose batch is fixed is left out of larger batches.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "peers"))

import bench_document  # noqa: E402
import models  # noqa: E402
import narrow_cli  # noqa: E402
import numpy as np  # noqa: E402

THREADS = os.cpu_count()

# A peer's process: model, batch, seconds, threads. Prints samples a second and the median latency in ms; exit code 3
# when the model does not take the batch.
PEERS = {
    "onnxruntime": """
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = threads
options.log_severity_level = 3
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feed = make_feed([(i.name, i.type[7:-1], i.shape) for i in session.get_inputs()])
run = lambda: session.run(None, feed)
""",
    "openvino": """
import onnxruntime as ort
import openvino as ov
inputs = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()
feed = make_feed([(i.name, i.type[7:-1], i.shape) for i in inputs])
core = ov.Core()
loaded = core.read_model(model)
loaded.reshape({name: list(value.shape) for name, value in feed.items()})
compiled = core.compile_model(loaded, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                                              "INFERENCE_PRECISION_HINT": "f32"})
request = compiled.create_infer_request()
for name, value in feed.items():
    request.set_tensor(name, ov.Tensor(value))
run = lambda: request.infer()
""",
}
COMMON = """
import statistics, sys, time
import numpy as np
model, batch, seconds, threads = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
TYPES = {"float": np.float32, "int64": np.int64, "int32": np.int32, "double": np.float64, "bool": np.bool_}
def make_feed(inputs):
    numbers = np.random.default_rng(0)
    feed = {}
    for name, kind, shape in inputs:
        sizes = [d if isinstance(d, int) and d > 0 else 1 for d in shape]
        if sizes and not isinstance(shape[0], int):
            sizes[0] = batch
        elif sizes and sizes[0] != batch:
            sys.exit(3)
        values = numbers.standard_normal(sizes)
        feed[name] = (values if kind in ("float", "double") else np.ones(sizes)).astype(TYPES[kind])
    return feed
"""
MEASURE = """
for _ in range(5):
    run()
times, end = [], time.perf_counter() + seconds
while time.perf_counter() < end or len(times) < 10:
    start = time.perf_counter()
    run()
    times.append(time.perf_counter() - start)
print(batch * len(times) / sum(times), 1000 * statistics.median(times))
"""


def run_peer(side, model, batch, seconds):
    code = COMMON + PEERS[side] + MEASURE
    command = [sys.executable, "-c", code, str(model), str(batch), str(seconds), str(THREADS)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 3:
        return None
    if run.returncode != 0:
        sys.exit(f"speed_bench: {side} failed on {model}\n{run.stderr}")
    return float(run.stdout.split()[0])


def run_narrow(model, batch, seconds):
    output = narrow_cli.run_narrow("bench", model, "--batch", batch, "--seconds", seconds, "--format", "json", "--quiet")
    return json.loads(output)["samples_per_second"]


def measure(model, batch, seconds, rounds):
    """Best samples a second by side, or None where a peer does not take the batch."""
    best = {}
    for _ in range(rounds):
        for side in (*PEERS, "narrow"):
            speed = run_narrow(model, batch, seconds) if side == "narrow" else run_peer(side, model, batch, seconds)
            if speed is None:
                return None
            best[side] = max(best.get(side, 0), speed)
    return best


def quantized(model, root, folder):
    """The model as narrow quantizes it by default, with its own data."""
    samples = models.load_samples(model, root)
    np.save(folder / "samples.npy", samples.values[samples.calibration])
    path = folder / f"{model.name}.onnx"
    narrow_cli.run_narrow("quantize", root / "models" / path.name, "-o", path, "--data", folder / "samples.npy", "--no-speed", "--quiet")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integer", action="store_true", help="the models quantized by narrow instead of the float ones")
    parser.add_argument("--batch", type=int, action="append", help="samples of a run; repeatable (1 and 8)")
    parser.add_argument("--only", action="append", help="part of a model's name; repeatable")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    arguments = parser.parse_args()
    root = models.find_data()
    if root is None:
        sys.exit("speed_bench: no data: set NARROW_DATA to the folder that holds models/")
    kind = "integer" if arguments.integer else "float"
    lines = [
        f"## Speed, {kind}",
        "",
        f"{bench_document.conditions()}; {THREADS} threads on every side; best of {arguments.rounds} rounds of {arguments.seconds:g} s in turn.",
        "",
        "| model | batch | narrow samples/s | onnxruntime | OpenVINO | narrow / the better peer |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    ratios = []
    for model in models.MODELS:
        if arguments.only and not any(part in model.name for part in arguments.only):
            continue
        with tempfile.TemporaryDirectory() as name:
            path = quantized(model, root, pathlib.Path(name)) if arguments.integer else root / "models" / f"{model.name}.onnx"
            for batch in arguments.batch or (1, 8):
                best = measure(path, batch, arguments.seconds, arguments.rounds)
                if best is None:
                    continue
                ratios.append(best["narrow"] / max(best["onnxruntime"], best["openvino"]))
                lines.append(
                    f"| {model.name} | {batch} | {best['narrow']:.0f} | {best['onnxruntime']:.0f} | {best['openvino']:.0f} | {ratios[-1]:.2f} |"
                )
                print(lines[-1], flush=True)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    lines += ["", f"Geometric mean of the ratios: {mean:.2f}; the smallest: {min(ratios):.2f}."]
    print("\n".join(lines[-2:]))
    if arguments.write:
        bench_document.write_section(f"speed-{kind}", "\n".join(lines))


if __name__ == "__main__":
    main()
