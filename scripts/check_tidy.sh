#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy; files that passed before and did not change are not run again.
# usage: scripts/check_tidy.sh [--all | FOLDER...]     the product's code; --all adds the tests; or what folders hold
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset tidy > build/tidy-configure.log || { cat build/tidy-configure.log; exit 1; }
exec python3 scripts/run_tidy.py "$@"
