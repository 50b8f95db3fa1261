#!/usr/bin/env python3
"""Runs clang-tidy over build/tidy/compile_commands.json, two files at a time; called by scripts/check_tidy.sh.

A verdict depends on the file, on the headers of ours that it includes (directly or not), on its compile command, on
.clang-tidy and on clang-tidy's version. A file that passed leaves an empty file named by the hash of all these in
build/tidy-cache; while it is there, the file is not run again.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "tidy-cache"
TIDY = "clang-tidy-16"  # the first whose clang reads std::source_location of GCC 12's library
JOBS = 2
OWN_INCLUDE = re.compile(rb'^\s*#\s*include\s*"((?:apps|calib|lib|tests)/[^"]+)"', re.MULTILINE)


def own_closure(path, seen):
    """Adds `path` and the files of ours that it includes to `seen`: path -> content."""
    if path in seen or not path.is_file():
        return seen
    seen[path] = path.read_bytes()
    for included in OWN_INCLUDE.findall(seen[path]):
        own_closure(ROOT / included.decode(), seen)
    return seen


def verdict_key(entry, common):
    digest = hashlib.sha256(common + entry["command"].encode())
    for path, content in sorted(own_closure(pathlib.Path(entry["file"]), {}).items()):
        digest.update(str(path).encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def run_tidy(entry):
    """Returns (passed, output)."""
    command = [TIDY, "-p", "build/tidy", "--quiet", entry["file"]]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.returncode == 0, run.stdout if run.stdout else run.stderr


def selected_entries(arguments):
    """The product's files, those of the tests too with --all, or those under the named folders."""
    with_tests = "--all" in arguments
    named = [argument.rstrip("/") + "/" for argument in arguments if argument != "--all"]
    folders = ("apps", "calib", "lib", "tests") if with_tests else ("apps", "calib", "lib")
    entries = {}
    for entry in json.loads((ROOT / "build/tidy/compile_commands.json").read_text(encoding="utf-8")):
        path = pathlib.Path(entry["file"]).relative_to(ROOT)
        if path.parts[0] in folders and (not named or path.as_posix().startswith(tuple(named))):
            entries[path.as_posix()] = entry
    return dict(sorted(entries.items()))


def main():
    entries = selected_entries(sys.argv[1:])
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    common = (ROOT / ".clang-tidy").read_bytes() + version
    keys = {path: verdict_key(entry, common) for path, entry in entries.items()}
    CACHE.mkdir(parents=True, exist_ok=True)
    due = [path for path in entries if not (CACHE / keys[path]).exists()]
    failed = []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for path, (passed, output) in zip(due, pool.map(lambda path: run_tidy(entries[path]), due)):
            if passed:
                (CACHE / keys[path]).touch()
            else:
                failed.append(path)
                print(f"check_tidy: {path}\n{output}", flush=True)
    print(f"check_tidy: {len(entries)} files, {len(due)} run, {len(failed)} failed" + "".join(f"\n  {f}" for f in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
