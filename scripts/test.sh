#!/usr/bin/env bash
# All tests. -shuffle finds tests that lean on each other. The race detector runs
# over everything that shares anything between goroutines; what only computes
# takes ten times as long with it and has nothing to find, so it runs without.
# `make race` runs all of it with the detector.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
# What deps.sh installs must be used: no silent skip.
export CONFORMANCE_REQUIRE="${CONFORMANCE_REQUIRE-pyserial}"

computing=(internal/classify internal/dct internal/quality internal/scene internal/testset server/delta server/picture)
mapfile -t all < <("$go" list ./...)
shared=()
for package in "${all[@]}"; do
  case " ${computing[*]} " in
    *" ${package#porthole/} "*) ;;
    *) shared+=("$package") ;;
  esac
done

"$go" test -shuffle=on -timeout=15m "${computing[@]/#/./}"
"$go" test -race -shuffle=on -timeout=15m "${shared[@]}"
# Statistics over thousands of pictures, in one goroutine at a time.
"$go" test -timeout=15m -run '^(TestNobodyCanTell|TestUnpluggedOrDrawn|TestEachCounterIsNeeded|TestEmptyReservoir)$' ./server
