-- CRD-16, RATE-1, RATE-5: operations are estimated and charged alike, with a breakdown that is enough to
-- compute the charge; free units are counted, and what costs nothing is idempotent too.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.publish_rate_card('ops', '{"operations": {
    "speech": {"unit": "character", "rate": 5, "per": 1000, "free": 5000, "period": "month"},
    "work": {"unit": "minute", "rate": 1.5, "flat": 2, "modifiers": {"rush": {"multiply": 2}, "kind": {"choices": {"plain": {}, "fine": {"add_rate": 1}}}}},
    "bulk": {"unit": "item", "period": "month", "tiers": {"mode": "graduated", "steps": [{"up_to": 10, "rate": 3}, {"rate": 1}]}},
    "gift": {"unit": "item", "rate": 0}}}', 'tester', 'x') -> 'version' AS version;
SELECT purser.set_setting('rate_card', 'ops');
SELECT balance_after FROM purser.grant_credits('op-a', 10, 'monthly', 'g1', '2026-04-01');
SELECT balance_after FROM purser.grant_credits('op-a', 90, 'purchased', 'g2');

-- An estimate says what the charge does, and from which grants; it changes nothing.
SELECT jsonb_pretty(purser.estimate_cost('op-a', 'work', 10, '{"rush": true, "kind": "fine"}')) AS estimate;
SELECT * FROM purser.charge_operation('op-a', 'work', 10, 'c1', '{"rush": true, "kind": "fine"}', 'episode', 'e1', 'Pilot', notes => 'n');
SELECT * FROM purser.charge_operation('op-a', 'work', 10.0, 'c1', '{"kind": "fine", "rush": true}', 'episode', 'e1', 'Pilot', notes => 'n');
SELECT purser.estimate_cost('op-a', 'work', 100) - 'breakdown' AS too_much;
SELECT tried($$SELECT purser.charge_operation('op-a', 'work', 100, 'c2')$$);
SELECT purser.estimate_cost('nobody', 'work', 1) - 'breakdown' AS nobody;
SELECT changed, left(tried('SELECT purser.charge_operation' || call), 5) AS code FROM (VALUES
  ('nothing', $$('op-a', 'work', 10, 'c1', '{"rush": true, "kind": "fine"}', 'episode', 'e1', 'Pilot', notes => 'n')$$),
  ('operation', $$('op-a', 'bulk', 10, 'c1', '{}', 'episode', 'e1', 'Pilot', notes => 'n')$$),
  ('quantity', $$('op-a', 'work', 11, 'c1', '{"rush": true, "kind": "fine"}', 'episode', 'e1', 'Pilot', notes => 'n')$$),
  ('modifiers', $$('op-a', 'work', 10, 'c1', '{"rush": true}', 'episode', 'e1', 'Pilot', notes => 'n')$$),
  ('resource', $$('op-a', 'work', 10, 'c1', '{"rush": true, "kind": "fine"}', 'episode', 'e2', 'Pilot', notes => 'n')$$),
  ('wallet', $$('op-a', 'work', 10, 'c1', '{"rush": true, "kind": "fine"}', 'episode', 'e1', 'Pilot', 'other', 'n')$$)) AS attempts (changed, call);

-- Free units: 5,000 in a calendar month of the account; what costs nothing makes no entry.
SELECT entry_id, amount, balance_after, replayed FROM purser.charge_operation('op-a', 'speech', 4000, 's1');
SELECT entry_id, amount, balance_after, replayed FROM purser.charge_operation('op-a', 'speech', 4000, 's1');
SELECT tried($$SELECT purser.charge_operation('op-a', 'speech', 4001, 's1')$$);
SELECT tried($$SELECT purser.charge_operation('op-a', 'gift', 4000, 's1')$$);
SELECT amount, breakdown -> 'free' AS free FROM purser.charge_operation('op-a', 'speech', 3000, 's2');
SELECT amount FROM purser.charge_operation('op-a', 'speech', 1000, 's3');
SELECT used FROM purser.operation_usage WHERE account_id = 'op-a' AND operation = 'speech';
-- A refusal and a caller that rolls back take no free units.
BEGIN;
SAVEPOINT before;
SELECT amount FROM purser.charge_operation('op-b', 'speech', 5000, 's1');
ROLLBACK TO before;
SELECT amount, replayed FROM purser.charge_operation('op-b', 'speech', 5000, 's1');
COMMIT;
SELECT tried($$SELECT purser.charge_operation('op-b', 'speech', 1000, 's2')$$);
SELECT used FROM purser.operation_usage WHERE account_id = 'op-b';
-- The month is the account's own; an answer of before is found all the same.
SET purser.now = '2026-04-01 00:00+00';
SELECT amount FROM purser.charge_operation('op-b', 'speech', 5000, 's3');
SELECT amount, created_at, replayed FROM purser.charge_operation('op-b', 'speech', 5000, 's1');
SET purser.now = '2026-03-10 12:00+00';

SELECT balance_after FROM purser.grant_credits('op-a', 20, 'purchased', 'g3');
-- Tiers count what was charged before in the month.
SELECT amount, breakdown -> 'parts' AS parts FROM purser.charge_operation('op-a', 'bulk', 8, 'b1');
SELECT amount, breakdown -> 'parts' AS parts FROM purser.charge_operation('op-a', 'bulk', 4, 'b2');
SELECT amount, breakdown -> 'quantities' AS quantities FROM purser.charge_operation_batch('op-a', 'bulk', '{1, 2}', 'b3');

-- RATE-7: hold what the work may cost, settle at what it did; failed work costs nothing.
SELECT balance_after FROM purser.grant_credits('op-h', 100, 'purchased', 'g');
SELECT state, amount FROM purser.hold_credits('op-h', (purser.estimate_cost('op-h', 'work', 10) ->> 'amount')::numeric, 'work', '1 hour', 'failed');
SELECT purser.credit_balance('op-h') AS while_it_runs;
SELECT state, captured FROM purser.release_credits('op-h', 'failed');
SELECT purser.credit_balance('op-h') AS after_it_failed;
SELECT state, amount FROM purser.hold_credits('op-h', (purser.estimate_cost('op-h', 'work', 10) ->> 'amount')::numeric, 'work', '1 hour', 'done');
SELECT c.amount, c.balance_after, c.breakdown -> 'quantities' AS quantities
  FROM purser.estimate_cost('op-h', 'work', 8) AS e,
       purser.capture_credits('op-h', 'done', (e ->> 'amount')::numeric, breakdown => e -> 'breakdown') AS c;
SELECT purser.credit_balance('op-h') AS after_it_was_done;

-- Only an active account is charged, also for what costs nothing.
SELECT purser.set_account_status('op-b', 'suspended', 'tester', 'x');
SELECT tried($$SELECT purser.charge_operation('op-b', 'gift', 1, 'x1')$$);
SELECT purser.estimate_cost('op-b', 'gift', 1) -> 'affordable' AS affordable;

-- A card that makes an operation dearer or takes it away: a retry still gets its first answer.
SELECT purser.publish_rate_card('ops', '{"operations": {"gift": {"unit": "item", "rate": 100}}}', 'tester', 'y') -> 'version' AS version;
SELECT amount, breakdown -> 'version' AS version, replayed FROM purser.charge_operation('op-a', 'work', 10, 'c1', '{"rush": true, "kind": "fine"}', 'episode', 'e1', 'Pilot', notes => 'n');
SELECT amount, replayed FROM purser.charge_operation('op-a', 'speech', 4000, 's1');
SELECT tried($$SELECT purser.charge_operation('op-a', 'work', 10, 'c3')$$);
-- A publication that is rolled back prices nothing.
BEGIN;
SELECT purser.publish_rate_card('ops', '{"operations": {"gift": {"unit": "item", "rate": 1}}}', 'tester', 'z') -> 'version' AS version;
SELECT purser.estimate_cost('op-a', 'gift', 1) -> 'amount' AS amount;
ROLLBACK;
SELECT purser.estimate_cost('op-a', 'gift', 1) -> 'amount' AS amount;
SELECT operation, charges, charged, would_cost, not_priced FROM purser.replay_rate_card(purser.rate_card('ops'), '2026-03-01', '2026-03-11', 'op-a');

-- Estimates equal charges, for random operations on a wallet that runs dry.
SELECT setseed(0.42);
SELECT purser.publish_rate_card('ops', '{"operations": {
    "r0": {"unit": "s", "rate": 0.37, "per": 3, "rounding": {"mode": "up", "step": 0.5, "of": "batch"}, "modifiers": {"m": {"multiply": 1.35, "add": 0.1}}},
    "r1": {"unit": "s", "rate": 2, "free": 40, "period": "day", "minimum": 5, "modifiers": {"m": {"add_rate": 0.000001}}},
    "r2": {"unit": "s", "period": "month", "tiers": {"mode": "volume", "steps": [{"up_to": 100, "rate": 1.25}, {"rate": 0.75}]}, "modifiers": {"m": {"multiply": 0}}}}}', 'tester', 'random') -> 'version' AS version;
SELECT count(purser.grant_credits('op-r', amount, kind, 'g' || n)) FROM (VALUES (1, 400, 'monthly'), (2, 300, 'promotional'), (3, 800.5, 'purchased')) AS g (n, amount, kind);
CREATE FUNCTION pg_temp.estimate_differs(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  operation text := 'r' || floor(random() * 3);
  quantities numeric[] := ARRAY(SELECT round((random() * 20)::numeric, 6) + 0.000001 FROM generate_series(1, 1 + floor(random() * 3)::integer));
  modifiers jsonb := CASE WHEN random() < 0.5 THEN '{"m": true}' ELSE '{}' END;
  estimate jsonb := purser.estimate_cost_batch('op-r', operation, quantities, modifiers);
  entry purser.ledger_entry;
BEGIN
  entry := purser.charge_operation_batch('op-r', operation, quantities, 'r' || n, modifiers);
  RETURN CASE WHEN NOT (estimate -> 'affordable')::boolean THEN 'charged what was not affordable'
              WHEN (estimate -> 'amount')::numeric <> entry.amount THEN format('amount %s, not %s', entry.amount, estimate -> 'amount')
              WHEN estimate -> 'breakdown' <> entry.breakdown THEN 'breakdown'
              WHEN estimate -> 'allocations' <> entry.allocations THEN 'allocations'
              WHEN purser.recomputed_amount(entry.breakdown) <> entry.amount THEN 'recomputed'
              WHEN (estimate -> 'balance')::numeric - entry.amount <> entry.balance_after THEN 'balance' END;
EXCEPTION WHEN SQLSTATE 'PU002' THEN
  RETURN CASE WHEN (estimate -> 'affordable')::boolean OR (estimate -> 'shortfall')::numeric <= 0 THEN 'refused what was affordable' END;
END
$$;
SELECT difference, count(*) FROM (SELECT pg_temp.estimate_differs(n) AS difference FROM generate_series(1, 400) AS n) AS d GROUP BY 1;
SELECT count(*) > 50 AS entries, purser.credit_balance('op-r') < 100 AS ran_dry FROM purser.ledger WHERE account_id = 'op-r';
SELECT count(*) FILTER (WHERE purser.recomputed_amount(breakdown) IS DISTINCT FROM amount) AS wrong FROM purser.ledger WHERE breakdown ? 'rate_card';
SELECT purser.recomputed_amount(NULL) AS nothing, purser.recomputed_amount('{"rate": 2}') AS no_breakdown;

-- Unusable arguments.
SELECT quantity, left(tried(format('SELECT purser.estimate_cost(%L, %L, %s)', 'op-a', 'r1', quantity)), 5) AS estimate,
       left(tried(format('SELECT purser.charge_operation(%L, %L, %s, %L)', 'op-a', 'r1', quantity, 'bad')), 5) AS charge,
       left(tried(format('SELECT purser.charge_operation_batch(%L, %L, ARRAY[1, %s]::numeric[], %L)', 'op-a', 'r1', quantity, 'bad')), 5) AS batch
  FROM unnest(ARRAY['NULL', '0', '-1', '0.0000001', '1e30', '''NaN''', '''Infinity''', '9223372036854.775807']) AS quantity;
SELECT tried($$SELECT purser.charge_operation_batch('op-a', 'r1', '{}', 'bad')$$);
SELECT left(tried($$SELECT purser.charge_operation_batch('op-a', 'r1', array_fill(1::numeric, '{1001}'), 'bad')$$), 80);
SELECT modifiers, tried(format('SELECT purser.charge_operation(%L, %L, 1, %L, %L)', 'op-a', 'r1', 'bad', modifiers)) AS answer
  FROM unnest(ARRAY['[]', '1', 'null', '{"x": true}', '{"m": "yes"}', '{"m": 1}']) AS modifiers;
SELECT tried($$SELECT purser.charge_operation('op-a', 'teleport', 1, 'bad')$$);
SELECT tried($$SELECT purser.charge_operation('op-a', 'r1', 1, 'bad', '{}', 'episode')$$);
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'op-%';
