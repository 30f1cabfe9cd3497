-- QUO-8, QUO-9: hard and soft caps, grace, rollover with a ceiling and per-call ceilings, each per plan
-- feature; one event for each warn level that is crossed.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.declare_features('{
  "plan_edge_hard":     {"kind": "quota", "per": "month"},
  "plan_edge_soft":     {"kind": "quota", "per": "month"},
  "plan_edge_grace":    {"kind": "quota", "per": "month"},
  "plan_edge_rollover": {"kind": "quota", "per": "month"},
  "plan_edge_both":     {"kind": "quota", "per": "month"},
  "plan_edge_call":     {"kind": "quota", "per": "month", "name": "interview minutes"}}', 'tester') AS declared;
SELECT purser.publish_plan('edges', '{"name": "Edges", "features": {
  "plan_edge_hard": 10,
  "plan_edge_soft": {"quota": 10, "overage": "soft"},
  "plan_edge_grace": {"quota": 10, "grace": 2},
  "plan_edge_rollover": {"quota": 10, "rollover": 15},
  "plan_edge_both": {"quota": 10, "rollover": 5, "grace": 2, "per_call": 12},
  "plan_edge_call": {"quota": 100, "per_call": 15}}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.publish_plan('edges_pro', '{"name": "Edges Pro", "features": {
  "plan_edge_rollover": {"quota": 20, "rollover": 3}, "plan_edge_call": {"quota": 100, "per_call": 45}}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe('edge-a', 'edges', 'tester') AS subscription;

-- Hard: 10 and not one more. Soft: counts on and says so. Grace: two more, flagged, then no more.
SELECT feature, allowed, reason, used, remaining, max_amount, level FROM purser.check_and_increment('edge-a', 'plan_edge_hard', 11);
SELECT feature, allowed, reason, used, remaining, max_amount, level FROM purser.check_and_increment('edge-a', 'plan_edge_soft', 9);
SELECT feature, allowed, reason, used, remaining, max_amount, level, percent FROM purser.check_and_increment('edge-a', 'plan_edge_soft', 9);
SELECT purser.http_status(d), purser.http_body(d) FROM purser.check_and_increment('edge-a', 'plan_edge_soft', 1) AS d;
SELECT feature, allowed, reason, used, remaining, max_amount, level FROM purser.check_and_increment('edge-a', 'plan_edge_grace', 10);
SELECT feature, allowed, reason, used, remaining, max_amount, level FROM purser.check_and_increment('edge-a', 'plan_edge_grace', 3);
SELECT feature, allowed, reason, used, remaining, max_amount, level FROM purser.check_and_increment('edge-a', 'plan_edge_grace', 2);
SELECT feature, allowed, reason FROM purser.check_and_increment('edge-a', 'plan_edge_grace', 1);

-- QUO-9: one call takes 15 at most, 45 on the larger plan, and the answer says how much it could take.
SELECT allowed, reason, remaining, max_amount FROM purser.check_and_increment('edge-a', 'plan_edge_call', 16);
SELECT purser.http_status(d), purser.http_body(d) FROM purser.check_quota('edge-a', 'plan_edge_call', 16) AS d;
SELECT tried($$SELECT purser.require_quota('edge-a', 'plan_edge_call', 16)$$);
SELECT allowed, used FROM purser.check_and_increment('edge-a', 'plan_edge_call', 15);
SELECT purser.change_plan('edge-a', 'edges_pro', 'tester') AS subscription;
SELECT allowed, used, max_amount FROM purser.check_and_increment('edge-a', 'plan_edge_call', 45);
SELECT allowed, reason, max_amount FROM purser.check_and_increment('edge-a', 'plan_edge_call', 46);
SELECT allowed, used, max_amount FROM purser.record_usage('edge-a', 'plan_edge_call', 46);
SELECT purser.change_plan('edge-a', 'edges', 'tester') AS subscription;

-- Rollover: what is left of a month is carried over, up to the ceiling, also over months nobody used.
SELECT used, quota, remaining FROM purser.check_and_increment('edge-a', 'plan_edge_rollover', 4);
SET purser.now = '2026-04-10 12:00+00';
SELECT used, quota, remaining FROM purser.check_quota('edge-a', 'plan_edge_rollover');
SELECT used, quota, remaining FROM purser.check_and_increment('edge-a', 'plan_edge_rollover', 1);
SET purser.now = '2026-05-10 12:00+00';
SELECT used, quota, remaining FROM purser.check_and_increment('edge-a', 'plan_edge_rollover', 25);
SELECT allowed, reason FROM purser.check_and_increment('edge-a', 'plan_edge_rollover', 1);
SET purser.now = '2026-08-10 12:00+00';
SELECT used, quota, remaining FROM purser.usage('edge-a') WHERE feature = 'plan_edge_rollover';
-- Looked at in every month or only now, it is the same.
SELECT purser.subscribe('edge-b', 'edges', 'tester') AS subscription;
SELECT used FROM purser.check_and_increment('edge-b', 'plan_edge_rollover', 10);
SELECT purser.subscribe('edge-c', 'edges', 'tester') AS subscription;
SELECT used FROM purser.check_and_increment('edge-c', 'plan_edge_rollover', 10);
SET purser.now = '2026-09-10 12:00+00';
SELECT quota FROM purser.record_usage('edge-b', 'plan_edge_rollover', 3);
SELECT quota FROM purser.record_usage('edge-c', 'plan_edge_rollover', 3);
SET purser.now = '2026-10-10 12:00+00';
SELECT quota FROM purser.record_usage('edge-b', 'plan_edge_rollover', 1);
SELECT quota FROM purser.record_usage('edge-b', 'plan_edge_rollover', -1);
SET purser.now = '2026-11-10 12:00+00';
SELECT account_id, used, quota FROM purser.check_quota('edge-b', 'plan_edge_rollover') UNION ALL SELECT account_id, used, quota FROM purser.check_quota('edge-c', 'plan_edge_rollover');
-- Another plan's ceiling binds at once, and what it cut off is back when the first plan is.
SELECT purser.change_plan('edge-b', 'edges_pro', 'tester') AS subscription;
SELECT quota FROM purser.check_quota('edge-b', 'plan_edge_rollover');
SELECT purser.change_plan('edge-b', 'edges', 'tester') AS subscription;
SELECT quota FROM purser.check_quota('edge-b', 'plan_edge_rollover');
-- All together: 10 and 5 carried, 2 of grace, 12 a call.
SELECT used, quota FROM purser.check_and_increment('edge-c', 'plan_edge_both', 1);
SET purser.now = '2026-12-10 12:00+00';
SELECT allowed, reason, quota, remaining, max_amount FROM purser.check_and_increment('edge-c', 'plan_edge_both', 13);
SELECT allowed, reason, remaining, max_amount FROM purser.check_and_increment('edge-c', 'plan_edge_both', 12);
SELECT allowed, reason, remaining, max_amount FROM purser.check_and_increment('edge-c', 'plan_edge_both', 6);
SELECT allowed, reason, remaining, max_amount FROM purser.check_and_increment('edge-c', 'plan_edge_both', 5);
-- Held units are not carried twice: they still are held.
SELECT held, remaining FROM purser.hold_quota('edge-c', 'plan_edge_hard', 4, '60 days', 'edge-h');
SET purser.now = '2027-01-10 12:00+00';
SELECT used, held, quota, remaining FROM purser.check_quota('edge-c', 'plan_edge_hard');

-- Events: one for each level that was crossed, none for what was rolled back.
SELECT purser.subscribe('edge-e', 'edges', 'tester') AS subscription;
SELECT count(purser.check_and_increment('edge-e', 'plan_edge_hard')) AS calls FROM generate_series(1, 12);
BEGIN;
SELECT used FROM purser.check_and_increment('edge-e', 'plan_edge_soft', 10);
ROLLBACK;
SELECT used FROM purser.check_and_increment('edge-e', 'plan_edge_soft', 12);
SELECT used FROM purser.check_and_increment('edge-e', 'plan_edge_soft', 12);
SELECT used, level FROM purser.record_usage('edge-e', 'plan_edge_soft', -16);
SELECT used, level FROM purser.record_usage('edge-e', 'plan_edge_soft', 1);
SELECT used FROM purser.check_and_increment('edge-e', 'plan_edge_call', 15);
SELECT kind, payload FROM purser.event WHERE account_id = 'edge-e' AND kind LIKE 'quota.%' ORDER BY payload ->> 'feature', (payload ->> 'used')::bigint;
-- The next month begins anew.
SET purser.now = '2027-02-10 12:00+00';
SELECT level FROM purser.check_and_increment('edge-e', 'plan_edge_hard', 9);
SELECT count(*) AS events FROM purser.event WHERE account_id = 'edge-e' AND payload ->> 'feature' = 'plan_edge_hard';
