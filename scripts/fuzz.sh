#!/usr/bin/env bash
# Runs one fuzzer of tests/fuzz for some seconds. New inputs are kept in build/fuzz-corpus; one that crashes is left as
# build/fuzz-corpus/TARGET-crash-*.
# usage: scripts/fuzz.sh TARGET SECONDS     scripts/fuzz.sh --list
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --list ]; then
  sed -nE 's/^narrow_fuzzer\(([a-z_]+) .*/\1/p' tests/fuzz/CMakeLists.txt
  exit
fi
target="${1:?usage: scripts/fuzz.sh TARGET SECONDS}" seconds="${2:?usage: scripts/fuzz.sh TARGET SECONDS}"
mkdir -p "build/fuzz-corpus/$target"
{ cmake --preset fuzz && cmake --build build/fuzz --target "${target}_fuzz" -j2; } > build/fuzz-build.log 2>&1 ||
  { tail -n 60 build/fuzz-build.log; exit 1; }

# What we have of each format is where mutation starts.
case "$target" in
  npy) seeds=(tests/data/*_labels.npy) ;;
  model) seeds=(tests/data/*.onnx) ;;
  json) seeds=(configs/*.json tests/fuzz/seeds/*.json) ;;
  image) seeds=(tests/fuzz/seeds/*.png tests/fuzz/seeds/*.jpg) ;;
esac
for seed in "${seeds[@]}"; do [ -f "$seed" ] && cp "$seed" "build/fuzz-corpus/$target/"; done
suppressions="$PWD/scripts/sanitizers/lsan.supp"
LSAN_OPTIONS="suppressions=$suppressions:print_suppressions=0" UBSAN_OPTIONS="print_stacktrace=1" \
  "build/fuzz/bin/${target}_fuzz" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=300000 \
  -artifact_prefix="build/fuzz-corpus/$target-" -print_final_stats=1 -print_funcs=0 -verbosity=0 "build/fuzz-corpus/$target"
