#!/usr/bin/env bash
# Writes the expected sections of tests/golden and docs/onnx-node-tests.md anew (the latter needs scripts/peers.sh's
# environment). Review the difference before committing it.
set -euo pipefail
cd "$(dirname "$0")/.."
build="${1:-build/release}"
cmake --build "$build" --target rewrite_test exec_test
NARROW_UPDATE_GOLDENS=1 "$build/bin/rewrite_test" --gtest_filter='*Golden*'
NARROW_UPDATE_GOLDENS=1 NARROW_ONNX_TESTS=build/peers/lib/python3.11/site-packages/onnx/backend/test/data \
  "$build/bin/exec_test" --gtest_filter='Backend.*'
git diff --stat -- tests/golden docs/onnx-node-tests.md
