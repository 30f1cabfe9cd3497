-- SUB-5: when a subscription has ended, monthly and rollover credits stay, freeze or lapse by the setting
-- credits_on_cancel, at the very instant and though nothing runs; all other credits stay.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2027-03-01 00:00+00';
SELECT purser.publish_plan('endpro', '{"name": "End", "features": {"chat_messages": 50, "renders": 50}}', 'tester', 'end') ->> 'version' AS version;

-- One account with credits of every kind, 10 each.
CREATE FUNCTION pg_temp.stock(account_id text) RETURNS numeric
  LANGUAGE sql
AS $$
  SELECT max(g.balance_after)
    FROM unnest('{monthly, rollover, promotional, refund, adjustment, purchased}'::text[]) AS kind,
         purser.grant_credits(stock.account_id, 10, kind, kind, CASE kind WHEN 'rollover' THEN '2027-09-01'::timestamptz END) AS g;
$$;
-- What can be spent at several instants, nothing running between them, and whether a look at that instant
-- from before agrees.
CREATE FUNCTION pg_temp.looked(account_id text, VARIADIC instants text[])
  RETURNS TABLE (at text, balance numeric, foreseen boolean, states text)
  LANGUAGE plpgsql
AS $$
DECLARE
  foretold numeric[];
BEGIN
  FOREACH at IN ARRAY instants LOOP
    foretold := foretold || purser.credit_balance(account_id, at => at::timestamptz);
  END LOOP;
  FOR i IN 1 .. cardinality(instants) LOOP
    at := instants[i];
    PERFORM set_config('purser.now', at, false);
    balance := purser.credit_balance(account_id);
    foreseen := balance = foretold[i] AND balance = purser.credit_balance(account_id, at => at::timestamptz);
    SELECT string_agg(left(g.kind, 2) || ':' || g.state, ' ' ORDER BY g.grant_id) INTO states
      FROM purser.grants AS g WHERE g.account_id = looked.account_id;
    RETURN NEXT;
  END LOOP;
END
$$;
-- The same life of an account under one policy: subscribed, canceled at the end of the period, charged
-- across kinds, subscribed again.
CREATE FUNCTION pg_temp.life(account_id text) RETURNS TABLE (step text, says text)
  LANGUAGE plpgsql
AS $$
DECLARE
  act text;
BEGIN
  PERFORM set_config('purser.now', '2027-03-01 00:00+00', false);
  PERFORM purser.subscribe(account_id, 'endpro', 'tester'), pg_temp.stock(account_id);
  PERFORM purser.cancel_subscription(account_id, 'tester', true);
  FOREACH act IN ARRAY ARRAY[
    '2027-03-20 00:00+00 charge 4', '2027-03-31 23:59:59.999999+00 charge 1', '2027-04-01 00:00+00 balance',
    '2027-04-02 00:00+00 charge 41', '2027-04-03 00:00+00 charge 2', '2027-04-10 00:00+00 subscribe', '2027-04-11 00:00+00 charge 15'] LOOP
    step := substr(act, 1, 10) || substring(act FROM '\+00(.*)$');
    PERFORM set_config('purser.now', substring(act FROM '^(.*\+00) '), false);
    BEGIN
      CASE split_part(act, ' ', 3)
        WHEN 'charge' THEN
          SELECT string_agg((a ->> 'kind') || ' ' || (a ->> 'amount'), ', ' ORDER BY n) INTO says
            FROM purser.charge_credits(account_id, split_part(act, ' ', 4)::numeric, 'work', step) AS e,
                 jsonb_array_elements(e.allocations) WITH ORDINALITY AS p (a, n);
        WHEN 'subscribe' THEN says := purser.subscribe(account_id, 'endpro', 'tester')::text;
        ELSE says := '';
      END CASE;
    EXCEPTION WHEN SQLSTATE 'PU002' THEN
      says := SQLERRM;
    END;
    says := says || '; balance ' || purser.credit_balance(account_id)
                 || (SELECT coalesce(string_agg('; ' || v.rule, ''), '') FROM purser.verify_ledger(account_id) AS v);
    RETURN NEXT;
  END LOOP;
END
$$;
CREATE FUNCTION pg_temp.written_off(account_id text) RETURNS TABLE (reason text, amount numeric, kind text, created_at timestamptz, effective_at timestamptz)
  LANGUAGE sql
AS $$
  SELECT l.reason, l.amount, l.allocations #>> '{0,kind}', l.created_at, l.effective_at FROM purser.ledger AS l
   WHERE l.account_id = written_off.account_id AND l.reason IN ('expired', 'lapsed') ORDER BY l.entry_no;
$$;

-- Not set, they stay until they expire.
SELECT purser.setting('credits_on_cancel');
SELECT * FROM pg_temp.life('end-keep');
SELECT * FROM pg_temp.written_off('end-keep');
SELECT purser.set_setting('credits_on_cancel', 'freeze', 'tester');
SELECT * FROM pg_temp.life('end-freeze');
SELECT * FROM pg_temp.written_off('end-freeze');
SELECT purser.set_setting('credits_on_cancel', 'lapse', 'tester');
SELECT * FROM pg_temp.life('end-lapse');
SELECT * FROM pg_temp.written_off('end-lapse');

-- Canceled at once; the last microsecond of a period; the instant itself; what a new subscription finds.
SELECT set_config('purser.now', '2027-03-01 00:00+00', false), purser.set_setting('credits_on_cancel', 'freeze', 'tester');
SELECT purser.subscribe('end-now', 'endpro', 'tester'), pg_temp.stock('end-now');
SET purser.now = '2027-03-05 00:00+00';
SELECT purser.cancel_subscription('end-now', 'tester');
SELECT * FROM pg_temp.looked('end-now', '2027-03-05 00:00+00', '2027-08-31 00:00+00', '2027-09-01 00:00+00');
SELECT purser.subscribe('end-now', 'endpro', 'tester');
SELECT * FROM pg_temp.looked('end-now', '2027-09-02 00:00+00');
-- A balance of the past: before the end, at it, and long after.
SET purser.now = '2027-03-01 00:00+00';
SELECT purser.subscribe('end-sched', 'endpro', 'tester'), pg_temp.stock('end-sched');
SELECT purser.cancel_subscription('end-sched', 'tester', true);
SELECT * FROM pg_temp.looked('end-sched', '2027-03-31 23:59:59.999999+00', '2027-04-01 00:00+00', '2027-05-01 00:00+00');
SELECT at, purser.credit_balance('end-sched', at => at) FROM unnest('{2027-02-01, 2027-03-01, 2027-03-31 23:59:59.999999, 2027-04-01, infinity}'::timestamptz[]) AS at;
-- Resumed in time, nothing happens.
SET purser.now = '2027-03-31 12:00+00';
SELECT purser.resume_subscription('end-sched', 'tester');
SELECT * FROM pg_temp.looked('end-sched', '2027-04-01 00:00+00');
-- The policy counts from its commit on, in both directions, for what has not been written off.
SET purser.now = '2027-04-02 00:00+00';
SELECT purser.cancel_subscription('end-sched', 'tester');
SELECT policy, purser.set_setting('credits_on_cancel', policy, 'tester') IS NOT NULL AS set, purser.credit_balance('end-sched')
  FROM unnest('{lapse, keep, freeze, lapse}'::text[]) AS policy;
SELECT * FROM pg_temp.looked('end-sched', '2027-04-02 00:00+00', '2027-04-03 00:00+00');

-- A new subscription does not bring back what lapsed, though nobody wrote it off before.
SELECT purser.subscribe('end-sched', 'endpro', 'tester');
SELECT * FROM pg_temp.looked('end-sched', '2027-04-03 00:00+00');
SELECT * FROM pg_temp.written_off('end-sched');

-- A trial without a fallback plan, one with, one that was paid for; grace.
SET purser.now = '2027-03-01 00:00+00';
SELECT account_id, purser.start_trial(account_id, 'endpro', 7, fallback, 'tester'), pg_temp.stock(account_id)
  FROM (VALUES ('end-trial', NULL), ('end-trial-on', 'endpro'), ('end-trial-paid', NULL)) AS t (account_id, fallback);
SELECT purser.activate_subscription('end-trial-paid', 'tester');
SELECT purser.subscribe('end-grace', 'endpro', 'tester'), pg_temp.stock('end-grace'), purser.mark_past_due('end-grace', 'tester', 3);
SELECT account_id, l.* FROM unnest('{end-trial, end-trial-on, end-trial-paid, end-grace}'::text[]) AS account_id,
       pg_temp.looked(account_id, '2027-03-03 23:59:59.999999+00', '2027-03-04 00:00+00', '2027-03-07 23:59:59.999999+00', '2027-03-08 00:00+00') AS l;
-- A longer trial puts it off.
SET purser.now = '2027-03-02 00:00+00';
SELECT purser.extend_trial('end-trial', 7, 'tester', 'coupon');
SELECT * FROM pg_temp.looked('end-trial', '2027-03-08 00:00+00', '2027-03-15 00:00+00');

-- An account that never had a subscription; a wallet made while one is about to end, and after it ended.
SET purser.now = '2027-03-01 00:00+00';
SELECT pg_temp.stock('end-never');
SELECT purser.subscribe('end-new', 'endpro', 'tester'), purser.cancel_subscription('end-new', 'tester', true), pg_temp.stock('end-new');
SELECT account_id, l.* FROM unnest('{end-never, end-new}'::text[]) AS account_id,
       pg_temp.looked(account_id, '2027-03-31 23:59:59.999999+00', '2027-04-01 00:00+00') AS l;
-- What is granted afterwards did not come with it.
SELECT balance_after FROM purser.grant_credits('end-new', 5, 'monthly', 'late-m');
SELECT balance_after FROM purser.grant_credits('end-new', 5, 'rollover', 'late-r', wallet => 'other');
SELECT purser.credit_balance('end-new') AS credits, purser.credit_balance('end-new', 'other') AS other;
SELECT balance_after FROM purser.grant_credits('end-new', 5, 'purchased', 'late');
SELECT purser.set_setting('credits_on_cancel', 'freeze', 'tester');
SELECT balance_after FROM purser.grant_credits('end-new', 5, 'monthly', 'later', wallet => 'other');
SELECT wallet, subscription_until FROM purser.wallet WHERE account_id = 'end-new' ORDER BY 1;
SELECT purser.credit_balance('end-new', 'other') AS frozen, purser.subscribe('end-new', 'endpro', 'tester');
SELECT purser.credit_balance('end-new', 'other') AS thawed;

-- Refunds: to a frozen grant, where it waits with the rest; for a lapsed one, as credits that live on as
-- long as the old ones still had to; for one that was spent while the policy was another.
SET purser.now = '2027-03-01 00:00+00';
SELECT id, purser.subscribe(id, 'endpro', 'tester'), g.balance_after, purser.cancel_subscription(id, 'tester', true)
  FROM unnest('{end-back-1, end-back-2, end-back-3}'::text[]) AS id, purser.grant_credits(id, 10, 'monthly', 'm', '2027-06-01') AS g;
SET purser.now = '2027-03-22 00:00+00';
SELECT entry_id FROM unnest('{end-back-1, end-back-2, end-back-3}'::text[]) AS id, purser.charge_credits(id, 6, 'work', 'w');
SET purser.now = '2027-04-05 00:00+00';
SELECT allocations FROM purser.refund_credits('end-back-1', 'credits/2', NULL, 'sorry', 'back');
SELECT at, purser.credit_balance('end-back-1', at => at) FROM unnest('{2027-03-31, 2027-04-01, 2027-04-05}'::timestamptz[]) AS at;
SELECT purser.set_setting('credits_on_cancel', 'keep', 'tester');
SELECT allocations FROM purser.refund_credits('end-back-3', 'credits/2', 2, 'sorry', 'back');
SELECT entry_id FROM purser.charge_credits('end-back-3', 5, 'work', 'late');
SELECT purser.set_setting('credits_on_cancel', 'lapse', 'tester');
SELECT allocations FROM purser.refund_credits('end-back-2', 'credits/2', NULL, 'sorry', 'back');
SELECT allocations FROM purser.refund_credits('end-back-3', 'credits/4', NULL, 'sorry', 'back late');
SELECT account_id, kind, amount, remaining, expires_at, state FROM purser.grants WHERE account_id LIKE 'end-back-%' ORDER BY account_id, grant_id;
SELECT * FROM pg_temp.written_off('end-back-2');
SELECT * FROM pg_temp.written_off('end-back-3');

-- A session that has not read the catalog yet knows the policy too.
\c -
SET timezone = 'UTC';
SET purser.now = '2027-03-31 12:00+00';
SELECT purser.subscribe('end-fresh', 'endpro', 'tester'), purser.cancel_subscription('end-fresh', 'tester', true);
SELECT entry_id FROM (VALUES ('monthly', 8), ('purchased', 9)) AS g (kind, amount), purser.grant_credits('end-fresh', amount, kind, kind);
\c -
SET timezone = 'UTC';
SET purser.now = '2027-04-30 11:59:59.999999+00';
SELECT allocations FROM purser.charge_credits('end-fresh', 7, 'work', 'before');
\c -
SET timezone = 'UTC';
SET purser.now = '2027-04-30 12:00+00';
SELECT allocations FROM purser.charge_credits('end-fresh', 7, 'work', 'after');

-- The books are right, and no balance of the past is negative.
SELECT count(*) AS violations FROM purser.verify_ledger() WHERE path LIKE 'end-%';
SELECT count(*) > 50 AS many, count(*) FILTER (WHERE purser.credit_balance(l.account_id, l.wallet, l.effective_at) < 0) AS negative
  FROM purser.ledger AS l WHERE l.account_id LIKE 'end-%';

SELECT tried($$SELECT purser.set_setting('credits_on_cancel', 'burn', 'tester')$$);
SELECT tried($$SELECT purser.set_setting('credits_on_cancel', 'Lapse', 'tester')$$);
SELECT tried($$SELECT purser.set_setting('credits_on_cancel', NULL, 'tester')$$);
SELECT purser.set_setting('credits_on_cancel', 'keep', 'tester');
