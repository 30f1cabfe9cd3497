#!/usr/bin/env bash
# Kills backends and the postmaster under load, on a durable cluster of its own, and reads what is
# left: acknowledged ⊆ present ⊆ attempted, each once, and the books balance.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly CLUSTER=crash-$$ CUSTOMERS=6 LOAD_SECONDS=75
readonly LOAD=$BUILD/cmake/test/concurrency/crash_load
PLACE=$(mktemp -d)
load_pid=''

clean_up() {
  trap '' INT TERM
  touch "$PLACE/stop"
  if [[ -n $load_pid ]]; then
    kill "$load_pid" 2>/dev/null || true
    wait "$load_pid" 2>/dev/null || true
  fi
  "$ROOT/scripts/cluster" destroy "$CLUSTER" || true
  rm -rf "$PLACE"
}

build_load() {
  [[ -f $BUILD/cmake/CMakeCache.txt ]] || cmake -S "$ROOT" -B "$BUILD/cmake"
  cmake --build "$BUILD/cmake" -j "$(cores)" --target crash_load
}

query() { run_psql -qAt -c "$1" 2>/dev/null; }

# A count that grows shows that the customers work again.
work_goes_on() {
  local before now deadline=$((SECONDS + 30))
  before=$(query "SELECT count(*) FROM work_item" || say 0)
  while [[ $SECONDS -lt $deadline ]]; do
    sleep 0.3
    now=$(query "SELECT count(*) FROM work_item" || say 0)
    [[ ${now:-0} -le ${before:-0} || ${before:-0} == 0 ]] || return 0
    [[ ${before:-0} != 0 ]] || before=$now
  done
  fail "no customer works any more"
}

kill_backend() {
  local pid
  pid=$(query "SELECT pid FROM pg_stat_activity WHERE application_name = 'purser customer'
                ORDER BY state LIKE 'idle', random() LIMIT 1")
  kill -9 "$pid"
}

# What the postmaster leaves behind must be gone before another can start on the same data.
kill_postmaster() {
  local pid children deadline=$((SECONDS + 30))
  pid=$(query "SELECT pg_read_file('postmaster.pid')" | head -n 1)
  children=$(pgrep -P "$pid" || true)
  kill -9 "$pid"
  for pid in $children; do
    while kill -0 "$pid" 2>/dev/null; do
      [[ $SECONDS -lt $deadline ]] || fail "process $pid outlives its postmaster"
      sleep 0.1
    done
  done
}

start_again() { "$ROOT/scripts/cluster" start "$CLUSTER"; }

crash_and_go_on() {
  local what
  for what in "$@"; do
    work_goes_on
    "kill_$what"
    [[ $what == backend ]] || start_again
  done
  work_goes_on
}

recoveries() { query "SELECT pg_read_file('server.log')" | grep -c "automatic recovery in progress" || true; }

choose_server
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT
build_load >"$PLACE/build.log" 2>&1 || { cat "$PLACE/build.log"; fail "the load does not build"; }
"$ROOT/scripts/cluster" start "$CLUSTER" fsync=on synchronous_commit=on full_page_writes=on
eval "$("$ROOT/scripts/cluster" env "$CLUSTER")"
run_psql -q -v ON_ERROR_STOP=1 -c "CREATE EXTENSION purser"

timeout "$LOAD_SECONDS" "$LOAD" work "$CUSTOMERS" "$PLACE" >"$PLACE/load.log" 2>&1 &
load_pid=$!
crash_and_go_on backend postmaster backend backend postmaster
# The last crash is also the end of the customers, who never learn what became of their requests.
kill_postmaster
touch "$PLACE/stop"
code=0
wait "$load_pid" || code=$?
load_pid=''
start_again

{
  if [[ $code == 0 ]]; then say "ok no customer got an answer it did not expect"; else say "FAILED the customers ended with $code"; fi
  if [[ $(recoveries) -ge 6 ]]; then say "ok the server recovered from six crashes"; else say "FAILED six crashes need six recoveries"; fi
  "$LOAD" verify "$PLACE" || true
} >"$PLACE/verdict"
cat "$PLACE/load.log" "$PLACE/verdict"
passed=$(grep -c '^ok ' "$PLACE/verdict" || true) failed=$(grep -c '^FAILED ' "$PLACE/verdict" || true)
if [[ $((passed + failed)) != 10 ]]; then failed=$((failed + 1)); fi
say "$passed passed, $failed failed"
[[ $failed == 0 ]]
