-- QUO-6, QUO-7, SUB-4, ACC-4: a quota starts again exactly at its boundary without any job, counts from
-- before it stay in history, and the lifetime total is the sum of all periods.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
CREATE VIEW pg_temp.history AS
SELECT account_id, feature, period_start, period_end, used, running FROM purser.usage_history;

-- One microsecond before the boundary belongs to the old period, the boundary to the new one.
CREATE FUNCTION pg_temp.count_at(account_id text, at text, VARIADIC features text[])
  RETURNS TABLE (feature text, used bigint, resets_at timestamptz)
  LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM set_config('purser.now', at, false);
  FOREACH feature IN ARRAY features LOOP
    SELECT d.used, d.resets_at INTO used, resets_at FROM purser.check_and_increment(account_id, feature) AS d;
    RETURN NEXT;
  END LOOP;
END
$$;
SET purser.now = '2026-12-31 09:00:00+00';
SELECT purser.open_account('period-a');
SELECT purser.subscribe('period-a', 'pro', 'tester');
SELECT * FROM pg_temp.count_at('period-a', '2026-12-31 23:59:59.999999+00',
                               'chat_messages', 'interviews', 'minutes', 'reports', 'sites');
SELECT * FROM pg_temp.count_at('period-a', '2027-01-01 00:00:00+00',
                               'chat_messages', 'interviews', 'minutes', 'reports', 'sites');
SELECT * FROM pg_temp.count_at('period-a', '2027-01-03 23:59:59.999999+00', 'interviews');
SELECT * FROM pg_temp.count_at('period-a', '2027-01-04 00:00:00+00', 'interviews');
-- Periods nobody used leave no row.
SELECT * FROM pg_temp.count_at('period-a', '2027-06-15 08:00:00+00', 'chat_messages', 'minutes');
SELECT feature, period_start, period_end, used, running FROM pg_temp.history
 WHERE account_id = 'period-a' ORDER BY feature, period_start;

-- A question and a report see the new period before anything was counted in it.
SET purser.now = '2027-06-16 00:00:00+00';
SELECT used, remaining, resets_at FROM purser.check_quota('period-a', 'chat_messages');
SELECT feature, used, resets_at FROM purser.usage('period-a') WHERE feature NOT LIKE 'plan\_%';

-- Used up, and open again with the boundary.
SET purser.now = '2027-06-16 10:00:00+00';
SELECT allowed, used FROM purser.check_and_increment('period-a', 'chat_messages', 10);
SELECT allowed, reason, resets_at FROM purser.check_and_increment('period-a', 'chat_messages');
SET purser.now = '2027-06-16 23:59:59.999999+00';
SELECT allowed, reason FROM purser.check_and_increment('period-a', 'chat_messages');
SET purser.now = '2027-06-17 00:00:00+00';
SELECT allowed, reason, used FROM purser.check_and_increment('period-a', 'chat_messages');

-- A clock that goes back never moves a count back: the later period goes on.
SET purser.now = '2027-06-15 12:00:00+00';
SELECT allowed, used, resets_at FROM purser.check_and_increment('period-a', 'chat_messages');
SELECT used, resets_at FROM purser.check_quota('period-a', 'chat_messages');
SET purser.now = '2027-06-17 12:00:00+00';
SELECT allowed, used, resets_at FROM purser.check_and_increment('period-a', 'chat_messages');

-- SUB-4: billing periods keep to the anchor: the 31st is clamped to each month and comes back.
SET purser.now = '2027-01-31 15:00:00+00';
SELECT purser.subscribe('period-31', 'pro', 'tester');
SELECT d.used, d.resets_at
  FROM unnest('{2027-01-31 15:00:00+00, 2027-02-28 14:59:59.999999+00, 2027-02-28 15:00:00+00,
                2027-03-31 14:59:59+00, 2027-03-31 15:00:00+00, 2027-04-30 15:00:00+00,
                2028-02-15 00:00:00+00, 2028-02-29 15:00:00+00, 2028-03-31 15:00:00+00}'::text[]) AS at,
       LATERAL pg_temp.count_at('period-31', at, 'renders') AS d;
SELECT period_start, period_end, used, running FROM pg_temp.history
 WHERE account_id = 'period-31' ORDER BY period_start;
SET purser.now = '2027-04-30 08:00:00+00';
SELECT purser.subscribe('period-30', 'pro', 'tester');
SELECT d.used, d.resets_at
  FROM unnest('{2027-04-30 08:00:00+00, 2027-05-30 08:00:00+00, 2028-02-10 00:00:00+00}'::text[]) AS at,
       LATERAL pg_temp.count_at('period-30', at, 'renders') AS d;
SET purser.now = '2028-02-29 00:30:00+00';
SELECT purser.subscribe('period-leap', 'pro', 'tester');
SELECT d.used, d.resets_at
  FROM unnest('{2028-02-29 00:30:00+00, 2028-03-29 00:30:00+00, 2029-02-10 00:00:00+00, 2029-02-28 00:30:00+00}'::text[]) AS at,
       LATERAL pg_temp.count_at('period-leap', at, 'renders') AS d;

-- Without a subscription billing periods are calendar months. Subscribing starts them anew from its
-- instant, with what was used so far; so does cancelling.
SELECT * FROM pg_temp.count_at('period-free', '2027-05-20 00:00:00+00', 'renders');
SELECT purser.subscribe('period-free', 'pro', 'tester');
SELECT * FROM pg_temp.count_at('period-free', '2027-05-21 00:00:00+00', 'renders');
SELECT * FROM pg_temp.count_at('period-free', '2027-06-20 00:00:00+00', 'renders');
SELECT purser.cancel_subscription('period-free', 'tester');
SELECT * FROM pg_temp.count_at('period-free', '2027-06-21 00:00:00+00', 'renders');
SELECT period_start, period_end, used, running FROM pg_temp.history
 WHERE account_id = 'period-free' ORDER BY period_start;

-- ACC-4: days, weeks, months and anchors follow the account's own wall clock.
SELECT purser.open_account('period-tokyo', 'Asia/Tokyo');
SELECT * FROM pg_temp.count_at('period-tokyo', '2027-03-31 14:59:59.999999+00', 'chat_messages', 'minutes');
SELECT * FROM pg_temp.count_at('period-tokyo', '2027-03-31 15:00:00+00', 'chat_messages', 'minutes');
SELECT purser.open_account('period-berlin', 'Europe/Berlin');
-- The day clocks go forward has 23 hours, the day they go back 25.
SELECT * FROM pg_temp.count_at('period-berlin', '2027-03-27 22:59:59+00', 'chat_messages');
SELECT * FROM pg_temp.count_at('period-berlin', '2027-03-27 23:00:00+00', 'chat_messages');
SELECT * FROM pg_temp.count_at('period-berlin', '2027-03-28 21:59:59+00', 'chat_messages');
SELECT * FROM pg_temp.count_at('period-berlin', '2027-03-28 22:00:00+00', 'chat_messages');
SELECT * FROM pg_temp.count_at('period-berlin', '2027-10-30 22:00:00+00', 'chat_messages');
SELECT * FROM pg_temp.count_at('period-berlin', '2027-10-31 22:59:59+00', 'chat_messages');
SELECT * FROM pg_temp.count_at('period-berlin', '2027-10-31 23:00:00+00', 'chat_messages');
-- Anchored at 02:30 on the wall: on the day without a 02:30 the period begins at 03:30.
SET purser.now = '2028-02-26 01:30:00+00';
SELECT purser.subscribe('period-berlin', 'pro', 'tester');
SELECT d.used, d.resets_at
  FROM unnest('{2028-02-26 01:30:00+00, 2028-03-26 01:29:59+00, 2028-03-26 01:30:00+00}'::text[]) AS at,
       LATERAL pg_temp.count_at('period-berlin', at, 'renders') AS d;

-- A plan that counts the same feature in another kind of period takes over what was used.
SELECT plan, purser.publish_plan(plan, definition, 'tester', 'kinds') ->> 'version' AS version
  FROM (VALUES
    ('by-day', '{"name": "By day", "features": {"chat_messages": {"quota": 10, "per": "day"}}}'::jsonb),
    ('by-month', '{"name": "By month", "features": {"chat_messages": {"quota": 20, "per": "month"}}}'),
    ('by-year', '{"name": "By year", "features": {"chat_messages": {"quota": 5, "per": "year"}}}'),
    ('for-life', '{"name": "For life", "features": {"chat_messages": {"quota": 30, "per": "lifetime"}}}')
  ) AS plans (plan, definition);
SET purser.now = '2027-01-01 10:00:00+00';
SELECT purser.subscribe('period-kinds', 'by-day', 'tester');
SELECT used, quota, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages', 8);
SET purser.now = '2027-01-02 10:00:00+00';
SELECT used, quota, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages', 3);
SELECT purser.change_plan('period-kinds', 'by-month', 'tester');
SELECT used, quota, remaining, resets_at FROM purser.check_quota('period-kinds', 'chat_messages');
SELECT used, quota, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages', 1);
-- The month began at the same instant as the first day: both stay in history.
SET purser.now = '2027-02-01 00:00:00+00';
SELECT used, quota, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages', 2);
-- To a smaller quota: what was used is more than it allows, and is not taken back.
SELECT purser.change_plan('period-kinds', 'by-day', 'tester');
SELECT used FROM purser.check_and_increment('period-kinds', 'chat_messages', 7);
SELECT purser.change_plan('period-kinds', 'by-year', 'tester');
SELECT allowed, reason, used, quota, remaining, level FROM purser.check_and_increment('period-kinds', 'chat_messages');
-- A day that is over before the year's first call is history of its own.
SET purser.now = '2027-02-02 09:00:00+00';
SELECT allowed, used, quota, remaining, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages');
SELECT purser.change_plan('period-kinds', 'for-life', 'tester');
SELECT allowed, used, quota, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages');
SELECT purser.change_plan('period-kinds', 'by-day', 'tester');
SELECT allowed, used, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages');
-- Back in time and to another kind: still no earlier than where it was.
SET purser.now = '2027-01-15 00:00:00+00';
SELECT purser.change_plan('period-kinds', 'by-month', 'tester');
SELECT allowed, used, resets_at FROM purser.check_and_increment('period-kinds', 'chat_messages');
SELECT period_start, period_end, used, running FROM pg_temp.history
 WHERE account_id = 'period-kinds' ORDER BY period_start, period_end;

-- QUO-7: the lifetime total never resets and is the sum over all periods.
SELECT e.account_id, e.feature, e.lifetime, sum(h.used) AS sum_of_periods
  FROM purser.entitlement AS e
  JOIN purser.usage_history AS h USING (account_id, feature)
 WHERE e.account_id LIKE 'period-%'
 GROUP BY e.account_id, e.feature, e.lifetime
 ORDER BY e.account_id, e.feature;
