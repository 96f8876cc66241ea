#!/usr/bin/env bash
# Runs every native fuzz target, one after the other: for a time (10m), which
# explores and keeps what it learned in the build cache; or for a count of inputs
# (5000x), which starts from the committed corpora alone, in one process, from
# FUZZSEED (1), so that two runs of one commit try the same inputs.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
amount=${1:-5000x}
seed=${FUZZSEED:-1}
count=0
options=()
arguments=()
case $amount in
*x)
  learned=$(mktemp -d)
  trap 'rm -rf "$learned"' EXIT
  options=(-parallel 1)
  arguments=(-args "-test.fuzzcachedir=$learned")
  export GODEBUG="${GODEBUG:+$GODEBUG,}fuzzseed=$seed"
  how="$amount from seed $seed"
  ;;
*) how="for $amount" ;;
esac
# once fuzzes one target. The engine sometimes reports its own deadline as a
# failure when time runs out on a busy machine; a run that found an input says so.
once() { # folder, target
  local out
  if out=$("$go" test -run '^$' -fuzz "^$2\$" -fuzztime "$amount" -fuzzminimizetime 1x "${options[@]}" "./$1" "${arguments[@]}" 2>&1); then
    tail -n 1 <<<"$out"
    return 0
  fi
  echo "$out"
  grep -q 'context deadline exceeded' <<<"$out" && ! grep -q 'Failing input' <<<"$out" && return 2
  return 1
}
while IFS=: read -r file name; do
  dir=$(dirname "$file")
  echo "fuzz $dir $name $how"
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
