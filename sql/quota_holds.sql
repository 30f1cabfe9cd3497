-- QUO-5: quota set aside for work in flight counts only what really happened.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.declare_features('{"plan_talks": {"kind": "quota", "per": "month", "name": "plan_talks"}}', 'tester') AS declared;
SELECT purser.publish_plan('holder', '{"name": "Holder", "features": {"plan_talks": 3, "minutes": {"quota": 30, "per_call": 20}}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe('hold-a', 'holder', 'tester') AS subscription;

-- A hold takes from what remains and counts nothing yet.
SELECT allowed, reason, used, held, remaining, level, hold_id FROM purser.hold_quota('hold-a', 'plan_talks', 2, '1 hour', 'h1');
SELECT allowed, used, held, remaining FROM purser.check_quota('hold-a', 'plan_talks');
SELECT allowed, reason, remaining FROM purser.check_and_increment('hold-a', 'plan_talks', 2);
SELECT allowed, reason, hold_id FROM purser.hold_quota('hold-a', 'plan_talks', 2, '1 hour', 'h2');
SELECT count(*) AS holds FROM purser.quota_hold WHERE account_id = 'hold-a';

-- An interview held at the start and never begun gives its unit back; one that happened counts.
SELECT allowed, used, held, remaining, hold_id FROM purser.commit_quota('hold-a', 'h1', 1);
SELECT allowed, used, held, remaining FROM purser.check_quota('hold-a', 'plan_talks');
SELECT hold_id IS NOT NULL AS named, held FROM purser.hold_quota('hold-a', 'plan_talks');
SELECT used, held, remaining FROM purser.release_quota('hold-a', (SELECT hold_id FROM purser.quota_hold WHERE account_id = 'hold-a' AND state = 'open'));
SELECT state, amount, committed, created_at, ended_at, expires_at FROM purser.quota_hold WHERE account_id = 'hold-a' ORDER BY state;

-- Each of the three again is the same again.
SELECT purser.hold_quota('hold-a', 'minutes', 5, '1 hour', 'm1');
SELECT purser.hold_quota('hold-a', 'minutes', 5, '1 hour', 'm1');
SELECT tried($$SELECT purser.hold_quota('hold-a', 'minutes', 6, '1 hour', 'm1')$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 5, '1 hour', 'm1')$$);
SELECT purser.commit_quota('hold-a', 'm1', 4);
SELECT purser.commit_quota('hold-a', 'm1', 4);
SELECT tried($$SELECT purser.commit_quota('hold-a', 'm1', 5)$$);
SELECT tried($$SELECT purser.release_quota('hold-a', 'm1')$$);
SELECT purser.hold_quota('hold-a', 'minutes', 1, '1 hour', 'm2');
SELECT purser.release_quota('hold-a', 'm2');
SELECT purser.release_quota('hold-a', 'm2');
SELECT tried($$SELECT purser.commit_quota('hold-a', 'm2')$$);
SELECT tried($$SELECT purser.commit_quota('hold-a', 'never')$$);
SELECT tried($$SELECT purser.commit_quota('hold-b', 'm1')$$);

-- More than was held must fit; where it does not, the hold stays as it was.
SELECT purser.hold_quota('hold-a', 'minutes', 10, '1 hour', 'm3');
SELECT allowed, used, held, remaining FROM purser.commit_quota('hold-a', 'm3', 20);
SELECT purser.hold_quota('hold-a', 'minutes', 2, '1 hour', 'm4');
SELECT allowed, reason, used, held, remaining, max_amount, hold_id FROM purser.commit_quota('hold-a', 'm4', 7);
SELECT state FROM purser.quota_hold WHERE account_id = 'hold-a' AND hold_id = 'm4';
SELECT allowed, used, held, remaining FROM purser.commit_quota('hold-a', 'm4', 6);
-- Nothing of it may be used at all, and that is a commit too.
SELECT purser.hold_quota('hold-a', 'plan_talks', 1, '1 hour', 'i3');
SELECT allowed, used, held FROM purser.commit_quota('hold-a', 'i3', 0);

-- Holds expire by time alone: nothing runs.
SELECT purser.hold_quota('hold-a', 'plan_talks', 2, '10 minutes', 'i4');
SELECT allowed, reason FROM purser.hold_quota('hold-a', 'plan_talks', 1, '2 hours', 'i5');
SET purser.now = '2026-03-10 12:09:59.999999+00';
SELECT remaining, held FROM purser.check_quota('hold-a', 'plan_talks');
SET purser.now = '2026-03-10 12:10+00';
SELECT remaining, held FROM purser.check_quota('hold-a', 'plan_talks');
SELECT remaining, held FROM purser.usage('hold-a') WHERE feature = 'plan_talks';
SELECT tried($$SELECT purser.commit_quota('hold-a', 'i4')$$);
SELECT used, held FROM purser.release_quota('hold-a', 'i4');
SELECT allowed, used, held, remaining FROM purser.check_and_increment('hold-a', 'plan_talks', 2);
SELECT hold_id, state, ended_at FROM purser.quota_hold WHERE account_id = 'hold-a' AND hold_id IN ('i4', 'i5') ORDER BY 1;

-- A hold outlives its period and what is committed counts in the one then running. What was held is
-- counted whatever has become of the plan or the account meanwhile.
SELECT purser.subscribe('hold-c', 'holder', 'tester') AS subscription;
SELECT purser.hold_quota('hold-c', 'plan_talks', 2, '40 days', 'c1');
SET purser.now = '2026-04-01 00:00+00';
SELECT used, held, remaining FROM purser.check_quota('hold-c', 'plan_talks');
SELECT purser.publish_plan('holder', '{"name": "Holder", "features": {"plan_talks": 1}}', 'tester', 'smaller') ->> 'version' AS version;
SELECT purser.set_account_status('hold-c', 'suspended', 'tester', 'test');
SELECT allowed, reason, used, held, remaining FROM purser.commit_quota('hold-c', 'c1');
SELECT tried($$SELECT purser.hold_quota('hold-c', 'plan_talks')$$);
SELECT period_start, used, running FROM purser.usage_history WHERE account_id = 'hold-c' AND feature = 'plan_talks' ORDER BY 1;

-- Bad input.
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 0)$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', -1)$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', NULL)$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'no_such')$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'auto_publish')$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 1, '0')$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 1, '-1 day')$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 1, '367 days')$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 1, '178000000 years')$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 1, NULL)$$);
SELECT tried($$SELECT purser.hold_quota('hold-a', 'plan_talks', 1, '1 day', '')$$);
SELECT tried($$SELECT purser.commit_quota('hold-a', 'i3', -1)$$);
SELECT tried($$SELECT purser.commit_quota(NULL, 'i3')$$);
SELECT tried($$SELECT purser.hold_quota('hold-d', 'minutes', 9223372036854775807)$$);
