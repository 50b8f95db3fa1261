#!/usr/bin/env python3
"""Checks the direct includes between our folders and the lists of sources in CMake.

The table below is the one of docs/design.md: a folder may include only itself and the folders named in its row.
Further: only lib/onednn includes oneDNN's headers, an include is written from the repository root and its file
exists, no folders include each other in a circle, each .cc file is listed in a CMakeLists.txt, each listed one exists.

usage: scripts/check_includes.py [ROOT]     prints one line a violation; exits 1 when there are any
"""

import pathlib
import re
import sys

LIBRARIES = {
    "lib/base": "",
    "lib/tensor": "base",
    "lib/image": "base",
    "lib/graph": "tensor base",
    "lib/quant": "tensor base",
    "lib/ops": "graph tensor base",
    "lib/io": "graph tensor base",
    "lib/onednn": "quant tensor base",
    "lib/exec": "onednn ops graph image tensor base",
    "lib/analyze": "ops graph quant tensor base",
    "lib/plan": "analyze ops graph quant tensor base",
    "lib/rewrite": "plan analyze ops graph quant tensor base",
    "lib/recover": "plan analyze exec onednn ops graph quant tensor base",
    "lib/runtime": "exec onednn ops graph quant tensor base",
    "lib/validate": "runtime exec graph quant tensor base",
    "lib/tune": "validate runtime recover plan analyze exec ops graph quant tensor base",
    "lib/report": "validate plan analyze graph quant tensor base",
    "lib/diff": "report runtime exec graph tensor base",
}
ALLOWED = {folder: {"lib/" + name for name in row.split()} for folder, row in LIBRARIES.items()}
ALLOWED["calib"] = {"lib/" + name for name in "analyze exec io graph quant image tensor base".split()}
ALLOWED["apps"] = set(LIBRARIES) | {"calib"}
ALLOWED["tests"] = set(LIBRARIES) | {"calib", "apps"}

TOP_FOLDERS = ("apps", "calib", "lib", "tests")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ONEDNN_HEADER = re.compile(r"^(oneapi/dnnl/)?dnnl[^/]*\.hp?p?$")
CMAKE_SOURCE = re.compile(r"[^\s()\";]+\.cc\b")


def folder_of(path):
    """'lib/exec/kernels/conv.cc' -> 'lib/exec'; 'apps/main.cc' -> 'apps'."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "lib" else parts[0]


def files_of(root, pattern):
    found = [path for top in TOP_FOLDERS for path in (root / top).rglob(pattern)]
    return sorted(path.relative_to(root).as_posix() for path in found)


def includes_of(root, path):
    """Yields (line number, '<' or '"', included path)."""
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]


def check_include(root, path, mark, included):
    """Returns what is wrong with one include, or None."""
    folder = folder_of(path)
    if ONEDNN_HEADER.match(included) and folder != "lib/onednn":
        return f"{folder} includes {included}: only lib/onednn may include oneDNN"
    if included.split("/")[0] not in TOP_FOLDERS:
        beside = mark == '"' and (root / path).parent.joinpath(included).exists()
        return f'"{included}" is not written from the repository root' if beside else None
    if not (root / included).exists():
        return f"{included} does not exist"
    target = folder_of(included)
    if target == folder:
        return None
    if folder not in ALLOWED:
        return f"folder {folder} has no row in scripts/check_includes.py"
    if target not in ALLOWED[folder]:
        return f"{folder} may not include {target} ({included})"
    return None


def find_cycle(edges):
    """Returns the folders of one circle, first and last the same, or []."""
    done = set()

    def visit(node, trail):
        if node in trail:
            return trail[trail.index(node):] + [node]
        if node in done:
            return []
        for target in sorted(edges.get(node, ())):
            cycle = visit(target, trail + [node])
            if cycle:
                return cycle
        done.add(node)
        return []

    for start in sorted(edges):
        cycle = visit(start, [])
        if cycle:
            return cycle
    return []


def check_includes(root):
    problems = []
    edges = {}
    for path in files_of(root, "*.h") + files_of(root, "*.cc"):
        for number, mark, included in includes_of(root, path):
            problem = check_include(root, path, mark, included)
            if problem:
                problems.append(f"{path}:{number}: {problem}")
            if included.split("/")[0] in TOP_FOLDERS and folder_of(included) != folder_of(path):
                edges.setdefault(folder_of(path), set()).add(folder_of(included))
    for name, graph in (("the includes", edges), ("the table of scripts/check_includes.py", ALLOWED)):
        cycle = find_cycle(graph)
        if cycle:
            problems.append(f"circle in {name}: {' -> '.join(cycle)}")
    return problems


def check_sources(root):
    problems = []
    listed = set()
    for cmake in files_of(root, "CMakeLists.txt"):
        text = re.sub(r"#.*", "", (root / cmake).read_text(encoding="utf-8"))
        for source in CMAKE_SOURCE.findall(text):
            source = source.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
            folder = root / cmake.rsplit("/", 1)[0]
            if source.startswith("${CMAKE_SOURCE_DIR}/"):
                source, folder = source.removeprefix("${CMAKE_SOURCE_DIR}/"), root
            path = (folder / source).resolve()
            listed.add(path)
            if not path.is_file():
                problems.append(f"{cmake}: {source} does not exist")
    for path in files_of(root, "*.cc"):
        if (root / path).resolve() not in listed:
            problems.append(f"{path}: not listed in any CMakeLists.txt")
    return problems


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    problems = check_includes(root) + check_sources(root)
    for problem in problems:
        print(problem)
    print(f"check_includes: {len(problems)} problems" if problems else "check_includes: ok", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
