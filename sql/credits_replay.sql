-- CRD-3: a correlation id belongs to one request of one account, for ever: the same request returns the
-- first entry and changes nothing, another request is refused and changes nothing.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

SELECT * FROM purser.grant_credits('replay-a', 100, 'purchased', 'order-1', '2027-01-01', 7, notes => 'pack');
SELECT * FROM purser.grant_credits('replay-a', 100.000, 'purchased', 'order-1', '2027-01-01', 7, notes => 'pack');
SELECT * FROM purser.charge_credits('replay-a', 12.5, 'assembly', 'job-1', 'episode', 'e1', 'Pilot',
                                    '{"minutes": 5, "rate": 2.50}', notes => 'first');
-- Years later, the grant spent or expired: the first entry, whatever the balance is now.
SELECT balance_after FROM purser.charge_credits('replay-a', 80, 'assembly', 'job-2');
SET purser.now = '2031-01-01 00:00+00';
SELECT * FROM purser.charge_credits('replay-a', 12.5, 'assembly', 'job-1', 'episode', 'e1', 'Pilot',
                                    '{"rate": 2.50, "minutes": 5}', notes => 'first');
SELECT entry_id, balance_after, replayed FROM purser.charge_credits('replay-a', 80, 'assembly', 'job-2');
SELECT entry_id, balance_after, replayed FROM purser.grant_credits('replay-a', 100, 'purchased', 'order-1', '2027-01-01', 7, notes => 'pack');
SELECT entry_no, direction, reason, amount, balance_after, correlation_id, created_at FROM purser.ledger
 WHERE account_id = 'replay-a' ORDER BY entry_no;
-- Also of an account that may no longer be charged.
SELECT purser.set_account_status('replay-a', 'banned', 'tester', 'abuse');
SELECT entry_id, replayed FROM purser.charge_credits('replay-a', 80, 'assembly', 'job-2');
SELECT purser.set_account_status('replay-a', 'active', 'tester', 'mistake');

-- Every argument is part of the request.
SET purser.now = '2026-03-10 12:00+00';
SELECT balance_after FROM purser.grant_credits('replay-b', 100, 'purchased', 'order-1');
SELECT entry_id FROM purser.charge_credits('replay-b', 1, 'r', 'job', 'episode', 'e1', 't', '{"a": 1}', notes => 'n');
SELECT changed, tried('SELECT purser.' || call) FROM (VALUES
  ('nothing',  $$charge_credits('replay-b', 1, 'r', 'job', 'episode', 'e1', 't', '{"a": 1}', notes => 'n')$$),
  ('amount',   $$charge_credits('replay-b', 2, 'r', 'job', 'episode', 'e1', 't', '{"a": 1}', notes => 'n')$$),
  ('reason',   $$charge_credits('replay-b', 1, 'x', 'job', 'episode', 'e1', 't', '{"a": 1}', notes => 'n')$$),
  ('type',     $$charge_credits('replay-b', 1, 'r', 'job', 'job', 'e1', 't', '{"a": 1}', notes => 'n')$$),
  ('resource', $$charge_credits('replay-b', 1, 'r', 'job', 'episode', 'e2', 't', '{"a": 1}', notes => 'n')$$),
  ('no resource', $$charge_credits('replay-b', 1, 'r', 'job', NULL, NULL, 't', '{"a": 1}', notes => 'n')$$),
  ('title',    $$charge_credits('replay-b', 1, 'r', 'job', 'episode', 'e1', NULL, '{"a": 1}', notes => 'n')$$),
  ('breakdown', $$charge_credits('replay-b', 1, 'r', 'job', 'episode', 'e1', 't', '{"a": 2}', notes => 'n')$$),
  ('notes',    $$charge_credits('replay-b', 1, 'r', 'job', 'episode', 'e1', 't', '{"a": 1}', notes => '')$$),
  ('wallet',   $$charge_credits('replay-b', 1, 'r', 'job', 'episode', 'e1', 't', '{"a": 1}', 'other', 'n')$$),
  ('too much', $$charge_credits('replay-b', 1000, 'r', 'job')$$),
  ('a grant instead', $$grant_credits('replay-b', 1, 'purchased', 'job')$$),
  ('a grant in another wallet', $$grant_credits('replay-b', 1, 'purchased', 'job', wallet => 'other')$$),
  ('a refund instead', $$refund_credits('replay-b', 'credits/2', 1, 'r', 'job')$$),
  ('a charge instead of a grant', $$charge_credits('replay-b', 1, 'r', 'order-1')$$),
  ('kind',     $$grant_credits('replay-b', 100, 'monthly', 'order-1')$$),
  ('expiry',   $$grant_credits('replay-b', 100, 'purchased', 'order-1', '2028-01-01')$$),
  ('priority', $$grant_credits('replay-b', 100, 'purchased', 'order-1', NULL, 60)$$)) AS attempts (changed, call);
SELECT wallet, entry_no, direction, amount, balance_after FROM purser.ledger WHERE account_id = 'replay-b' ORDER BY 1, 2;
SELECT wallet, balance_micros, last_entry_no, last_grant_id FROM purser.wallet WHERE account_id = 'replay-b' ORDER BY 1;
-- Another account has ids of its own.
SELECT entry_id, replayed FROM purser.grant_credits('replay-c', 1, 'purchased', 'order-1');

-- A caller that rolls back takes the id with it.
BEGIN;
SAVEPOINT before;
SELECT entry_id, replayed FROM purser.charge_credits('replay-b', 5, 'r', 'job-2');
SELECT entry_id, replayed FROM purser.charge_credits('replay-b', 5, 'r', 'job-2');
ROLLBACK TO before;
SELECT entry_id, amount, replayed FROM purser.charge_credits('replay-b', 6, 'r', 'job-2');
COMMIT;
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'replay-%';
