-- CRD-1, CRD-2, CRD-4, CRD-11, CRD-13: charges take grants in one order, all or nothing, exactly to six
-- decimals; wallets never mix; what cannot be done changes nothing and says by how much it failed.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- CRD-1: by kind, granted in the reverse of the order in which they are spent.
SELECT count(purser.grant_credits('order-a', 10, kind, 'grant-' || kind))
  FROM unnest('{purchased, adjustment, refund, promotional, rollover, monthly}'::text[]) AS kind;
SELECT amount, balance_after, allocations FROM purser.charge_credits('order-a', 5, 'work', 'c1');
SELECT amount, balance_after, allocations FROM purser.charge_credits('order-a', 50, 'work', 'c2');
SELECT kind, priority, amount, remaining, held, expires_at, entry_id FROM purser.grants
 WHERE account_id = 'order-a' ORDER BY grant_id;
SELECT amount, balance_after, allocations FROM purser.charge_credits('order-a', 5, 'work', 'c3');
SELECT purser.credit_balance('order-a');

-- Within a kind the soonest to expire, then the oldest; never-expiring last.
SELECT count(purser.grant_credits('order-b', 1, 'purchased', 'g' || n, expires_at))
  FROM (VALUES (1, NULL::timestamptz), (2, '2026-06-01'), (3, '2026-04-01'), (4, '2026-06-01'), (5, NULL),
               (6, 'infinity')) AS g (n, expires_at);
SELECT allocations FROM purser.charge_credits('order-b', 6, 'work', 'c1');
-- The order is data: a grant's own priority goes before its kind; 0 is spent first, 100 last.
SELECT count(purser.grant_credits('order-c', 1, kind, 'g' || n, '2026-06-01', priority))
  FROM (VALUES (1, 'monthly', 100), (2, 'monthly', NULL), (3, 'purchased', 0), (4, 'purchased', NULL),
               (5, 'promotional', 10), (6, 'rollover', 20)) AS g (n, kind, priority);
SELECT allocations FROM purser.charge_credits('order-c', 6, 'work', 'c1');

-- CRD-2, CRD-4: all or nothing. The refusal says what there is, what was asked and what is missing.
SELECT count(purser.grant_credits('order-d', amount, 'purchased', 'g' || amount)) FROM unnest('{1.5, 2.25}'::numeric[]) AS amount;
CREATE TEMP TABLE before AS SELECT * FROM purser.wallet WHERE account_id = 'order-d';
SELECT tried($$SELECT purser.charge_credits('order-d', 3.750001, 'work', 'too-much')$$);
DO $$
DECLARE
  detail text;
BEGIN
  PERFORM purser.charge_credits('order-d', 10, 'work', 'too-much');
EXCEPTION WHEN SQLSTATE 'PU002' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RAISE NOTICE '%', jsonb_pretty(detail::jsonb);
END
$$;
SELECT count(*) AS wallet_unchanged FROM (SELECT * FROM before INTERSECT SELECT * FROM purser.wallet) AS w;
SELECT count(*) AS charges FROM purser.ledger WHERE account_id = 'order-d' AND direction = 'DEBIT';
-- Its id was not used up: the same request succeeds once there is enough.
SELECT balance_after FROM purser.grant_credits('order-d', 7, 'purchased', 'g7');
SELECT balance_after, allocations, replayed FROM purser.charge_credits('order-d', 10, 'work', 'too-much');
-- Nobody's wallet is charged into existence.
SELECT tried($$SELECT purser.charge_credits('order-nobody "x"', 1, 'work', 'c')$$);
SELECT count(*) AS rows FROM purser.wallet WHERE account_id LIKE 'order-nobody%';
SELECT count(*) AS rows FROM purser.account WHERE account_id LIKE 'order-nobody%';

-- CRD-11: exact decimals to six places.
SELECT balance_after FROM purser.grant_credits('order-e', 0.1, 'purchased', 'g1');
SELECT balance_after FROM purser.grant_credits('order-e', 0.2, 'purchased', 'g2');
SELECT purser.credit_balance('order-e') = 0.3 AS exact;
SELECT balance_after FROM purser.charge_credits('order-e', 0.000001, 'work', 'c1');
SELECT balance_after FROM purser.charge_credits('order-e', 0.2999990000000, 'work', 'c2');
SELECT a AS amount, tried(format('SELECT purser.charge_credits(%L, %s, %L, %L)', 'order-e', a, 'work', 'bad')) AS charge,
       split_part(tried(format('SELECT purser.grant_credits(%L, %s, %L, %L)', 'order-f', a, 'monthly', 'bad')), ' ', 1) AS granting
  FROM unnest(ARRAY['''NaN''', '''Infinity''', '''-Infinity''', '1e30', '-1e30', '0', '-1', '0.0000001', '1.0000001',
                    '9223372036854.775808', 'NULL']) AS a;
SELECT count(*) AS rows FROM purser.account WHERE account_id = 'order-f';
-- The largest amount there is, and not a millionth more.
SELECT balance_after FROM purser.grant_credits('order-g', 9223372036854.775807, 'purchased', 'g1');
SELECT tried($$SELECT purser.grant_credits('order-g', 0.000001, 'purchased', 'g2')$$);
SELECT balance_after FROM purser.charge_credits('order-g', 9223372036854.775807, 'work', 'c1');

-- CRD-13: wallets of one account never mix, and entries are numbered in each.
SELECT entry_id, wallet, balance_after FROM purser.grant_credits('order-h', 5, 'purchased', 'g1');
SELECT entry_id, wallet, balance_after FROM purser.grant_credits('order-h', 100, 'purchased', 'g2', wallet => 'ai_tokens');
SELECT tried($$SELECT purser.charge_credits('order-h', 6, 'work', 'c1')$$) LIKE 'PU002 %' AS refused;
SELECT entry_id, wallet, balance_after FROM purser.charge_credits('order-h', 60, 'work', 'c1', wallet => 'ai_tokens');
SELECT purser.credit_balance('order-h'), purser.credit_balance('order-h', 'ai_tokens'), purser.credit_balance('order-h', 'other');
-- Not in an invoice either.
SELECT amount FROM purser.charge_credits('order-h', 2, 'work', 'c2', 'episode', 'e1', 'Pilot');
SELECT amount FROM purser.charge_credits('order-h', 30, 'work', 'c3', 'episode', 'e1', 'Pilot', wallet => 'ai_tokens');
SELECT purser.invoice('order-h', 'episode', 'e1') -> 'charged' AS credits,
       purser.invoice('order-h', 'episode', 'e1', wallet => 'ai_tokens') -> 'charged' AS ai_tokens;

-- A wallet holds at most 200 live grants; one that is spent makes room.
SELECT count(purser.grant_credits('order-i', 1, 'purchased', 'g' || n)) FROM generate_series(1, 200) AS n;
SELECT tried($$SELECT purser.grant_credits('order-i', 1, 'purchased', 'g201')$$);
SELECT count(*) AS grants FROM purser.credit_grant WHERE account_id = 'order-i';
SELECT balance_after, jsonb_array_length(allocations) FROM purser.charge_credits('order-i', 1.5, 'work', 'c1');
SELECT balance_after FROM purser.grant_credits('order-i', 1, 'purchased', 'g201');
SELECT balance_after, jsonb_array_length(allocations) FROM purser.charge_credits('order-i', 199.5, 'work', 'c2');

-- A thousand charges in one transaction: new versions of the wallet leave the page of the first.
SELECT balance_after FROM purser.grant_credits('order-k', 1000, 'purchased', 'g');
BEGIN;
SELECT count(*) AS charges, min(c.balance_after) AS balance
  FROM generate_series(1, 1000) AS n, LATERAL purser.charge_credits('order-k', 1, 'work', 'c' || n) AS c;
COMMIT;
SELECT purser.credit_balance('order-k'), count(*) AS entries FROM purser.ledger WHERE account_id = 'order-k';

SELECT tried($$SELECT purser.grant_credits('order-j', 1, 'birthday', 'g')$$);
SELECT tried($$SELECT purser.grant_credits('order-j', 1, 'monthly', 'g', priority => 101)$$);
SELECT tried($$SELECT purser.grant_credits('order-j', 1, 'monthly', 'g', priority => -1)$$);
SELECT tried($$SELECT purser.grant_credits('order-j', 1, 'monthly', 'g', expires_at => '2026-03-10 12:00+00')$$);
SELECT tried($$SELECT purser.grant_credits('order-j', 1, 'monthly', 'g', expires_at => '-infinity')$$);
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'order-%';

-- A wallet of many grants keeps the first in its row and the rest aside. Both are spent in order, and a charge that takes
-- more than the first goes across.
SELECT count(purser.grant_credits('order-many', 10, 'purchased', 'many-' || n, priority => 60 - n)) AS granted
  FROM generate_series(1, 40) AS n;
SELECT cardinality(lot_grant_ids) AS in_the_row, lot_tail IS NOT NULL AS aside FROM purser.wallet WHERE account_id = 'order-many';
SELECT allocations FROM purser.charge_credits('order-many', 25, 'across', 'many-c1');
SELECT min(balance_after) AS left FROM generate_series(1, 29) AS n,
  LATERAL purser.charge_credits('order-many', 5, 'one by one', 'many-one-' || n);
CREATE FUNCTION pg_temp.grants_of(allocations jsonb) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(a ->> 'grant_id' || ': ' || (a ->> 'amount'), ', ') FROM jsonb_array_elements(allocations) AS a);
SELECT pg_temp.grants_of(allocations) FROM purser.charge_credits('order-many', 200, 'far across', 'many-c2');
SELECT purser.credit_balance('order-many') AS left, (SELECT sum(remaining) FROM purser.grants WHERE account_id = 'order-many') AS in_grants,
       cardinality(lot_grant_ids) AS in_the_row, lot_tail
  FROM purser.wallet WHERE account_id = 'order-many';
SELECT amount, pg_temp.grants_of(allocations) FROM purser.refund_credits('order-many', (SELECT entry_id FROM purser.ledger_entries
  WHERE account_id = 'order-many' AND correlation_id = 'many-c2'), NULL, 'undone', 'many-r2');
SELECT count(*) AS violations FROM purser.verify_ledger('order-many');
