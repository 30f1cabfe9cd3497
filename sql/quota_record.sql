-- QUO-10, 12, 13: usage that happened is written down whatever the quota says, in the period it
-- belongs to; the operator's corrections are audited.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.declare_features('{"plan_exports": {"kind": "quota"}}', 'tester') AS declared;
SELECT purser.publish_plan('recorder', '{"name": "Recorder", "features": {"minutes": 10}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe('rec-a', 'recorder', 'tester') AS subscription;

-- QUO-10: over the limit it is recorded and flagged.
SELECT allowed, reason, used, remaining, level, percent FROM purser.record_usage('rec-a', 'minutes', 8);
SELECT allowed, reason, used, remaining, level, percent FROM purser.record_usage('rec-a', 'minutes', 8);
SELECT allowed, reason FROM purser.check_and_increment('rec-a', 'minutes');
SELECT purser.http_status(purser.record_usage('rec-a', 'minutes', 1)) AS http_status;
SELECT purser.set_account_status('rec-a', 'suspended', 'tester', 'test');
SELECT allowed, reason, used FROM purser.record_usage('rec-a', 'minutes', 1);
SELECT purser.set_account_status('rec-a', 'active', 'tester', 'test');
SELECT allowed, reason, used FROM purser.record_usage('rec-a', 'plan_exports', 1);

-- Keys work as for increments: counted once, first answer, and another request is refused.
SELECT used FROM purser.record_usage('rec-a', 'minutes', 2, 'k1');
SELECT used FROM purser.record_usage('rec-a', 'minutes', 2, 'k1');
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 3, 'k1')$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 2, 'k1', '2026-03-09')$$);

-- A negative amount takes back, down to zero and no further.
SELECT used, lifetime FROM purser.entitlement WHERE account_id = 'rec-a' AND feature = 'minutes';
SELECT reason, used, remaining FROM purser.record_usage('rec-a', 'minutes', -15);
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', -6)$$);
SELECT used FROM purser.record_usage('rec-a', 'minutes', -5);

-- QUO-12: the period an event belongs to changes, and the lifetime; not today's count.
SELECT used FROM purser.record_usage('rec-a', 'minutes', 4);
SET purser.now = '2026-04-20 12:00+00';
SELECT used FROM purser.record_usage('rec-a', 'minutes', 1);
SELECT used, quota, resets_at, reason FROM purser.record_usage('rec-a', 'minutes', 7, at => '2026-03-31 23:59:59+00');
SELECT used FROM purser.record_usage('rec-a', 'minutes', -2, at => '2026-03-01 00:00+00');
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', -10, at => '2026-03-01 00:00+00')$$);
-- A period that was never used is made, with the bounds its plan gives it.
SELECT used, resets_at FROM purser.record_usage('rec-a', 'minutes', 3, at => '2026-02-14 00:00+00');
-- At the boundary itself, and earlier today, it is the running one.
SELECT used FROM purser.record_usage('rec-a', 'minutes', 1, at => '2026-04-01 00:00+00');
SELECT used FROM purser.record_usage('rec-a', 'minutes', 1, at => '2026-04-20 11:59+00');
-- The first call of a period may be one about the period before, which nobody has closed yet.
SET purser.now = '2026-05-02 12:00+00';
SELECT used, resets_at FROM purser.record_usage('rec-a', 'minutes', 5, at => '2026-04-30 12:00+00');
SELECT period_start, period_end, used, running FROM purser.usage_history WHERE account_id = 'rec-a' AND feature = 'minutes' ORDER BY 1;
SELECT e.lifetime = sum(h.used) AS lifetime_is_the_sum FROM purser.entitlement AS e JOIN purser.usage_history AS h USING (account_id, feature)
 WHERE account_id = 'rec-a' AND feature = 'minutes' GROUP BY e.lifetime;
-- Not ahead of time, and not longer ago than the setting allows.
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 1, at => '2026-05-02 12:00:01+00')$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 1, at => '2026-02-01 11:59+00')$$);
SELECT purser.set_setting('correction_days', '400', 'tester');
SELECT used, resets_at FROM purser.record_usage('rec-a', 'minutes', 1, at => '2026-01-31 11:59+00');
SELECT tried($$SELECT purser.set_setting('correction_days', 'many', 'tester')$$);
SELECT tried($$SELECT purser.set_setting('correction_days', '-1', 'tester')$$);
SELECT purser.set_setting('correction_days', '90', 'tester');

-- QUO-13: a reset begins the period anew and forgets nothing.
SELECT used FROM purser.record_usage('rec-a', 'minutes', 9);
SELECT purser.reset_usage('rec-a', 'minutes', 'ops', 'they asked nicely') AS had_used;
SELECT used, remaining, resets_at FROM purser.check_quota('rec-a', 'minutes');
SELECT purser.reset_usage('rec-a', 'minutes', 'ops', 'again') AS had_used;
SELECT used FROM purser.record_usage('rec-a', 'minutes', 2);
SELECT purser.reset_usage('rec-a', 'minutes', 'ops', 'in the same instant') AS had_used;
SELECT used FROM purser.adjust_usage('rec-a', 'minutes', 6, 'ops', 'an import that was lost');
SELECT used, resets_at FROM purser.adjust_usage('rec-a', 'minutes', -4, 'ops', 'counted twice', '2026-05-01 10:00+00');
SELECT period_start, period_end, used, running FROM purser.usage_history WHERE account_id = 'rec-a' AND feature = 'minutes' AND period_start >= '2026-05-01' ORDER BY 1;
SELECT e.lifetime = sum(h.used) AS lifetime_is_the_sum FROM purser.entitlement AS e JOIN purser.usage_history AS h USING (account_id, feature)
 WHERE account_id = 'rec-a' AND feature = 'minutes' GROUP BY e.lifetime;
SELECT actor, action, resource_id, details FROM purser.audit_event WHERE account_id = 'rec-a' AND action LIKE 'usage.%' ORDER BY details::text;

-- Bad input changes nothing.
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 0)$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'no_such', 1)$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'auto_publish', 1)$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 9223372036854775807)$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', (-9223372036854775808)::bigint)$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 1, at => 'infinity')$$);
SELECT tried($$SELECT purser.record_usage('rec-a', 'minutes', 1, at => '-infinity')$$);
SELECT tried($$SELECT purser.reset_usage('rec-a', 'no_such', 'ops', 'why')$$);
SELECT tried($$SELECT purser.reset_usage('rec-a', 'minutes', 'ops', '')$$);
SELECT tried($$SELECT purser.adjust_usage('rec-a', 'minutes', 1, NULL, 'why')$$);
SELECT used FROM purser.check_quota('rec-a', 'minutes');
