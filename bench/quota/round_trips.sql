-- What applications do today: read the plan, read the usage, compare in the application, write. The row is
-- locked, or two requests would both take the last unit.
\set account random(100000000001, 100000000000 + :accounts)
BEGIN;
SELECT q.quota, q.per
  FROM bench.account AS a
  JOIN bench.plan_quota AS q ON q.plan = a.plan
 WHERE a.account_id = :account AND q.feature = 'chat_messages';
SELECT used, period_start
  FROM bench.usage_round_trips
 WHERE account_id = :account AND feature = 'chat_messages'
   FOR UPDATE;
UPDATE bench.usage_round_trips
   SET used = used + 1
 WHERE account_id = :account AND feature = 'chat_messages';
COMMIT;
