#!/usr/bin/env bash
# Measures the public side beside nginx and others: the comparison, a crowd of
# 18,500 viewers, and viewers under attack. About six minutes on two quiet cores.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
go=${GO:-go}
mkdir -p bin
"$go" build -o bin/servebench ./internal/servebench || exit 1
code=0
if [ $# -gt 0 ]; then
  bin/servebench "$@"
  exit
fi
ulimit -n "$(ulimit -Hn)"
for part in "compare -rounds 3" "crowd" "attack -rounds 1"; do
  echo "== $part"
  # Words on purpose: a part and its flags.
  # shellcheck disable=SC2086
  bin/servebench $part || code=$?
done
exit "$code"
