-- SUB-1, SUB-2, SUB-3, SUB-4, SUB-5, PLAN-8, ACC-4: what time does to a subscription counts from its
-- instant on, whoever looks; what was arranged happens by itself, and nothing has to run for it.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;

SELECT plan, purser.publish_plan(plan, definition, 'tester', 'subscriptions') ->> 'version' AS version
  FROM (VALUES
    ('sub-basic', '{"name": "Basic", "features": {"chat_messages": 20, "renders": 20}}'::jsonb),
    ('sub-pro', '{"name": "Pro", "features": {"chat_messages": 50, "renders": 50}, "prices": [
        {"interval": "month", "currency": "usd", "cents": 2999, "trial_days": 14},
        {"interval": "year", "currency": "usd", "cents": 29900, "trial_days": 30}]}'),
    ('sub-max', '{"name": "Max", "features": {"chat_messages": 100, "renders": 100}}')) AS p (plan, definition);

-- What one account is subscribed to at several instants, with what a decision says.
CREATE FUNCTION pg_temp.looked(account_id text, VARIADIC instants text[])
  RETURNS TABLE (at text, plan text, status text, quota bigint, ends timestamptz)
  LANGUAGE plpgsql
AS $$
BEGIN
  FOREACH at IN ARRAY instants LOOP
    PERFORM set_config('purser.now', at, false);
    SELECT s.plan, s.status, s.period_end INTO plan, status, ends FROM purser.subscription(account_id) AS s;
    SELECT d.quota INTO quota FROM purser.check_and_increment(account_id, 'renders') AS d;
    RETURN NEXT;
  END LOOP;
END
$$;
CREATE FUNCTION pg_temp.history(account_id text)
  RETURNS TABLE (no integer, plan text, pinned integer, status text, started_at timestamptz, ended_at timestamptz, reason text, actor text)
  LANGUAGE sql
AS $$
  SELECT h.subscription_no, h.plan, h.pinned_version, h.status, h.started_at, h.ended_at, h.end_reason, h.actor
    FROM purser.subscription_history(account_id) AS h;
$$;

-- SUB-3: a trial ends on its instant and not before, with and without a fallback plan.
SET purser.now = '2027-01-31 15:00+00';
SELECT purser.start_trial('sub-trial', 'sub-pro', fallback_plan => 'sub-basic', actor => 'tester');
SELECT purser.start_trial('sub-trial-2', 'sub-pro', 3, actor => 'tester');
SELECT * FROM pg_temp.looked('sub-trial', '2027-01-31 15:00+00', '2027-02-14 14:59:59.999999+00', '2027-02-14 15:00+00');
SELECT * FROM pg_temp.looked('sub-trial-2', '2027-02-03 14:59:59.999999+00', '2027-02-03 15:00+00');
SELECT * FROM pg_temp.history('sub-trial');
SELECT * FROM pg_temp.history('sub-trial-2');
-- Once per account and plan.
SELECT tried($$SELECT purser.start_trial('sub-trial-2', 'sub-pro', 3)$$);
SELECT purser.start_trial('sub-trial-2', 'sub-pro', 3, again => true);
-- A longer one, and one that is paid for: billing periods count from then.
SELECT purser.extend_trial('sub-trial-2', 4, 'tester', 'coupon');
SELECT * FROM pg_temp.looked('sub-trial-2', '2027-02-10 12:00+00');
SELECT purser.activate_subscription('sub-trial-2', 'tester'), purser.activate_subscription('sub-trial-2', 'tester');
SELECT * FROM pg_temp.looked('sub-trial-2', '2027-03-10 11:59+00', '2027-03-10 12:00+00', '2027-07-01 00:00+00');

-- SUB-3: grace. A second failure does not move its end.
SET purser.now = '2027-03-01 10:00+00';
SELECT purser.subscribe('sub-grace', 'sub-pro', 'tester');
SELECT purser.mark_past_due('sub-grace', 'tester');
SET purser.now = '2027-03-03 10:00+00';
SELECT purser.mark_past_due('sub-grace', 'tester', 30);
SELECT * FROM pg_temp.looked('sub-grace', '2027-03-08 09:59:59.999999+00', '2027-03-08 10:00+00');
SELECT * FROM pg_temp.history('sub-grace');
-- Paid in time: nothing happens. Without any grace it is over at once.
SET purser.now = '2027-03-09 10:00+00';
SELECT purser.subscribe('sub-grace', 'sub-pro', 'tester');
SELECT purser.mark_past_due('sub-grace', 'tester', 3);
SELECT purser.activate_subscription('sub-grace', 'tester');
SELECT * FROM pg_temp.looked('sub-grace', '2027-03-20 10:00+00');
SELECT purser.mark_past_due('sub-grace', 'tester', 0);
SELECT plan, status FROM purser.subscription('sub-grace');

-- SUB-4, SUB-5: canceled at the end of the period: 31 January gives 28 February, 29 February gives the
-- 28th of the next year, and a zone's own clock is kept across daylight saving.
SET purser.now = '2027-01-31 15:00+00';
SELECT purser.subscribe('sub-31', 'sub-pro', 'tester');
SET purser.now = '2027-02-10 00:00+00';
SELECT purser.cancel_subscription('sub-31', 'tester', true), purser.cancel_subscription('sub-31', 'tester', true);
SELECT cancel_at, period_start, period_end FROM purser.subscription('sub-31');
SELECT * FROM pg_temp.looked('sub-31', '2027-02-28 14:59:59.999999+00', '2027-02-28 15:00+00');
SELECT purser.cancel_subscription('sub-31', 'tester') AS nothing_left_to_cancel;
SET purser.now = '2028-02-29 09:00+00';
SELECT purser.subscribe('sub-leap', 'sub-pro', 'tester', billing_interval => 'year');
SELECT purser.cancel_subscription('sub-leap', 'tester', true);
SELECT * FROM pg_temp.looked('sub-leap', '2029-02-28 08:59:59+00', '2029-02-28 09:00+00');
SET purser.now = '2027-02-28 11:00+00';
SELECT purser.open_account('sub-berlin', 'Europe/Berlin');
SELECT purser.subscribe('sub-berlin', 'sub-pro', 'tester');
SET purser.now = '2027-03-28 10:00+00';
SELECT period_start, period_end FROM purser.subscription('sub-berlin');

-- SUB-2: a change at the end of the period, undone, made again, and a yearly one that begins anew.
SET purser.now = '2027-01-31 15:00+00';
SELECT purser.subscribe('sub-next', 'sub-basic', 'tester');
SELECT purser.change_plan('sub-next', 'sub-pro', 'sales', at_period_end => true);
SELECT next_plan, next_plan_at, next_interval, cancel_at FROM purser.subscription('sub-next');
SELECT purser.resume_subscription('sub-next', 'sales');
SELECT purser.change_plan('sub-next', 'sub-max', 'sales', at_period_end => true);
SELECT purser.change_plan('sub-next', 'sub-basic', 'sales') AS stays;
SELECT next_plan FROM purser.subscription('sub-next');
SELECT purser.change_plan('sub-next', 'sub-max', 'sales', 1, at_period_end => true);
SELECT * FROM pg_temp.looked('sub-next', '2027-02-28 14:59:59.999999+00', '2027-02-28 15:00+00', '2027-03-31 15:00+00');
SELECT purser.change_plan('sub-next', 'sub-max', 'sales', 1, billing_interval => 'year');
SELECT * FROM pg_temp.looked('sub-next', '2027-03-31 15:00+00', '2028-03-31 15:00+00');
SELECT * FROM pg_temp.history('sub-next');

-- SUB-2: usage carries over: an upgrade at 50 of 50 lets the next through; a downgrade below it blocks,
-- is never negative and takes nothing back.
SET purser.now = '2027-05-05 08:00+00';
SELECT purser.subscribe('sub-usage', 'sub-pro', 'tester');
SELECT used, quota FROM purser.check_and_increment('sub-usage', 'chat_messages', 50);
SELECT allowed, reason FROM purser.check_and_increment('sub-usage', 'chat_messages');
SELECT purser.change_plan('sub-usage', 'sub-max', 'tester');
SELECT allowed, used, quota FROM purser.check_and_increment('sub-usage', 'chat_messages');
SELECT purser.change_plan('sub-usage', 'sub-basic', 'tester');
SELECT allowed, reason, used, quota, remaining FROM purser.check_and_increment('sub-usage', 'chat_messages');

-- SUB-2: what a change of allowance is worth with 20 of 30 days left.
SET purser.now = '2027-04-01 00:00+00';
SELECT purser.subscribe('sub-worth', 'sub-basic', 'tester');
SET purser.now = '2027-04-11 00:00+00';
SELECT purser.prorated_allowance('sub-worth', 300, 1200) AS up, purser.prorated_allowance('sub-worth', 1200, 300) AS down,
       purser.prorated_allowance('sub-worth', 0, 0.000001) AS dust;

-- PLAN-8: pinned until a date; from its instant on the latest version decides.
SET purser.now = '2027-06-01 00:00+00';
SELECT purser.subscribe('sub-pin', 'sub-pro', 'tester', 1, pinned_until => '2027-06-15 00:00+00');
SELECT purser.subscribe('sub-pin-2', 'sub-pro', 'tester');
SELECT purser.pin_subscription('sub-pin-2', 1, actor => 'tester');
SELECT purser.publish_plan('sub-pro', '{"name": "Pro", "features": {"chat_messages": 60, "renders": 60}}', 'tester', 'more') ->> 'version' AS version;
SELECT * FROM pg_temp.looked('sub-pin', '2027-06-14 23:59:59.999999+00', '2027-06-15 00:00+00');
SELECT * FROM pg_temp.looked('sub-pin-2', '2027-06-15 00:00+00');
SELECT version, pinned_version FROM purser.subscription('sub-pin-2');
SELECT purser.pin_subscription('sub-pin-2', NULL, actor => 'tester');
SELECT quota FROM purser.check_and_increment('sub-pin-2', 'renders');

-- Written down late, in pieces or never: history and state are the same.
SET purser.now = '2027-01-01 00:00+00';
SELECT count(purser.start_trial(a, 'sub-max', 10, 'sub-basic', 'tester')) FROM unnest('{sub-never, sub-late, sub-pieces}'::text[]) AS a;
SELECT count(purser.change_plan(a, 'sub-pro', 'tester', 1, true)) FROM unnest('{sub-never, sub-late, sub-pieces}'::text[]) AS a;
SELECT count(purser.activate_subscription(a, 'tester')) FROM unnest('{sub-never, sub-late, sub-pieces}'::text[]) AS a;
SELECT count(purser.cancel_subscription(a, 'tester', true)) FROM unnest('{sub-never, sub-late, sub-pieces}'::text[]) AS a;
SET purser.now = '2027-01-20 00:00+00';
DO $$
BEGIN
  PERFORM FROM purser.account WHERE account_id = 'sub-pieces' FOR UPDATE;
  PERFORM purser._settle_subscription('sub-pieces');
END
$$;
SET purser.now = '2027-03-01 00:00+00';
DO $$
BEGIN
  PERFORM purser._settle_subscription('sub-late');
  PERFORM purser._settle_subscription('sub-pieces');
END
$$;
SELECT * FROM pg_temp.history('sub-never');
SELECT a AS account,
       (SELECT jsonb_agg(to_jsonb(h) - 'account_id' ORDER BY subscription_no) FROM purser.subscription_history(a) AS h)
       = (SELECT jsonb_agg(to_jsonb(h) - 'account_id' ORDER BY subscription_no) FROM purser.subscription_history('sub-never') AS h) AS same_history
  FROM unnest('{sub-late, sub-pieces}'::text[]) AS a;
-- All that are due, in bites; then there is nothing more to do, and the table says what the history said.
CREATE TEMP TABLE before AS
  SELECT h.* FROM (SELECT DISTINCT account_id FROM purser.subscription) AS a, LATERAL purser.subscription_history(a.account_id) AS h;
SELECT purser.settle_subscriptions(1);
SELECT purser.settle_subscriptions() > 0 AS settled, purser.settle_subscriptions() AS left_over;
SELECT count(*) AS different FROM (
  (TABLE before EXCEPT TABLE purser.subscription) UNION ALL (TABLE purser.subscription EXCEPT TABLE before)) AS d;
SELECT kind, payload FROM purser.event WHERE account_id = 'sub-late' AND kind LIKE 'subscription.%' ORDER BY at, kind;
SELECT (SELECT jsonb_agg(payload ORDER BY at, kind, payload::text) FROM purser.event WHERE account_id = 'sub-late')
     = (SELECT jsonb_agg(payload ORDER BY at, kind, payload::text) FROM purser.event WHERE account_id = 'sub-never') AS same_events;

-- ACC-4: another time zone: days begin at its midnight, billing keeps its instant.
SET purser.now = '2027-08-10 12:00+00';
SELECT purser.subscribe('sub-zone', 'sub-pro', 'tester');
SELECT used, resets_at FROM purser.check_and_increment('sub-zone', 'chat_messages');
SELECT purser.set_time_zone('sub-zone', 'Asia/Tokyo', 'tester');
SELECT used, resets_at FROM purser.check_and_increment('sub-zone', 'chat_messages');
SELECT period_start, period_end FROM purser.subscription('sub-zone');
SELECT details FROM purser.audit_event WHERE account_id = 'sub-zone' AND action = 'account.time_zone_changed';
SELECT tried($$SELECT purser.set_time_zone('sub-zone', 'Mars/Olympus', 'tester')$$);

-- SUB-5: bought credits stay.
SELECT balance_after FROM purser.grant_credits('sub-zone', 10, 'purchased', 'sub-g');
SELECT purser.cancel_subscription('sub-zone', 'tester');
SELECT balance_after FROM purser.charge_credits('sub-zone', 4, 'work', 'sub-c');

-- Bad input: each with its own code, and nothing is changed.
SET purser.now = '2027-09-01 00:00+00';
SELECT purser.subscribe('sub-bad', 'sub-pro', 'tester');
SELECT call, tried('SELECT purser.' || call) AS answer FROM unnest(ARRAY[
  $$subscribe('sub-bad', 'sub-pro')$$, $$subscribe('sub-z', 'sub-pro', pinned_version => 9)$$,
  $$subscribe('sub-z', 'sub-pro', billing_interval => 'week')$$, $$subscribe('sub-z', 'sub-pro', billing_interval => NULL)$$,
  $$subscribe('sub-z', 'sub-pro', pinned_until => '2027-10-01')$$,
  $$subscribe('sub-z', 'sub-pro', pinned_version => 1, pinned_until => '2027-08-01')$$,
  $$subscribe('sub-z', 'sub-pro', pinned_version => 1, pinned_until => 'infinity')$$,
  $$start_trial('sub-bad', 'sub-pro', 3)$$, $$start_trial('sub-z', 'sub-pro', 0)$$, $$start_trial('sub-z', 'sub-pro', -3)$$,
  $$start_trial('sub-z', 'sub-pro', 2147483647)$$, $$start_trial('sub-z', 'sub-basic')$$,
  $$start_trial('sub-z', 'sub-pro', 3, 'no-such-plan')$$, $$start_trial('sub-z', 'no-such-plan', 3)$$,
  $$extend_trial('sub-bad', 3, 'tester', 'x')$$, $$extend_trial('sub-bad', 0, 'tester', 'x')$$, $$extend_trial('sub-bad', NULL, 'tester', 'x')$$,
  $$activate_subscription('sub-z')$$, $$mark_past_due('sub-z')$$, $$mark_past_due('sub-bad', grace_days => -1)$$,
  $$mark_past_due('sub-bad', grace_days => 731)$$, $$resume_subscription('sub-bad')$$, $$resume_subscription('sub-z')$$,
  $$change_plan('sub-bad', 'sub-max', pinned_version => 9)$$, $$change_plan('sub-bad', 'sub-max', billing_interval => 'week')$$,
  $$cancel_subscription('sub-z')$$, $$pin_subscription('sub-bad', 9)$$, $$pin_subscription('sub-z', 1)$$,
  $$pin_subscription('sub-bad', 1, '-infinity')$$, $$pin_subscription('sub-bad', NULL, '2027-10-01')$$,
  $$prorated_allowance('sub-z', 1, 2)$$, $$prorated_allowance('sub-bad', NULL, 2)$$, $$prorated_allowance('sub-bad', -1, 2)$$,
  $$prorated_allowance('sub-bad', 1, 'NaN')$$, $$settle_subscriptions(0)$$, $$settle_subscriptions(NULL)$$,
  $$set_setting('past_due_grace_days', 'soon')$$]) AS call;
SELECT * FROM pg_temp.history('sub-bad');
SELECT count(*) AS rows FROM purser.subscription WHERE account_id = 'sub-z';
SELECT status, plan FROM purser.subscription('sub-z');
