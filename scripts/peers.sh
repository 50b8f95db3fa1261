#!/usr/bin/env bash
# Makes build/peers: a Python environment with onnxruntime, OpenVINO and onnx for the tests that compare narrow with them.
# Pinned by hash; a second run finds its work done and returns at once. Nothing else needs this environment.
# usage: scripts/peers.sh
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${NARROW_PEERS:-$PWD/build/peers}"
wanted="$(cat scripts/peers-requirements.txt "$0" | sha256sum)"
[ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ] && exit 0

# The hashes are those of the CPython 3.11 wheels, which is Debian 12's Python.
python=""
for candidate in /usr/bin/python3 python3.11 python3; do
  if [ "$("$candidate" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null)" = "3 11" ]; then
    python="$candidate"
    break
  fi
done
[ -n "$python" ] || { echo "peers: Python 3.11 not found" >&2; exit 1; }

echo "peers: onnxruntime, OpenVINO and onnx into $venv (half a minute, once)" >&2
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  -r scripts/peers-requirements.txt
echo "$wanted" > "$venv/stamp"
