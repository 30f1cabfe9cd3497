-- CRD-14: a superadmin adds credits or takes them, says why, and it is on record once.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.open_account(a) FROM unnest('{adjust-root, adjust-admin, adjust-user}'::text[]) AS a;
UPDATE purser.account SET role = CASE account_id WHEN 'adjust-root' THEN 'superadmin' ELSE 'admin' END
 WHERE account_id IN ('adjust-root', 'adjust-admin');

SELECT entry_id, direction, reason, amount, balance_after, allocations, replayed
  FROM purser.adjust_credits('adjust-a', 25.5, 'adjust-root', 'outage of March 9', 'a1');
SELECT entry_id, balance_after, replayed FROM purser.adjust_credits('adjust-a', 25.5, 'adjust-root', 'outage of March 9', 'a1');
SELECT entry_id FROM purser.grant_credits('adjust-a', 10, 'monthly', 'm', '2026-04-01');
-- Taken in debit order.
SELECT entry_id, direction, reason, amount, balance_after, allocations
  FROM purser.adjust_credits('adjust-a', -12, 'adjust-root', 'counted twice', 'a2');
SELECT entry_id, amount, allocations FROM purser.adjust_credits('adjust-a', 1, 'adjust-root', 'for a day', 'a3', 'tokens', '2026-03-11');
SELECT kind, amount, remaining, expires_at, wallet FROM purser.grants WHERE account_id = 'adjust-a' ORDER BY wallet, grant_id;
SELECT direction, amount, notes, correlation_id FROM purser.ledger_entries WHERE account_id = 'adjust-a' AND correlation_id LIKE 'a%' ORDER BY correlation_id;
SELECT actor, action, account_id, resource_id, details FROM purser.audit_event WHERE action = 'credits.adjusted' ORDER BY details ->> 'reason';

-- Refused, and nothing changed.
SELECT actor, tried(format('SELECT purser.adjust_credits(%L, 1, %L, %L, %L)', 'adjust-a', actor, 'please', 'x')) AS answer
  FROM unnest('{adjust-admin, adjust-user, adjust-nobody, ""}'::text[]) AS actor;
SELECT amount, tried(format('SELECT purser.adjust_credits(%L, %s, %L, %L, %L)', 'adjust-a', amount, 'adjust-root', 'please', 'x')) AS answer
  FROM unnest('{0, "NULL", "''NaN''", "''Infinity''", "''-Infinity''", 1e30, -1e30, 0.0000001, -0.0000001, -23.500001}'::text[]) AS amount;
SELECT tried($$SELECT purser.adjust_credits('adjust-a', 1, 'adjust-root', NULL, 'x')$$);
SELECT tried($$SELECT purser.adjust_credits('adjust-a', 1, 'adjust-root', '', 'x')$$);
SELECT tried($$SELECT purser.adjust_credits('adjust-a', 2, 'adjust-root', 'outage of March 9', 'a1')$$);
SELECT tried($$SELECT purser.adjust_credits('adjust-a', -1, 'adjust-root', 'x', 'x', expires_at => '2026-04-01')$$);
SELECT tried($$SELECT purser.adjust_credits('adjust-a', 1, 'adjust-root', 'x', 'x', expires_at => '2026-03-01')$$);
UPDATE purser.account SET status = 'suspended' WHERE account_id = 'adjust-root';
SELECT tried($$SELECT purser.adjust_credits('adjust-a', 1, 'adjust-root', 'x', 'x')$$);
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'adjust-a';
SELECT count(*) AS events FROM purser.audit_event WHERE action = 'credits.adjusted';
SELECT * FROM purser.reconcile('adjust-a');
