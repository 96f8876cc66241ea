#!/usr/bin/env bash
# All tests. The race detector runs over everything; -shuffle finds tests that
# lean on each other.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${GO:-go}" test -race -shuffle=on -timeout=15m ./...
