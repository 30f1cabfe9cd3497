-- # Work outside the database: hold before, settle after
-- An interview with the assistant may take 20 minutes of transcription, or none. The minutes are held in a transaction
-- of its own, before the work: whatever fails later, nothing that was done goes uncounted.
SELECT allowed, used, held, remaining, hold_id
  FROM purser.hold_quota('42', 'transcription_minutes', 20, '1 hour', hold_id => 'interview-17');

-- It took 12. What was really used is counted, the rest is there again.
SELECT allowed, used, held, remaining FROM purser.commit_quota('42', 'interview-17', 12);

-- A worker that dies settles nothing. Its hold ends by itself, and no job has to run for that.
SELECT held, remaining FROM purser.hold_quota('42', 'transcription_minutes', 30, '0.1 seconds');
SELECT pg_sleep(0.2);
SELECT held, remaining FROM purser.check_quota('42', 'transcription_minutes');

-- Several features at once are all counted or none: today's interviews are one too many, so the minutes stay.
SELECT feature, allowed, reason, used, remaining
  FROM purser.check_and_increment_all('42', '{"transcription_minutes": 40, "interviews": 4}');

-- Maya may have three podcasts, and a trigger sees to it that no path of code goes around that.
CREATE TRIGGER podcasts_are_counted AFTER INSERT ON podcasts REFERENCING NEW TABLE AS added
   FOR EACH STATEMENT EXECUTE FUNCTION purser.enforce_quota('podcasts', 'user_id');
--! PU001
INSERT INTO podcasts (id, user_id, title, feed_slug, created_at)
SELECT gen_random_uuid(), 42, 'Show ' || n, 'show-' || n, now() FROM generate_series(1, 10) AS n;

-- Support gives her a fourth for a month. It lapses by itself, and every reading says where the value comes from.
SELECT purser.set_override('42', 'podcasts', '4', now() + interval '1 month', 'a goodwill gesture', actor => 'support-1');
SELECT feature, value, source, expires_at IS NOT NULL AS lapses, reason
  FROM purser.entitlements('42') WHERE feature IN ('podcasts', 'episodes', 'custom_domain');

-- A colleague tries Pro for two weeks. At that instant he is back on the free plan, whether or not anything runs.
SELECT purser.start_trial('44', 'pro', 14, actor => 'checkout') AS subscription_no;
SELECT plan, status, trial_ends_at - now() AS left FROM purser.subscription('44');

-- Crossing 80, 90 and 100 percent leaves an event each, written in the transaction that crossed.
SELECT kind, payload ->> 'feature' AS feature, payload ->> 'used' AS used, payload ->> 'percent' AS percent
  FROM purser.event WHERE account_id = '42' AND kind LIKE 'quota.%' ORDER BY at;

--~
DO $$
BEGIN
    ASSERT (SELECT used = 12 AND held = 0 FROM purser.check_quota('42', 'transcription_minutes')), 'the hold was not settled';
    ASSERT NOT EXISTS (SELECT FROM podcasts WHERE user_id = 42 AND title LIKE 'Show %'), 'the trigger let podcasts in';
END
$$;
DROP TRIGGER podcasts_are_counted ON podcasts;
