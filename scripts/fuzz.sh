#!/usr/bin/env bash
# Runs every native fuzz target for the given time, one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${1:-5s}
count=0
while IFS=: read -r file name; do
  dir=$(dirname "$file")
  echo "fuzz $dir $name for $time"
  "$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 1x "./$dir"
  count=$((count + 1))
done < <(git ls-files '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //')
if [ "$count" = 0 ]; then
  echo "error: no fuzz target found" >&2
  exit 1
fi
echo "$count fuzz targets, no failure"
