-- RL-1, RL-2, RL-3, RL-6: rate limits by plan and by free key. The same file passes on a server that
-- preloads purser and on one that does not (test/suites/rates.sh).
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- What the plans of the other files get for this one; it is taken back at the end.
SELECT plan, purser.publish_plan(plan, definition, 'tester', 'rate limits') ->> 'version' AS version
  FROM (VALUES
    ('free', (SELECT definition FROM purser.plan_version WHERE plan = 'free' ORDER BY version DESC LIMIT 1)
             || '{"rate_limits": {"api": {"max": 6, "per": "minute"}, "login": {"max": 3, "per": "hour"},
                                  "jobs": {"max": 2, "per": "day", "every": 7}}}'),
    ('rate-pro', '{"name": "Pro", "rate_multiplier": 5,
                   "rate_limits": {"login": {"max": 4, "per": "hour"}, "pages": null, "search": {"max": 7, "per": "second"}}}'::jsonb),
    ('rate-slow', '{"name": "Slow", "rate_multiplier": 0.1}')) AS plans (plan, definition);
SELECT count(purser.subscribe('rate-b', 'rate-pro')), count(purser.subscribe('rate-c', 'rate-slow'));

-- The same call answers by plan: as written here, as written in the default plan times the factor, rounded down, unlimited.
SELECT account, d.*
  FROM unnest('{rate-a, rate-b, rate-c}'::text[]) AS account, unnest('{api, login, jobs, pages, search}'::text[]) AS scope,
       LATERAL purser.rate_limit(account, scope) AS d
 ORDER BY account, d.scope;

-- A limit is there at once and comes back evenly. A refusal counts nothing.
SELECT allowed, "limit", remaining, retry_after, resets_at, reason FROM purser.rate_limit('rate-a', 'login', 2);
SELECT allowed, "limit", remaining, retry_after, resets_at, reason FROM purser.rate_limit('rate-a', 'login');
SET purser.now = '2026-03-10 12:19:59.999999+00';
SELECT allowed, remaining, retry_after FROM purser.rate_limit('rate-a', 'login');
SET purser.now = '2026-03-10 12:20+00';
SELECT allowed, remaining, retry_after FROM purser.rate_limit('rate-a', 'login');
SELECT allowed, remaining, retry_after FROM purser.rate_limit('rate-a', 'login', 2);
SET purser.now = '2026-03-10 13:20+00';
SELECT allowed, remaining FROM purser.rate_limit('rate-a', 'login', 3);
-- More at once than the limit can never pass, and is told so.
SELECT allowed, "limit", remaining, retry_after, reason FROM purser.rate_limit('rate-a', 'login', 4);
SELECT allowed, "limit", remaining, retry_after, reason FROM purser.rate_limit('rate-d', 'login', 2147483647);

-- Another plan, another limit, with the next call. What was counted stays counted.
SELECT purser.subscribe('rate-a', 'rate-pro');
SELECT allowed, "limit", remaining FROM purser.rate_limit('rate-a', 'login');
BEGIN;
SELECT purser.change_plan('rate-a', 'rate-slow');
SELECT allowed, "limit", remaining FROM purser.rate_limit('rate-a', 'login');
ROLLBACK;
SELECT allowed, "limit", remaining FROM purser.rate_limit('rate-a', 'login');
SELECT purser.cancel_subscription('rate-a');
SELECT allowed, "limit", remaining FROM purser.rate_limit('rate-a', 'login');
SELECT purser.publish_plan('rate-pro', '{"name": "Pro", "rate_multiplier": 2}', 'tester', 'less') ->> 'version' AS version;
SELECT "limit", remaining FROM purser.rate_limit('rate-b', 'login');
SELECT purser.change_plan('rate-b', 'rate-pro', 'tester', 1);
SELECT "limit", remaining FROM purser.rate_limit('rate-b', 'login');
-- Search is limited by a pinned version alone; where no published plan has a scope it is unknown.
SELECT "limit", remaining FROM purser.rate_limit('rate-b', 'search');
SELECT tried($$SELECT purser.rate_limit('rate-a', 'search')$$);
SELECT tried($$SELECT purser.rate_limit('rate-a', 'teleport')$$);
-- Who is suspended is not asked here.
SELECT purser.set_account_status('rate-c', 'banned', 'tester', 'x');
SELECT allowed FROM purser.rate_limit('rate-c', 'api');

-- Free keys: the limit comes with the call.
SELECT d.* FROM purser.rate_limit_key('ip:203.0.113.9', 2, '1 hour') AS d;
SELECT d.* FROM purser.rate_limit_key('ip:203.0.113.9', 2, '1 hour') AS d;
SELECT d.* FROM purser.rate_limit_key('ip:203.0.113.9', 2, '1 hour') AS d;
SELECT allowed, remaining FROM purser.rate_limit_key('ip:203.0.113.9', 2, '1 minute');
SELECT allowed, remaining FROM purser.rate_limit_key('ip:203.0.113.9', 5, '60 minutes');
SELECT allowed, remaining FROM purser.rate_limit_key('ip:203.0.113.10', 2, '1 hour', 2);
SELECT allowed, remaining, per FROM purser.rate_limit_key('api', 2, '30 days');
-- More requests than microseconds, and the longest and shortest windows.
SELECT allowed, "limit", remaining FROM purser.rate_limit_key('huge', 2147483647, '1 microsecond', 2147483646);
SELECT allowed, remaining, retry_after FROM purser.rate_limit_key('huge', 2147483647, '1 microsecond', 2);
SELECT allowed, remaining, resets_at FROM purser.rate_limit_key('long', 1, '366 days');
-- A clock that went back gives nothing back.
SET purser.now = '2026-03-10 10:00+00';
SELECT allowed, remaining, retry_after FROM purser.rate_limit_key('ip:203.0.113.10', 2, '1 hour');
SET purser.now = '2026-03-10 13:20+00';

-- For an HTTP answer.
SELECT purser.http_status(d), purser.http_headers(d), purser.http_body(d) FROM purser.rate_limit('rate-e', 'jobs', 2) AS d;
SELECT purser.http_status(d), purser.http_headers(d), purser.http_body(d) FROM purser.rate_limit('rate-e', 'jobs') AS d;
SELECT purser.http_status(d), purser.http_headers(d), purser.http_body(d) FROM purser.rate_limit('rate-e', 'jobs', 3) AS d;
SELECT purser.http_status(d), purser.http_headers(d), purser.http_body(d) FROM purser.rate_limit_key('ip:203.0.113.9', 2, '1 hour') AS d;
SELECT purser.http_status(d), purser.http_headers(d), purser.http_body(d) FROM purser.rate_limit('rate-b', 'pages') AS d;

-- Cleared: some scopes or all, audited, with the commit.
SELECT count(purser.rate_limit('rate-f', scope, 2)) FROM unnest('{api, login, jobs}'::text[]) AS scope;
BEGIN;
SELECT purser.clear_rate_limits('rate-f', '{api}', 'tester', 'rolled back');
ROLLBACK;
SELECT remaining FROM purser.rate_limit('rate-f', 'api');
SELECT tried($$SELECT 1 / (purser.clear_rate_limits('rate-f', '{api}', 'tester', 'failed') - 1)$$);
SELECT remaining FROM purser.rate_limit('rate-f', 'api');
SELECT purser.clear_rate_limits('rate-f', '{login, api, login}', 'tester', 'support call 7');
SELECT scope, remaining FROM unnest('{api, login, jobs}'::text[]) AS s, purser.rate_limit('rate-f', s);
SELECT purser.clear_rate_limits('rate-f', reason => 'support call 8', actor => 'tester');
SELECT scope, remaining FROM unnest('{api, login, jobs}'::text[]) AS s, purser.rate_limit('rate-f', s);
SELECT purser.clear_rate_limits('rate-never-seen', '{}', 'tester', 'nothing');
SELECT actor, action, resource_type, resource_id, details FROM purser.audit_event WHERE account_id = 'rate-f' ORDER BY details ->> 'reason';
SELECT tried(statement) FROM unnest(ARRAY[
  $$SELECT purser.clear_rate_limits('rate-f', '{api, teleport}', 'tester', 'x')$$,
  $$SELECT purser.clear_rate_limits('rate-f', '{api, NULL}', 'tester', 'x')$$,
  $$SELECT purser.clear_rate_limits('rate-f')$$,
  $$SELECT purser.clear_rate_limits('rate-f', NULL, NULL, 'x')$$]) AS statement;

-- Bad input.
SELECT arguments, tried(format('SELECT allowed FROM purser.rate_limit_key(%s)', arguments)) AS answer
  FROM unnest(ARRAY[
    $$'k', 0, '1 hour'$$, $$'k', -1, '1 hour'$$, $$'k', NULL, '1 hour'$$,
    $$'k', 1, '0'$$, $$'k', 1, '-1 second'$$, $$'k', 1, NULL$$, $$'k', 1, '1 month'$$, $$'k', 1, '1 mon -30 days'$$, $$'k', 1, '367 days'$$,
    $$'k', 1, '106751992 days'$$,
    $$'', 1, '1 hour'$$, $$NULL, 1, '1 hour'$$, $$repeat('x', 10240), 1, '1 hour'$$, $$E'a\nb', 1, '1 hour'$$,
    $$'k', 1, '1 hour', 0$$, $$'k', 1, '1 hour', -1$$, $$'k', 1, '1 hour', NULL$$, $$'k', 1, '1 hour', 2$$]) WITH ORDINALITY AS a (arguments, n)
 ORDER BY n;
SELECT arguments, tried(format('SELECT allowed FROM purser.rate_limit(%s)', arguments)) AS answer
  FROM unnest(ARRAY[$$'rate-g', 'api', 0$$, $$'rate-g', 'api', -2147483648$$, $$'rate-g', 'api', NULL$$, $$'rate-g', ''$$, $$'', 'api'$$, $$NULL, 'api'$$,
                    $$'rate-g', 'per 60000000 us'$$]) WITH ORDINALITY AS a (arguments, n)
 ORDER BY n;
SELECT path, rule, message FROM purser.validate_plan('{"name": "Bad", "rate_multiplier": 0, "rate_limits": {"api": {"max": 0, "per": "year"},
  "two words": {"max": 1, "per": "day"}, "login": {"max": 10}, "jobs": 5, "day": {"max": 1, "per": "day", "every": 400, "burst": 2}}}') ORDER BY path;
SELECT purser.http_status(NULL::purser.rate_decision), purser.http_body(NULL::purser.rate_decision), purser.http_headers(NULL::purser.rate_decision);

-- A plan that time alone ends takes its limits along, whether or not it was remembered.
SELECT purser.publish_plan('rate-trial', '{"name": "Trial", "rate_multiplier": 5}', 'tester', 'rate limits') IS NOT NULL AS published;
SET purser.now = '2026-08-01 00:00+00';
SELECT purser.start_trial('rate-t', 'rate-trial', 1, actor => 'tester') AS subscription;
SELECT "limit" FROM purser.rate_limit('rate-t', 'api');
SELECT "limit" FROM purser.rate_limit('rate-t', 'api');
SET purser.now = '2026-08-01 23:59:59.999999+00';
SELECT "limit" FROM purser.rate_limit('rate-t', 'api');
SET purser.now = '2026-08-02 00:00+00';
SELECT "limit" FROM purser.rate_limit('rate-t', 'api');

-- The operator sees how full it is.
SELECT storage IN ('shared memory', 'table') AS somewhere, used > 0 AS used, evictions FROM purser.rate_limit_status();

-- The default plan of the other files, as it was.
SELECT purser.publish_plan('free', (SELECT definition - 'rate_limits' FROM purser.plan_version WHERE plan = 'free' ORDER BY version DESC LIMIT 1),
                           'tester', 'rate limits') IS NOT NULL AS restored;
