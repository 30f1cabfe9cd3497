-- PLAN-1, PLAN-2, PLAN-3, PLAN-5, PLAN-7, PLAN-11, SUB-1, SUB-2: plans are immutable versions, seen with
-- the commit of their publication and never without it; subscriptions follow or stay, one live at a time.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- PLAN-1: the pricing page in one document: public, active plans in their order, with display prices.
BEGIN;
SELECT plan, purser.publish_plan(plan, definition, 'tester', 'prices') ->> 'version' AS version
  FROM (VALUES
    ('free', '{"name": "Free", "position": 1, "prices": null}'::jsonb),
    ('creator', '{"name": "Basic", "description": "To begin with", "position": 2, "prices": [
        {"interval": "month", "currency": "usd", "cents": 999, "trial_days": 14, "stripe_price_id": "price_1"},
        {"interval": "year", "currency": "usd", "cents": 9900}]}'),
    ('pro', '{"name": "Pro", "position": 3, "prices": [
        {"interval": "month", "currency": "eur", "cents": 2999}, {"interval": "year", "currency": "eur", "cents": 29900}]}'),
    ('unlimited', '{"name": "Enterprise", "position": 4, "prices": [
        {"interval": "month", "currency": "chf", "cents": 9999}, {"interval": "year", "currency": "chf", "cents": 99905}],
        "features": {"minutes": null, "branding": true}}'),
    ('partner', '{"name": "Partner", "public": false}'),
    ('legacy', '{"name": "Legacy", "active": false}')) AS plans (plan, definition);
SELECT jsonb_pretty(jsonb_agg(p - 'feature_list'))
  FROM jsonb_path_query(purser.pricing(), '$[*] ? (@.plan == "free" || @.plan == "creator" || @.plan == "unlimited")') AS p;
SELECT p ->> 'plan' AS plan, price ->> 'interval' AS per, price ->> 'display' AS display
  FROM jsonb_array_elements(purser.pricing()) WITH ORDINALITY AS p (p, n),
       jsonb_array_elements(p -> 'prices') AS price
 ORDER BY n;
SELECT jsonb_path_exists(purser.pricing(), '$[*] ? (@.plan == "partner" || @.plan == "legacy")') AS shows_hidden_plans;
-- A plan that is not active takes no new subscriptions.
SELECT tried($$SELECT purser.subscribe('plan-z', 'legacy', 'tester')$$);
ROLLBACK;
SELECT purser.display_price(cents, currency) FROM (VALUES
  (0::bigint, 'usd'), (5, 'usd'), (100, 'gbp'), (9223372036854775807, 'jpy'), (NULL, 'usd')) AS p (cents, currency);

-- PLAN-2: one document declares features of every kind; what is declared again may change, not its kind.
SELECT purser.declare_features('{
  "plan_seats": {"kind": "quota", "per": "lifetime", "name": "seats", "unit": "seat", "category": "credits & quotas",
                 "description": "People who can sign in", "default": 2},
  "plan_theme": {"kind": "choice", "choices": ["light", "dark"], "default": "light"},
  "plan_factor": {"kind": "number", "default": 1.5, "minimum": 1.0, "maximum": 3},
  "plan_api": {"kind": "switch", "default": true}
}', 'tester');
SELECT purser.declare_features('{"plan_api": {"kind": "switch", "default": true}}', 'tester') AS unchanged;
SELECT purser.declare_features('{"plan_api": {"kind": "switch", "default": false, "name": "API"}}', 'tester') AS changed;
SELECT tried($$SELECT purser.declare_features('{"plan_api": {"kind": "number", "default": 1}}', 'tester')$$);
-- What a plan does not mention has the feature's default.
SELECT f AS feature, purser.feature_value('plan-a', f), purser.has_feature('plan-a', f)
  FROM unnest('{plan_seats, plan_theme, plan_factor, plan_api}'::text[]) AS f;
-- PLAN-11: choices route work.
SELECT purser.subscribe('plan-pro', 'pro', 'tester');
SELECT a AS account, purser.feature_value(a, 'audio_pipeline') AS pipeline, purser.feature_value(a, 'tts_multiplier') AS multiplier,
       purser.has_feature(a, 'branding') AS branding, purser.feature_value(a, 'minutes') AS minutes
  FROM unnest('{plan-a, plan-pro}'::text[]) AS a;

-- PLAN-3: everything wrong is said at once, in a question, in a rehearsal and in the refusal.
SELECT * FROM purser.validate_plan('{
  "colour": "red",
  "prices": [{"interval": "month", "currency": "USD", "cents": -1}],
  "features": {"minutes": -2, "branding": "yes", "tts_multiplier": 0.5, "audio_pipeline": "tape", "teleports": 3,
               "chat_messages": 1.5, "sites": 99999999999999999999}}') ORDER BY path, rule;
SELECT published, jsonb_array_length(violations) AS violations
  FROM jsonb_to_record(purser.publish_plan('broken', '{"features": {"minutes": -2}}', 'tester', 'rehearsal', dry_run => true))
    AS r (published boolean, violations jsonb);
SELECT tried($$SELECT purser.publish_plan('broken', '{"features": {"minutes": -2}}', 'tester', 'try')$$);
SELECT count(*) AS plans FROM purser.plan WHERE plan = 'broken';
DO $$
DECLARE
  violations text;
  violation jsonb;
BEGIN
  PERFORM purser.declare_features('{"a": {"kind": "quota", "per": "fortnight"}, "b": {"kind": "wish"}, "c": 1}', 'tester');
EXCEPTION WHEN SQLSTATE 'PU008' THEN
  GET STACKED DIAGNOSTICS violations = PG_EXCEPTION_DETAIL;
  FOR violation IN SELECT * FROM jsonb_array_elements(violations::jsonb) LOOP
    RAISE NOTICE '%', violation;
  END LOOP;
END
$$;
SELECT count(*) AS features FROM purser.feature WHERE code IN ('a', 'b', 'c');
-- A feature is not declared in a way that a published version would not fit.
SELECT purser.publish_plan('plan-dark', '{"name": "Dark", "features": {"plan_theme": "dark"}}', 'tester', 'first') ->> 'version' AS version;
SELECT purser.publish_plan('plan-dark', '{"name": "Dark", "features": {"plan_theme": "light"}}', 'tester', 'second') ->> 'version' AS version;
SELECT tried($$SELECT purser.declare_features('{"plan_theme": {"kind": "choice", "choices": ["light"], "default": "light"}}', 'tester')$$);
SELECT tried($$SELECT purser.declare_features('{"tts_multiplier": {"kind": "number", "default": 2.0, "minimum": 2.0}}', 'tester')$$);
SELECT allowed FROM purser.check_quota('plan-a', 'minutes');

-- PLAN-5: versions stay as they were published; each says who and why.
SELECT plan, version, definition -> 'features' AS features, actor, reason, published_at
  FROM purser.plan_version WHERE plan = 'plan-dark' ORDER BY version;
SELECT actor, action, resource_id, details FROM purser.audit_event
 WHERE action = 'plan.published' AND resource_id = 'plan-dark' ORDER BY details ->> 'version';

-- PLAN-7: in force with the next call of this session; pinned subscriptions keep their version.
SELECT purser.publish_plan('plan-seats', '{"name": "Seats", "features": {"plan_seats": 5}}', 'tester', 'five') ->> 'version' AS version;
SELECT purser.subscribe('plan-follows', 'plan-seats', 'tester'), purser.subscribe('plan-pinned', 'plan-seats', 'tester', 1);
SELECT used, quota FROM purser.check_and_increment('plan-follows', 'plan_seats', 5);
SELECT used, quota FROM purser.check_and_increment('plan-pinned', 'plan_seats', 5);
SELECT purser.publish_plan('plan-seats', '{"name": "Seats", "features": {"plan_seats": 7}}', 'tester', 'seven');
SELECT allowed, used, quota FROM purser.check_and_increment('plan-follows', 'plan_seats');
SELECT allowed, used, quota FROM purser.check_and_increment('plan-pinned', 'plan_seats');
SELECT tried($$SELECT purser.subscribe('plan-z', 'plan-seats', 'tester', 3)$$);
SELECT tried($$SELECT purser.subscribe('plan-z', 'no-such-plan', 'tester')$$);
-- Nothing of a publication that is rolled back shows, not even in this session, which had used it.
BEGIN;
SELECT purser.publish_plan('plan-seats', '{"name": "Seats", "features": {"plan_seats": 100}}', 'tester', 'hundred') ->> 'version' AS version;
SELECT allowed, used, quota FROM purser.check_and_increment('plan-follows', 'plan_seats', 50);
ROLLBACK;
SELECT allowed, used, quota FROM purser.check_and_increment('plan-follows', 'plan_seats', 50);
BEGIN;
SAVEPOINT before;
SELECT purser.publish_plan('plan-seats', '{"name": "Seats", "features": {"plan_seats": 100}}', 'tester', 'hundred') ->> 'version' AS version;
SELECT quota FROM purser.check_quota('plan-follows', 'plan_seats');
SAVEPOINT inside;
SELECT purser.publish_plan('plan-seats', '{"name": "Seats", "features": {"plan_seats": 200}}', 'tester', 'two hundred') ->> 'version' AS version;
SELECT quota FROM purser.check_quota('plan-follows', 'plan_seats');
ROLLBACK TO inside;
SELECT quota FROM purser.check_quota('plan-follows', 'plan_seats');
ROLLBACK TO before;
SELECT quota FROM purser.check_quota('plan-follows', 'plan_seats');
SELECT purser.declare_features('{"plan_ghost": {"kind": "switch"}}', 'tester');
SELECT purser.set_setting('default_plan', 'pro', 'tester');
SELECT quota FROM purser.check_quota('plan-z', 'minutes');
ROLLBACK;
SELECT quota FROM purser.check_quota('plan-z', 'minutes');
SELECT tried($$SELECT purser.has_feature('plan-z', 'plan_ghost')$$);
-- Raised inside a function that catches it: gone as well.
DO $$
BEGIN
  PERFORM purser.publish_plan('plan-seats', '{"name": "Seats", "features": {"plan_seats": 100}}', 'tester', 'hundred');
  PERFORM purser.check_quota('plan-follows', 'plan_seats');
  RAISE EXCEPTION 'changed my mind';
EXCEPTION WHEN raise_exception THEN
  RAISE NOTICE 'quota %', (purser.check_quota('plan-follows', 'plan_seats')).quota;
END
$$;
SELECT quota FROM purser.check_quota('plan-follows', 'plan_seats');
-- A rehearsal changes nothing and counts who follows.
SELECT purser.publish_plan('plan-seats', '{"name": "Seats", "features": {"plan_seats": 9}}', 'tester', 'nine', dry_run => true);
SELECT quota FROM purser.check_quota('plan-follows', 'plan_seats');
-- The default plan is a setting; its change takes effect at once.
SELECT purser.set_setting('default_plan', 'plan-seats', 'tester');
SELECT quota FROM purser.check_quota('plan-z', 'plan_seats');
SELECT purser.set_setting('default_plan', 'free', 'tester');
SELECT quota FROM purser.check_quota('plan-z', 'plan_seats');
SELECT tried($$SELECT purser.set_setting('default_plan', 'no-such-plan', 'tester')$$);
SELECT tried($$SELECT purser.set_setting('colour', 'red', 'tester')$$);

-- SUB-1: one live subscription, by constraint; history stays.
SELECT tried($$SELECT purser.subscribe('plan-follows', 'pro', 'tester')$$);
SELECT tried($$INSERT INTO purser.subscription (account_id, subscription_no, plan, status, anchor, started_at, actor)
               VALUES ('plan-follows', 99, 'pro', 'active', now(), now(), 'hand')$$) LIKE '23505 %' AS second_is_impossible;
SET purser.now = '2026-03-11 12:00+00';
SELECT purser.change_plan('plan-follows', 'pro', 'tester');
SET purser.now = '2026-03-12 12:00+00';
SELECT purser.cancel_subscription('plan-follows', 'tester');
SELECT purser.cancel_subscription('plan-follows', 'tester');
SET purser.now = '2026-03-13 12:00+00';
SELECT purser.subscribe('plan-follows', 'creator', 'tester');
SELECT subscription_no, plan, pinned_version, status, anchor, started_at, ended_at
  FROM purser.subscription WHERE account_id = 'plan-follows' ORDER BY subscription_no;
SELECT action, actor, details FROM purser.audit_event
 WHERE account_id = 'plan-follows' AND action LIKE 'subscription.%' ORDER BY at;
-- Changing the plan of an account without one starts its first.
SELECT purser.change_plan('plan-new', 'pro', 'tester');

-- SUB-2: an upgrade at the limit lets the next one through; a downgrade below what was used blocks
-- further use, never goes negative and takes nothing back. Usage carries over.
SELECT purser.subscribe('plan-up', 'creator', 'tester');
SELECT allowed, used, quota FROM purser.check_and_increment('plan-up', 'chat_messages', 5);
SELECT allowed, reason FROM purser.check_and_increment('plan-up', 'chat_messages');
SELECT purser.change_plan('plan-up', 'pro', 'tester');
SELECT allowed, used, quota, remaining FROM purser.check_and_increment('plan-up', 'chat_messages');
SELECT purser.change_plan('plan-up', 'creator', 'tester');
SELECT allowed, reason, used, quota, remaining, level FROM purser.check_and_increment('plan-up', 'chat_messages');
SELECT allowed, used, quota, remaining, level FROM purser.usage('plan-up') WHERE feature = 'chat_messages';
SELECT purser.cancel_subscription('plan-up', 'tester');
SELECT allowed, used, quota, remaining FROM purser.check_quota('plan-up', 'chat_messages');
SELECT used, lifetime FROM purser.entitlement WHERE account_id = 'plan-up' AND feature = 'chat_messages';
SELECT purser.change_plan('plan-up', 'unlimited', 'tester');
SELECT allowed, used, quota, remaining, level FROM purser.check_and_increment('plan-up', 'chat_messages');
