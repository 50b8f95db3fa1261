"""What the benchmarks share: the machine they ran on, and their sections of docs/benchmarks.md."""

import datetime
import os
import pathlib
import platform
import subprocess

import narrow_cli

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def conditions():
    """Date, machine, load and instruction set, as a benchmark's first line tells them."""
    version = subprocess.run([narrow_cli.NARROW, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")
    return f"{datetime.date.today()}; {processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {version[-2]}"


def write_section(name, text):
    """Replaces the section that comments mark with `name`, or adds it."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else "# Benchmarks\n"
    section = f"{begin}\n{text}\n{end}"
    if begin in document:
        document = document[: document.index(begin)] + section + document[document.index(end) + len(end) :]
    else:
        document = f"{document.rstrip()}\n\n{section}\n"
    DOCUMENT.write_text(document, encoding="utf-8")
