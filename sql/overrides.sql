-- PLAN-9: one account gets more, or less, than its plan gives, until a time; reads say where a value
-- comes from, and the override lapses by itself.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2027-03-10 12:00+00';

SELECT purser.subscribe('over-a', 'creator', 'tester');
SELECT used, quota FROM purser.check_and_increment('over-a', 'chat_messages', 5);
SELECT allowed, reason FROM purser.check_and_increment('over-a', 'chat_messages');
SELECT purser.set_override('over-a', 'chat_messages', '7', '2027-03-10 18:00+00', 'apology', 'support');
SELECT allowed, used, quota, resets_at FROM purser.check_and_increment('over-a', 'chat_messages');
SELECT purser.feature_value('over-a', 'chat_messages');
SELECT purser.set_override('over-a', 'audio_pipeline', '"auphonic"', NULL, 'beta', 'support');
SELECT purser.set_override('over-a', 'branding', 'true', NULL, 'beta', 'support');
SELECT purser.feature_value('over-a', 'audio_pipeline'), purser.has_feature('over-a', 'branding');
SELECT feature, kind, value, source, plan, version, expires_at, reason FROM purser.entitlements('over-a')
 WHERE feature IN ('chat_messages', 'minutes', 'branding', 'tts_multiplier', 'audio_pipeline');
-- It lapses on its instant: for decisions and for reads.
SET purser.now = '2027-03-10 17:59:59.999999+00';
SELECT quota FROM purser.check_quota('over-a', 'chat_messages');
SET purser.now = '2027-03-10 18:00+00';
SELECT allowed, reason, quota, remaining FROM purser.check_and_increment('over-a', 'chat_messages');
SELECT purser.feature_value('over-a', 'chat_messages');
SELECT source FROM purser.entitlements('over-a') WHERE feature = 'chat_messages';

-- An override is laid over whatever plan the account has: what it leaves out is the plan's.
SELECT purser.set_override('over-a', 'chat_messages', '{"quota": null}', NULL, 'friend', 'support');
SELECT allowed, quota, level, resets_at FROM purser.check_and_increment('over-a', 'chat_messages');
SELECT purser.set_override('over-a', 'chat_messages', '{"quota": 40, "per": "month"}', NULL, 'friend', 'support');
SELECT allowed, used, quota, resets_at FROM purser.check_and_increment('over-a', 'chat_messages');
SELECT purser.change_plan('over-a', 'pro', 'tester');
SELECT used, quota, resets_at FROM purser.check_and_increment('over-a', 'chat_messages');
-- Less than was used: no more, never negative.
SELECT purser.set_override('over-a', 'chat_messages', '0', NULL, 'abuse', 'support');
SELECT allowed, reason, quota, remaining FROM purser.check_and_increment('over-a', 'chat_messages');
SELECT purser.has_feature('over-a', 'chat_messages');
SELECT purser.clear_override('over-a', 'chat_messages', 'resolved', 'support'), purser.clear_override('over-a', 'chat_messages', 'resolved', 'support');
SELECT quota FROM purser.check_quota('over-a', 'chat_messages');
-- Without any use, any plan, any account.
SELECT purser.set_override('over-new', 'minutes', '5', NULL, 'test', 'support');
SELECT allowed, quota FROM purser.check_quota('over-new', 'minutes', 6);
SELECT quota FROM purser.usage('over-new') WHERE feature = 'minutes';

SELECT kind, payload FROM purser.event WHERE account_id = 'over-a' AND kind LIKE 'override.%' ORDER BY at, payload::text;
SELECT action, actor, resource_id FROM purser.audit_event WHERE account_id = 'over-a' AND action LIKE 'override.%' ORDER BY at, action, resource_id;

-- Bad input: every violation at once, nothing changed.
SELECT call, tried('SELECT purser.' || call) AS answer FROM unnest(ARRAY[
  $$set_override('over-b', 'minutes', NULL, NULL, 'x', 'y')$$, $$set_override('over-b', 'minutes', '-5', NULL, 'x', 'y')$$,
  $$set_override('over-b', 'minutes', '"many"', NULL, 'x', 'y')$$, $$set_override('over-b', 'minutes', '{"quota": -2, "per": "hour", "colour": 1}', NULL, 'x', 'y')$$,
  $$set_override('over-b', 'branding', '1', NULL, 'x', 'y')$$, $$set_override('over-b', 'tts_multiplier', '0.5', NULL, 'x', 'y')$$,
  $$set_override('over-b', 'audio_pipeline', '"tape"', NULL, 'x', 'y')$$, $$set_override('over-b', 'audio_pipeline', 'null', NULL, 'x', 'y')$$,
  $$set_override('over-b', 'teleports', '1', NULL, 'x', 'y')$$, $$set_override('over-b', 'minutes', '5', '2027-03-10 18:00+00', 'x', 'y')$$,
  $$set_override('over-b', 'minutes', '5', 'infinity', 'x', 'y')$$, $$set_override('over-b', 'minutes', '5', '-infinity', 'x', 'y')$$,
  $$set_override('over-b', 'minutes', '5', NULL, NULL, 'y')$$, $$clear_override('over-b', 'minutes', 'x')$$]) AS call;
SELECT count(*) AS overrides FROM purser.feature_override WHERE account_id = 'over-b';
