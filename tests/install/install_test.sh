#!/usr/bin/env bash
# The installed tree works after it was moved, and brings its own oneDNN.
# usage: install_test.sh BUILD_DIR CMAKE
set -euo pipefail
build="$1" cmake="$2"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
fail() { echo "install_test: $*" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$place/first" > "$place/log" || { cat "$place/log"; fail "cmake --install failed"; }
mkdir "$place/second"
mv "$place/first" "$place/second/moved"
tree="$place/second/moved"

[ -f "$tree/lib/libdnnl.so.3" ] && [ ! -L "$tree/lib/libdnnl.so.3" ] || fail "lib/libdnnl.so.3 is not a file"
[ -d "$tree/share/narrow/configs" ] || fail "share/narrow/configs is missing"
# From another folder and without the variables that could lead the loader to the build tree.
version="$(cd / && env -u LD_LIBRARY_PATH -u LD_PRELOAD "$tree/bin/narrow" --version)" || fail "bin/narrow --version failed"
[ -n "$version" ] || fail "bin/narrow --version printed nothing"
loaded="$(env -u LD_LIBRARY_PATH ldd "$tree/bin/narrow")"
grep -q "libdnnl.so.3 => $tree/bin/../lib/libdnnl.so.3" <<< "$loaded" || fail "oneDNN is not the one beside the program: $loaded"
echo "install_test: $version"
