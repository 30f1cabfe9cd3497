#!/usr/bin/env bash
# The border between C++ and PostgreSQL, through a test module that fails on purpose (test/border): first each promise
# from SQL, on the server of the environment; then a backend of a cluster of its own under valgrind, which must
# find neither a leak nor a wrong access. BORDER_CALLS and BORDER_VALGRIND_CALLS say how often each kind is called.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly DATABASE=purser_border_$$ CLUSTER=border-$$
readonly CALLS=${BORDER_CALLS:-100000} VALGRIND_CALLS=${BORDER_VALGRIND_CALLS:-2000}
readonly WRONG=77  # valgrind's exit code when it found something
PLACE=$(mktemp -d)
victim=''

clean_up() {
  trap '' INT TERM
  [[ -z $victim ]] || kill "$victim" 2>/dev/null || true
  run_psql -q -d postgres -c "DROP DATABASE IF EXISTS $DATABASE WITH (FORCE)" || true
  "$ROOT/scripts/cluster" destroy "$CLUSTER" || true
  rm -rf "$PLACE"
}

# Where the server can read it: the checkout may be closed to the user it runs as.
build_module() {
  mkdir -p "$BUILD/border"
  make -s -C "$BUILD/border" -f "$ROOT/test/border/Makefile" -j "$(cores)"
  install -m 755 "$BUILD/border/purser_border.so" "$PLACE/"
  install -m 644 "$ROOT/test/border/valgrind.supp" "$PLACE/"
  chmod 755 "$PLACE"
}

verdict() {
  if [[ $1 == 0 ]]; then say "ok $2"; else say "FAILED $2"; fi
}

promises() {
  local code=0
  timeout 120 "$PG_BIN/psql" -X -d "$DATABASE" -v module="$PLACE/purser_border" -v calls="$1" -f "$ROOT/test/border/border.sql" \
    >"$PLACE/promises" 2>"$PLACE/errors" || code=$?
  grep -E '^(ok|FAILED) ' "$PLACE/promises" || true
  [[ $code == 0 ]] || tail -n 5 "$PLACE/errors"
  [[ $(tail -n 1 "$PLACE/promises") == end ]]
}

# A backend that is ended in the middle of C++ must end alone: a crash would take this session with it.
terminated_alone() {
  "$PG_BIN/psql" -X -q -d "$DATABASE" -c "SELECT border.sleep(60)" >/dev/null 2>&1 &
  victim=$!
  run_psql -q -d "$DATABASE" -v ON_ERROR_STOP=1 >/dev/null 2>&1 <<'SQL' || return
DO $$
DECLARE
  ended integer := 0;
BEGIN
  FOR i IN 1..100 LOOP
    PERFORM pg_stat_clear_snapshot();
    SELECT count(pg_terminate_backend(pid)) INTO ended
      FROM pg_stat_activity WHERE query LIKE '%border.sleep(60)' AND state = 'active' AND pid <> pg_backend_pid();
    EXIT WHEN ended > 0;
    PERFORM pg_sleep(0.05);
  END LOOP;
  ASSERT ended > 0;
END
$$;
SELECT pg_sleep(1);
SQL
  ! wait "$victim"
  victim=''
}

statements() {
  local call
  for call in "border.fail('success')" "border.fail('error')" "border.fail('runtime_error')" "border.fail('unknown')" \
    "border.run('SELECT 1 / 0')" "border.run('SELECT border.run(''SELECT border.fail(''''error'''')'')')" \
    "border.value('SELECT repeat(''x'', 10000)')" "border.kept(0)" "border.guard_restores()" "border.throw_in_guard()" "border.rows(3, 2)" "border.pair(-1, 'a')"; do
    say "CALL border.call_many(\$\$SELECT $call\$\$, $VALGRIND_CALLS)"
    say "SELECT $call"
  done
  say "SELECT border.live() = 0 AS nothing_lives"
}

# A stand-alone backend: one process from start to exit, so that what it lost can be told at its end. In a subshell,
# because its cluster is not the one of the environment.
under_valgrind() (
  as_owner=()
  "$ROOT/scripts/cluster" start "$CLUSTER" fsync=off
  eval "$("$ROOT/scripts/cluster" env "$CLUSTER")"
  timeout 60 "$PG_BIN/psql" -X -q -d postgres -v module="$PLACE/purser_border" -v calls=10 -f "$ROOT/test/border/border.sql" \
    >/dev/null 2>&1
  data=$(run_psql -At -c "SHOW data_directory")
  "$ROOT/scripts/cluster" stop "$CLUSTER"
  if is_root; then
    as_owner=(setpriv --reuid="$(stat -c %u "$data")" --regid="$(stat -c %g "$data")" --init-groups --)
  fi
  # The user of the server may not enter the directory this runs in.
  statements | (cd / && "${as_owner[@]}" timeout 120 valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect --num-callers=30 --error-exitcode=$WRONG \
    --suppressions="$PLACE/valgrind.supp" "$PG_BIN/postgres" --single -D "$data" postgres) >"$PLACE/valgrind.log" 2>&1
)

choose_server
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT
command -v valgrind >/dev/null || fail "valgrind is not here (scripts/packages test installs it)"
build_module
run_psql -q -d postgres -v ON_ERROR_STOP=1 -c "CREATE DATABASE $DATABASE"

{
  code=0; promises "$CALLS" || code=1
  verdict "$code" "every promise was reached"
  code=0; terminated_alone || code=1
  verdict "$code" "a backend that is ended below the guard ends alone"
  code=0; under_valgrind || code=$?
  verdict "$code" "valgrind finds neither a leak nor a wrong access"
  [[ $code == 0 ]] || grep -m 100 '^==' "$PLACE/valgrind.log" || true
  code=0; grep -q 'nothing_lives = "t"' "$PLACE/valgrind.log" || code=1
  verdict "$code" "the backend under valgrind ran to the end, and every object was destroyed"
} >"$PLACE/verdict" 2>&1
cat "$PLACE/verdict"
passed=$(grep -c '^ok ' "$PLACE/verdict" || true) failed=$(grep -c '^FAILED ' "$PLACE/verdict" || true)
say "$passed passed, $failed failed"
[[ $failed == 0 ]]
