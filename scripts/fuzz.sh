#!/usr/bin/env bash
# Runs every native fuzz target for the given time, one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${1:-5s}
count=0
# once fuzzes one target. The engine sometimes reports its own deadline as a
# failure when time runs out on a busy machine; a run that found an input says so.
once() { # folder, target
  local out
  if out=$("$go" test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 1x "./$1" 2>&1); then
    tail -n 1 <<<"$out"
    return 0
  fi
  echo "$out"
  grep -q 'context deadline exceeded' <<<"$out" && ! grep -q 'Failing input' <<<"$out" && return 2
  return 1
}
while IFS=: read -r file name; do
  dir=$(dirname "$file")
  echo "fuzz $dir $name for $time"
  code=0
  once "$dir" "$name" || code=$?
  if [ "$code" = 2 ]; then
    echo "out of time and nothing found; trying once more"
    code=0
    once "$dir" "$name" || code=$?
  fi
  [ "$code" = 0 ] || exit 1
  count=$((count + 1))
done < <(git ls-files '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //')
if [ "$count" = 0 ]; then
  echo "error: no fuzz target found" >&2
  exit 1
fi
echo "$count fuzz targets, no failure"
