-- PLAN-3, PLAN-5, PLAN-6: dependencies between features; history, diff and rollback of a plan; what a change
-- would do, without doing it.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- PLAN-3: what a feature requires is declared with it, and the whole catalogue must make sense.
SELECT purser.declare_features('{
  "change_audio":   {"kind": "choice", "choices": ["plain", "auphonic"], "default": "plain"},
  "change_filler":  {"kind": "switch", "requires": {"change_audio": "auphonic"}},
  "change_seats":   {"kind": "quota", "per": "lifetime"},
  "change_exports": {"kind": "quota", "per": "day", "requires": {"change_seats": {"minimum": 2}, "change_filler": true}}
}', 'tester');
CREATE FUNCTION pg_temp.violations(call text) RETURNS TABLE (path text, rule text, message text)
  LANGUAGE plpgsql
AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE call;
EXCEPTION WHEN SQLSTATE 'PU008' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN QUERY SELECT v.* FROM jsonb_to_recordset(detail::jsonb) AS v (path text, rule text, message text) ORDER BY 1, 2;
END
$$;
SELECT * FROM pg_temp.violations($$SELECT purser.declare_features('{
  "change_a": {"kind": "switch", "requires": {"change_a": true}},
  "change_b": {"kind": "switch", "requires": {"change_c": true}},
  "change_c": {"kind": "switch", "requires": {"change_b": true, "change_nowhere": true, "change_seats": true}},
  "change_d": {"kind": "switch", "requires": {"change_audio": ["plain", "tape"], "change_filler": {"minimum": 1}}}}', 'tester')$$);
SELECT * FROM pg_temp.violations($$SELECT purser.declare_features('{
  "change_a": {"kind": "switch", "requires": {"change_audio": 5, "change_filler": false, "change_seats": {}}}}', 'tester')$$);
-- A circle closed by declaring a known feature anew.
SELECT * FROM pg_temp.violations($$SELECT purser.declare_features('{
  "change_seats": {"kind": "quota", "per": "lifetime", "requires": {"change_exports": {"minimum": 1}}}}', 'tester')$$);
SELECT count(*) AS undeclared FROM purser.feature WHERE code IN ('change_a', 'change_b', 'change_c', 'change_d');
-- A plan is held against it, and told everything at once.
SELECT path, rule, message FROM purser.validate_plan('{"name": "x", "features": {"change_exports": 5, "change_seats": 1}}') ORDER BY path, message;
SELECT path, rule, message FROM purser.validate_plan('{"name": "x", "features": {"change_filler": true, "minutes": -3, "teleport": 1, "chat_messages": "5",
  "audio_pipeline": "tape", "tts_multiplier": 0.5}}') ORDER BY path, rule;
SELECT path, rule, message FROM purser.validate_plan('{"name": "x", "features": {"chat_messages": 1e999}}');
SELECT count(*) AS violations FROM purser.validate_plan('{"name": "x", "features": {"change_exports": null, "change_seats": null,
  "change_filler": true, "change_audio": "auphonic"}}');
SELECT left(tried($$SELECT purser.publish_plan('change', '{"name": "x", "features": {"change_filler": true}}', 'tester', 'x')$$), 120) AS refused;
-- Nor does a new requirement pull the ground from under a published plan.
BEGIN;
SELECT purser.publish_plan('change', '{"name": "Seats", "features": {"change_seats": 5}}', 'tester', 'x') ->> 'version' AS version;
SELECT * FROM pg_temp.violations($$SELECT purser.declare_features('{
  "change_seats": {"kind": "quota", "per": "lifetime", "requires": {"change_audio": "auphonic"}}}', 'tester')$$);
ROLLBACK;

-- PLAN-5: three versions, the third equal to the first, nothing lost.
SELECT purser.publish_plan('change', '{"name": "Change", "prices": [{"interval": "month", "currency": "usd", "cents": 900}],
  "features": {"change_seats": 9, "change_exports": 0, "minutes": -1, "chat_messages": 50}}', 'ann', 'launch') ->> 'version' AS version;
SET purser.now = '2026-03-11 12:00+00';
SELECT purser.publish_plan('change', '{"name": "Change", "prices": [{"interval": "month", "currency": "usd", "cents": 1200},
  {"interval": "year", "currency": "usd", "cents": 9900}], "position": 3,
  "features": {"change_seats": {"quota": 5, "warn": 50}, "minutes": {"quota": null}, "chat_messages": 50}}', 'bob', 'dearer') -> 'diff' AS diff;
SELECT * FROM purser.plan_diff('change', 1, 2);
SELECT * FROM purser.plan_diff('change', 2, 1);
SELECT count(*) AS differences FROM purser.plan_diff('change', 2, 2);
SET purser.now = '2026-03-12 12:00+00';
SELECT purser.rollback_plan('change', 1, 'ann', 'too dear', dry_run => true) - 'diff' AS rehearsal;
SELECT purser.rollback_plan('change', 1, 'ann', 'too dear') - 'diff' AS rolled_back;
SELECT version, in_force, published_at, actor, reason, changes FROM purser.plan_history('change');
SELECT a.definition = b.definition AS third_is_first
  FROM purser.plan_history('change') AS a, purser.plan_history('change') AS b WHERE a.version = 1 AND b.version = 3;
SELECT count(*) AS differences FROM purser.plan_diff('change', 1, 3);
SELECT tried($$SELECT purser.rollback_plan('change', 4, 'ann', 'x')$$);
SELECT tried($$SELECT purser.rollback_plan('change', NULL, 'ann', 'x')$$);
SELECT tried($$SELECT * FROM purser.plan_diff('change', 1, 0)$$);
SELECT tried($$SELECT * FROM purser.plan_history('no-such-plan')$$);
-- An old version is held against what is declared today.
BEGIN;
UPDATE purser.feature SET definition = definition || '{"requires": {"change_audio": "auphonic"}}' WHERE code = 'change_seats';
SELECT * FROM pg_temp.violations($$SELECT purser.rollback_plan('change', 2, 'ann', 'x')$$);
ROLLBACK;

-- PLAN-6: a rehearsal names who would be over a new limit, by feature, and leaves no trace.
SELECT purser.subscribe(a, 'change', 'tester') FROM unnest('{change-a, change-b, change-c}'::text[]) AS a;
SELECT purser.subscribe('change-pinned', 'change', 'tester', 2);
SELECT count(purser.check_and_increment(a, 'change_seats', 5)) FROM unnest('{change-a, change-b, change-pinned}'::text[]) AS a;
SELECT count(purser.check_and_increment(a, 'minutes', 100)) FROM unnest('{change-b, change-c}'::text[]) AS a;
SELECT count(purser.check_and_increment('change-c', 'chat_messages', 50));
-- Yesterday's messages are not over today's limit.
SET purser.now = '2026-03-13 12:00+00';
CREATE TEMP TABLE before AS
SELECT (SELECT count(*) FROM purser.plan_version) AS versions, (SELECT count(*) FROM purser.plan) AS plans,
       (SELECT count(*) FROM purser.audit_event) AS audit, (SELECT count(*) FROM purser.event) AS events;
SELECT jsonb_pretty(purser.publish_plan('change', '{"name": "Change", "features": {"change_seats": 4, "minutes": 99}}', 'tester', 'less', dry_run => true) - 'diff');
SELECT purser.publish_plan('change', '{"name": "Change", "features": {"change_seats": 5, "minutes": {"quota": 99, "per": "billing"}}}', 'tester', 'x', true) -> 'over' AS over;
SELECT purser.publish_plan('change', '{"name": "Change", "features": {"change_seats": 1, "change_filler": true}}', 'tester', 'x', true)
       - 'diff' AS with_violations;
SELECT purser.publish_plan('change-new', '{"name": "New"}', 'tester', 'x', true);
SELECT before = (SELECT ROW(a.*)::before FROM (SELECT (SELECT count(*) FROM purser.plan_version), (SELECT count(*) FROM purser.plan),
                        (SELECT count(*) FROM purser.audit_event), (SELECT count(*) FROM purser.event)) AS a) AS nothing_happened
  FROM before;
-- The publication says the same as its rehearsal.
SELECT rehearsal - 'published' = publication - 'published' AS as_rehearsed
  FROM (SELECT purser.publish_plan('change', definition, 'tester', 'less', dry_run => true) AS rehearsal,
               purser.publish_plan('change', definition, 'tester', 'less') AS publication
          FROM (VALUES ('{"name": "Change", "features": {"change_seats": 4, "minutes": 99}}'::jsonb)) AS d (definition)) AS answers;
-- On the default plan follow all accounts without a subscription.
BEGIN;
SELECT purser.set_setting('default_plan', 'change', 'tester');
SELECT (purser.publish_plan('change', '{"name": "Change"}', 'tester', 'x', true) ->> 'accounts')::bigint
       = 3 + count(*) AS everyone
  FROM purser.account AS a
 WHERE a.status <> 'deleted' AND NOT EXISTS (SELECT FROM purser.subscription AS s WHERE s.account_id = a.account_id AND s.ended_at IS NULL);
ROLLBACK;
SELECT tried($$SELECT purser.publish_plan('change', '{"name": "Change"}', 'tester', 'x', NULL)$$);

-- The files after this one count all features and plans.
DELETE FROM purser.subscription WHERE plan = 'change';
DELETE FROM purser.plan_version WHERE plan = 'change';
DELETE FROM purser.plan WHERE plan = 'change';
DELETE FROM purser.entitlement WHERE feature LIKE 'change\_%';
DELETE FROM purser.feature WHERE code LIKE 'change\_%';

-- Who follows a plan is decided by the clock too: a trial that has ended is no follower, whoever fell back is.
SELECT purser.publish_plan('plan-tried', '{"name": "Tried"}', 'tester', 'test') ->> 'accounts' AS accounts;
SELECT purser.publish_plan('plan-after', '{"name": "After"}', 'tester', 'test') ->> 'accounts' AS accounts;
SET purser.now = '2027-01-01 00:00+00';
SELECT purser.start_trial('plan-fell', 'plan-tried', 3, 'plan-after', 'tester') AS subscription;
SELECT p, purser.publish_plan(p, '{"name": "Name"}', 'tester', 'test', dry_run => true) ->> 'accounts' AS accounts FROM unnest('{plan-tried, plan-after}'::text[]) AS p;
SET purser.now = '2027-01-04 00:00+00';
SELECT p, purser.publish_plan(p, '{"name": "Name"}', 'tester', 'test', dry_run => true) ->> 'accounts' AS accounts FROM unnest('{plan-tried, plan-after}'::text[]) AS p;
