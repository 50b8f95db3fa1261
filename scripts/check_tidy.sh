#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy; files that passed before and did not change are not run again.
# usage: scripts/check_tidy.sh [--all]     the product's code; --all adds the tests
set -euo pipefail
cd "$(dirname "$0")/.."
# clang does not know GCC's attribute malloc(function), which GCC's own omp.h uses.
mkdir -p build/clang
sed -E 's/__malloc__ \([^)]*\)/__malloc__/' "$(g++ -print-file-name=include/omp.h)" > build/clang/omp.h
cmake --preset tidy > build/tidy-configure.log || { cat build/tidy-configure.log; exit 1; }
exec python3 scripts/run_tidy.py "$@"
