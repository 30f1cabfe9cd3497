#!/usr/bin/env bash
# CRD-15: examples/import does what it says: its CSV files become ledger entries, once.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly DATABASE=purser_import_example_$$
passed=0 failed=0

choose_server
clean_up() { run_psql -q -d postgres -c "DROP DATABASE IF EXISTS $DATABASE WITH (FORCE)" || true; }
trap clean_up EXIT

verdict() {
  if [[ $1 == "$2" ]]; then
    passed=$((passed + 1)); say "ok $3"
  else
    failed=$((failed + 1)); say "FAILED $3: $1, expected $2"
  fi
}
ask() { run_psql -qAt -v ON_ERROR_STOP=1 -d "$DATABASE" -c "$1"; }
import() { (cd "$ROOT/examples/import" && run_psql -qAt -v ON_ERROR_STOP=1 -d "$DATABASE" -f import.sql); }

run_psql -q -d postgres -v ON_ERROR_STOP=1 -c "CREATE DATABASE $DATABASE"
ask "CREATE EXTENSION purser"
verdict "$(import | grep -c '|imported|')" 8 "every row of both files is imported"
verdict "$(ask "SELECT string_agg(a || ' ' || purser.credit_balance(a), ', ' ORDER BY a) FROM unnest('{anna, ben, carla}'::text[]) AS a")" \
  "anna 480, ben 159.25, carla 1.5" "balances"
verdict "$(ask "SELECT purser.credit_balance('anna', 'credits', '2025-11-20 08:30Z')")" 360 "the balance of a past instant"
verdict "$(import | grep -c '|replayed|')" 8 "a second run imports nothing"
verdict "$(ask "SELECT count(*) FROM purser.ledger")" 8 "each row is one entry"
verdict "$(ask "SELECT bool_and(agrees) FROM unnest('{history-2025, balances-2026}'::text[]) AS b, purser.import_report(b)")" t "the reports agree"
verdict "$(ask "SELECT count(*) FROM (SELECT FROM purser.reconcile() UNION ALL SELECT FROM purser.verify_ledger()) AS v")" 0 "the books are in order"
say "$passed passed, $failed failed"
[[ $failed == 0 ]]
