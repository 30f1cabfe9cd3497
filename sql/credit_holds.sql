-- CRD-5: credits set aside for work in flight are charged for what really happened; the rest goes back to the
-- grants it came from, and a hold ends once.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2026-03-10 12:00+00';
-- What of which grant.
CREATE FUNCTION pg_temp.parts(allocations jsonb) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg((a ->> 'grant_id') || ': ' || (a ->> 'amount'), ', ') FROM jsonb_array_elements(allocations) AS a);
CREATE FUNCTION pg_temp.lots(account_id text) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(format('%s: %s+%s', g.grant_id, g.remaining, g.held), ', ' ORDER BY g.grant_id)
          FROM purser.grants AS g WHERE g.account_id = lots.account_id);
SELECT count(purser.grant_credits('ch-a', 10, kind, kind, CASE kind WHEN 'monthly' THEN '2026-03-20'::timestamptz END))
  FROM unnest('{monthly, rollover, purchased}'::text[]) AS kind;

-- A hold takes what a charge would take, and is no ledger entry.
SELECT hold_id, state, amount, captured, remaining, pg_temp.parts(allocations) AS parts, expires_at, replayed
  FROM purser.hold_credits('ch-a', 15, 'transcription', '1 hour', 'h1', 'episode', 'e1', 'Pilot');
SELECT purser.credit_balance('ch-a') AS balance, pg_temp.lots('ch-a') AS lots,
       (SELECT count(*) FROM purser.ledger WHERE account_id = 'ch-a' AND direction = 'DEBIT') AS debits;
SELECT tried($$SELECT purser.charge_credits('ch-a', 16, 'work', 'too-much')$$);
SELECT tried($$SELECT purser.hold_credits('ch-a', 16, 'work', '1 hour', 'too-much')$$);
SELECT pg_temp.parts(allocations) AS parts FROM purser.charge_credits('ch-a', 7, 'work', 'beside');

-- The last capture gives the rest back to its own grants, first held first taken.
SELECT entry_id, reason, amount, balance_after, pg_temp.parts(allocations) AS parts, resource_id, correlation_id
  FROM purser.capture_credits('ch-a', 'h1', 12);
SELECT pg_temp.lots('ch-a') AS lots, purser.credit_balance('ch-a') AS balance;
SELECT state, amount, captured, remaining, ended_at FROM purser.credit_holds WHERE account_id = 'ch-a';
-- It is a charge like any other: on the invoice, and refundable.
SELECT purser.invoice('ch-a', 'episode', 'e1') ->> 'net' AS net;
SELECT amount, pg_temp.parts(allocations) AS parts FROM purser.refund_credits('ch-a', 'credits/5', 4, 'partly', 'r1');

-- In parts: each by its own id; the one that uses the hold up ends it.
SELECT state FROM purser.hold_credits('ch-a', 6, 'render', '1 hour', 'h2');
SELECT amount, correlation_id FROM purser.capture_credits('ch-a', 'h2', 1.5, 'h2-1', false);
SELECT amount, replayed FROM purser.capture_credits('ch-a', 'h2', 1.5, 'h2-1', false);
SELECT tried($$SELECT purser.capture_credits('ch-a', 'h2', 2, 'h2-1', false)$$);
SELECT tried($$SELECT purser.capture_credits('ch-a', 'h2', 4.500001, 'h2-2', false)$$);
SELECT remaining FROM purser.credit_holds WHERE account_id = 'ch-a' AND hold_id = 'h2';
SELECT amount FROM purser.capture_credits('ch-a', 'h2', 4.5, 'h2-2', false);
SELECT state, captured FROM purser.credit_holds WHERE account_id = 'ch-a' AND hold_id = 'h2';
SELECT tried($$SELECT purser.capture_credits('ch-a', 'h2', NULL, 'h2-3')$$);
SELECT amount, replayed FROM purser.capture_credits('ch-a', 'h2', 4.5, 'h2-2', false);

-- Each call again is the same again; another request is refused.
SELECT state, remaining, replayed FROM purser.hold_credits('ch-a', 2, 'work', '1 hour', 'h3');
SELECT state, remaining, replayed FROM purser.hold_credits('ch-a', 2, 'work', '2 hours', 'h3');
SELECT tried($$SELECT purser.hold_credits('ch-a', 3, 'work', '1 hour', 'h3')$$);
SELECT state, remaining, replayed FROM purser.release_credits('ch-a', 'h3');
SELECT state, remaining, replayed FROM purser.release_credits('ch-a', 'h3');
SELECT state, remaining, replayed FROM purser.hold_credits('ch-a', 2, 'work', '1 hour', 'h3');
SELECT tried($$SELECT purser.capture_credits('ch-a', 'h3')$$);
SELECT tried($$SELECT purser.release_credits('ch-a', 'h2')$$);
SELECT tried($$SELECT purser.release_credits('ch-a', 'never')$$);
SELECT tried($$SELECT purser.capture_credits('ch-b', 'h3')$$);

-- Amounts and times that are none.
SELECT amount, tried(format('SELECT purser.hold_credits(''ch-a'', %L, ''work'')', amount))
  FROM unnest('{NaN, Infinity, 1e30, 0, -1, 0.0000001}'::text[]) AS amount;
SELECT amount, tried(format('SELECT purser.capture_credits(''ch-a'', ''h3'', %L)', amount))
  FROM unnest('{NaN, -Infinity, 1e30, 0, -1, 0.0000001}'::text[]) AS amount;
SELECT ttl, tried(format('SELECT purser.hold_credits(''ch-a'', 1, ''work'', %L)', ttl))
  FROM unnest('{0, -1 hour, 367 days, 1 month}'::text[]) AS ttl;
SELECT tried($$SELECT purser.hold_credits('ch-a', NULL, 'work')$$), tried($$SELECT purser.capture_credits('ch-a', 'h3', 1, 'x', NULL)$$);
SELECT purser.set_account_status('ch-a', 'suspended', 'tester', 'unpaid');
SELECT tried($$SELECT purser.hold_credits('ch-a', 1, 'work')$$);
SELECT purser.set_account_status('ch-a', 'active', 'tester', 'paid');
SELECT pg_temp.lots('ch-a') AS lots, (SELECT count(*) FROM purser.verify_ledger('ch-a')) AS violations;

-- Expiry needs nobody. At its instant the credits can be spent again; the row says so with the next change.
SELECT expires_at FROM purser.hold_credits('ch-a', 5, 'slow', '1 hour', 'h4');
SELECT purser.credit_balance('ch-a') AS held, purser.credit_balance('ch-a', at => '2026-03-10 13:00+00') AS foreseen;
SET purser.now = '2026-03-10 13:00+00';
SELECT purser.credit_balance('ch-a') AS balance, state, remaining FROM purser.credit_holds WHERE account_id = 'ch-a' AND hold_id = 'h4';
SELECT state AS stored FROM purser.credit_hold WHERE account_id = 'ch-a' AND hold_id = 'h4';
SELECT tried($$SELECT purser.capture_credits('ch-a', 'h4', 1)$$);
SELECT amount FROM purser.charge_credits('ch-a', 0.5, 'work', 'after');
SELECT state AS stored, ended_at FROM purser.credit_hold WHERE account_id = 'ch-a' AND hold_id = 'h4';
SELECT purser.credit_balance('ch-a', at => '2026-03-10 12:59:59+00') AS while_held, purser.credit_balance('ch-a', at => '2026-03-10 13:00+00') AS after;

-- A grant that ends does not take what is held of it; what comes back afterwards is lost when it comes back.
SELECT count(purser.grant_credits('ch-e', 10, 'promotional', 'g', '2026-03-11'));
SELECT pg_temp.parts(allocations) AS parts FROM purser.hold_credits('ch-e', 8, 'slow', '3 days', 'e1');
SET purser.now = '2026-03-12 00:00+00';
SELECT amount, pg_temp.parts(allocations) AS parts FROM purser.capture_credits('ch-e', 'e1', 3, 'c1', false);
SELECT reason, amount, effective_at FROM purser.ledger WHERE account_id = 'ch-e' ORDER BY entry_no;
SELECT state FROM purser.release_credits('ch-e', 'e1');
SELECT reason, amount, balance_after, effective_at FROM purser.ledger WHERE account_id = 'ch-e' AND entry_no > 3 ORDER BY entry_no;
-- The same by time alone.
SELECT count(purser.grant_credits('ch-t', 10, 'promotional', 'g', '2026-03-13')), count(purser.hold_credits('ch-t', 8, 'slow', '3 days', 't1'));
SELECT at::date, purser.credit_balance('ch-t', at => at) FROM generate_series('2026-03-12'::timestamptz, '2026-03-16', '1 day') AS at;
SET purser.now = '2026-03-20 00:00+00';
SELECT purser.credit_balance('ch-t') AS balance;
SELECT count(purser.grant_credits('ch-t', 1, 'purchased', 'p'));
SELECT reason, amount, effective_at FROM purser.ledger WHERE account_id = 'ch-t' ORDER BY entry_no;
SELECT at::date, purser.credit_balance('ch-t', at => at) FROM generate_series('2026-03-12'::timestamptz, '2026-03-16', '1 day') AS at;

-- Suspended after the hold: the work was done for the account, so it is charged.
SELECT count(purser.grant_credits('ch-s', 10, 'purchased', 'g')), count(purser.hold_credits('ch-s', 8, 'work', '1 day', 's1'));
SELECT purser.set_account_status('ch-s', 'suspended', 'tester', 'unpaid');
SELECT amount, balance_after FROM purser.capture_credits('ch-s', 's1', 5);

-- At most 1000 open holds in a wallet.
SELECT count(purser.grant_credits('ch-many', 2000, 'purchased', 'g'));
SELECT count(purser.hold_credits('ch-many', 1, 'work', '1 day', 'm' || n)) FROM generate_series(1, 1000) AS n;
SELECT tried($$SELECT purser.hold_credits('ch-many', 1, 'work', '1 day', 'm1001')$$);
SELECT pg_temp.lots('ch-many') AS lots;
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'ch-%';

-- What was held while its grant ended and captured afterwards can be refunded to be used: it lives as long as it still had to
-- live when it was held, and is not lost again at once.
SET purser.now = '2026-05-01 00:00+00';
SELECT count(purser.grant_credits('hold-ended', 10, 'promotional', 'g', '2026-05-02'));
SELECT state FROM purser.hold_credits('hold-ended', 10, 'work', '10 days', 'long');
SET purser.now = '2026-05-05 00:00+00';
SELECT entry_id, amount FROM purser.capture_credits('hold-ended', 'long');
SELECT amount, purser.credit_balance('hold-ended') AS before FROM purser.refund_credits('hold-ended', 'credits/2', 10, 'failed', 'r');
SELECT purser.credit_balance('hold-ended') AS after, expires_at, state FROM purser.grants WHERE account_id = 'hold-ended' AND grant_id = 2;
