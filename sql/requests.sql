-- QUO-16: one call for a whole request: rate limit, several quotas and a charge, all or nothing.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.declare_features('{"plan_calls": {"kind": "quota", "per": "day"}}', 'tester') AS declared;
SELECT purser.publish_plan('requests', '{"name": "Requests", "features": {"minutes": 30, "plan_calls": 3},
  "rate_limits": {"whole": {"max": 4, "per": "hour"}, "burst": {"max": 2, "per": "second"}}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe('req-a', 'requests', 'tester') AS subscription;
SELECT amount FROM purser.grant_credits('req-a', 10, 'purchased', 'g');

CREATE FUNCTION standing() RETURNS TABLE (minutes bigint, calls bigint, credits numeric, rate bigint, entries bigint) LANGUAGE sql AS $$
  SELECT (SELECT used FROM purser.check_quota('req-a', 'minutes')), (SELECT used FROM purser.check_quota('req-a', 'plan_calls')),
         purser.credit_balance('req-a'), (SELECT remaining FROM purser.check_rate_limit('req-a', 'whole')),
         (SELECT count(*) FROM purser.ledger WHERE account_id = 'req-a')
$$;
SELECT * FROM standing();

SELECT * FROM purser.check_request('req-a', '{"rate": {"whole": 1}, "quotas": {"minutes": 10, "plan_calls": 1},
  "charge": {"amount": 2.5, "reason": "transcription", "correlation_id": "job-1", "resource_type": "episode", "resource_id": "e1"}}');
SELECT * FROM standing();
-- Whatever refuses, nothing is counted, charged or taken of the rate, and each refusal is named.
SELECT part, name, allowed, reason, remaining FROM purser.check_request('req-a', '{"rate": {"whole": 1}, "quotas": {"minutes": 25, "plan_calls": 1}, "charge": {"amount": 1, "reason": "x", "correlation_id": "job-2"}}');
SELECT part, name, allowed, reason, remaining, "limit" FROM purser.check_request('req-a', '{"rate": {"whole": 1}, "quotas": {"minutes": 1}, "charge": {"amount": 7.51, "reason": "x", "correlation_id": "job-2"}}');
SELECT part, name, allowed, reason, remaining, retry_after FROM purser.check_request('req-a', '{"rate": {"whole": 4, "burst": 3}, "quotas": {"minutes": 1}, "charge": {"amount": 1, "reason": "x", "correlation_id": "job-2"}}');
SELECT part, name, allowed, reason FROM purser.check_request('req-a', '{"rate": {"whole": 9}, "quotas": {"minutes": 99, "plan_calls": 99}, "charge": {"amount": 99, "reason": "x", "correlation_id": "job-2"}}');
SELECT * FROM standing();
-- With a key a retry gets the first answer, and takes nothing again.
SELECT part, name, allowed, used, remaining, entry_id FROM purser.check_request('req-a', '{"rate": {"whole": 1}, "quotas": {"minutes": 1}, "charge": {"amount": 0.5, "reason": "x"}}', 'request-1');
SELECT part, name, allowed, used, remaining, entry_id FROM purser.check_request('req-a', '{"charge": {"reason": "x", "amount": 0.5}, "rate": {"whole": 1}, "quotas": {"minutes": 1}}', 'request-1');
SELECT tried($$SELECT purser.check_request('req-a', '{"quotas": {"minutes": 2}}', 'request-1')$$);
SELECT tried($$SELECT purser.check_and_increment('req-a', 'minutes', 1, 'request-1')$$);
SELECT * FROM standing();
-- A refused request leaves no key: it is decided anew.
SELECT part, allowed FROM purser.check_request('req-a', '{"quotas": {"plan_calls": 3}}', 'request-2');
SELECT part, allowed FROM purser.check_request('req-a', '{"quotas": {"plan_calls": 1}}', 'request-2');
-- Parts alone, and a charge that was made before.
SELECT part, name, allowed, remaining FROM purser.check_request('req-a', '{"rate": {"whole": 1}}');
SELECT part, name, allowed, entry_id, remaining FROM purser.check_request('req-a', '{"charge": {"amount": 2.5, "reason": "transcription", "correlation_id": "job-1", "resource_type": "episode", "resource_id": "e1"}}');
SELECT tried($$SELECT purser.check_request('req-a', '{"quotas": {"minutes": 1}, "charge": {"amount": 3, "reason": "transcription", "correlation_id": "job-1"}}')$$);
SELECT * FROM standing();
BEGIN;
SELECT count(*) AS parts FROM purser.check_request('req-a', '{"quotas": {"minutes": 1}, "charge": {"amount": 1, "reason": "x"}}', 'request-3');
ROLLBACK;
SELECT * FROM standing();
SELECT purser.set_account_status('req-a', 'suspended', 'tester', 'test');
SELECT part, name, allowed, reason FROM purser.check_request('req-a', '{"quotas": {"minutes": 1}, "charge": {"amount": 1, "reason": "x"}}', 'request-4');
SELECT purser.set_account_status('req-a', 'active', 'tester', 'test');
SELECT part, name, allowed, reason, remaining FROM purser.check_request('req-nobody', '{"charge": {"amount": 1, "reason": "x"}}', 'request-1');
-- Bad input changes nothing.
SELECT tried(format('SELECT purser.check_request(%L, %L)', 'req-a', r))
  FROM unnest(ARRAY[NULL, 'null', '[]', '{}', '1', '{"quota": {"minutes": 1}}', '{"quotas": 1}', '{"quotas": {}}', '{"quotas": {"minutes": 0}}', '{"quotas": {"no_such": 1}}',
                    '{"rate": {"no_such": 1}}', '{"rate": {"whole": 0}}', '{"rate": {"whole": 1.5}}', '{"rate": {"whole": 1e30}}', '{"rate": {"whole": "1"}}',
                    '{"charge": {}}', '{"charge": {"amount": -1, "reason": "x", "correlation_id": "c"}}', '{"charge": {"amount": "NaN", "reason": "x", "correlation_id": "c"}}',
                    '{"charge": {"amount": 1e30, "reason": "x", "correlation_id": "c"}}', '{"charge": {"amount": 0.0000001, "reason": "x", "correlation_id": "c"}}',
                    '{"charge": {"amount": 1, "reason": "x"}}', '{"charge": {"amount": 1, "correlation_id": "c"}}', '{"charge": {"amount": 1, "reason": "x", "correlation_id": "c", "colour": 1}}',
                    '{"charge": {"amount": 1, "reason": "x", "correlation_id": "c", "wallet": ""}}', '{"charge": {"amount": 1, "reason": "x", "correlation_id": "c", "resource_type": "e"}}']) AS r;
SELECT * FROM standing();
DROP FUNCTION standing;

-- A hold instead of a charge, for work that is settled afterwards.
SELECT count(purser.grant_credits('req-h', 5, 'purchased', 'g')), purser.subscribe('req-h', 'requests', 'tester') IS NOT NULL AS subscribed;
SELECT part, name, allowed, remaining, "limit", resets_at, entry_id, hold_id FROM purser.check_request('req-h', '{"rate": {"whole": 1}, "quotas": {"minutes": 1}, "hold": {"amount": 4, "reason": "render", "ttl": "1 hour"}}', 'render-1');
SELECT part, name, allowed, remaining, hold_id FROM purser.check_request('req-h', '{"rate": {"whole": 1}, "quotas": {"minutes": 1}, "hold": {"amount": 4, "reason": "render", "ttl": "1 hour"}}', 'render-1');
SELECT part, name, allowed, reason, remaining FROM purser.check_request('req-h', '{"quotas": {"minutes": 1}, "hold": {"amount": 4, "reason": "render"}}', 'render-2');
SELECT used FROM purser.check_quota('req-h', 'minutes');
SELECT amount, balance_after FROM purser.capture_credits('req-h', 'render-1', 3);
SELECT tried(format('SELECT purser.check_request(''req-h'', %L, ''render-3'')', r))
  FROM unnest(ARRAY['{"hold": {}}', '{"hold": {"amount": 1, "reason": "x", "ttl": "soon"}}', '{"hold": {"amount": 1, "reason": "x", "ttl": "-1 hour"}}',
                    '{"hold": {"amount": 1, "reason": "x", "breakdown": {}}}', '{"hold": {"amount": 1}}',
                    '{"hold": {"amount": 1, "reason": "x"}, "charge": {"amount": 1, "reason": "x"}}']) AS r;
SELECT count(*) AS open_holds FROM purser.credit_holds WHERE account_id = 'req-h' AND state = 'open';
