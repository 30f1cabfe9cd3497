-- Hot counters: counted in several rows, and nobody can tell but by the speed.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

SELECT purser.publish_plan('hot', '{"name": "Hot", "features": {"chat_messages": {"quota": 100, "warn": 80, "critical": 90}, "minutes": null}}',
                           'tester', 'hot') ->> 'version' AS version;
SELECT purser.change_plan('hot-a', 'hot') > 0 AS on_the_plan;

-- What the rows hold, together.
CREATE VIEW pg_temp.whole AS
SELECT e.account_id, e.feature, e.stripes, e.used + sum(s.used) AS used, e.lifetime + sum(s.used) AS lifetime,
       count(s.stripe) AS rows, sum(s.available) AS available, max(s.available) - min(s.available) AS uneven
  FROM purser.entitlement AS e JOIN purser.entitlement_stripe AS s USING (account_id, feature)
 GROUP BY 1, 2;

-- On, and back to one row: what was counted stays.
SELECT allowed, used FROM purser.check_and_increment('hot-a', 'chat_messages', 7);
SELECT purser.stripe_quota('hot-a', 'chat_messages', 4, 'tester') AS before;
SELECT * FROM pg_temp.whole;
SELECT allowed, reason, used, quota, remaining, resets_at, level, percent, max_amount FROM purser.check_and_increment('hot-a', 'chat_messages', 3);
SELECT used AS in_the_row FROM purser.entitlement WHERE account_id = 'hot-a' AND feature = 'chat_messages';
SELECT * FROM pg_temp.whole;
SELECT used, remaining FROM purser.check_quota('hot-a', 'chat_messages');
SELECT used, remaining FROM purser.usage('hot-a') WHERE feature = 'chat_messages';
SELECT used, running FROM purser.usage_history WHERE account_id = 'hot-a';
SELECT purser.stripe_quota('hot-a', 'chat_messages', 2, 'tester') AS before;
SELECT * FROM pg_temp.whole;
SELECT purser.stripe_quota('hot-a', 'chat_messages', 0, 'tester') AS before;
SELECT count(*) AS stripes FROM purser.entitlement_stripe WHERE account_id = 'hot-a';
SELECT used, lifetime, stripes FROM purser.entitlement WHERE account_id = 'hot-a';
SELECT purser.stripe_quota('hot-a', 'chat_messages', 0, 'tester') AS before;
SELECT actor, action, account_id, resource_id, details FROM purser.audit_event WHERE action = 'quota.striped' ORDER BY at, details ->> 'stripes' DESC;

-- An account and a counter that nobody used yet.
SELECT purser.stripe_quota('hot-new', 'reports', 16, 'tester') AS before;
SELECT allowed, used FROM purser.check_and_increment('hot-new', 'reports');

-- Exactly the quota is given out, one warning for each level, and a refusal writes nothing.
SELECT purser.stripe_quota('hot-a', 'chat_messages', 16, 'tester') AS before;
WITH called AS MATERIALIZED (SELECT purser.check_and_increment('hot-a', 'chat_messages') AS d FROM generate_series(1, 100))
SELECT count(*) FILTER (WHERE (d).allowed) AS allowed, count(*) FILTER (WHERE NOT (d).allowed) AS refused, max((d).used) AS used
  FROM called;
SELECT kind, payload FROM purser.event WHERE account_id = 'hot-a' AND kind LIKE 'quota.%' ORDER BY (payload ->> 'used')::int;
SELECT string_agg(ctid::text || xmin::text || xmax::text, ' ') AS rows FROM purser.entitlement_stripe WHERE account_id = 'hot-a' \gset before_
SELECT allowed, reason, used, remaining, level, max_amount FROM purser.check_and_increment('hot-a', 'chat_messages');
SELECT string_agg(ctid::text || xmin::text || xmax::text, ' ') = :'before_rows' AS nothing_written
  FROM purser.entitlement_stripe WHERE account_id = 'hot-a';
SELECT allowed, reason FROM purser.check_and_increment('hot-a', 'chat_messages', 101);

-- An amount that no stripe has alone, and one that only what is left of all holds.
SELECT used FROM purser.record_usage('hot-a', 'chat_messages', -60);
SELECT available, uneven FROM pg_temp.whole WHERE account_id = 'hot-a';
SELECT allowed, used, remaining FROM purser.check_and_increment('hot-a', 'chat_messages', 31);
SELECT allowed, used, remaining FROM purser.check_and_increment('hot-a', 'chat_messages', 30);
SELECT allowed, used, remaining FROM purser.check_and_increment('hot-a', 'chat_messages', 29);
SELECT kind, payload ->> 'used' AS used FROM purser.event WHERE account_id = 'hot-a' AND kind LIKE 'quota.%' ORDER BY (payload ->> 'used')::int, kind;

-- A new period begins once, with all of the old one in the history.
SET purser.now = '2026-03-11 00:00+00';
SELECT allowed, used, remaining, resets_at FROM purser.check_and_increment('hot-a', 'chat_messages', 2);
SELECT period_start, used, running FROM purser.usage_history WHERE account_id = 'hot-a' ORDER BY 1;
SELECT stripes, used, lifetime, available FROM pg_temp.whole WHERE account_id = 'hot-a';
-- A caller whose clock is behind counts in the period that has begun.
SET purser.now = '2026-03-10 23:59+00';
SELECT used FROM purser.check_and_increment('hot-a', 'chat_messages');
SET purser.now = '2026-03-11 12:00+00';

-- Everything else that counts.
SELECT allowed, used, held, remaining FROM purser.hold_quota('hot-a', 'chat_messages', 20, '1 hour', 'hot-hold');
SELECT available FROM pg_temp.whole WHERE account_id = 'hot-a';
SELECT used, held, remaining FROM purser.commit_quota('hot-a', 'hot-hold', 5);
SELECT feature, used FROM purser.check_and_increment_all('hot-a', '{"chat_messages": 1, "minutes": 1}');
SELECT allowed, used FROM purser.check_and_increment('hot-a', 'chat_messages', 1, 'hot-key');
SELECT allowed, used FROM purser.check_and_increment('hot-a', 'chat_messages', 1, 'hot-key');
SELECT account_id, allowed, used FROM purser.check_and_increment_batch('{hot-a,hot-new,hot-a}', '{chat_messages,reports,chat_messages}');
SELECT account_id, allowed, used FROM purser.check_and_increment_batch('{hot-new,hot-a}', '{reports,chat_messages}', '{2,2}');
SELECT used, lifetime FROM pg_temp.whole WHERE account_id = 'hot-a';
SELECT purser.reset_usage('hot-a', 'chat_messages', 'tester', 'x') AS used;
SELECT used, lifetime, available FROM pg_temp.whole WHERE account_id = 'hot-a';
SELECT e.lifetime = sum(h.used) AS lifetime_is_the_sum
  FROM pg_temp.whole AS e JOIN purser.usage_history AS h USING (account_id, feature)
 WHERE e.account_id = 'hot-a' GROUP BY e.lifetime;

-- Another version of the plan: what was allotted under the old one is worth nothing.
SELECT used FROM purser.check_and_increment('hot-a', 'chat_messages', 5);
SELECT purser.publish_plan('hot', '{"name": "Hot", "features": {"chat_messages": 4}}', 'tester', 'less', true) -> 'over' AS over;
SELECT purser.publish_plan('hot', '{"name": "Hot", "features": {"chat_messages": 5}}', 'tester', 'less', true) -> 'over' AS over;
SELECT purser.publish_plan('hot', '{"name": "Hot", "features": {"chat_messages": 8, "minutes": null}}', 'tester', 'less') ->> 'version' AS version;
SELECT allowed, used, remaining FROM purser.check_quota('hot-a', 'chat_messages', 4);
WITH called AS MATERIALIZED (SELECT purser.check_and_increment('hot-a', 'chat_messages') AS d FROM generate_series(1, 20))
SELECT count(*) FILTER (WHERE (d).allowed) AS allowed FROM called;
SELECT purser.publish_plan('hot', '{"name": "Hot", "features": {"chat_messages": {"quota": 8, "overage": "soft"}, "minutes": null}}', 'tester', 'soft') ->> 'version' AS version;
SELECT allowed, reason, used, remaining, level FROM purser.check_and_increment('hot-a', 'chat_messages', 3);
SELECT available FROM pg_temp.whole WHERE account_id = 'hot-a';
SELECT purser.publish_plan('hot', '{"name": "Hot", "features": {"chat_messages": 50, "minutes": null}}', 'tester', 'more') ->> 'version' AS version;
SELECT allowed, reason, used, remaining, level FROM purser.check_and_increment('hot-a', 'chat_messages', 3);

SELECT purser.publish_plan('hot', '{"name": "Hot", "features": {"chat_messages": {"quota": 50, "warn": 30}, "minutes": null}}',
                           'tester', 'warn sooner') ->> 'version' AS version;
SELECT used, level FROM purser.check_and_increment('hot-a', 'chat_messages');
SELECT kind, payload ->> 'used' AS used FROM purser.event WHERE account_id = 'hot-a' AND payload ->> 'quota' = '50';

-- Another plan, and an account that may not act: with the commit of the change.
SELECT purser.set_account_status('hot-a', 'suspended', 'tester', 'x');
SELECT allowed, reason FROM purser.check_and_increment('hot-a', 'chat_messages');
SELECT purser.set_account_status('hot-a', 'active', 'tester', 'x');
SELECT purser.change_plan('hot-a', 'pro') > 0 AS changed;
SELECT bool_and(fresh_until = '-infinity') AS closed FROM purser.entitlement_stripe WHERE account_id = 'hot-a';
SELECT allowed, used, quota FROM purser.check_and_increment('hot-a', 'reports');
SELECT purser.change_plan('hot-a', 'hot') > 0 AS changed;

-- Without a limit the range of a count is shared, and its end is where it was.
SELECT purser.stripe_quota('hot-a', 'minutes', 2, 'tester') AS before;
SELECT used, quota, level FROM purser.check_and_increment('hot-a', 'minutes', 9223372036854775806);
SELECT public.tried($$SELECT purser.check_and_increment('hot-a', 'minutes', 1)$$);

-- Rolled back with the caller.
SELECT used FROM purser.check_quota('hot-a', 'chat_messages');
BEGIN;
SELECT used FROM purser.check_and_increment('hot-a', 'chat_messages');
SAVEPOINT before;
SELECT used FROM purser.check_and_increment('hot-a', 'chat_messages');
ROLLBACK TO before;
SELECT used FROM purser.check_quota('hot-a', 'chat_messages');
ROLLBACK;
SELECT used FROM purser.check_quota('hot-a', 'chat_messages');

-- The plain way may be closed by a trigger somebody made; then the gate counts.
CREATE FUNCTION public.hot_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER hot_nothing BEFORE UPDATE ON purser.entitlement_stripe FOR EACH ROW EXECUTE FUNCTION public.hot_nothing();
SELECT used FROM purser.check_and_increment('hot-a', 'chat_messages');
DROP TRIGGER hot_nothing ON purser.entitlement_stripe;
DROP FUNCTION public.hot_nothing();
SELECT used FROM purser.check_and_increment('hot-a', 'chat_messages');

-- A stripe that is lost is made again.
DELETE FROM purser.entitlement_stripe WHERE account_id = 'hot-a' AND feature = 'chat_messages';
SELECT used FROM purser.check_and_increment('hot-a', 'chat_messages');
SELECT purser.stripe_quota('hot-a', 'chat_messages', 16, 'tester') AS before;
SELECT rows FROM pg_temp.whole WHERE account_id = 'hot-a' AND feature = 'chat_messages';

-- Bad input changes nothing.
SELECT public.tried($$SELECT purser.stripe_quota('hot-a', 'chat_messages', 1, 'tester')$$);
SELECT public.tried($$SELECT purser.stripe_quota('hot-a', 'chat_messages', 65, 'tester')$$);
SELECT public.tried($$SELECT purser.stripe_quota('hot-a', 'chat_messages', -1, 'tester')$$);
SELECT public.tried($$SELECT purser.stripe_quota('hot-a', 'chat_messages', NULL, 'tester')$$);
SELECT public.tried($$SELECT purser.stripe_quota('hot-a', 'hot_nothing', 4, 'tester')$$);
SELECT public.tried($$SELECT purser.stripe_quota('hot-z', 'branding', 4, 'tester')$$);
SELECT count(*) AS accounts_made FROM purser.account WHERE account_id = 'hot-z';
SELECT stripes FROM purser.entitlement WHERE account_id = 'hot-a' AND feature = 'chat_messages';
BEGIN;
SET LOCAL ROLE purser_app;
SELECT public.tried($$SELECT purser.stripe_quota('hot-a', 'chat_messages', 4, 'tester')$$);
ROLLBACK;
