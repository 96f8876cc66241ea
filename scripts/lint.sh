#!/usr/bin/env bash
# The static checks: formatting, vet, modernisations, shell scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}

unformatted=$(git ls-files '*.go' | xargs gofmt -s -l)
if [ -n "$unformatted" ]; then
  echo "error: not formatted: $unformatted" >&2
  echo "hint: gofmt -s -w $unformatted" >&2
  exit 1
fi
"$go" vet ./...
"$go" fix -diff ./...
"$go" mod tidy -diff
if ! command -v shellcheck >/dev/null; then
  echo "error: shellcheck is missing" >&2
  echo "hint: make deps, or apt-get install shellcheck" >&2
  exit 1
fi
git ls-files '*.sh' .ci/run | xargs shellcheck
long=$(git ls-files '*.go' '*.js' '*.css' '*.html' '*.h' '*.cpp' | xargs wc -l | awk '$2 != "total" && $1 > 500 { print $2 " (" $1 " lines)" }')
if [ -n "$long" ]; then
  echo "error: files above 500 lines, split them by noun: $long" >&2
  exit 1
fi
echo "lint: clean"
