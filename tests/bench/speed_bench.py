#!/usr/bin/env python3
"""Times narrow beside onnxruntime and OpenVINO on the same models: float, or quantized by narrow.

usage: build/peers/bin/python tests/bench/speed_bench.py [--integer] [--batch N]... [--only NAME]... [--seconds S] [--rounds N] [--starts N] [--kept FOLDER] [--write]

Each side runs in a process of its own, all sides in turn, several rounds, on the same feed; samples a second are the
best round's median, so that a disturbance does not count as slowness; the ratio is narrow's to the better peer's. The time
to the first result is from opening the model file on, the median of several processes that do nothing else, all sides in
turn; a process's own start and the peers' import are left out. A model whose batch is fixed is left out of larger batches.
MiniLM takes part where NARROW_MINILM names its file.
"""

import argparse
import dataclasses
import json
import math
import os
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
import speed_subjects  # noqa: E402

THREADS = os.cpu_count()

# A peer's process: model, file of the feed, seconds, threads. Prints milliseconds: from opening the model to its first
# result (START), or the median of a run (MEASURE).
PEERS = {
    "onnxruntime": """
import onnxruntime as ort
def load():
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feed)
""",
    "openvino": """
import openvino as ov
def load():
    core = ov.Core()
    loaded = core.read_model(model)
    loaded.reshape({name: list(value.shape) for name, value in feed.items()})
    compiled = core.compile_model(loaded, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                                                  "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    for name, value in feed.items():
        request.set_tensor(name, ov.Tensor(value))
    return lambda: request.infer()
""",
}
COMMON = """
import statistics, sys, time
import numpy as np
model, feed, seconds, threads = sys.argv[1], dict(np.load(sys.argv[2])), float(sys.argv[3]), int(sys.argv[4])
"""
START = """
start = time.perf_counter()
run = load()
run()
print(1000 * (time.perf_counter() - start))
"""
MEASURE = """
run = load()
for _ in range(6):
    run()
times, end = [], time.perf_counter() + seconds
while time.perf_counter() < end or len(times) < 10:
    start = time.perf_counter()
    run()
    times.append(time.perf_counter() - start)
print(1000 * statistics.median(times))
"""


@dataclasses.dataclass
class Timing:
    """Milliseconds."""

    starts: list = dataclasses.field(default_factory=list)
    run: float = math.inf  # the best round's

    @property
    def first(self):
        return statistics.median(self.starts)


def run_peer(side, task, model, feed, seconds):
    code = COMMON + PEERS[side] + task
    command = [sys.executable, "-c", code, str(model), str(feed), str(seconds), str(THREADS)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        print(f"speed_bench: {side} refuses {model}: {run.stderr.splitlines()[-1]}", file=sys.stderr)
        return math.inf
    return float(run.stdout)


def run_narrow(model, feed, batch, seconds):
    """Milliseconds to the first result, and of a run."""
    output = narrow_cli.run_narrow(
        "bench", model, "--data", feed, "--batch", batch, "--seconds", seconds, "--format", "json", "--quiet"
    )
    result = json.loads(output)
    return result["models"][0]["first_ms"], result["latency_ms"]["median"]


def measure(model, feed, batch, options):
    """Timing by side."""
    timings = {side: Timing() for side in (*PEERS, "narrow")}
    shortest = 1e-3  # seconds, of a process that is asked for its first result
    for _ in range(options.starts):
        for side, timing in timings.items():
            timing.starts.append(
                run_narrow(model, feed, batch, shortest)[0] if side == "narrow" else run_peer(side, START, model, feed, 0)
            )
    for _ in range(options.rounds):
        for side, timing in timings.items():
            narrow = side == "narrow"
            run = run_narrow(model, feed, batch, options.seconds)[1] if narrow else run_peer(side, MEASURE, model, feed, options.seconds)
            timing.run = min(timing.run, run)
    return timings


class Means:
    """Geometric means and smallest values of named ratios."""

    def __init__(self):
        self.ratios = {}

    def note(self, name, ratio):
        self.ratios.setdefault(name, []).append(ratio)

    def lines(self):
        return [
            f"{name}: geometric mean {math.exp(sum(map(math.log, values)) / len(values)):.2f}, smallest {min(values):.2f} ({len(values)} rows)"
            for name, values in self.ratios.items()
        ]


def row(name, batch, timings, means):
    speed = {side: 1000 * batch / timing.run for side, timing in timings.items()}
    best = max(speed[side] for side in PEERS)
    means.note("narrow / the better peer", speed["narrow"] / best)
    for side in PEERS:
        if speed[side] > 0:
            means.note(f"narrow / {side}", speed["narrow"] / speed[side])
    means.note("onnxruntime's start to first result / narrow's", timings["onnxruntime"].first / timings["narrow"].first)
    sides = ("narrow", *PEERS)
    cells = [name, batch, *(f"{speed[s]:.0f}" for s in sides), f"{speed['narrow'] / best:.2f}", *(f"{timings[s].first:.0f}" for s in sides)]
    return f"| {' | '.join(map(str, cells))} |"


def quantized(subject, root, kept):
    """The quantized model; made only once in the folder `kept`."""
    folder = kept / subject.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{subject.name}.onnx"
    return path if path.exists() else subject.quantize(root, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integer", action="store_true", help="the models quantized by narrow instead of the float ones")
    parser.add_argument("--batch", type=int, action="append", help="samples of a run; repeatable (1 and 8)")
    parser.add_argument("--only", action="append", help="part of a model's name; repeatable")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=7, help="processes whose first result is timed, on each side")
    parser.add_argument("--kept", type=pathlib.Path, help="folder where quantized models stay for the next run")
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    arguments = parser.parse_args()
    if arguments.kept is None:
        temporary = tempfile.TemporaryDirectory()  # lives as long as main()
        arguments.kept = pathlib.Path(temporary.name)
    root = models.find_data()
    if root is None:
        sys.exit("speed_bench: no data: set NARROW_DATA to the folder that holds models/")
    kind = "integer" if arguments.integer else "float"
    lines = [
        f"## Speed, {kind}",
        "",
        f"{bench_document.conditions()}; {THREADS} threads on every side; best of {arguments.rounds} rounds of {arguments.seconds:g} s in turn; first results: median of {arguments.starts} starts in turn.",
        "",
        "| model | batch | narrow samples/s | onnxruntime | OpenVINO | narrow / the better peer | first result after ms: narrow | onnxruntime | OpenVINO |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    means = Means()
    for subject in speed_subjects.subjects(root):
        if arguments.only and not any(part in subject.name for part in arguments.only):
            continue
        if arguments.integer and not subject.quantizes:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            path = quantized(subject, root, arguments.kept) if arguments.integer else subject.path
            for batch in filter(subject.takes, arguments.batch or (1, 8)):
                np.savez(folder / "feed.npz", **subject.feed(batch))
                lines.append(row(subject.name, batch, measure(path, folder / "feed.npz", batch, arguments), means))
                print(lines[-1], flush=True)
    lines += ["", *(f"- {line}" for line in means.lines())]
    print("\n".join(lines[len(lines) - len(means.ratios) - 1 :]))
    if arguments.write:
        bench_document.write_section(f"speed-{kind}", "\n".join(lines))


if __name__ == "__main__":
    main()
