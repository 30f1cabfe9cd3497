-- RATE-7: an operation is held for at its estimate and charged for what it took, at the prices it was held with;
-- free units and tiers are counted then, and failed work costs and counts nothing.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.publish_rate_card('held', '{"operations": {
    "speech": {"unit": "character", "rate": 5, "per": 1000, "free": 5000, "period": "month"},
    "work": {"unit": "minute", "rate": 1.5, "flat": 2, "rounding": {"mode": "up", "step": 1, "of": "call"},
             "modifiers": {"rush": {"multiply": 2}, "kind": {"choices": {"plain": {}, "fine": {"add_rate": 1}}}}},
    "near": {"unit": "minute", "rate": 1, "rounding": {"mode": "nearest", "step": 0.5, "of": "batch"}, "minimum": 3},
    "bulk": {"unit": "item", "period": "month", "tiers": {"mode": "graduated", "steps": [{"up_to": 10, "rate": 3}, {"rate": 1}]}},
    "capped": {"unit": "item", "rate": 1, "plans": {"free": {"rate": 1, "included": 5, "beyond": "refuse"}}},
    "gift": {"unit": "item", "rate": 0}}}', 'tester', 'x') -> 'version' AS version;
SELECT purser.set_setting('rate_card', 'held');
SELECT count(purser.grant_credits(a, 100, 'purchased', 'g')) FROM unnest('{ho-a, ho-s, ho-t, ho-d, ho-x}'::text[]) AS a;
-- What is counted, what can be spent, and what the holds say.
CREATE FUNCTION pg_temp.books(account_id text) RETURNS text LANGUAGE sql
RETURN format('balance %s; used %s; holds %s', purser.credit_balance(books.account_id),
  (SELECT coalesce(string_agg(u.operation || ' ' || u.used, ', ' ORDER BY u.operation), '-') FROM purser.operation_usage AS u WHERE u.account_id = books.account_id),
  (SELECT coalesce(string_agg(format('%s %s %s/%s', h.hold_id, h.state, h.captured, h.amount), ', ' ORDER BY h.hold_id), '-')
     FROM purser.credit_holds AS h WHERE h.account_id = books.account_id));

-- The estimate is held, rounded as the card says; the rest of what it did not take goes back.
SELECT hold_id, account_id, wallet, state, amount, captured, remaining, expires_at, reason, resource_type, resource_id, replayed
  FROM purser.hold_operation('ho-a', 'work', 9.5, '{"rush": true, "kind": "fine"}', '1 hour', 'w1', 'episode', 'e1', 'Pilot', notes => 'n');
SELECT pg_temp.books('ho-a');
SELECT purser.estimate_cost('ho-a', 'work', 9.5, '{"rush": true, "kind": "fine"}') -> 'breakdown' = estimate AS as_estimated
  FROM purser.credit_holds WHERE account_id = 'ho-a' AND hold_id = 'w1';
SELECT entry_id, reason, amount, balance_after, resource_id, correlation_id, breakdown, replayed FROM purser.capture_operation('ho-a', 'w1', 7.2, notes => 'done');
SELECT pg_temp.books('ho-a');
SELECT purser.invoice('ho-a', 'episode', 'e1') ->> 'net' AS net;
-- As estimated; with other modifiers than estimated.
SELECT amount FROM purser.hold_operation('ho-a', 'near', 4.3, hold_id => 'n1');
SELECT amount FROM purser.capture_operation('ho-a', 'n1');
SELECT amount FROM purser.hold_operation('ho-a', 'near', 4.3, hold_id => 'n2');
SELECT amount, breakdown -> 'minimum' AS minimum FROM purser.capture_operation('ho-a', 'n2', 1.1);
SELECT amount FROM purser.hold_operation('ho-a', 'work', 5, '{"rush": true}', hold_id => 'w2');
SELECT amount, breakdown -> 'modifiers' AS modifiers FROM purser.capture_operation('ho-a', 'w2', modifiers => '{"kind": "fine"}');

-- Failed work, and work that nobody settled, cost and count nothing.
SELECT amount FROM purser.hold_operation('ho-a', 'bulk', 8, hold_id => 'b-failed');
SELECT amount FROM purser.hold_operation('ho-a', 'speech', 4000, ttl => '1 hour', hold_id => 's-late');
SELECT pg_temp.books('ho-a');
SELECT state, amount FROM purser.release_credits('ho-a', 'b-failed');
SELECT tried($$SELECT purser.capture_operation('ho-a', 'b-failed')$$);
SET purser.now = '2026-03-10 13:00+00';
SELECT tried($$SELECT purser.capture_operation('ho-a', 's-late', 10)$$);
SELECT pg_temp.books('ho-a');

-- Free units: what is free has a hold of 0, and a capture of 0 that makes no entry. Units in flight count as used
-- by what is held for after them.
SELECT state, amount, remaining, allocations FROM purser.hold_operation('ho-s', 'speech', 4000, hold_id => 's1');
SELECT amount FROM purser.hold_operation('ho-s', 'speech', 3000, hold_id => 's2');
SELECT amount FROM purser.hold_operation('ho-s', 'speech', 1000, hold_id => 's3');
SELECT purser.estimate_cost('ho-s', 'speech', 5000) -> 'amount' AS now_free;
SELECT pg_temp.books('ho-s');
SELECT entry_id, reason, amount, balance_after, breakdown -> 'free' AS free, correlation_id, replayed FROM purser.capture_operation('ho-s', 's1');
SELECT entry_id, reason, amount, balance_after, breakdown -> 'free' AS free, correlation_id, replayed FROM purser.capture_operation('ho-s', 's1');
SELECT tried($$SELECT purser.capture_operation('ho-s', 's1', 1)$$);
SELECT tried($$SELECT purser.capture_operation('ho-s', 's1', correlation_id => 'twice')$$);
SELECT tried($$SELECT purser.charge_operation('ho-s', 'gift', 1, 'capture of s1')$$);
-- Others took the free units meanwhile: the rest comes from the wallet, in one entry, also for a hold of 0.
SELECT amount FROM purser.hold_operation('ho-s', 'speech', 1, hold_id => 's4');
SELECT amount FROM purser.release_credits('ho-s', 's2');
SELECT amount FROM purser.hold_operation('ho-s', 'gift', 1, hold_id => 'g1');
SELECT amount FROM purser.charge_operation('ho-s', 'speech', 900, 'c1');
SELECT entry_id, amount, balance_after, allocations, breakdown -> 'free' AS free FROM purser.capture_operation('ho-s', 's3', 1300);
SELECT entry_id, amount, replayed FROM purser.capture_operation('ho-s', 's3', 1300);
SELECT entry_id, amount FROM purser.capture_operation('ho-s', 'g1');
SELECT amount, added, captured, state, allocations FROM purser.credit_hold WHERE account_id = 'ho-s' AND hold_id = 's3';
SELECT pg_temp.books('ho-s');
-- What was held once is not held in hindsight.
SET purser.now = '2026-03-10 14:00+00';
SELECT amount FROM purser.hold_operation('ho-x', 'speech', 5000, ttl => '1 day', hold_id => 'free');
SET purser.now = '2026-03-10 15:00+00';
SELECT count(purser.charge_operation('ho-x', 'speech', 3000, 'c1'));
SET purser.now = '2026-03-10 16:00+00';
SELECT amount FROM purser.capture_operation('ho-x', 'free');
SELECT purser.credit_balance('ho-x', at => '2026-03-10 15:30+00') AS before, purser.credit_balance('ho-x') AS now;

-- Dearer than held: from the wallet when it has it; else the hold stays as it is.
SELECT amount FROM purser.hold_operation('ho-d', 'work', 10, hold_id => 'd1');
SELECT amount, balance_after FROM purser.capture_operation('ho-d', 'd1', 12);
SELECT amount FROM purser.hold_operation('ho-d', 'work', 40, hold_id => 'd2');
SELECT tried($$SELECT purser.capture_operation('ho-d', 'd2', 60)$$);
SELECT pg_temp.books('ho-d');
SELECT amount, balance_after FROM purser.capture_operation('ho-d', 'd2', 52);
SELECT pg_temp.books('ho-d');
SELECT tried($$SELECT purser.hold_operation('ho-d', 'work', 40, hold_id => 'd3')$$);

-- Tiers count what was captured before, in the period of the capture.
SELECT amount FROM purser.hold_operation('ho-t', 'bulk', 8, hold_id => 't1', ttl => '60 days');
SELECT amount FROM purser.hold_operation('ho-t', 'bulk', 8, hold_id => 't2', ttl => '60 days');
SELECT amount FROM purser.hold_operation('ho-t', 'bulk', 8, hold_id => 't3', ttl => '60 days');
SELECT amount, breakdown -> 'parts' AS parts FROM purser.capture_operation('ho-t', 't2');
SELECT amount, breakdown -> 'parts' AS parts FROM purser.capture_operation('ho-t', 't1', 7);
SET purser.now = '2026-04-02 00:00+00';
SELECT amount, breakdown -> 'parts' AS parts FROM purser.capture_operation('ho-t', 't3', 4);
SELECT pg_temp.books('ho-t');
SET purser.now = '2026-03-10 16:00+00';

-- The same again is the same; another request is refused.
SELECT state, amount, remaining, replayed FROM purser.hold_operation('ho-a', 'work', 2, '{"rush": true}', hold_id => 'r1', resource_type => 'episode', resource_id => 'e2');
SELECT state, amount, remaining, replayed FROM purser.hold_operation('ho-a', 'work', 2.0, '{"rush": true}', '2 hours', 'r1', 'episode', 'e2');
SELECT changed, left(tried('SELECT purser.hold_operation' || call), 5) AS code FROM (VALUES
  ('nothing', $$('ho-a', 'work', 2, '{"rush": true}', '1 hour', 'r1', 'episode', 'e2')$$),
  ('operation', $$('ho-a', 'near', 2, '{}', '1 hour', 'r1', 'episode', 'e2')$$),
  ('quantity', $$('ho-a', 'work', 3, '{"rush": true}', '1 hour', 'r1', 'episode', 'e2')$$),
  ('modifiers', $$('ho-a', 'work', 2, '{}', '1 hour', 'r1', 'episode', 'e2')$$),
  ('resource', $$('ho-a', 'work', 2, '{"rush": true}', '1 hour', 'r1', 'episode', 'e3')$$),
  ('title', $$('ho-a', 'work', 2, '{"rush": true}', '1 hour', 'r1', 'episode', 'e2', 't')$$),
  ('wallet', $$('ho-a', 'work', 2, '{"rush": true}', '1 hour', 'r1', 'episode', 'e2', NULL, 'other')$$),
  ('notes', $$('ho-a', 'work', 2, '{"rush": true}', '1 hour', 'r1', 'episode', 'e2', NULL, 'credits', 'n')$$)) AS attempts (changed, call);
SELECT amount, replayed FROM purser.capture_operation('ho-a', 'r1', 1, '{"rush": true}', 'r1-done', 'n');
SELECT changed, left(tried('SELECT purser.capture_operation' || call), 5) AS code FROM (VALUES
  ('nothing', $$('ho-a', 'r1', 1.0, '{"rush": true}', 'r1-done', 'n')$$),
  ('quantity', $$('ho-a', 'r1', 2, '{"rush": true}', 'r1-done', 'n')$$),
  ('modifiers', $$('ho-a', 'r1', 1, '{}', 'r1-done', 'n')$$),
  ('notes', $$('ho-a', 'r1', 1, '{"rush": true}', 'r1-done')$$),
  ('hold', $$('ho-a', 'w2', 1, '{"rush": true}', 'r1-done', 'n')$$),
  ('id', $$('ho-a', 'r1', 1, '{"rush": true}', 'r1-again', 'n')$$)) AS attempts (changed, call);
SELECT state, amount, remaining, replayed FROM purser.hold_operation('ho-a', 'work', 2, '{"rush": true}', '1 hour', 'r1', 'episode', 'e2');
-- A caller that rolls back has counted and held nothing.
SELECT pg_temp.books('ho-a') AS before \gset
BEGIN;
SELECT amount FROM purser.hold_operation('ho-a', 'speech', 6000, hold_id => 'rolled-back');
SELECT amount FROM purser.capture_operation('ho-a', 'rolled-back');
ROLLBACK;
SELECT pg_temp.books('ho-a') = :'before' AS as_before;

-- A hold for an amount and one for an operation are settled each in its own way.
SELECT count(purser.hold_operation('ho-a', 'work', 1, hold_id => 'op')), count(purser.hold_credits('ho-a', 1, 'work', hold_id => 'plain'));
SELECT tried($$SELECT purser.capture_credits('ho-a', 'op', 1)$$);
SELECT tried($$SELECT purser.capture_operation('ho-a', 'plain')$$);
SELECT tried($$SELECT purser.hold_credits('ho-a', 3.5, 'work', hold_id => 'op')$$);
SELECT tried($$SELECT purser.hold_operation('ho-a', 'work', 1, hold_id => 'plain')$$);
SELECT count(purser.release_credits('ho-a', h)) FROM unnest('{op, plain}'::text[]) AS h;

-- A new card and a suspended account change nothing for work that is under way; a unit that the new card counts by
-- the day is counted by the day.
SELECT amount FROM purser.hold_operation('ho-a', 'work', 4, hold_id => 'p1');
SELECT amount FROM purser.hold_operation('ho-a', 'gift', 4, hold_id => 'p2');
SELECT amount FROM purser.hold_operation('ho-a', 'speech', 4000, hold_id => 'p3');
SELECT amount FROM purser.hold_operation('ho-a', 'capped', 5, hold_id => 'p4');
SELECT purser.publish_rate_card('held', '{"operations": {"work": {"unit": "minute", "rate": 100},
    "speech": {"unit": "character", "rate": 1, "period": "day"}, "gift": {"unit": "item", "rate": 7}}}', 'tester', 'y') -> 'version' AS version;
SELECT purser.set_account_status('ho-a', 'suspended', 'tester', 'unpaid');
SELECT amount, replayed FROM purser.hold_operation('ho-a', 'work', 4, hold_id => 'p1');
SELECT tried($$SELECT purser.hold_operation('ho-a', 'gift', 4, hold_id => 'p5')$$);
SELECT amount, breakdown -> 'version' AS version FROM purser.capture_operation('ho-a', 'p1', 5);
SELECT entry_id, amount, breakdown -> 'version' AS version FROM purser.capture_operation('ho-a', 'p2');
SELECT entry_id, amount, breakdown -> 'version' AS version FROM purser.capture_operation('ho-a', 'p3', 5000);
SELECT operation, period_end - period_start AS period, used FROM purser.operation_usage WHERE account_id = 'ho-a' AND operation = 'speech';
SELECT tried($$SELECT purser.capture_operation('ho-a', 'p4', 6)$$);
SELECT amount FROM purser.capture_operation('ho-a', 'p4');
SELECT amount, replayed FROM purser.capture_operation('ho-a', 'p1', 5);
SELECT purser.set_account_status('ho-a', 'active', 'tester', 'paid');
SELECT tried($$SELECT purser.hold_operation('ho-a', 'bulk', 1)$$);

-- Quantities, times and modifiers that are none.
SELECT count(purser.hold_operation('ho-a', 'speech', 1, hold_id => 'bad'));
SELECT quantity, left(tried(format('SELECT purser.hold_operation(%L, %L, %s)', 'ho-a', 'speech', quantity)), 5) AS hold,
       left(tried(format('SELECT purser.capture_operation(%L, %L, %s)', 'ho-a', 'bad', quantity)), 5) AS capture
  FROM unnest(ARRAY['0', '-1', '0.0000001', '1e30', '''NaN''', '''-Infinity''', '9223372036854.775807']) AS quantity;
SELECT tried($$SELECT purser.hold_operation('ho-a', 'speech', NULL)$$), tried($$SELECT purser.hold_operation('ho-a', 'speech', 1, ttl => NULL)$$);
SELECT ttl, left(tried(format('SELECT purser.hold_operation(''ho-a'', ''speech'', 1, ttl => %L)', ttl)), 5) AS answer
  FROM unnest('{0, -1 hour, 367 days, 1 month}'::text[]) AS ttl;
SELECT modifiers, left(tried(format('SELECT purser.hold_operation(''ho-a'', ''speech'', 1, %L)', modifiers)), 5) AS hold,
       left(tried(format('SELECT purser.capture_operation(''ho-a'', ''bad'', 1, %L)', modifiers)), 5) AS capture
  FROM unnest(ARRAY['[]', '1', 'null', '{"x": true}']) AS modifiers;
SELECT tried($$SELECT purser.capture_operation('ho-a', 'never')$$);
SELECT tried($$SELECT purser.capture_operation('nobody', 'bad')$$);
SELECT tried($$SELECT purser.hold_operation('ho-a', 'speech', 1, '{}', '1 hour', 'bad-2', 'episode')$$);
SELECT state, amount FROM purser.release_credits('ho-a', 'bad');

-- Every charge is recomputed, and the books agree.
SELECT count(*) > 12 AS charges, count(*) FILTER (WHERE purser.recomputed_amount(l.breakdown) IS DISTINCT FROM l.amount) AS wrong
  FROM purser.ledger AS l WHERE l.account_id LIKE 'ho-%' AND l.direction = 'DEBIT';
SELECT count(*) AS wrong FROM purser.free_operation AS f WHERE f.account_id LIKE 'ho-%' AND purser.recomputed_amount(f.breakdown) <> 0;
SELECT r.* FROM unnest('{ho-a, ho-s, ho-t, ho-d, ho-x}'::text[]) AS a, purser.reconcile(a) AS r;
SELECT r.* FROM unnest('{ho-a, ho-s, ho-t, ho-d, ho-x}'::text[]) AS a, purser.verify_ledger(a) AS r;
