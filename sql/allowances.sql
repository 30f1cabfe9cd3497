-- CRD-7: a plan gives credits with each month. They are there at the instant the month begins, though nothing
-- runs, and what becomes of those not used is the plan's to say. Written down late, twice or in pieces is the same.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2026-01-31 15:00+00';
CREATE FUNCTION pg_temp.books(account_id text) RETURNS TABLE (effective_at timestamptz, reason text, credits numeric, kind text, balance_after numeric)
  LANGUAGE sql
BEGIN ATOMIC
  SELECT l.effective_at, l.reason, CASE l.direction WHEN 'DEBIT' THEN -l.amount ELSE l.amount END,
         (SELECT string_agg(a ->> 'kind', ' ') FROM jsonb_array_elements(l.allocations) AS a), l.balance_after
    FROM purser.ledger AS l WHERE l.account_id = books.account_id ORDER BY l.entry_no;
END;
SELECT purser.publish_plan('al_none', '{"name": "None", "credits": {"credits": {"allowance": 100}}}', 'tester', 'test') ->> 'version' AS version,
       purser.publish_plan('al_tenth', '{"name": "Tenth", "credits": {"credits": {"allowance": 100, "rollover": {"percent": 10, "days": 30}}, "ai_tokens": {"allowance": 5.5}}}', 'tester', 'test') ->> 'version' AS version,
       purser.publish_plan('al_twice', '{"name": "Twice", "credits": {"credits": {"allowance": 100, "rollover": {"max_multiple": 2, "days": 90}}}}', 'tester', 'test') ->> 'version' AS version;

-- All that is wrong with a plan's credits, at once.
SELECT * FROM purser.validate_plan('{"name": "x", "credits": {"": {"allowance": 1}, "a": {}, "b": {"allowance": -1, "rollover": {"percent": 101, "max_multiple": 0, "days": 0, "x": 1}}, "c": {"allowance": "1", "rollover": 10}, "d": 5, "e": {"allowance": 0.0000001}}}');

-- The first month comes with the subscription; the anchor is the 31st.
SELECT purser.subscribe('al-none', 'al_none', 'tester'), purser.subscribe('al-tenth', 'al_tenth', 'tester'), purser.subscribe('al-twice', 'al_twice', 'tester');
SELECT account_id, wallet, kind, remaining, expires_at FROM purser.grants WHERE account_id LIKE 'al-%' ORDER BY 1, 2;
SELECT count(purser.charge_credits(a, 40, 'work', 'c1')) FROM unnest('{al-none, al-tenth, al-twice}'::text[]) AS a;
-- Nothing runs. What can be spent at each boundary, seen from before and at the instant.
SELECT at, purser.credit_balance('al-none', at => at) AS none, purser.credit_balance('al-tenth', at => at) AS tenth,
       purser.credit_balance('al-twice', at => at) AS twice
  FROM unnest('{2026-02-28 14:59:59.999999, 2026-02-28 15:00, 2026-03-30 14:59:59, 2026-03-30 15:00, 2026-03-31 15:00, 2026-04-30 15:00}'::timestamptz[]) AS at;
SET purser.now = '2026-02-28 14:59:59.999999+00';
SELECT purser.credit_balance('al-tenth');
SET purser.now = '2026-02-28 15:00+00';
SELECT purser.credit_balance('al-tenth');
SELECT count(*) AS not_written_yet FROM purser.ledger WHERE account_id = 'al-tenth';
SELECT amount, balance_after, allocations FROM purser.charge_credits('al-tenth', 101, 'work', 'c2');
SELECT * FROM pg_temp.books('al-tenth');
-- Two months later, from the first of them on nobody had looked at the others.
SET purser.now = '2026-04-30 15:00+00';
SELECT purser.credit_balance(a) FROM unnest('{al-none, al-tenth, al-twice}'::text[]) AS a;
SELECT count(purser.charge_credits(a, 1, 'work', 'c3')) FROM unnest('{al-none, al-tenth, al-twice}'::text[]) AS a;
SELECT * FROM pg_temp.books('al-none');
SELECT * FROM pg_temp.books('al-tenth') WHERE effective_at > '2026-02-28 15:00+00';
SELECT * FROM pg_temp.books('al-twice');

-- Down for three periods and back gives the same books as never down.
SET purser.now = '2026-05-10 00:00+00';
SELECT purser.subscribe(a, 'al_twice', 'tester') FROM unnest('{al-late, al-daily}'::text[]) AS a;
SELECT count(purser.grant_credits(a, 7, 'promotional', 'p', '2026-07-01')) FROM unnest('{al-late, al-daily}'::text[]) AS a;
SELECT count(purser.hold_credits(a, 60, 'slow', '40 days', 'h')) FROM unnest('{al-late, al-daily}'::text[]) AS a;
DO $$
BEGIN
  FOR day IN 0 .. 95 LOOP
    PERFORM set_config('purser.now', ('2026-05-10'::timestamptz + day * interval '1 day')::text, false),
            purser._settle_wallets('al-daily'), purser._settle_wallets('al-daily');
  END LOOP;
END
$$;
SELECT purser._settle_wallets('al-late');
SELECT * FROM pg_temp.books('al-late');
SELECT count(*) AS differences FROM (
  (SELECT * FROM pg_temp.books('al-late') EXCEPT SELECT * FROM pg_temp.books('al-daily'))
  UNION ALL (SELECT * FROM pg_temp.books('al-daily') EXCEPT SELECT * FROM pg_temp.books('al-late'))) AS d;

-- A better plan gives its share of what is left of the period, a smaller one takes nothing back, and up again gives
-- nothing twice.
SELECT purser.publish_plan('al_big', '{"name": "Big", "credits": {"credits": {"allowance": 400}}}', 'tester', 'test') ->> 'version' AS version;
SET purser.now = '2026-06-01 00:00+00';
SELECT purser.subscribe('al-up', 'al_none', 'tester');
SET purser.now = '2026-06-16 00:00+00';
SELECT purser.change_plan('al-up', 'al_big', 'tester'), purser.change_plan('al-up', 'al_none', 'tester'), purser.change_plan('al-up', 'al_big', 'tester');
SELECT * FROM pg_temp.books('al-up');
SELECT purser.change_plan('al-up', 'al_none', 'tester', at_period_end => true);
SELECT at::date, purser.credit_balance('al-up', at => at) FROM unnest('{2026-06-30, 2026-07-01, 2026-08-01}'::timestamptz[]) AS at;
-- A new version counts from the next period on.
SET purser.now = '2026-07-05 00:00+00';
SELECT purser.publish_plan('al_none', '{"name": "None", "credits": {"credits": {"allowance": 120}}}', 'tester', 'more') ->> 'version' AS version;
SELECT purser.credit_balance('al-up');
SET purser.now = '2026-08-01 00:00+00';
SELECT purser.credit_balance('al-up');
SET purser.now = '2026-09-01 00:00+00';
SELECT purser._settle_wallets('al-up');
SELECT * FROM pg_temp.books('al-up') WHERE effective_at > '2026-06-16 00:00+00';

-- A trial's allowance is of the trial; the paid months begin with it. Yearly subscriptions get theirs each month.
SELECT purser.start_trial('al-trial', 'al_tenth', 14, 'al_none', 'tester'), purser.subscribe('al-year', 'al_none', 'tester', billing_interval => 'year');
SET purser.now = '2026-09-11 00:00+00';
SELECT purser.activate_subscription('al-trial', 'tester');
SELECT * FROM pg_temp.books('al-trial');
SELECT at::date, purser.credit_balance('al-trial', at => at), purser.credit_balance('al-year', at => at) AS year
  FROM unnest('{2026-10-10, 2026-10-11, 2026-11-11}'::timestamptz[]) AS at;

-- Canceled: what comes with the plan stays, freezes or lapses as the setting says; the default plan's comes afterwards.
SET purser.now = '2026-10-01 00:00+00';
SELECT purser.publish_plan('al_free', '{"name": "Free", "credits": {"credits": {"allowance": 10}}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.setting('default_plan') AS default_plan \gset
SELECT purser.set_setting('default_plan', 'al_free', 'tester'), purser.set_setting('credits_on_cancel', 'lapse', 'tester');
SELECT purser.credit_balance('al-nobody') AS of_an_account_nobody_used_yet, count(*) AS wallets FROM purser.wallet WHERE account_id = 'al-nobody';
SELECT balance_after FROM purser.charge_credits('al-nobody', 4, 'work', 'first');
SELECT tried($$SELECT purser.charge_credits('al-other', 11, 'work', 'first')$$);
SELECT count(*) AS left_by_a_refusal FROM purser.account WHERE account_id = 'al-other';
SELECT purser.subscribe('al-end', 'al_none', 'tester'), count(purser.grant_credits('al-end', 5, 'purchased', 'p'));
SET purser.now = '2026-10-11 00:00+00';
SELECT purser.cancel_subscription('al-end', 'tester');
SELECT purser.credit_balance('al-end') AS after_the_end;
SELECT count(purser.charge_credits('al-end', 1, 'work', 'w'));
SELECT * FROM pg_temp.books('al-end');
SET purser.now = '2026-11-01 00:00+00';
SELECT purser.credit_balance('al-end') AS next_month;
SELECT purser.set_setting('default_plan', :'default_plan', 'tester'), purser.set_setting('credits_on_cancel', 'keep', 'tester');

-- Looking far ahead does not take for ever.
SELECT purser.credit_balance('al-up', at => 'infinity') >= 0 AS far, purser.credit_balance('al-up', at => '9999-01-01') >= 0 AS far_too;
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'al-%';
