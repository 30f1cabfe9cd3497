#!/usr/bin/env bash
# docs/reference.md says what the installed extension says of itself.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

if "$ROOT/scripts/reference" --check; then
  say "1 passed, 0 failed"
else
  say "0 passed, 1 failed"
  exit 1
fi
