-- CRD-9, CRD-12: what expires leaves the balance at its instant without any job, is written off in the
-- ledger as of that instant, and the balance at any instant is what the ledger says.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-01 00:00+00';
SELECT balance_after FROM purser.grant_credits('expiry-a', 10, 'monthly', 'march', '2026-04-01 00:00+00');
SELECT balance_after FROM purser.grant_credits('expiry-a', 4, 'rollover', 'february', '2026-03-15 00:00+00');
SELECT balance_after FROM purser.grant_credits('expiry-a', 100, 'purchased', 'pack');
SET purser.now = '2026-03-10 00:00+00';
SELECT balance_after, allocations FROM purser.charge_credits('expiry-a', 7, 'work', 'c1');

-- The last microsecond and the instant itself; nothing is written by looking.
SET purser.now = '2026-03-14 23:59:59.999999+00';
SELECT purser.credit_balance('expiry-a');
SET purser.now = '2026-03-15 00:00:00+00';
SELECT purser.credit_balance('expiry-a');
SET purser.now = '2026-04-01 00:00:00+00';
SELECT purser.credit_balance('expiry-a');
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'expiry-a';
-- What has expired cannot be spent, and refusing it writes nothing.
SELECT tried($$SELECT purser.charge_credits('expiry-a', 100.5, 'work', 'too-much')$$);
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'expiry-a';
SELECT at, purser.credit_balance('expiry-a', at => at) FROM unnest('{2026-02-28, 2026-03-01, 2026-03-10, 2026-03-14 23:59:59.999999,
  2026-03-15, 2026-03-31 23:59:59.999999, 2026-04-01, 2026-04-05, 2030-01-01, infinity, -infinity}'::timestamptz[]) AS at;

-- The next change writes off, one entry for each grant, oldest expiry first, in force when it expired.
SET purser.now = '2026-04-05 00:00+00';
SELECT entry_id, balance_after, allocations FROM purser.charge_credits('expiry-a', 1, 'work', 'c2');
SELECT entry_no, direction, reason, amount, balance_after, allocations, correlation_id, created_at, effective_at
  FROM purser.ledger WHERE account_id = 'expiry-a' ORDER BY entry_no;
SELECT at, purser.credit_balance('expiry-a', at => at) FROM unnest('{2026-02-28, 2026-03-01, 2026-03-10, 2026-03-14 23:59:59.999999,
  2026-03-15, 2026-03-31 23:59:59.999999, 2026-04-01, 2026-04-05, 2030-01-01, infinity, -infinity}'::timestamptz[]) AS at;
SELECT purser.credit_balance('expiry-a') = purser.credit_balance('expiry-a', at => '2026-04-05') AS now_is_that_instant;
-- Nobody asked for a write-off, so nobody can have it refunded.
SELECT tried($$SELECT purser.refund_credits('expiry-a', 'credits/5', 1, 'r', 'x')$$);

-- A grant writes off as well; a wallet of which everything expired is empty, not negative.
SELECT balance_after FROM purser.grant_credits('expiry-b', 5, 'monthly', 'g1', '2026-05-01');
SET purser.now = '2026-06-01 00:00+00';
SELECT purser.credit_balance('expiry-b');
SELECT tried($$SELECT purser.charge_credits('expiry-b', 5, 'work', 'c1')$$);
SELECT entry_id, balance_after FROM purser.grant_credits('expiry-b', 2, 'monthly', 'g2', '2026-07-01');
SELECT entry_no, direction, reason, amount, balance_after, effective_at FROM purser.ledger WHERE account_id = 'expiry-b' ORDER BY 1;
SELECT grant_id, amount, remaining, expires_at FROM purser.grants WHERE account_id = 'expiry-b' ORDER BY 1;

-- Replaying an old request after an expiry answers and does not write off.
SET purser.now = '2026-08-01 00:00+00';
SELECT entry_id, balance_after, replayed FROM purser.grant_credits('expiry-b', 2, 'monthly', 'g2', '2026-07-01');
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'expiry-b';
-- A refund writes off first, and can then give back.
SET purser.now = '2026-03-01 00:00+00';
SELECT balance_after FROM purser.grant_credits('expiry-c', 5, 'monthly', 'g1', '2026-04-01');
SELECT balance_after FROM purser.charge_credits('expiry-c', 3, 'work', 'c1');
SET purser.now = '2026-05-01 00:00+00';
SELECT entry_id, balance_after, allocations FROM purser.refund_credits('expiry-c', 'credits/2', NULL, 'r', 'x1');
SELECT entry_no, direction, reason, amount, balance_after, effective_at FROM purser.ledger WHERE account_id = 'expiry-c' ORDER BY 1;

-- CRD-12: at every instant at which something happened the balance is the sum of the entries in force.
SELECT l.account_id, count(*) AS instants,
       count(*) FILTER (WHERE purser.credit_balance(l.account_id, l.wallet, l.effective_at) <>
         (SELECT sum(CASE k.direction WHEN 'CREDIT' THEN k.amount ELSE -k.amount END) FROM purser.ledger AS k
           WHERE k.account_id = l.account_id AND k.wallet = l.wallet AND k.effective_at <= l.effective_at)) AS wrong,
       count(*) FILTER (WHERE purser.credit_balance(l.account_id, l.wallet, l.effective_at) < 0) AS negative
  FROM purser.ledger AS l WHERE l.account_id LIKE 'expiry-%' GROUP BY l.account_id ORDER BY 1;
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'expiry-%';
