#!/usr/bin/env bash
# OPS-1: pg_dump and restore keep everything. Fills a database with every kind of row, restores it into another, and
# asks both the same questions; then the restored one must go on where the first one stopped.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly FIRST=purser_dumped SECOND=purser_restored
passed=0 failed=0

choose_server
in_database() { "$PG_BIN/psql" -X -qAt -v ON_ERROR_STOP=1 -d "$1" "${@:2}"; }
drop_databases() {
  in_database postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS $FIRST WITH (FORCE)" \
    -c "DROP DATABASE IF EXISTS $SECOND WITH (FORCE)"
}

verdict() {
  if [[ $1 == "$2" && -n $1 ]]; then
    passed=$((passed + 1)); say "ok $3"
  else
    failed=$((failed + 1)); say "FAILED $3"; diff <(say "$1") <(say "$2") | head -n 10 || true
  fi
}

# Both databases answer alike, and they do answer.
alike() { verdict "$(in_database "$FIRST" -c "$1" 2>&1)" "$(in_database "$SECOND" -c "$1" 2>&1)" "$2"; }
restored() { verdict "$(in_database "$SECOND" -c "$1" 2>&1)" "$2" "$3"; }

fill() {
  in_database "$FIRST" >/dev/null <<'SQL'
CREATE EXTENSION purser;
SET purser.now = '2026-01-31 15:00+00';
SELECT purser.declare_features('{"messages": {"kind": "quota", "per": "day", "name": "messages"}, "minutes": {"kind": "quota", "per": "billing"},
  "publish": {"kind": "switch"}, "pipeline": {"kind": "choice", "choices": ["a", "b"], "default": "a"}}');
SELECT purser.publish_plan('free', '{"name": "Free", "features": {"messages": 3}}', 'ops', 'first');
SELECT purser.publish_plan('pro', '{"name": "Pro", "prices": [{"interval": "month", "currency": "usd", "cents": 2999}],
  "features": {"messages": 50, "minutes": 100, "publish": true, "pipeline": "b"}}', 'ops', 'first');
SELECT purser.publish_plan('pro', '{"name": "Pro", "features": {"messages": 60, "minutes": 100}}', 'ops', 'second');
SELECT purser.set_setting('upgrade_url', 'https://example.com/upgrade');
SELECT purser.open_account('tokyo', 'Asia/Tokyo');
SELECT purser.subscribe('tokyo', 'pro'), purser.change_plan('tokyo', 'pro', 'ops', 1);
SELECT purser.check_and_increment('tokyo', f, 2) FROM unnest('{messages, minutes}'::text[]) AS f;
SELECT purser.check_and_increment('tokyo', 'messages', 1, 'key');
SELECT purser.create_code('spring', 'discount', '{"percent": 20, "duration": "forever"}'), purser.redeem_code('tokyo', 'spring');
SELECT purser.declare_experiment('price', '{"a": 1, "b": 1}'), purser.experiment_variant('tokyo', 'price');
SELECT purser.hold_quota('tokyo', 'minutes', 3, '60 days'), purser.check_and_increment('tokyo', 'minutes', 85);
SELECT purser.grant_credits('tokyo', 20.000001, 'monthly', 'g1', '2026-02-10'), purser.grant_credits('tokyo', 500, 'purchased', 'g2'),
       purser.grant_credits('tokyo', 7, 'promotional', 'g3', wallet => 'tokens');
SELECT purser.charge_credits('tokyo', 12, 'job', 'c1', 'episode', 'e1', 'Pilot "1"', '{"rate": 1.50}', notes => 'n');
SELECT purser.refund_credits('tokyo', 'credits/3', 1, 'partly', 'r1');
INSERT INTO purser.due_mark VALUES ('expiry', '2026-01-31'); INSERT INTO purser.expiry_warning VALUES ('tokyo', 'tokens', 1, '2026-01-31');
SELECT purser.set_top_up('tokyo', 1000000, 5), purser.declare_credit_packs('{"small": {"credits": 5, "cents": 100, "currency": "usd"}}');
SELECT purser.request_refund('tokyo', 'it did not work', 'anna', '{credits/3}');
SELECT purser.hold_credits('tokyo', 2, 'job', '60 days', 'hold');
SELECT purser.publish_rate_card('default', '{"operations": {"speech": {"unit": "character", "rate": 1, "free": 100, "period": "year"}}}', 'ops', 'first');
SELECT purser.charge_operation('tokyo', 'speech', 60, 'o1'), purser.charge_operation('tokyo', 'speech', 50, 'o2');
SELECT purser.hold_operation('tokyo', 'speech', 5, '{}', '60 days', 'job-1'), purser.hold_operation('tokyo', 'speech', 6, '{}', '60 days', 'job-2');
SELECT purser.capture_operation('tokyo', 'job-1', 7);
SELECT purser.set_account_status('banned', 'banned', 'ops', 'abuse');
SELECT purser.set_override('banned', 'messages', '9', '2100-01-01', 'gift', 'ops');
SET purser.now = '2026-03-01 00:00+00';
SELECT purser.check_and_increment('tokyo', 'messages');
SELECT purser.grant_credits('tokyo', 1, 'monthly', 'g4', '2026-04-01');
SELECT purser.rate_limit_key('ip:203.0.113.9', 5, '1 hour');
SELECT purser.stripe_quota('tokyo', 'messages', 4, 'ops');
CREATE TABLE users (id bigint PRIMARY KEY, email text);
INSERT INTO users VALUES (1, 'a@example.com'), (2, 'b@example.com');
CREATE TABLE comments (id bigint PRIMARY KEY, author bigint REFERENCES users);
SELECT purser.configure_users('users', 'id', 'email', 'users/{id}/');
SELECT purser.deletion_rule('comments', 'set_null', column_name => 'author');
SELECT purser.prepare_user_deletion('2', 'ops');
SELECT purser.delete_user('2', 'b@example.com', 'ops');
SQL
}

tables_of_purser() {
  in_database "$FIRST" -c "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind = 'r' ORDER BY 1"
}

compare() {
  local table
  for table in $(tables_of_purser); do
    alike "SELECT count(*), md5(string_agg(t::text, E'\n' ORDER BY t::text)) FROM purser.$table AS t HAVING count(*) > 0" "table $table has rows, and the same"
  done
  alike "SET purser.now = '2026-03-01'; SELECT * FROM purser.usage('tokyo')" "usage"
  alike "SELECT purser.pricing()" "pricing"
  alike "SELECT purser.feature_value('tokyo', 'pipeline'), purser.has_feature('tokyo', 'publish')" "features of a pinned version"
  alike "SELECT purser.invoice('tokyo', 'episode', 'e1')" "invoice"
  alike "SET purser.now = '2026-03-01'; SELECT purser.credit_balance('tokyo'), purser.credit_balance('tokyo', 'tokens'), purser.credit_balance('tokyo', 'credits', '2026-02-01')" "balances, now and then"
  alike "SET purser.now = '2026-03-01'; SELECT purser.estimate_cost('tokyo', 'speech', 5)" "an estimate, with the free units used"
  alike "SELECT * FROM purser.admit('banned')" "the login gate"
  alike "SELECT grantee, privilege_type, table_name FROM information_schema.role_table_grants WHERE table_schema = 'purser' ORDER BY 1, 3, 2" "privileges"
  restored "SELECT count(*) FROM purser.verify_ledger()" 0 "the chains verify"
  restored "SELECT count(*) FROM purser.reconcile()" 0 "the books reconcile"
}

go_on() {
  local time="SET purser.now = '2026-03-01 12:00+00'"
  restored "$time; SELECT entry_id, replayed FROM purser.charge_credits('tokyo', 12, 'job', 'c1', 'episode', 'e1', 'Pilot \"1\"', '{\"rate\": 1.50}', notes => 'n')" \
    "credits/3|t" "a charge of before is known"
  restored "$time; SELECT used FROM purser.check_and_increment('tokyo', 'messages', 1, 'key')" 3 "a key of before is known"
  restored "$time; SELECT entry_id, replayed FROM purser.charge_credits('tokyo', 2, 'job', 'c2')" "credits/8|f" "entries are numbered on"
  restored "$time; SELECT amount FROM purser.refund_credits('tokyo', 'credits/3', NULL, 'rest', 'r2')" 11 "the rest of a charge can be refunded"
  restored "$time; SELECT amount FROM purser.capture_operation('tokyo', 'job-2')" 6 "an operation is charged at the price it was held with"
  restored "$time; SELECT used, quota FROM purser.check_and_increment('tokyo', 'messages')" "2|50" "counting goes on"
  restored "SELECT purser.publish_plan('pro', '{\"name\": \"Pro\"}', 'ops', 'third') ->> 'version'" 3 "plans are numbered on"
  restored "SELECT count(*) FROM purser.verify_ledger()" 0 "the chains still verify"
}

trap drop_databases EXIT
drop_databases
in_database postgres -c "CREATE DATABASE $FIRST" -c "CREATE DATABASE $SECOND"
fill
"$PG_BIN/pg_dump" -d "$FIRST" | in_database "$SECOND" >/dev/null
compare
go_on
say "$passed passed, $failed failed"
[[ $failed == 0 ]]
