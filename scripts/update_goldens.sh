#!/usr/bin/env bash
# Writes the expected sections of tests/golden anew. Review the difference before committing it.
set -euo pipefail
cd "$(dirname "$0")/.."
build="${1:-build/release}"
cmake --build "$build" --target rewrite_test
NARROW_UPDATE_GOLDENS=1 "$build/bin/rewrite_test" --gtest_filter='*Golden*'
git diff --stat -- tests/golden
