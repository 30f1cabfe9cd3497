-- PLAN-12: coupons, gifts and referrals: once per account, so many times in all, until they expire; what they give
-- and why they are refused. Exactness among many connections: test/concurrency/codes_test.cpp.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- Promotional credits. Blanks and case do not matter.
SELECT purser.create_code(' Welcome-10 ', 'promotional_credits', '{"amount": 10.5, "expires_days": 30}', 2, '2026-04-01', actor => 'tester');
SELECT * FROM purser.redeem_code('code-a', 'WELCOME-10 ');
SELECT purser.credit_balance('code-a') AS balance;
SELECT kind, amount, expires_at FROM purser.grants WHERE account_id = 'code-a';
SELECT allowed, reason, benefit FROM purser.redeem_code('code-a', 'welcome-10');
-- A retry that names its request gets the first answer, another request does not.
SELECT allowed, reason, benefit #>> '{granted,entry_id}' AS entry, replayed FROM purser.redeem_code('code-b', 'welcome-10', 'request-1');
SELECT allowed, reason, benefit #>> '{granted,entry_id}' AS entry, replayed FROM purser.redeem_code('code-b', 'welcome-10', 'request-1');
SELECT allowed, reason, replayed FROM purser.redeem_code('code-b', 'welcome-10', 'request-2');
SELECT allowed, reason FROM purser.redeem_code('code-c', 'welcome-10');
SELECT purser.credit_balance('code-c') AS balance, purser.credit_balance('code-b') AS balance_b;
SELECT code, state, redeemed, remaining, accounts, granted FROM purser.code_report WHERE code = 'welcome-10';

-- Every refusal has its own reason and changes nothing.
SELECT purser.create_code('ends', 'promotional_credits', '{"amount": 1}', NULL, '2026-03-11', actor => 'tester');
SELECT purser.create_code('off', 'promotional_credits', '{"amount": 1}', actor => 'tester');
SELECT purser.deactivate_code('OFF', 'tester'), purser.deactivate_code('off', 'tester') AS again;
SELECT purser.create_code('trial-7', 'trial', '{"days": 7}', actor => 'tester');
SELECT purser.create_code('gift', 'promotional_credits', '{"amount": 3, "referrer": {"account_id": "code-friend", "amount": 2}}', actor => 'tester');
SELECT purser.set_account_status('code-banned', 'banned', 'tester', 'x');
SET purser.now = '2026-03-11 00:00+00';
SELECT account, code, r.* FROM (VALUES
    ('code-a', 'nonsense'), ('code-a', 'ends'), ('code-a', 'off'), ('code-a', 'trial-7'), ('code-friend', 'gift'), ('code-banned', 'gift')
  ) AS v (account, code), LATERAL purser.redeem_code(account, code) AS r;
SELECT count(*) AS redemptions FROM purser.code_redemption WHERE code <> 'welcome-10' AND account_id LIKE 'code-%';

-- A referral: both are granted, and both grants are each account's own.
SELECT allowed, benefit FROM purser.redeem_code('code-a', 'gift');
SELECT purser.credit_balance('code-a') AS a, purser.credit_balance('code-friend') AS friend;
SELECT purser.set_account_status('code-friend', 'banned', 'tester', 'x');
SELECT allowed, benefit FROM purser.redeem_code('code-c', 'gift');
SELECT redeemed, accounts, granted, referrals FROM purser.code_report WHERE code = 'gift';

-- A code that an account may redeem again needs a name for each request.
SELECT purser.create_code('loyal', 'promotional_credits', '{"amount": 1}', 3, per_account_once => false, actor => 'tester');
SELECT tried($$SELECT purser.redeem_code('code-a', 'loyal')$$);
SELECT request, allowed, reason, replayed FROM unnest('{1,2,2,3,4,1}'::text[]) AS request, LATERAL purser.redeem_code('code-a', 'loyal', request) ;
SELECT state, redeemed, granted FROM purser.code_report WHERE code = 'loyal';

-- Discounts are recorded for whoever bills.
SELECT purser.create_code('spring', 'discount', '{"percent": 20, "duration": "months", "months": 3}', actor => 'tester');
SELECT purser.create_code('five-off', 'discount', '{"cents": 500, "currency": "usd", "duration": "once"}', actor => 'tester');
SELECT purser.create_code('friends', 'discount', '{"percent": 2.5, "duration": "forever"}', actor => 'tester');
SELECT c, allowed, benefit FROM unnest('{spring,five-off,friends}'::text[]) AS c, LATERAL purser.redeem_code('code-a', c);
SELECT * FROM purser.account_discounts('code-a');
SET purser.now = '2026-06-11 00:00+00';
SELECT code FROM purser.account_discounts('code-a');

-- A redemption that is rolled back never happened.
BEGIN;
SELECT allowed FROM purser.redeem_code('code-d', 'gift');
ROLLBACK;
SELECT redeemed, (SELECT count(*) FROM purser.code_redemption AS r WHERE r.code = 'gift') AS redemptions FROM purser.code WHERE code = 'gift';
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'code-d';

-- What is told and written down.
SELECT action, resource_id, details FROM purser.audit_event WHERE resource_type = 'code' AND resource_id IN ('off', 'spring') ORDER BY resource_id, action;
SELECT count(*) AS redeemed_events FROM purser.event WHERE kind = 'code.redeemed' AND account_id LIKE 'code-%';
SELECT count(*) AS redemptions FROM purser.code_redemption WHERE account_id LIKE 'code-%';

-- Definitions that make no sense.
SELECT kind, definition, tried(format('SELECT purser.create_code(%L, %L, %L)', 'wrong', kind, definition)) AS answer
  FROM (VALUES ('promotional_credits', NULL), ('promotional_credits', '[]'), ('promotional_credits', '{}'), ('promotional_credits', '{"amount": -1}'),
    ('promotional_credits', '{"amount": 0.0000001}'), ('promotional_credits', '{"amount": "NaN"}'), ('promotional_credits', '{"amount": 1e30}'),
    ('promotional_credits', '{"amount": 1, "days": 3}'), ('promotional_credits', '{"amount": 1, "wallet": ""}'), ('promotional_credits', '{"amount": 1, "wallet": 5}'),
    ('promotional_credits', '{"amount": 1, "wallet": "a\tb"}'),
    ('promotional_credits', '{"amount": 1, "expires_days": 1.5}'), ('promotional_credits', '{"amount": 1, "referrer": {"account_id": "x"}}'),
    ('promotional_credits', '{"amount": 1, "referrer": {"account_id": "", "amount": 1}}'), ('promotional_credits', '{"amount": 1, "referrer": "x"}'),
    ('trial', '{}'), ('trial', '{"days": 0}'), ('trial', '{"days": 731}'), ('discount', '{}'), ('discount', '{"percent": 101, "duration": "once"}'),
    ('discount', '{"percent": 5, "cents": 5, "currency": "usd", "duration": "once"}'), ('discount', '{"cents": 5, "duration": "once"}'),
    ('discount', '{"cents": 5, "currency": "USD", "duration": "once"}'), ('discount', '{"percent": 5}'), ('discount', '{"percent": 5, "duration": "months"}'),
    ('discount', '{"percent": 5, "duration": "once", "months": 3}'), ('lottery', '{}')) AS v (kind, definition);
SELECT tried($$SELECT purser.create_code('GIFT', 'trial', '{"days": 7}')$$);
SELECT tried($$SELECT purser.create_code('x', 'trial', '{"days": 7}', 0)$$);
SELECT tried($$SELECT purser.create_code('x', 'trial', '{"days": 7}', NULL, '2026-01-01')$$);
SELECT tried($$SELECT purser.create_code('x', 'trial', '{"days": 7}', NULL, NULL, NULL)$$);
SELECT tried($$SELECT purser.deactivate_code('nonsense', 'tester')$$);
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'code-%';

-- A code for a longer trial: the trial that runs is extended, once, and one that has ended by the clock is not.
SET purser.now = '2026-07-01 12:00+00';
SELECT purser.start_trial('code-trial', 'pro', 10, actor => 'tester') AS subscription;
SELECT allowed, reason, benefit FROM purser.redeem_code('code-trial', 'trial-7');
SELECT status, trial_ends_at FROM purser.subscription('code-trial');
SELECT allowed, reason FROM purser.redeem_code('code-trial', 'trial-7');
SET purser.now = '2026-07-18 11:59:59+00';
SELECT plan, status FROM purser.subscription('code-trial');
SET purser.now = '2026-07-18 12:00+00';
SELECT plan, status FROM purser.subscription('code-trial');
SELECT purser.create_code('trial-again', 'trial', '{"days": 7}', actor => 'tester');
SELECT allowed, reason FROM purser.redeem_code('code-trial', 'trial-again');
SELECT redeemed FROM purser.code_report WHERE code LIKE 'trial-%' ORDER BY code;
