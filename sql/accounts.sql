-- ACC-2, ADM-1: only active accounts are admitted, counted and charged; each refusal at the gate and
-- each change of status is one audit event, and audit events are only ever added.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

SELECT purser.open_account('account-a', 'Europe/Berlin', 'sign-up page');
SELECT purser.open_account('account-a', 'Asia/Tokyo', 'sign-up page');
SELECT account_id, status, role, time_zone, created_at FROM purser.account WHERE account_id = 'account-a';
SELECT allowed, used FROM purser.check_and_increment('account-a', 'minutes', 5);
SELECT balance_after FROM purser.grant_credits('account-a', 10, 'purchased', 'g1');
SELECT * FROM purser.admit('account-a');

-- Suspended, banned, deleted: refused everywhere, each with its own reason, and nothing changes.
CREATE FUNCTION pg_temp.refusals(account_id text) RETURNS SETOF text
  LANGUAGE plpgsql
AS $$
DECLARE
  step text;
BEGIN
  FOREACH step IN ARRAY '{
    "SELECT ROW(a.*) FROM purser.admit(%1$L, %2$L) AS a",
    "SELECT ROW(d.allowed, d.reason, d.used) FROM purser.check_quota(%1$L, %3$L) AS d",
    "SELECT ROW(d.allowed, d.reason, d.used) FROM purser.check_and_increment(%1$L, %3$L) AS d",
    "SELECT ROW(d.allowed, d.reason, d.used) FROM purser.check_and_increment(%1$L, %4$L) AS d",
    "SELECT ROW(d.allowed, d.reason) FROM purser.usage(%1$L) AS d WHERE d.feature = %3$L",
    "SELECT purser.has_feature(%1$L, %3$L)",
    "SELECT purser.charge_credits(%1$L, 1, %5$L, %6$L)",
    "SELECT purser.credit_balance(%1$L)"}'::text[]
  LOOP
    RETURN NEXT tried(format(step, account_id, 'gate', 'minutes', 'interviews', 'work', 'refused-charge'));
  END LOOP;
END
$$;
SELECT purser.set_account_status('account-a', 'suspended', 'support', 'unpaid invoice');
SELECT pg_temp.refusals('account-a');
SELECT purser.set_account_status('account-a', 'banned', 'support', 'abuse');
SELECT pg_temp.refusals('account-a');
SELECT purser.set_account_status('account-a', 'deleted', 'support', 'asked for it');
SELECT pg_temp.refusals('account-a');
-- An account that never used a wallet or the feature is refused the same way.
SELECT purser.set_account_status('account-b', 'banned', 'support', 'abuse');
SELECT pg_temp.refusals('account-b');
-- Active again: everything is as it was left.
SELECT purser.set_account_status('account-a', 'active', 'support', 'mistake');
SELECT * FROM purser.admit('account-a');
SELECT used FROM purser.check_and_increment('account-a', 'minutes');
SELECT balance_after FROM purser.charge_credits('account-a', 1, 'work', 'accepted-charge');
-- A gift may reach an account that is not active; charging it may not.
SELECT balance_after FROM purser.grant_credits('account-b', 3, 'promotional', 'g1');
SELECT tried($$SELECT purser.charge_credits('account-b', 1, 'work', 'c1')$$);

-- One event for each refusal at the gate and for each change of status; none for an admission.
SELECT at, account_id, actor, database_role = session_user AS by_this_role, action, resource_type, resource_id, details
  FROM purser.audit_event WHERE account_id LIKE 'account-%' ORDER BY account_id, action, details::text;

-- A superadmin cannot be suspended, banned or deleted. (Roles are granted by hand until there is an API.)
SELECT purser.open_account('account-root');
UPDATE purser.account SET role = 'superadmin' WHERE account_id = 'account-root';
SELECT tried($$SELECT purser.set_account_status('account-root', 'suspended', 'support', 'x')$$);
SELECT tried($$SELECT purser.set_account_status('account-root', 'deleted', 'support', 'x')$$);
SELECT purser.set_account_status('account-root', 'active', 'support', 'x');

SELECT tried($$SELECT purser.set_account_status('account-a', 'frozen', 'support', 'x')$$);
SELECT tried($$SELECT purser.set_account_status('account-a', NULL, 'support', 'x')$$);
SELECT tried($$SELECT purser.set_account_status('account-a', 'banned', 'support', NULL)$$);
SELECT tried($$SELECT purser.set_account_status('account-a', 'banned', '', 'x')$$);
SELECT status FROM purser.account WHERE account_id = 'account-a';

-- A refusal that is rolled back leaves no event, as its documentation says.
SELECT count(*) AS events FROM purser.audit_event WHERE account_id = 'account-b' AND action = 'account.login_refused';
BEGIN;
SELECT allowed FROM purser.admit('account-b');
ROLLBACK;
SELECT count(*) AS events FROM purser.audit_event WHERE account_id = 'account-b' AND action = 'account.login_refused';
