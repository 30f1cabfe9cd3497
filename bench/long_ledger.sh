#!/usr/bin/env bash
# Charges on a ledger of many entries against the same charges on a short one. Two databases of one server with the same
# wallets take turns; in one of them the ledger holds millions of entries of accounts that are gone quiet. Medians of the
# ratios within a round.
#
#   PURSER_BENCH_ENTRIES=10000000   entries of the long ledger
#   PURSER_BENCH_ROUNDS=7           rounds that count (one more warms up)
#   PURSER_BENCH_SECONDS=3          length of a slice
#   PURSER_BENCH_KEEP=1             leave the cluster running (scripts/cluster env bench-ledger)

source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

readonly ENTRIES=${PURSER_BENCH_ENTRIES:-10000000} ROUNDS=${PURSER_BENCH_ROUNDS:-7} SECONDS_EACH=${PURSER_BENCH_SECONDS:-3}
readonly CLUSTER=bench-ledger
readonly SETTINGS=(synchronous_commit=off shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1h autovacuum=off)

clean_up() { [[ -n ${PURSER_BENCH_KEEP:-} ]] || "$ROOT/scripts/cluster" destroy "$CLUSTER"; }

sql() { run_psql -v ON_ERROR_STOP=1 -qAt "$@"; }

# Wallets that are charged: 10,000 with three grants each.
wallets() {
  say "CREATE EXTENSION purser;
    SELECT count(purser.grant_credits((100000000000 + n)::text, 1000000, kind, kind))
      FROM generate_series(1, 10000) AS n, unnest('{monthly, rollover, purchased}'::text[]) AS kind;"
}

# A thousand entries each of accounts that nobody charges any more. Their hashes prove nothing and nobody reads them.
quiet_entries() {
  say "INSERT INTO purser.ledger (account_id, wallet, entry_no, direction, reason, amount, balance_after, allocations, resource_type,
           resource_id, correlation_id, created_at, effective_at, fingerprint, hash)
    SELECT (100000000000 + n / 1000 * 7)::text || 'q', 'credits', n % 1000, 'DEBIT', 'transcription', 1.5, 1000,
           '[{\"grant_id\": 1, \"kind\": \"monthly\", \"amount\": 1.5}]', 'episode', n::text, n::text, now(), now(),
           sha256(n::text::bytea), sha256(n::text::bytea)
      FROM generate_series(1, $ENTRIES) AS n;
    VACUUM ANALYZE purser.ledger;"
}

slice() {
  local database=$1
  batch=$((batch + 1))
  "$PG_BIN/pgbench" -n -M prepared -c 8 -j 2 -T "$SECONDS_EACH" -D accounts=10000 -D batch="$batch" -D seq=0 --random-seed="$round" \
    -f "$ROOT/bench/charge/purser.sql" "$database" 2>&1 | sed -nE 's/^tps = ([0-9.]+).*/\1/p'
}

choose_server
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT
"$ROOT/scripts/cluster" destroy "$CLUSTER"
"$ROOT/scripts/cluster" start "$CLUSTER" "${SETTINGS[@]}"
eval "$("$ROOT/scripts/cluster" env "$CLUSTER")"
for database in short long; do
  sql -d postgres -c "CREATE DATABASE $database"
  wallets | sql -d "$database" >/dev/null
done
say "filling the long ledger with $ENTRIES entries"
quiet_entries | sql -d long
say "$(sql -d long -c "SELECT pg_size_pretty(pg_table_size('purser.ledger')) || ' of entries, ' || pg_size_pretty(pg_indexes_size('purser.ledger')) || ' of indexes'")"
batch=0
sql -d postgres -c "CREATE TABLE ratio (long float8, short float8)"
for ((round = 0; round <= ROUNDS; round++)); do
  sql -d postgres -c CHECKPOINT
  long=$(slice long) short=$(slice short)
  [[ $round == 0 ]] || sql -d postgres -c "INSERT INTO ratio VALUES ($long, $short)"
done
sql -d postgres -c "SELECT format('charges on %s entries: %s × those on a short ledger (%s–%s, target ≥ 0.90), %s against %s a second', $ENTRIES,
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY long / short)::numeric, 2), round(min(long / short)::numeric, 2),
    round(max(long / short)::numeric, 2), round(percentile_cont(0.5) WITHIN GROUP (ORDER BY long)), round(percentile_cont(0.5) WITHIN GROUP (ORDER BY short)))
  FROM ratio"
