#!/usr/bin/env bash
# Builds everything and runs every check: tests in release, under AddressSanitizer + UndefinedBehaviorSanitizer and under
# ThreadSanitizer, comparison with the peers, format, includes, clang-tidy. Goes on after a failure and fails at the end.
# usage: scripts/test.sh [--quick | --all]
#   --quick   release unit tests only        --all   also the slow tests, clang-tidy on the tests, a short run of each fuzzer
set -uo pipefail
cd "$(dirname "$0")/.."
mode="${1:-}"
case "$mode" in '' | --quick | --all) ;; *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;; esac

results=build/test-results
rm -rf "$results" && mkdir -p "$results"
summary=()
failed_stages=0

# stage NAME DESCRIPTION COMMAND...: runs, times and remembers one stage. Its output is shown.
stage() {
  local name="$1" start=$SECONDS status=0
  echo "== $name: $2"
  shift 2
  "$@" || status=$?
  local verdict=ok
  [ "$status" -eq 0 ] || { verdict=FAILED; failed_stages=$((failed_stages + 1)); }
  summary+=("$(printf '%-16s %-6s %4d s' "$name" "$verdict" $((SECONDS - start)))")
  echo "== $name: $verdict, $((SECONDS - start)) s"
  return "$status"
}

# A stage that counts as one test, beside those that ctest counts.
check() {
  local start=$SECONDS verdict=passed
  stage "$@" || verdict=failed
  echo "$verdict" > "$results/$1.check"
}

# Output to a log; its end is shown when the command fails.
logged() {
  local log="$results/$1.log"
  shift
  "$@" > "$log" 2>&1 || { local status=$?; tail -n 60 "$log"; return "$status"; }
}

build() {
  local preset="$1"
  shift
  logged "configure-$preset" cmake --preset "$preset" -DNARROW_BUILD_TESTS=ON &&
    logged "build-$preset" cmake --build "build/$preset" -j2 "$@"
}

run_ctest() {
  local name="$1" preset="$2"
  shift 2
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=ignore --output-junit "$PWD/$results/$name.xml" \
    --test-output-size-passed 10000000 --test-output-size-failed 10000000 "$@"
}

# ThreadSanitizer builds only the programs that it runs: those labelled `threads`.
build_thread_tests() {
  logged configure-tsan cmake --preset tsan -DNARROW_BUILD_TESTS=ON || return
  local targets
  mapfile -t targets < <(ctest --test-dir build/tsan -N -L threads | sed -nE 's/^ *Test +#[0-9]+: (.*)$/\1_test/p')
  logged build-tsan cmake --build build/tsan -j2 --target "${targets[@]}"
}

run_fuzzers() {
  local target
  for target in $(scripts/fuzz.sh --list); do scripts/fuzz.sh "$target" 20 || return; done
}

sanitizers="$PWD/scripts/sanitizers"
export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1"
export LSAN_OPTIONS="suppressions=$sanitizers/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1"
export TSAN_OPTIONS="suppressions=$sanitizers/tsan.supp:halt_on_error=1:second_deadlock_stack=1"

stage setup "packages, ONNX and oneDNN" scripts/setup.sh --tests
if [ "$mode" = --quick ]; then
  stage build-release "optimized build" build release && stage release "unit tests" run_ctest release release -L unit
else
  slow=(-LE '^(peers|slow)$')
  [ "$mode" = --all ] && slow=(-LE '^peers$')
  check build-release "optimized build" build release && stage release "all tests" run_ctest release release "${slow[@]}"
  check format "clang-format" scripts/check_format.sh
  if stage peers-setup "onnxruntime and OpenVINO, for comparison" scripts/peers.sh; then
    stage peers "models and results in onnxruntime and OpenVINO" run_ctest peers release -L '^peers$'
  fi
  check build-asan "AddressSanitizer + UndefinedBehaviorSanitizer build" build asan-ubsan &&
    stage asan-ubsan "unit and program tests" run_ctest asan-ubsan asan-ubsan -L '^(unit|program)$' -LE '^slow$'
  check build-tsan "ThreadSanitizer build of the thread tests" build_thread_tests &&
    stage tsan "thread tests" run_ctest tsan tsan -L '^threads$'
  # The whole tree takes clang-tidy longer than all the tests together, so by default it sees the numbers' core.
  if [ "$mode" = --all ]; then
    check tidy "clang-tidy" scripts/check_tidy.sh --all
  else
    check tidy "clang-tidy of the core" scripts/check_tidy.sh lib/{base,tensor,quant,graph,io,ops,analyze,plan,rewrite}
  fi
  [ "$mode" = --all ] && check fuzz "each fuzzer for 20 s" run_fuzzers
fi

echo
echo "== stages"
printf '%s\n' "${summary[@]}"
echo "total $SECONDS s"
echo
status=0
python3 scripts/count_tests.py "$results" || status=1
[ "$failed_stages" -eq 0 ] && [ "$status" -eq 0 ]
