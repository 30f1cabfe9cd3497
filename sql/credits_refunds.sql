-- CRD-6: a refund goes back to the very grants the charge took, never more than was charged, however
-- often it is asked for; what came from a grant that has expired since comes back as a new grant.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
CREATE VIEW pg_temp.lots AS
SELECT account_id, wallet, grant_id, kind, amount, remaining, expires_at FROM purser.grants;

-- A charge across three grants, refunded in parts: last debited first, until nothing is left.
SELECT count(purser.grant_credits('refund-a', amount, kind, kind, expires_at))
  FROM (VALUES (3, 'monthly', '2026-04-01'::timestamptz), (2, 'rollover', '2026-05-01'), (500, 'purchased', NULL))
    AS g (amount, kind, expires_at);
SELECT entry_id, balance_after, allocations FROM purser.charge_credits('refund-a', 10, 'assembly', 'job-1', 'episode', 'e1', 'Pilot');
SELECT * FROM purser.refund_credits('refund-a', 'credits/4', 4, 'failed at 60 %', 'refund-1');
SELECT grant_id, kind, remaining FROM pg_temp.lots WHERE account_id = 'refund-a' ORDER BY grant_id;
SELECT amount, balance_after, allocations FROM purser.refund_credits('refund-a', 'credits/4', 2.5, 'more', 'refund-2');
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/4', 3.500001, 'too much', 'refund-3')$$);
SELECT amount, balance_after, allocations FROM purser.refund_credits('refund-a', 'credits/4', NULL, 'the rest', 'refund-3');
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/4', NULL, 'again', 'refund-4')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/4', 0.000001, 'again', 'refund-4')$$);
SELECT grant_id, kind, amount, remaining FROM pg_temp.lots WHERE account_id = 'refund-a' ORDER BY grant_id;
-- Spent in the order it always had.
SELECT allocations FROM purser.charge_credits('refund-a', 6, 'assembly', 'job-2');

-- The same refund again returns its entry; the id is good for no other request.
SELECT entry_id, amount, balance_after, replayed FROM purser.refund_credits('refund-a', 'credits/4', 4, 'failed at 60 %', 'refund-1');
SELECT entry_id, amount, balance_after, replayed FROM purser.refund_credits('refund-a', 'credits/4', NULL, 'the rest', 'refund-3');
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/4', 5, 'failed at 60 %', 'refund-1')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/8', 4, 'failed at 60 %', 'refund-1')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/4', 4, 'other words', 'refund-1')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/8', NULL, 'r', 'job-1')$$);

-- Only charges can be refunded: not a grant, not a refund; of no other account, and only by their id.
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/1', 1, 'r', 'x')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/5', 1, 'r', 'x')$$);
SELECT id, tried(format('SELECT purser.refund_credits(%L, %L, 1, %L, %L)', 'refund-a', id, 'r', 'x'))
  FROM unnest('{credits/999, credits/99999999999999999999, credits/-4, credits/0x4, credits/4x, "credits/ 4", credits/, /4, 4,
                credits, tokens/4, credits/4/4}'::text[]) AS id;
SELECT tried($$SELECT purser.refund_credits('refund-b', 'credits/4', 1, 'r', 'x')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/8', 0, 'r', 'x')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/8', -1, 'r', 'x')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/8', 'NaN', 'r', 'x')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/8', 1, 'r')$$);
SELECT tried($$SELECT purser.refund_credits('refund-a', 'credits/8', 1, NULL, 'x')$$);
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'refund-a';
-- A wallet whose name has a slash is told from the number behind the last one.
SELECT entry_id FROM purser.grant_credits('refund-c', 5, 'purchased', 'g', wallet => 'a/b');
SELECT entry_id FROM purser.charge_credits('refund-c', 5, 'r', 'c', wallet => 'a/b');
SELECT entry_id, wallet, amount FROM purser.refund_credits('refund-c', 'a/b/2', NULL, 'r', 'x');

-- A grant used up and gone from the wallet comes back with its own kind, priority and expiry.
SELECT balance_after FROM purser.grant_credits('refund-d', 5, 'promotional', 'g1', '2026-03-20', 3);
SELECT balance_after FROM purser.grant_credits('refund-d', 5, 'purchased', 'g2');
SELECT balance_after FROM purser.charge_credits('refund-d', 5, 'r', 'c1');
SELECT allocations FROM purser.refund_credits('refund-d', 'credits/3', 2, 'r', 'x1');
SELECT grant_id, kind, remaining, expires_at FROM pg_temp.lots WHERE account_id = 'refund-d' ORDER BY grant_id;
SELECT allocations FROM purser.charge_credits('refund-d', 3, 'r', 'c2');

-- Charged 8 days before the grant expired, refunded 12 days after: a new grant of kind refund lives
-- 8 days; the part that came from a living grant goes back to it.
SET purser.now = '2026-04-01 00:00+00';
SELECT balance_after FROM purser.grant_credits('refund-e', 10, 'monthly', 'g1', '2026-05-01');
SELECT balance_after FROM purser.grant_credits('refund-e', 10, 'purchased', 'g2');
SET purser.now = '2026-04-23 00:00+00';
SELECT allocations FROM purser.charge_credits('refund-e', 14, 'r', 'c1');
SET purser.now = '2026-05-13 00:00+00';
SELECT amount, balance_after, allocations FROM purser.refund_credits('refund-e', 'credits/3', 9, 'r', 'x1');
SELECT grant_id, kind, amount, remaining, expires_at FROM pg_temp.lots WHERE account_id = 'refund-e' ORDER BY grant_id;
SELECT amount, balance_after, allocations FROM purser.refund_credits('refund-e', 'credits/3', NULL, 'r', 'x2');
SELECT tried($$SELECT purser.refund_credits('refund-e', 'credits/3', NULL, 'r', 'x3')$$) LIKE 'PU007 %' AS refused;
SELECT purser.credit_balance('refund-e');
SET purser.now = '2026-05-20 23:59:59.999999+00';
SELECT purser.credit_balance('refund-e');
SET purser.now = '2026-05-21 00:00+00';
SELECT purser.credit_balance('refund-e');

-- Refunded through a new grant, charged from it, refunded once more: still the right grants.
SET purser.now = '2026-05-14 00:00+00';
SELECT entry_id, allocations FROM purser.charge_credits('refund-e', 11, 'r', 'c2');
SELECT allocations FROM purser.refund_credits('refund-e', 'credits/6', NULL, 'r', 'x4');

-- An account that is not active can be given back what is its own.
SELECT purser.set_account_status('refund-d', 'suspended', 'tester', 'unpaid');
SELECT amount, balance_after FROM purser.refund_credits('refund-d', 'credits/5', NULL, 'r', 'x2');
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'refund-%';
