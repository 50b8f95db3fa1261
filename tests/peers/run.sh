#!/usr/bin/env bash
# Runs one test file in the peers' environment; exits with 77, ctest's "skipped" here, when that was not made.
# usage: run.sh TEST.py
cd "$(dirname "$0")/../.." || exit 1
python="${NARROW_PEERS:-build/peers}/bin/python"
if [ ! -x "$python" ]; then
  echo "skipped: no $python; scripts/peers.sh makes it"
  exit 77
fi
exec "$python" -B -W ignore "tests/peers/$1" 2>&1
