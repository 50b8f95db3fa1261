#!/usr/bin/env python3
"""Compares narrow with onnxruntime's MinMax quantization on the real models; onnxruntime runs every result.

usage: build/peers/bin/python tests/peers/compare.py [--only NAME]... [--without-narrow] [-- MORE ARGUMENTS OF narrow quantize]

top-1, agree: percent; SQNR: dB. 100 calibration samples evenly spread over the set, the others evaluate.
"""

import argparse
import dataclasses
import pathlib
import sys
import tempfile
import time

import metrics
import models
import narrow_cli
import numpy as np
import peers


@dataclasses.dataclass
class Score:
    top1: float | None = None
    agreement: float | None = None
    sqnr: float | None = None
    seconds: float | None = None
    failure: str = ""

    def columns(self):
        if self.failure:
            return f"{self.failure:<32.32}"
        shown = [f"{value:6.2f}" if value is not None else "   -  " for value in (self.top1, self.agreement, self.sqnr)]
        return " / ".join(shown) + (f" {self.seconds:6.1f} s" if self.seconds is not None else "         ")


def score(model, samples, reference, path, seconds=None):
    """Runs `path` in onnxruntime on the evaluation samples."""
    outputs = peers.run_onnxruntime(path, samples.values[samples.evaluation])
    labels = samples.labels[samples.evaluation] if samples.labels is not None else None
    return Score(
        top1=metrics.top1(outputs, labels) if labels is not None else None,
        agreement=metrics.agreement(outputs, reference) if model.classifies else None,
        sqnr=metrics.sqnr_db(outputs, reference),
        seconds=seconds,
    )


def minmax_score(model, samples, reference, path, folder):
    """onnxruntime's MinMax."""
    output = folder / "minmax.onnx"
    try:
        start = time.monotonic()
        peers.quantize_minmax(path, output, samples.values[samples.calibration])
        return score(model, samples, reference, output, time.monotonic() - start)
    except Exception as error:  # a peer that fails is a result
        return Score(failure=f"fails: {type(error).__name__}: {error}".splitlines()[0])


def quantize_with_narrow(model, samples, path, folder, more=()):
    """Quantizes `path` on the calibration samples; returns the result's path."""
    output = folder / "narrow.onnx"
    config = narrow_cli.write_config(folder / "config.json", model.input_config())
    if isinstance(samples.source, pathlib.Path):  # narrow decodes the images itself and spreads its samples the same way
        data, count = samples.source, len(samples.calibration)
    else:
        data, count = folder / "calibration.npy", len(samples.calibration)
        np.save(data, samples.source[samples.calibration])
    narrow_cli.quantize(path, output, data, config, "--samples", count, *more)
    return output


def narrow_score(model, samples, reference, path, folder, more=()):
    start = time.monotonic()
    output = quantize_with_narrow(model, samples, path, folder, more)
    return score(model, samples, reference, output, time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="part of a model's name; may be given several times")
    parser.add_argument("--without-narrow", action="store_true", help="the peer's columns only")
    arguments, more = parser.parse_known_args()
    more = [argument for argument in more if argument != "--"]
    root = models.find_data()
    if root is None:
        sys.exit("compare: no data: set NARROW_DATA to the folder that holds models/")
    titles = ("top-1 / agree / SQNR   seconds",) * 2
    print(f"{'model':<30} {'float':>6} | {'narrow ' + titles[0]:<40} | {'onnxruntime MinMax ' + titles[1]}")
    failed = False
    for model in models.MODELS:
        if arguments.only and not any(part in model.name for part in arguments.only):
            continue
        samples = models.load_samples(model, root)
        path = root / "models" / f"{model.name}.onnx"
        reference = peers.run_onnxruntime(path, samples.values[samples.evaluation])
        labels = samples.labels[samples.evaluation] if samples.labels is not None else None
        float_top1 = f"{metrics.top1(reference, labels):6.2f}" if labels is not None else "   -  "
        with tempfile.TemporaryDirectory() as folder:
            ours = Score(failure="not run")
            if not arguments.without_narrow:
                try:
                    ours = narrow_score(model, samples, reference, path, pathlib.Path(folder), more)
                except Exception as error:
                    failed = True
                    ours = Score(failure="fails")
                    print(error, file=sys.stderr)
            theirs = minmax_score(model, samples, reference, path, pathlib.Path(folder))
        print(f"{model.name:<30} {float_top1} | {ours.columns():<40} | {theirs.columns()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
