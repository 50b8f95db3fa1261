"""Runs the narrow program."""

import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
NARROW = pathlib.Path(os.environ.get("NARROW_BIN", ROOT / "build/release/bin/narrow"))


def run_narrow(*arguments):
    """Returns stdout; raises AssertionError with stderr when the exit code is not 0."""
    command = [str(NARROW), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit code {run.returncode}\n{run.stderr}{run.stdout}")
    return run.stdout


def quantize(model, output, data, config, *more):
    return run_narrow("quantize", model, "-o", output, "--data", data, "--config", config, *more)


def write_config(path, inputs):
    """Writes a config that holds only preprocessing; returns its path."""
    path.write_text(json.dumps({"inputs": inputs}), encoding="utf-8")
    return path


def class_folder(case):
    """A folder that lives as long as the tests of a unittest.TestCase class."""
    folder = tempfile.TemporaryDirectory()
    case.addClassCleanup(folder.cleanup)
    return pathlib.Path(folder.name)
