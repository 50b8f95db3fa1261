#!/usr/bin/env python3
"""Adds up the results that scripts/test.sh left in a folder; names what failed and what was skipped.

`*.xml` are ctest's JUnit files: a program of GoogleTest or unittest counts with each of its tests, any other as one.
`*.check` hold `passed` or `failed` and count as one. The last line is "N passed, N failed, N skipped".

usage: scripts/count_tests.py FOLDER     exits 1 when anything failed or nothing ran
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

GTEST_RAN = re.compile(r"^\[=+\] (\d+) tests? from \d+ test suites? ran", re.MULTILINE)
GTEST_NAMED = re.compile(r"^\[  (FAILED|SKIPPED) +\] (\S+\.\S+?)(?:,.*)?$", re.MULTILINE)
UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
UNITTEST_NAMED = re.compile(r"^(\S+) \(\S+\)(?:\n.*)? \.\.\. (FAIL|ERROR|skipped.*)$", re.MULTILINE)


def count_case(case):
    """Returns (number of tests, failed names, skipped names) of one ctest entry."""
    name = case.get("name")
    output = case.findtext("system-out") or ""
    failed, skipped, ran = set(), set(), 1
    if GTEST_RAN.search(output):
        ran = int(GTEST_RAN.findall(output)[-1])
        named = [(test, kind == "FAILED") for kind, test in GTEST_NAMED.findall(output)]
    else:
        if UNITTEST_RAN.search(output):
            ran = int(UNITTEST_RAN.findall(output)[-1])
        named = [(test, not kind.startswith("skipped")) for test, kind in UNITTEST_NAMED.findall(output)]
    for test, is_failure in named:
        (failed if is_failure else skipped).add(f"{name}: {test}")
    if case.get("status") in ("fail", "notrun") and case.find("skipped") is None and not failed:
        failed.add(name)  # crashed, timed out, or could not be started
    if case.find("skipped") is not None and not skipped:
        skipped.add(name)
    return max(ran, len(failed) + len(skipped)), failed, skipped


def main():
    folder = pathlib.Path(sys.argv[1])
    total, failed, skipped = 0, [], []
    for path in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(path).iter("testcase"):
            ran, bad, left_out = count_case(case)
            total += ran
            failed += [f"{path.stem}: {name}" for name in sorted(bad)]
            skipped += [f"{path.stem}: {name}" for name in sorted(left_out)]
    for path in sorted(folder.glob("*.check")):
        total += 1
        if path.read_text(encoding="utf-8").strip() != "passed":
            failed.append(path.stem)
    for title, names in (("skipped", skipped), ("failed", failed)):
        if names:
            print(f"{title}:\n" + "\n".join(f"  {name}" for name in names))
    print(f"{total - len(failed) - len(skipped)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
