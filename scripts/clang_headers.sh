#!/usr/bin/env bash
# Makes build/clang/omp.h, GCC's own without the one thing that clang does not know: the attribute malloc(function).
# So clang reads and links the same OpenMP as the real build, and needs no package of its own for it.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/clang
sed -E 's/__malloc__ \([^)]*\)/__malloc__/' "$(g++ -print-file-name=include/omp.h)" > build/clang/omp.h
