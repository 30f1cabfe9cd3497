#!/usr/bin/env bash
# Tests with real connections (test/concurrency), on the server of the environment, in a database of
# its own. PURSER_TEST_SEED repeats a random run; arguments go to GoogleTest, such as
# --gtest_filter=Bank.*

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly DATABASE=purser_concurrency_$$ SECONDS_ALLOWED=360
LOG=$(mktemp)

clean_up() {
  run_psql -q -d postgres -c "DROP DATABASE IF EXISTS $DATABASE WITH (FORCE)" || true
  rm -f "$LOG"
}

build_tests() {
  [[ -f $BUILD/cmake/CMakeCache.txt ]] || cmake -S "$ROOT" -B "$BUILD/cmake"
  cmake --build "$BUILD/cmake" -j "$(cores)" --target concurrency_tests
}

# GoogleTest's own summary: "[  PASSED  ] 3 tests." and "[  FAILED  ] 2 tests, listed below:".
count_of() { sed -nE "s/^\[ *$1 *\] ([0-9]+) tests?[.,].*/\1/p" "$LOG" | head -n 1; }

choose_server
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT
build_tests >"$LOG" 2>&1 || { cat "$LOG"; fail "the tests do not build"; }
run_psql -q -d postgres -v ON_ERROR_STOP=1 -c "CREATE DATABASE $DATABASE"
run_psql -q -d "$DATABASE" -v ON_ERROR_STOP=1 -c "CREATE EXTENSION purser"

code=0
PGDATABASE=$DATABASE timeout "$SECONDS_ALLOWED" "$BUILD/cmake/test/concurrency/concurrency_tests" "$@" >"$LOG" 2>&1 ||
  code=$?
cat "$LOG"
passed=$(count_of PASSED) failed=$(count_of FAILED)
# A run that died says nothing of what it did not reach.
if [[ $code != 0 && -z $failed ]]; then failed=1; fi
say "${passed:-0} passed, ${failed:-0} failed"
[[ ${failed:-0} == 0 ]]
