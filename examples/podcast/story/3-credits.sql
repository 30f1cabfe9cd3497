-- # Prepaid credits, and books that can be checked
-- Maya's month begins: 300 credits come with her plan, 20 are left from last month, and she buys 500.
-- Every grant has a correlation id, so that a payment webhook delivered twice grants once.
SELECT entry_id, direction, amount, balance_after
  FROM purser.grant_credits('42', 500, 'purchased', 'pack-500-order-9001');
SELECT entry_id, direction, amount, balance_after
  FROM purser.grant_credits('42', 20, 'rollover', 'rollover-of-last-month', expires_at => now() + interval '60 days');
SELECT entry_id, direction, amount, balance_after
  FROM purser.grant_credits('42', 300, 'monthly', 'allowance-of-this-month', expires_at => now() + interval '30 days');

-- An episode is produced for 350 credits. They come out of all three grants, monthly first, then rollover, then
-- purchased, whatever the order they arrived in; the ledger entry says how much each one bore.
SELECT e.entry_id, a.kind, a.amount, e.amount AS charged, e.balance_after, e.replayed
  FROM purser.charge_credits('42', 350, 'production', 'job-7001',
         'episode', '5caadcfb-10a1-138a-92c6-c9a150b8eb6e', 'City Letter Quiet Sound',
         breakdown => '{"minutes": 70, "credits_per_minute": 5}') AS e,
       jsonb_to_recordset(e.allocations) AS a (kind text, amount numeric);

-- The worker crashes and tries again with the same correlation id: the first entry comes back, nothing is charged.
SELECT entry_id, amount, balance_after, replayed
  FROM purser.charge_credits('42', 350, 'production', 'job-7001',
         'episode', '5caadcfb-10a1-138a-92c6-c9a150b8eb6e', 'City Letter Quiet Sound',
         breakdown => '{"minutes": 70, "credits_per_minute": 5}');

-- The same id for another request is a mistake somewhere, and is refused.
--! PU005
SELECT purser.charge_credits('42', 35, 'production', 'job-7001');

-- Too much is refused whole, with the numbers an application needs to offer the right pack.
--! PU002
SELECT purser.charge_credits('42', 1000, 'production', 'job-7002');

-- A fifth of the job had failed: 70 credits go back, to the very grants they were taken from.
SELECT r.entry_id, r.direction, a.kind, a.amount, r.balance_after
  FROM purser.refund_credits('42', 'credits/4', 70,
         reason => 'one part failed', correlation_id => 'refund-7001') AS r,
       jsonb_to_recordset(r.allocations) AS a (kind text, amount numeric);

-- The invoice of that episode is one JSON document; here laid out as its head and its lines.
SELECT i ->> 'number' AS number, i ->> 'title' AS title,
       i -> 'charged' AS charged, i -> 'refunded' AS refunded, i -> 'net' AS net
  FROM purser.invoice('42', 'episode', '5caadcfb-10a1-138a-92c6-c9a150b8eb6e') AS i;
SELECT line.*
  FROM purser.invoice('42', 'episode', '5caadcfb-10a1-138a-92c6-c9a150b8eb6e') AS i,
       jsonb_to_recordset(i -> 'lines') AS line
         (entry_id text, direction text, reason text, credits numeric, breakdown jsonb, correlation_id text);

-- The application's role may call what it needs ...
SET ROLE purser_app;
SELECT purser.credit_balance('42');

-- ... and write nothing itself: no code path can invent credits.
--! 42501
UPDATE purser.wallet SET balance_micros = 999999999999 WHERE account_id = '42';

--~
RESET ROLE;

-- Entries form a chain of hashes. The books of every account are in order:
SELECT count(*) AS violations FROM purser.verify_ledger();

-- Even a superuser who edits an entry behind purser's back is found out.
BEGIN;
UPDATE purser.ledger SET amount = 35 WHERE account_id = '42' AND entry_no = 4;
SELECT path, rule, message FROM purser.verify_ledger('42');
ROLLBACK;

--~
DO $$
BEGIN
    ASSERT purser.credit_balance('42') = 540, 'the balance is not 540';
    ASSERT NOT EXISTS (SELECT FROM purser.verify_ledger()), 'the books are not in order';
END
$$;
