#!/usr/bin/env bash
# All tests. The race detector runs over everything; -shuffle finds tests that
# lean on each other.
set -euo pipefail
cd "$(dirname "$0")/.."
# What deps.sh installs must be used: no silent skip.
export CONFORMANCE_REQUIRE="${CONFORMANCE_REQUIRE-pyserial}"
exec "${GO:-go}" test -race -shuffle=on -timeout=15m ./...
