#!/usr/bin/env bash
# Rate limits with purser preloaded, and what each way of keeping them forgets (RL-4). pg_regress as a whole and the
# tests with many connections give the same answers with shared memory as with the table; a million keys do not
# grow it; a terminated backend takes nothing with it, a crash of the server takes all counts, and only those.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly CLUSTER=rates-$$
LOG=$(mktemp)
passed=0 failed=0

clean_up() {
  trap '' INT TERM
  "$ROOT/scripts/cluster" destroy "$CLUSTER" || true
  rm -f "$LOG"
}

sql() { run_psql -qAt -v ON_ERROR_STOP=1 "$@"; }

# verdict NAME COMMAND…: the command is true.
verdict() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1)); say "ok $name"
  else
    failed=$((failed + 1)); say "FAILED $name"
  fi
}

holds() { [[ $(sql -c "SELECT $1") == t ]] || { sql -c "SELECT * FROM purser.rate_limit_status()"; false; }; }

count() {
  passed=$((passed + $1)) failed=$((failed + $2))
}

start() {
  "$ROOT/scripts/cluster" destroy "$CLUSTER"
  "$ROOT/scripts/cluster" start "$CLUSTER" fsync=off max_connections=200 "$@"
  eval "$("$ROOT/scripts/cluster" env "$CLUSTER")"
}

# Not the file that looks at purser.now before the library is loaded: here it always is.
files() { (cd "$ROOT/sql" && printf '%s\n' *.sql) | sed 's/\.sql$//' | grep -vxE 'install|roles'; }

same_answers() {
  local code=0
  make -C "$ROOT" installcheck ISOLATION= REGRESS="install $(files | xargs)" >"$LOG" 2>&1 || code=$?
  grep -E '^(test |ok |not ok )' "$LOG" || true
  count "$(grep -cE '\.\.\. ok\b|^ok +[0-9]+ ' "$LOG" || true)" "$(grep -cE '\.\.\. FAILED|^not ok' "$LOG" || true)"
  [[ $code == 0 ]] || head -n 100 "$ROOT/regression.diffs" || true
  verdict "pg_regress as a whole, preloaded" test "$code" == 0
}

many_connections() {
  "$ROOT/test/suites/concurrency.sh" '--gtest_filter=Rates.*' >"$LOG" 2>&1 || true
  cat "$LOG"
  read -r good bad <<<"$(tail -n 1 "$LOG" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')"
  count "${good:-0}" "${bad:-1}"
}

shared_bytes() { sql -c "SELECT allocated_size FROM pg_shmem_allocations WHERE name = 'purser rate limits'"; }

use_up() { sql -c "SELECT count(purser.rate_limit_key('$1', 3, '1 day')) FROM generate_series(1, 3)" >/dev/null; }
refused() { [[ $(sql -c "SELECT allowed FROM purser.rate_limit_key('$1', 3, '1 day')") == f ]]; }
passes() { [[ $(sql -c "SELECT allowed FROM purser.rate_limit_key('$1', 3, '1 day')") == t ]]; }

# Keys of a minute press on one of a day: it is full last, so it goes last.
million_keys() {
  local before
  before=$(shared_bytes)
  use_up pressed
  sql -c "SELECT count(*) FROM generate_series(1, 1000000) AS n, LATERAL purser.rate_limit_key('key-' || n, 100, '1 hour')" >/dev/null
  verdict "a million keys leave the memory as it was" test "$(shared_bytes)" == "$before"
  verdict "what had to go was counted" holds "s.used <= s.slots AND s.evictions >= 1000000 - s.slots - 1 FROM purser.rate_limit_status() AS s"
  verdict "the key that is full last was kept" refused pressed
}

# The server ends all its sessions and starts again.
kill_a_backend() {
  local pid
  sql -c "SELECT purser.rate_limit_key('x', 3, '1 day'), pg_sleep(30)" >/dev/null 2>&1 &
  while pid=$(sql -c "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND pid <> pg_backend_pid()"); [[ -z $pid ]]; do sleep 0.05; done
  kill -9 "$pid"
  wait $! || true
  until sql -c "SELECT 1" >/dev/null 2>&1; do sleep 0.1; done
}

terminate_a_backend() {
  sql -c "SELECT purser.rate_limit_key('terminated', 3, '1 day') FROM generate_series(1, 3)" \
    -c "SELECT pg_terminate_backend(pg_backend_pid())" >/dev/null 2>&1 || true
}

crash() {
  use_up counted
  terminate_a_backend
  verdict "$1: a terminated backend's counts stay" refused terminated
  verdict "$1: counts are there" refused counted
  kill_a_backend
  verdict "$1: a crash of the server forgets the counts, and calls pass" passes counted
  verdict "$1: and the table is empty or unused" holds "count(*) <= 1 FROM purser.rate_bucket"
}

rolled_back() {
  sql -c "BEGIN; SELECT purser.rate_limit_key('$1', 3, '1 day') FROM generate_series(1, 3); ROLLBACK" >/dev/null
}

# Rows of keys that are full again go as new ones come, each call a page.
table_stays_small() {
  say "SELECT allowed FROM purser.rate_limit_key(((random() * 1e12)::bigint)::text, 1, '1 microsecond');" >"$LOG"
  "$PG_BIN/pgbench" -n -t 5000 -c 4 -f "$LOG" >/dev/null 2>&1
  verdict "20000 keys of the past left few rows" holds "count(*) < 2000 FROM purser.rate_bucket"
}

choose_server
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT

start shared_preload_libraries=purser
same_answers
many_connections
sql -c "CREATE EXTENSION purser"
million_keys
verdict "no row was written" holds "count(*) = 0 FROM purser.rate_bucket"
rolled_back kept
verdict "preloaded: a rolled back caller has counted" refused kept
crash preloaded

"$ROOT/scripts/cluster" stop "$CLUSTER"
"$ROOT/scripts/cluster" start "$CLUSTER" fsync=off max_connections=200 shared_preload_libraries=purser purser.rate_limit_slots=2000 max_prepared_transactions=5
verdict "the number of slots is a setting" holds "slots BETWEEN 2000 AND 2031 FROM purser.rate_limit_status()"
sql -c "SELECT purser.publish_plan('free', '{\"name\": \"Free\", \"rate_limits\": {\"api\": {\"max\": 5, \"per\": \"day\"}}}', 'test', 'x'),
               purser.publish_plan('pro', '{\"name\": \"Pro\", \"rate_multiplier\": 4}', 'test', 'x')" \
  -c "SELECT purser.rate_limit('prepared', 'api')" -c "BEGIN" -c "SELECT purser.subscribe('prepared', 'pro')" \
  -c "PREPARE TRANSACTION 'change'" >/dev/null
verdict "a prepared change is not in force" holds "d.\"limit\" = 5 FROM purser.rate_limit('prepared', 'api') AS d"
sql -c "COMMIT PREPARED 'change'"
verdict "a change committed by another session is" holds "d.\"limit\" = 20 FROM purser.rate_limit('prepared', 'api') AS d"

start
many_connections
sql -c "CREATE EXTENSION purser"
verdict "not preloaded: the table keeps them" holds "storage = 'table' FROM purser.rate_limit_status()"
rolled_back given-back
verdict "not preloaded: a rolled back caller has not counted" passes given-back
table_stays_small
sql -c "TRUNCATE purser.rate_bucket"
crash "not preloaded"

say "$passed passed, $failed failed"
[[ $failed == 0 ]]
