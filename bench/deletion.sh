#!/usr/bin/env bash
# One user with 300,000 rows in 12 tables is deleted: by ON DELETE CASCADE, by delete_user() on that same schema,
# and by delete_user() where no key says CASCADE. They take turns; what is compared is the processor time of the
# backend that deletes. Every turn deletes another of equal users, and what is left must be the others' rows.
#
#   PURSER_BENCH_TURNS=5        users deleted by each contender (the first one warms up)
#   PURSER_BENCH_KEEP=1         leave the cluster running (scripts/cluster env bench-deletion)

source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

readonly TURNS=${PURSER_BENCH_TURNS:-5}
readonly CLUSTER=bench-deletion
readonly SETTINGS=(synchronous_commit=off shared_buffers=1GB max_wal_size=8GB checkpoint_timeout=1h autovacuum=off)

clean_up() { [[ -n ${PURSER_BENCH_KEEP:-} ]] || "$ROOT/scripts/cluster" destroy "$CLUSTER"; }

sql() { run_psql -v ON_ERROR_STOP=1 -qAt "$@"; }

# A table of so many rows for each of $users users; row i refers to row 1 + i % parents that its user has in parent.
table() {
  local schema=$1 rows=$2 name=$3 parent=$4 parents=$5 action=$6
  say "CREATE TABLE $schema.$name (id bigint PRIMARY KEY, ${parent}_id bigint NOT NULL REFERENCES $schema.$parent $action, body text NOT NULL);
    INSERT INTO $schema.$name SELECT u * 1000000 + i, CASE WHEN '$parent' = 'users' THEN u ELSE u * 1000000 + 1 + i % $parents END, 'some text'
      FROM generate_series(1, $users) AS u, generate_series(1, $rows) AS i;
    CREATE INDEX ON $schema.$name (${parent}_id);"
}

schema() {
  local schema=$1 users=$2 action=$3
  say "CREATE SCHEMA $schema; CREATE TABLE $schema.users (id bigint PRIMARY KEY, email text NOT NULL);
    INSERT INTO $schema.users SELECT u, u || '@example.com' FROM generate_series(1, $users) AS u;"
  table "$schema" 100 podcasts users 1 "$action"
  table "$schema" 20000 episodes podcasts 100 "$action"
  table "$schema" 40000 media episodes 20000 "$action"
  table "$schema" 60000 sections episodes 20000 "$action"
  table "$schema" 40000 transcripts media 40000 "$action"
  table "$schema" 30000 reviews episodes 20000 "$action"
  table "$schema" 100 websites podcasts 100 "$action"
  table "$schema" 5000 conversations users 1 "$action"
  table "$schema" 80000 messages conversations 5000 "$action"
  table "$schema" 20000 notifications users 1 "$action"
  table "$schema" 4799 templates users 1 "$action"
}

# Processor time in clock ticks that a statement takes in a session of its own.
ticks_of() {
  sql <<SQL | awk '{ if (NR == 1) before = $1; else after = $1 } END { print after - before }'
SELECT pg_backend_pid() AS pid \\gset
\\setenv BACKEND :pid
SELECT count(*) FROM pg_class \\g /dev/null
\\! sed 's/.*) //' /proc/\$BACKEND/stat | awk '{ print \$12 + \$13 }'
$1 \\g /dev/null
\\! sed 's/.*) //' /proc/\$BACKEND/stat | awk '{ print \$12 + \$13 }'
SQL
}

delete_user() {
  sql -c "SELECT purser.configure_users('$1.users', 'id', 'email')" >/dev/null
  ticks_of "SELECT purser.delete_user('$2', '$2@example.com', 'bench')"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

choose_server
make -s -C "$ROOT" -j "$(cores)" "PG_CONFIG=$PG_CONFIG"
install_extension
trap clean_up EXIT
"$ROOT/scripts/cluster" destroy "$CLUSTER"
"$ROOT/scripts/cluster" start "$CLUSTER" "${SETTINGS[@]}"
eval "$("$ROOT/scripts/cluster" env "$CLUSTER")"

sql -c "CREATE EXTENSION purser"
{ schema cascading $((2 * TURNS + 1)) "ON DELETE CASCADE"; schema plain $((TURNS + 1)) ""; } | sql
sql -c "VACUUM ANALYZE"
# Both schemas number their users from 1, and an account is one and the same in both.
sql -c "SELECT purser.configure_users('cascading.users', 'id', 'email')" \
  -c "SELECT count(purser.prepare_user_deletion(id::text, 'bench')) FROM cascading.users" >/dev/null

for ((turn = 1; turn <= TURNS; turn++)); do
  native+=("$(ticks_of "DELETE FROM cascading.users WHERE id = $((2 * turn - 1))")")
  same+=("$(delete_user cascading $((2 * turn)))")
  sql -c "UPDATE purser.account SET status = 'suspended' WHERE account_id = '$turn'"
  plain+=("$(delete_user plain "$turn")")
done

left=$(sql -c "SELECT (SELECT count(*) FROM cascading.messages) || ' ' || (SELECT count(*) FROM plain.messages)")
[[ $left == "80000 80000" ]] || fail "rows left of the last user: $left, not 80000 80000"

native_median=$(printf '%s\n' "${native[@]:1}" | median)
compare() {
  local described=$1 target=$2 ticks
  shift 2
  ticks=$(printf '%s\n' "$@" | median)
  awk -v d="$described" -v t="$target" -v a="$ticks" -v b="$native_median" -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "%-44s %5.2f × the processor time  %-16s (%.0f ms against %.0f ms)\n", d, a / b, t, a * 1000 / hz, b * 1000 / hz }'
}
say "A user with 300,000 rows in 12 tables, against ON DELETE CASCADE:"
compare "delete_user(), keys that cascade" "at most 1.8" "${same[@]:1}"
compare "delete_user(), keys without an action" "" "${plain[@]:1}"
