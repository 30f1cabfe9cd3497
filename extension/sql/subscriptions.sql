-- Subscriptions as they are: read by the clock, settled (what time has done, written down), and the steps that every
-- change of one is made of; the changes themselves are in subscription_changes.sql.
-- Locks: account, then its subscriptions, then entitlement by (account_id, feature), then wallet by (account_id, wallet).

CREATE FUNCTION purser._subscription_rows(account_id text, at timestamptz) RETURNS SETOF purser.subscription
  LANGUAGE c STABLE
  AS 'MODULE_PATHNAME', 'purser_subscription_rows';
COMMENT ON FUNCTION purser._subscription_rows(text, timestamptz) IS
  'Internal. What the account''s live row stands for at an instant: the row as it ended, and those that followed it by themselves, in order.';

CREATE FUNCTION purser.subscription(account_id text) RETURNS purser.subscription_state
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_subscription';
COMMENT ON FUNCTION purser.subscription(text) IS
  'What the account is subscribed to now, decided by the clock: trials, grace and scheduled moves count from their instant on, whether or not anything ran. Without a subscription: the default plan, status NULL.';

CREATE FUNCTION purser.subscription_history(account_id text) RETURNS SETOF purser.subscription
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT s.* FROM purser.subscription AS s
   WHERE s.account_id = purser._checked_id(subscription_history.account_id, 'account_id')
     AND s.ended_at IS NOT NULL
   UNION ALL
  SELECT s.* FROM purser._subscription_rows(subscription_history.account_id, purser.clock()) AS s
   ORDER BY subscription_no;
END;
COMMENT ON FUNCTION purser.subscription_history(text) IS
  'Every subscription the account had and has, oldest first, as of now: what time has ended is shown as ended. end_reason: canceled, trial_ended, grace_ended, plan_changed.';

-- Checks of arguments --------------------------------------------------------------------------------

CREATE FUNCTION purser._require_plan(plan text, version integer) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(_require_plan.plan, 'plan');
  IF NOT EXISTS (SELECT FROM purser.plan_version AS v
                  WHERE v.plan = _require_plan.plan AND v.version = coalesce(_require_plan.version, v.version)) THEN
    RAISE EXCEPTION 'plan "%"% is not published', _require_plan.plan, coalesce(' version ' || _require_plan.version, '')
      USING ERRCODE = 'PU012', HINT = 'Publish it with purser.publish_plan().';
  END IF;
  IF (SELECT v.definition ->> 'active' = 'false' FROM purser.plan_version AS v
       WHERE v.plan = _require_plan.plan ORDER BY v.version DESC LIMIT 1) THEN
    RAISE EXCEPTION 'plan "%" is not active', _require_plan.plan
      USING ERRCODE = 'PU012', HINT = 'Publish a version that is active, or choose another plan.';
  END IF;
END
$$;
COMMENT ON FUNCTION purser._require_plan(text, integer) IS
  'Internal. PU012 unless the plan, in this version or any, is published and takes subscriptions.';

CREATE FUNCTION purser._checked_interval(billing_interval text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF coalesce(billing_interval NOT IN ('month', 'year'), true) THEN
    RAISE EXCEPTION 'billing interval must be month or year, not %', coalesce('"' || left(billing_interval, 40) || '"', 'null')
      USING ERRCODE = 'PU014', HINT = 'Pass month or year.';
  END IF;
  RETURN billing_interval;
END
$$;
COMMENT ON FUNCTION purser._checked_interval(text) IS 'Internal. The interval when it is month or year; PU014 otherwise.';

CREATE FUNCTION purser._checked_future(value timestamptz, name text) RETURNS timestamptz
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF value <= purser.clock() OR NOT isfinite(value) THEN
    RAISE EXCEPTION 'argument "%" must lie in the future, not %', name,
                    CASE WHEN isfinite(value) THEN to_char(value AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
                         ELSE value::text END
      USING ERRCODE = 'PU014', HINT = format('Pass a later time for %s, or NULL for no end.', name);
  END IF;
  RETURN value;
END
$$;
COMMENT ON FUNCTION purser._checked_future(timestamptz, text) IS
  'Internal. The time when it is NULL, or finite and later than now; PU014 otherwise.';

CREATE FUNCTION purser._checked_pin(version integer, until timestamptz) RETURNS timestamptz
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF version IS NULL AND until IS NOT NULL THEN
    RAISE EXCEPTION 'a pin needs a version'
      USING ERRCODE = 'PU014', HINT = 'Pass the version to stay on until then, or no time.';
  END IF;
  RETURN purser._checked_future(until, 'pinned_until');
END
$$;
COMMENT ON FUNCTION purser._checked_pin(integer, timestamptz) IS
  'Internal. The end of a pin to a version, when it makes sense; PU014 otherwise.';

CREATE FUNCTION purser._days_after(at timestamptz, days integer, fewest integer, time_zone text) RETURNS timestamptz
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF coalesce(days NOT BETWEEN fewest AND 730, true) THEN
    RAISE EXCEPTION 'days must be between % and 730, not %', fewest, coalesce(days::text, 'null')
      USING ERRCODE = 'PU014', HINT = 'Pass a number of days within these bounds.';
  END IF;
  RETURN (at AT TIME ZONE _days_after.time_zone + make_interval(days => days)) AT TIME ZONE _days_after.time_zone;
END
$$;
COMMENT ON FUNCTION purser._days_after(timestamptz, integer, integer, text) IS
  'Internal. The same time of day on the zone''s wall clock, so many days later. PU014 for too few or more than 730.';

-- Writing ----------------------------------------------------------------------------------------------

CREATE FUNCTION purser._store_subscription(stored purser.subscription) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO purser.subscription AS s
         (account_id, subscription_no, plan, pinned_version, pinned_until, status, billing_interval, anchor, started_at,
          trial_ends_at, fallback_plan, grace_ends_at, cancel_at,
          next_plan, next_pinned_version, next_interval, next_plan_at, next_actor, ended_at, end_reason, actor)
  VALUES ((stored).account_id, (stored).subscription_no, (stored).plan, (stored).pinned_version, (stored).pinned_until,
          (stored).status, (stored).billing_interval, (stored).anchor, (stored).started_at,
          (stored).trial_ends_at, (stored).fallback_plan, (stored).grace_ends_at, (stored).cancel_at,
          (stored).next_plan, (stored).next_pinned_version, (stored).next_interval, (stored).next_plan_at,
          (stored).next_actor, (stored).ended_at, (stored).end_reason, (stored).actor)
  ON CONFLICT (account_id, subscription_no) DO UPDATE
     SET pinned_version = excluded.pinned_version, pinned_until = excluded.pinned_until, status = excluded.status,
         anchor = excluded.anchor, trial_ends_at = excluded.trial_ends_at, fallback_plan = excluded.fallback_plan,
         grace_ends_at = excluded.grace_ends_at, cancel_at = excluded.cancel_at,
         next_plan = excluded.next_plan, next_pinned_version = excluded.next_pinned_version,
         next_interval = excluded.next_interval, next_plan_at = excluded.next_plan_at,
         next_actor = excluded.next_actor, ended_at = excluded.ended_at, end_reason = excluded.end_reason;
END;
COMMENT ON FUNCTION purser._store_subscription(purser.subscription) IS
  'Internal. Writes one subscription, new or changed. Its account, number, plan, interval and start never change.';

CREATE FUNCTION purser._tell_wallets(account_id text) RETURNS void
  LANGUAGE c VOLATILE STRICT
  AS 'MODULE_PATHNAME', 'purser_tell_wallets';
COMMENT ON FUNCTION purser._tell_wallets(text) IS
  'Internal. Tells the account''s wallets when its subscription ends, and writes off what has expired or lapsed before. The caller holds the account''s lock.';

CREATE FUNCTION purser._settle_wallets(account_id text) RETURNS void
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_settle_wallets';
COMMENT ON FUNCTION purser._settle_wallets(text) IS
  'Internal. Writes down what time did to the wallets of an account whose row is locked.';

CREATE FUNCTION purser._settle_wallet(account_id text, wallet text) RETURNS void
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_settle_wallet';
COMMENT ON FUNCTION purser._settle_wallet(text, text) IS
  'Internal. Writes down what time did to one wallet.';

CREATE FUNCTION purser._subscription_changed(account_id text) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser._terms_changed(_subscription_changed.account_id), purser._tell_wallets(_subscription_changed.account_id);
END;
COMMENT ON FUNCTION purser._subscription_changed(text) IS
  'Internal. What follows from any change of a subscription, once it is stored: terms are looked up again, wallets know its end.';

CREATE FUNCTION purser._tell_subscription(kind text, about purser.subscription, actor text, details jsonb) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser._audit(actor, kind, (about).account_id, 'plan', (about).plan,
                       jsonb_build_object('subscription_no', (about).subscription_no) || details),
         purser._emit(kind, (about).account_id,
                      jsonb_build_object('subscription_no', (about).subscription_no, 'plan', (about).plan) || details);
END;
COMMENT ON FUNCTION purser._tell_subscription(text, purser.subscription, text, jsonb) IS
  'Internal. One audit event and one event about a subscription.';

CREATE FUNCTION purser._settle_subscription(account_id text) RETURNS purser.subscription
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  live purser.subscription;
  settled purser.subscription;
  ended purser.subscription;
BEGIN
  SELECT * INTO live FROM purser.subscription AS s
   WHERE s.account_id = _settle_subscription.account_id AND s.ended_at IS NULL FOR UPDATE;
  -- While the plan is still what it was. The counters, which come before wallets, are locked with the account.
  PERFORM purser._settle_wallets(_settle_subscription.account_id);
  IF live.turns_at IS NULL OR live.turns_at > purser.clock() THEN
    RETURN live;
  END IF;
  FOR settled IN
    SELECT * FROM purser._subscription_rows(_settle_subscription.account_id, purser.clock())
  LOOP
    PERFORM purser._store_subscription(settled);
    IF settled.subscription_no > live.subscription_no THEN
      PERFORM purser._tell_subscription('subscription.changed', settled, settled.actor, jsonb_build_object(
        'from', ended.plan, 'reason', ended.end_reason, 'effective_at', settled.started_at));
    ELSIF settled.ended_at IS NULL THEN
      PERFORM purser._tell_subscription('subscription.changed', settled, settled.actor, jsonb_build_object(
        'from', settled.plan, 'reason', 'unpinned', 'effective_at', live.pinned_until));
    END IF;
    IF settled.end_reason <> 'plan_changed' THEN
      PERFORM purser._tell_subscription('subscription.' || settled.status, settled, 'purser', jsonb_build_object(
        'reason', settled.end_reason, 'effective_at', settled.ended_at));
    END IF;
    ended := settled;
  END LOOP;
  SELECT * INTO live FROM purser.subscription AS s
   WHERE s.account_id = _settle_subscription.account_id AND s.ended_at IS NULL;
  RETURN live;
END
$$;
COMMENT ON FUNCTION purser._settle_subscription(text) IS
  'Internal. Writes down what time has done to the account''s subscription, each ended at its very instant, and returns the live row (NULLs when there is none). Changes nobody''s terms: they were decided by time already. The caller holds the account''s lock.';

CREATE FUNCTION purser.settle_subscriptions(max_accounts integer DEFAULT 100) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  due text;
  settled integer := 0;
BEGIN
  IF coalesce(max_accounts < 1, true) THEN
    RAISE EXCEPTION 'max_accounts must be 1 or more, not %', coalesce(max_accounts::text, 'null') USING ERRCODE = 'PU014';
  END IF;
  FOR due IN
    SELECT a.account_id
      FROM purser.account AS a
     WHERE a.account_id IN (SELECT s.account_id FROM purser.subscription AS s
                             WHERE s.ended_at IS NULL AND s.turns_at <= purser.clock()
                             ORDER BY s.turns_at, s.account_id LIMIT max_accounts)
     ORDER BY a.account_id
       FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    PERFORM purser._settle_subscription(due);
    settled := settled + 1;
  END LOOP;
  RETURN settled;
END
$$;
COMMENT ON FUNCTION purser.settle_subscriptions(integer) IS
  'Writes down what time has done to subscriptions, longest overdue first, for at most so many accounts, and returns for how many. Accounts somebody is changing are left for the next run. Decisions never wait for it; the history and its events are the same whenever it runs.';

CREATE FUNCTION purser._require_subscription(live purser.subscription, account_id text) RETURNS void
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF live.account_id IS NULL THEN
    RAISE EXCEPTION 'account "%" has no subscription', account_id
      USING ERRCODE = 'PU010', HINT = 'It is on the default plan; use purser.subscribe().';
  END IF;
END
$$;
COMMENT ON FUNCTION purser._require_subscription(purser.subscription, text) IS
  'Internal. PU010 when there is no live subscription.';

CREATE FUNCTION purser._begin_subscription(
  account purser.account, live purser.subscription, begun purser.subscription, kind text, details jsonb
) RETURNS integer
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF live.account_id IS NOT NULL THEN
    RAISE EXCEPTION 'account "%" is already subscribed to plan "%"', account.account_id, live.plan
      USING ERRCODE = 'PU014', HINT = 'Use purser.change_plan() to move it to another plan.';
  END IF;
  begun.account_id := account.account_id;
  SELECT coalesce(max(s.subscription_no), 0) + 1 INTO begun.subscription_no
    FROM purser.subscription AS s WHERE s.account_id = account.account_id;
  begun.started_at := purser.clock();
  begun.anchor := begun.started_at AT TIME ZONE account.time_zone;
  PERFORM purser._store_subscription(begun), purser._subscription_changed(account.account_id);
  PERFORM purser._tell_subscription(kind, begun, begun.actor, details);
  RETURN begun.subscription_no;
END
$$;
COMMENT ON FUNCTION purser._begin_subscription(purser.account, purser.subscription, purser.subscription, text, jsonb) IS
  'Internal. Starts the first subscription of an account that has no live one; PU014 when it has.';

CREATE FUNCTION purser.prorated_allowance(account_id text, old_amount numeric, new_amount numeric) RETURNS numeric
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_prorated_allowance';
COMMENT ON FUNCTION purser.prorated_allowance(text, numeric, numeric) IS
  'What a change of allowance in the middle of the account''s billing period is worth: the share of the period that is left × (new_amount - old_amount), rounded towards zero to 6 decimals; negative for a smaller allowance. From 300 to 1200 credits with 20 of 30 days left: 600. PU010 without a subscription, PU013 for amounts that are not finite.';
