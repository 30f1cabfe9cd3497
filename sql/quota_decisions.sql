-- QUO-1, QUO-2, QUO-4, PLAN-4, ACC-1: a call decides and counts in one step of the caller's
-- transaction, a refusal changes nothing, and every answer says what an application must show.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- ACC-1: a question makes no account; the first use makes it, on the default plan.
SELECT * FROM purser.check_quota('decide-a', 'chat_messages');
SELECT feature, used, quota FROM purser.usage('decide-a') WHERE feature NOT LIKE 'plan\_%';
SELECT purser.feature_value('decide-a', 'minutes'), purser.has_feature('decide-a', 'branding'),
       purser.credit_balance('decide-a'), allowed, reason
  FROM purser.admit('decide-a');
SELECT count(*) AS accounts FROM purser.account WHERE account_id = 'decide-a';
SELECT * FROM purser.check_and_increment('decide-a', 'chat_messages');
SELECT account_id, status, role, time_zone, created_at FROM purser.account WHERE account_id = 'decide-a';

-- QUO-1: three fit, the fourth does not; what fits is counted whole or not at all.
SELECT allowed, reason, used, remaining FROM purser.check_and_increment('decide-a', 'chat_messages', 3);
SELECT allowed, reason, used, remaining, level FROM purser.check_and_increment('decide-a', 'chat_messages', 2);
SELECT allowed, reason, used, remaining, level FROM purser.check_and_increment('decide-a', 'chat_messages');
SELECT used, lifetime FROM purser.entitlement WHERE account_id = 'decide-a' AND feature = 'chat_messages';

-- A refusal writes nothing: no transaction id is assigned, the row is neither changed nor locked, and
-- not one byte of WAL is written. (Other processes write WAL now and then; one quiet moment proves it.)
SELECT ctid, xmin, xmax FROM purser.entitlement WHERE account_id = 'decide-a' \gset before_
BEGIN;
SELECT allowed, reason FROM purser.check_and_increment('decide-a', 'chat_messages');
SELECT allowed, reason FROM purser.check_and_increment('decide-a', 'chat_messages', 100, 'decide-a-refused');
SELECT pg_current_xact_id_if_assigned() IS NULL AS wrote_nothing;
COMMIT;
SELECT ctid = :'before_ctid' AND xmin = :'before_xmin' AND xmax = :'before_xmax' AS row_untouched
  FROM purser.entitlement WHERE account_id = 'decide-a';
DO $$
DECLARE
  before pg_lsn;
BEGIN
  FOR i IN 1 .. 100 LOOP
    before := pg_current_wal_insert_lsn();
    PERFORM purser.check_and_increment('decide-a', 'chat_messages');
    IF pg_current_wal_insert_lsn() = before THEN
      RETURN;
    END IF;
  END LOOP;
  RAISE WARNING 'every refusal wrote WAL';
END
$$;

-- A caller that rolls back leaves no count, whole or from a savepoint; nor does it leave an account.
BEGIN;
SELECT used FROM purser.check_and_increment('decide-a', 'minutes', 40);
SAVEPOINT inner_work;
SELECT used FROM purser.check_and_increment('decide-a', 'minutes', 10);
ROLLBACK TO inner_work;
SELECT used FROM purser.check_and_increment('decide-a', 'minutes', 1);
COMMIT;
BEGIN;
SELECT used FROM purser.check_and_increment('decide-a', 'minutes', 9);
SELECT used FROM purser.check_and_increment('decide-rolled-back', 'minutes', 9);
ROLLBACK;
SELECT used FROM purser.check_quota('decide-a', 'minutes');
SELECT count(*) AS accounts FROM purser.account WHERE account_id = 'decide-rolled-back';

-- QUO-2: bodies and statuses: allowed, used up, not included, account not active.
SELECT purser.http_status(d), jsonb_pretty(purser.http_body(d)) FROM purser.check_quota('decide-a', 'minutes') AS d;
SELECT purser.http_status(d), jsonb_pretty(purser.http_body(d)) FROM purser.check_quota('decide-a', 'chat_messages') AS d;
SELECT used FROM purser.check_and_increment('decide-a', 'sites');
SELECT purser.http_status(d), jsonb_pretty(purser.http_body(d)) FROM purser.check_quota('decide-a', 'sites') AS d;
SELECT purser.publish_plan('decide', '{"name": "Decide", "features": {"minutes": 100, "reports": -1, "sites": 0}}',
                           'tester', 'levels') ->> 'version' AS version;
SELECT purser.subscribe('decide-b', 'decide', 'tester');
SELECT purser.http_status(d), jsonb_pretty(purser.http_body(d)) FROM purser.check_and_increment('decide-b', 'sites') AS d;
SELECT reason, purser.http_status(ROW(false, reason, 'a', 'minutes', 1, 1, 0, NULL, 'ok', 100, 0, 0, NULL)::purser.decision)
  FROM unnest('{ok, quota_exceeded, feature_not_included, account_suspended, account_banned, account_deleted}'::text[]) AS reason;
SELECT purser.set_account_status('decide-c', 'banned', 'tester', 'abuse');
SELECT purser.http_status(d), jsonb_pretty(purser.http_body(d)) FROM purser.check_and_increment('decide-c', 'minutes') AS d;

-- PLAN-4: null and -1 are unlimited, 0 is not included, n is n.
SELECT feature, allowed, reason, used, quota, remaining, resets_at, level FROM purser.usage('decide-b') WHERE feature NOT LIKE 'plan\_%';
SELECT allowed, used, quota, remaining, level FROM purser.check_and_increment('decide-b', 'reports', 1000000);
SELECT allowed, reason, used, quota, remaining, level FROM purser.check_and_increment('decide-b', 'sites');
SELECT count(*) AS rows_for_what_is_not_included FROM purser.entitlement
 WHERE account_id = 'decide-b' AND feature = 'sites' AND lifetime > 0;
SELECT allowed, used, quota, remaining, level FROM purser.check_and_increment('decide-b', 'minutes', 79);

-- QUO-4: levels change at 80, 90 and 100 percent, and a question answers what the call then does.
CREATE FUNCTION pg_temp.ask_and_do(account_id text, amounts bigint[])
  RETURNS TABLE (amount bigint, asked boolean, did boolean, used bigint, remaining bigint, level text, as_asked boolean)
  LANGUAGE plpgsql
AS $$
DECLARE
  question purser.decision;
  act purser.decision;
  report purser.decision;
BEGIN
  FOREACH amount IN ARRAY amounts LOOP
    question := purser.check_quota(account_id, 'minutes', amount);
    act := purser.check_and_increment(account_id, 'minutes', amount);
    SELECT * INTO report FROM purser.usage(account_id) AS u WHERE u.feature = 'minutes';
    asked := question.allowed;
    did := act.allowed;
    used := act.used;
    remaining := act.remaining;
    level := act.level;
    -- The question gave the reason and the instant the act gave, and the report shows what the act left.
    as_asked := question.allowed = act.allowed AND question.reason = act.reason
                AND question.resets_at = act.resets_at AND question.quota = act.quota
                AND act.used = question.used + (CASE WHEN act.allowed THEN amount ELSE 0 END)
                AND (report.used, report.quota, report.remaining, report.resets_at, report.level, report.allowed)
                  = (act.used, act.quota, act.remaining, act.resets_at, act.level, act.remaining >= 1);
    RETURN NEXT;
  END LOOP;
END
$$;
SELECT * FROM pg_temp.ask_and_do('decide-b', '{1, 9, 1, 9, 2, 1, 1}');
SELECT * FROM pg_temp.ask_and_do('decide-d', '{79, 22, 1, 20, 1}');

-- Thresholds are the plan's own.
SELECT purser.publish_plan('decide-early', '{"name": "Early", "features": {
  "minutes": {"quota": 10, "warn": 50, "critical": 60}}}', 'tester', 'thresholds') ->> 'version' AS version;
SELECT purser.subscribe('decide-e', 'decide-early', 'tester');
SELECT used, level FROM purser.check_and_increment('decide-e', 'minutes', 4);
SELECT used, level FROM purser.check_and_increment('decide-e', 'minutes', 1);
SELECT used, level FROM purser.check_and_increment('decide-e', 'minutes', 1);

-- A thousand calls in one transaction: new row versions leave the page of the first, and are found again.
BEGIN;
SELECT count(*) AS calls, count(*) FILTER (WHERE d.allowed) AS counted, max(d.used) AS used
  FROM generate_series(1, 1000) AS n, LATERAL purser.check_and_increment('decide-many', 'minutes', 1 + 0 * n) AS d;
COMMIT;
SELECT purser.change_plan('decide-many', 'unlimited', 'tester');
BEGIN;
SELECT count(*) FILTER (WHERE d.allowed) AS counted, max(d.used) AS used
  FROM generate_series(1, 1000) AS n, LATERAL purser.check_and_increment('decide-many', 'minutes', 1 + 0 * n) AS d;
COMMIT;
SELECT used, lifetime FROM purser.entitlement WHERE account_id = 'decide-many' AND feature = 'minutes';

-- Counts near the end of bigint are compared, never wrapped.
SELECT purser.subscribe('decide-f', 'unlimited', 'tester');
SELECT allowed, used FROM purser.check_and_increment('decide-f', 'minutes', 9223372036854775807);
SELECT tried($$SELECT purser.check_and_increment('decide-f', 'minutes', 1)$$);
SELECT tried($$SELECT purser.check_and_increment('decide-b', 'minutes', 9223372036854775807)$$);
SELECT used, lifetime FROM purser.entitlement WHERE account_id = 'decide-f' AND feature = 'minutes';
SET purser.now = '2026-04-10 12:00+00';
SELECT tried($$SELECT purser.check_and_increment('decide-f', 'minutes', 1)$$);

-- Only quotas are counted.
SELECT tried($$SELECT purser.check_and_increment('decide-a', 'branding')$$);
SELECT tried($$SELECT purser.check_quota('decide-a', 'audio_pipeline')$$);
SELECT tried($$SELECT purser.check_and_increment('decide-a', 'teleports')$$);
SELECT tried($$SELECT purser.check_and_increment('decide-nobody', 'teleports')$$);
SELECT count(*) AS accounts FROM purser.account WHERE account_id = 'decide-nobody';

-- However the server looks for the row, the amount is tried on that row alone: on another it might be out of range.
SELECT purser.subscribe('decide-scan', 'unlimited', 'tester') IS NOT NULL AS subscribed;
SELECT used FROM purser.check_and_increment('decide-scan-other', 'minutes', 5);
\c -
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT allowed, used FROM purser.check_and_increment('decide-scan', 'minutes', 9223372036854775807);
