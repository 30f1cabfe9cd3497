-- QUO-3: several features at once, all or nothing. QUO-15: many increments in one call.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.declare_features('{"plan_talks": {"kind": "quota", "per": "day"}}', 'tester') AS declared;
SELECT purser.publish_plan('together', '{"name": "Together", "features": {"minutes": 30, "plan_talks": 2, "chat_messages": null}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe('tog-a', 'together', 'tester') AS subscription;

SELECT feature, allowed, used, remaining, resets_at FROM purser.check_and_increment_all('tog-a', '{"minutes": 10, "plan_talks": 1}');
-- One is over: none is counted, and the answer names the one.
SELECT feature, allowed, reason, used, remaining FROM purser.check_and_increment_all('tog-a', '{"minutes": 25, "plan_talks": 1, "chat_messages": 4}');
-- Both are: both are named.
SELECT feature, allowed, reason, used, remaining FROM purser.check_and_increment_all('tog-a', '{"minutes": 25, "plan_talks": 2}');
SELECT feature, used FROM purser.usage('tog-a') WHERE used > 0 ORDER BY feature;
-- A key remembers all the answers together.
SELECT feature, allowed, used FROM purser.check_and_increment_all('tog-a', '{"minutes": 5, "chat_messages": 1}', 'call-1');
SELECT feature, allowed, used FROM purser.check_and_increment_all('tog-a', '{"chat_messages": 1, "minutes": 5}', 'call-1');
SELECT tried($$SELECT purser.check_and_increment_all('tog-a', '{"minutes": 5, "chat_messages": 2}', 'call-1')$$);
SELECT tried($$SELECT purser.check_and_increment('tog-a', 'minutes', 5, 'call-1')$$);
SELECT feature, used FROM purser.usage('tog-a') WHERE used > 0 ORDER BY feature;
BEGIN;
SELECT feature, used FROM purser.check_and_increment_all('tog-a', '{"minutes": 1, "chat_messages": 1}', 'call-2');
ROLLBACK;
SELECT feature, used FROM purser.check_and_increment_all('tog-a', '{"minutes": 1, "chat_messages": 1}', 'call-2');
-- An account nobody used yet; a refusal does not make it.
SELECT feature, allowed FROM purser.check_and_increment_all('tog-new', '{"minutes": 1000000, "chat_messages": 1}');
SELECT count(*) AS accounts FROM purser.account WHERE account_id = 'tog-new';
-- Bad input.
SELECT tried(format('SELECT purser.check_and_increment_all(%L, %L)', 'tog-a', amounts))
  FROM unnest(ARRAY[NULL, 'null', '[]', '{}', '{"minutes": 0}', '{"minutes": -1}', '{"minutes": 1.5}', '{"minutes": "1"}', '{"minutes": null}', '{"minutes": 9223372036854775808}',
                    '{"minutes": 1, "no_such": 1}', '{"minutes": 1, "auto_publish": 1}', '{"": 1}']) AS amounts;
SELECT tried($$SELECT purser.check_and_increment_all('tog-a', (SELECT jsonb_object_agg('f' || n, 1) FROM generate_series(1, 101) AS n))$$);
SELECT tried($$SELECT purser.check_and_increment_all(NULL, '{"minutes": 1}')$$);
SELECT feature, used FROM purser.usage('tog-a') WHERE used > 0 ORDER BY feature;

-- Batches: each increment is decided for itself, in the order given; answers come in that order.
SELECT purser.subscribe('tog-b', 'together', 'tester') AS subscription;
SELECT account_id, feature, allowed, reason, used
  FROM purser.check_and_increment_batch('{tog-c, tog-b, tog-b, tog-b, tog-b, tog-c}',
                                        '{chat_messages, plan_talks, minutes, plan_talks, plan_talks, chat_messages}', '{1, 1, 30, 1, 1, 1}');
SELECT account_id, feature, allowed, reason, used FROM purser.check_and_increment_batch('{tog-b, tog-b, tog-b}', '{minutes, minutes, chat_messages}');
SELECT sum(used) AS used, sum(lifetime) AS lifetime FROM purser.entitlement WHERE account_id IN ('tog-b', 'tog-c');
-- With keys an importer can run twice.
SELECT account_id, allowed, used FROM purser.check_and_increment_batch('{tog-d, tog-e, tog-d}', '{chat_messages, chat_messages, chat_messages}', '{1, 1, 1}', '{i1, i2, i3}');
SELECT account_id, allowed, used FROM purser.check_and_increment_batch('{tog-d, tog-e, tog-d}', '{chat_messages, chat_messages, chat_messages}', '{1, 1, 1}', '{i1, i2, i3}');
SELECT count(*) AS answers FROM purser.check_and_increment_batch('{}', '{}');
-- What one statement counts is seen by the next increment of the same batch, and crossing a level emits one event.
SELECT count(*) FILTER (WHERE allowed) AS allowed, count(*) AS calls, max(used) AS used
  FROM purser.check_and_increment_batch(array_fill('tog-f'::text, '{40}'), array_fill('chat_messages'::text, '{40}'));
SELECT kind, payload ->> 'used' AS used FROM purser.event WHERE account_id = 'tog-f' AND kind LIKE 'quota.%';
SELECT tried($$SELECT purser.check_and_increment_batch('{a}', '{minutes, minutes}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch('{a, b}', '{minutes, minutes}', '{1}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch('{a, b}', '{minutes, minutes}', '{1, 1}', '{k}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch('{a, NULL}', '{minutes, minutes}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch('{a}', '{minutes}', '{NULL}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch(NULL, '{minutes}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch('{a}', '{minutes}', '{0}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch('{tog-g, tog-g}', '{minutes, no_such}')$$);
SELECT tried($$SELECT purser.check_and_increment_batch(array_fill('a'::text, '{100001}'), array_fill('minutes'::text, '{100001}'))$$);
SELECT count(*) AS accounts FROM purser.account WHERE account_id IN ('a', 'b', 'tog-g');
