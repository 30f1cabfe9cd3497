-- SCH-1, SCH-3, CRD-9: run_due() writes down what time did and warns of what will end; late, twice or in pieces is the same.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2030-01-01 00:00+00';
-- What earlier tests left behind.
CREATE FUNCTION pg_temp.run_all() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  done bigint;
  total bigint := 0;
BEGIN
  LOOP
    SELECT count(*) INTO done FROM purser.run_due(1000);
    total := total + done;
    EXIT WHEN done = 0 OR total > 100000;
  END LOOP;
  RETURN total;
END
$$;
DELETE FROM purser.wallet WHERE account_id IN (SELECT account_id FROM purser.subscription AS s WHERE NOT EXISTS (SELECT FROM purser.plan AS p WHERE p.plan = s.plan));
SELECT pg_temp.run_all() > 0 AS others;
SELECT purser.publish_plan('rd_plan', '{"name": "Due", "credits": {"credits": {"allowance": 100, "rollover": {"percent": 50, "days": 20}}}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe(a, 'rd_plan', 'tester') FROM unnest('{rd-a, rd-b, rd-c}'::text[]) AS a;
SELECT count(purser.grant_credits(a, 10, 'promotional', 'p', '2030-02-15')), count(purser.hold_credits(a, 105, 'slow', '40 days', 'h'))
  FROM unnest('{rd-a, rd-b, rd-c}'::text[]) AS a;
SELECT purser.cancel_subscription(a, 'tester', at_period_end => true), purser.resume_subscription(a, 'tester') FROM unnest('{rd-a, rd-b}'::text[]) AS a;
SELECT count(*) AS nothing_yet FROM purser.run_due();

-- rd-a is looked after every day, rd-b only in the end, rd-c never: its balance is right all the same.
CREATE FUNCTION pg_temp.books(account_id text) RETURNS TABLE (effective_at timestamptz, reason text, direction text, amount numeric, balance_after numeric)
  LANGUAGE sql BEGIN ATOMIC
  SELECT l.effective_at, l.reason, l.direction, l.amount, l.balance_after FROM purser.ledger AS l WHERE l.account_id = books.account_id ORDER BY l.entry_no;
END;
DO $$
BEGIN
  FOR day IN 0 .. 120 LOOP
    PERFORM set_config('purser.now', ('2030-01-01'::timestamptz + day * interval '1 day')::text, false);
    PERFORM purser._settle_wallets('rd-a');
  END LOOP;
END
$$;
SELECT purser.credit_balance('rd-a') = purser.credit_balance('rd-b') AND purser.credit_balance('rd-b') = purser.credit_balance('rd-c') AS same_without_anything;
SELECT job, account_id, due_at FROM purser.run_due(2) WHERE account_id LIKE 'rd-%' ORDER BY 2;
SELECT pg_temp.run_all() > 0 AS ran;
SELECT * FROM pg_temp.books('rd-b');
SELECT count(*) AS differences FROM ((SELECT * FROM pg_temp.books('rd-a') EXCEPT SELECT * FROM pg_temp.books('rd-b')) UNION ALL
                                     (SELECT * FROM pg_temp.books('rd-b') EXCEPT SELECT * FROM pg_temp.books('rd-a'))) AS d;
SELECT count(*) AS nothing_left FROM purser.run_due();

-- Seven days before a grant ends, once; with grace it can be spent for three days more.
SELECT purser.set_setting('expiry_grace_days', '3', 'tester');
SELECT count(purser.grant_credits('rd-w', 20, 'promotional', 'p', '2030-06-10')), count(purser.grant_credits('rd-w', 5, 'promotional', 'used', '2030-06-10', 1));
SELECT purser.set_setting('expiry_grace_days', '0', 'tester');
SELECT count(purser.charge_credits('rd-w', 5, 'work', 'c'));
SET purser.now = '2030-06-02 23:59:59+00';
SELECT count(*) AS early FROM purser.run_due() WHERE account_id = 'rd-w' AND job = 'expiry_warning';
SET purser.now = '2030-06-03 00:00+00';
SELECT * FROM purser.run_due() WHERE account_id = 'rd-w';
SELECT count(*) AS again FROM purser.run_due() WHERE account_id = 'rd-w';
SELECT payload FROM purser.event WHERE account_id = 'rd-w' AND kind = 'credits.expiring';
SET purser.now = '2030-06-11 00:00+00';
SELECT grant_id, state, remaining, expires_at FROM purser.grants WHERE account_id = 'rd-w' ORDER BY 1;
SELECT balance_after FROM purser.charge_credits('rd-w', 2, 'work', 'in grace');
SET purser.now = '2030-06-13 00:00+00';
SELECT purser.credit_balance('rd-w') AS after_grace;
SELECT * FROM purser.run_due() WHERE account_id = 'rd-w';
SELECT reason, amount, effective_at FROM purser.ledger WHERE account_id = 'rd-w' AND correlation_id IS NULL;
SELECT kind, payload FROM purser.event WHERE account_id = 'rd-w' AND kind = 'credits.expired';
SELECT n, tried(format('SELECT purser.run_due(%L)', n)) FROM unnest('{0, 10001, NULL}'::integer[]) AS n;
SELECT count(*) AS violations FROM (SELECT path FROM purser.verify_ledger() UNION ALL SELECT path FROM purser.reconcile()) AS v WHERE path LIKE 'rd-%';
