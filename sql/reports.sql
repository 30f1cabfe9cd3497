-- LED-7: what the operator asks of all the books.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = error;
SET purser.now = '2026-01-10 00:00+00';
SELECT purser.publish_plan('rp_plan', '{"name": "Reports", "credits": {"rp": {"allowance": 100, "rollover": {"percent": 10}}}, "features": {"minutes": 10}}', 'tester', 'test') ->> 'version' AS version;
SELECT count(purser.subscribe(a, 'rp_plan', 'tester')), count(purser.grant_credits(a, 50, 'purchased', 'pack', wallet => 'rp'))
  FROM unnest('{rp-a, rp-b, rp-c}'::text[]) AS a;
SELECT count(purser.charge_credits('rp-a', 90, 'render', 'c1', wallet => 'rp')), count(purser.charge_credits('rp-a', 50, 'speech', 'c2', 'episode', '=1+1', '@SUM(A1)', notes => E'a "quoted"\nnote', wallet => 'rp')),
       count(purser.charge_credits('rp-b', 20, 'speech', 'c1', 'episode', '-5', '-cmd', wallet => 'rp'));
SELECT count(purser.refund_credits('rp-a', e.entry_id, 30, 'partly', 'r1')) FROM purser.ledger_entries AS e WHERE e.account_id = 'rp-a' AND e.correlation_id = 'c1';
SELECT count(purser.check_and_increment('rp-b', 'minutes', 9));

SELECT * FROM purser.top_consumers(wallet => 'rp');
SELECT account_id, net FROM purser.top_consumers(wallet => 'rp', max_rows => 1);
SELECT * FROM purser.near_limit() WHERE account_id LIKE 'rp-%';
SELECT account_id, what, percent_used FROM purser.near_limit(50) WHERE account_id LIKE 'rp-%';
SELECT * FROM purser.most_expensive_operations(wallet => 'rp');

-- A month later: what was not used rolled over or was lost.
SET purser.now = '2026-02-20 00:00+00';
SELECT count(purser.charge_credits(a, 5, 'render', 'feb', wallet => 'rp')) FROM unnest('{rp-a, rp-b, rp-c}'::text[]) AS a;
SELECT * FROM purser.breakage('2026-01-01', wallet => 'rp');
SELECT * FROM purser.credits_by_month('2026-01-01', wallet => 'rp');
SELECT month, outstanding FROM purser.credits_by_month('2026-02-01', wallet => 'rp');
SELECT sum(balance_micros) / 1000000 AS outstanding_in_wallets FROM purser.wallet WHERE wallet = 'rp';

-- CSV that a spreadsheet reads as text.
SELECT purser.ledger_csv('rp-a', until => '2026-02-01', wallet => 'rp');
SELECT line FROM purser.ledger_csv('rp-b', wallet => 'rp') AS line WHERE line LIKE '%speech%';
SELECT count(*) AS only_the_header FROM purser.ledger_csv('rp-nobody');
SELECT tried($$SELECT purser.top_consumers(max_rows => 0)$$), tried($$SELECT purser.near_limit(max_rows => NULL)$$);
