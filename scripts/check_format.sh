#!/usr/bin/env bash
# Checks that clang-format would change nothing in our C++ files; names those that it would change.
# usage: scripts/check_format.sh [--fix]     --fix formats them instead
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
count=0
while IFS= read -r -d '' file; do
  [ -f "$file" ] || continue
  count=$((count + 1))
  if [ "${1:-}" = --fix ]; then
    clang-format-14 --style=file -i "$file"
  elif ! clang-format-14 --style=file --dry-run --Werror "$file" > /dev/null 2>&1; then
    echo "check_format: $file"
    bad=$((bad + 1))
  fi
done < <(git ls-files -z --cached --others --exclude-standard '*.cc' '*.h')
echo "check_format: $count files, $bad to format" >&2
[ "$bad" -eq 0 ]
