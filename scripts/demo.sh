#!/usr/bin/env bash
# Brings in the dependencies, builds the program and runs its main job on the small model of tests/data: a float model
# and calibration images in, a quantized model and a report on it out.
# usage: scripts/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
scripts/setup.sh
# A first build needs no test library. One that has tests keeps them, so that both uses share one build folder.
options=()
[ -f build/release/CMakeCache.txt ] || options=(-DNARROW_BUILD_TESTS=OFF)
echo "demo: building (a few minutes the first time; log in build/demo-build.log)" >&2
{ cmake --preset release "${options[@]}" && cmake --build build/release --target narrow -j2; } > build/demo-build.log 2>&1 ||
  { tail -n 60 build/demo-build.log >&2; exit 1; }

data=tests/data
command=(build/release/bin/narrow quantize "$data/glyphs.onnx" --data "$data/glyphs_calib.npy" --config "$data/glyphs.json"
  --eval "$data/glyphs_eval.npy" --labels "$data/glyphs_eval_labels.npy" -o build/glyphs.int8.onnx)
echo "demo: ${command[*]}" >&2
exec "${command[@]}"
