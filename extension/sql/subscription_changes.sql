-- What can be done to a subscription. Each function locks the account, writes down what time has done so far, changes the
-- live row, has the terms of the account's features looked up again and tells its wallets.
-- Locks: those of subscriptions.sql.

CREATE FUNCTION purser.subscribe(
  account_id text,
  plan text,
  actor text DEFAULT session_user,
  pinned_version integer DEFAULT NULL,
  billing_interval text DEFAULT 'month',
  pinned_until timestamptz DEFAULT NULL
) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  begun purser.subscription;
BEGIN
  PERFORM purser._checked_id(subscribe.actor, 'actor'),
          purser._require_plan(subscribe.plan, subscribe.pinned_version);
  begun.plan := subscribe.plan;
  begun.pinned_version := subscribe.pinned_version;
  begun.pinned_until := purser._checked_pin(subscribe.pinned_version, subscribe.pinned_until);
  begun.billing_interval := purser._checked_interval(subscribe.billing_interval);
  begun.status := 'active';
  begun.actor := subscribe.actor;
  account := purser._lock_account(subscribe.account_id);
  RETURN purser._begin_subscription(
    account, purser._settle_subscription(account.account_id), begun, 'subscription.started',
    jsonb_build_object('from', NULL, 'pinned_version', subscribe.pinned_version));
END
$$;
COMMENT ON FUNCTION purser.subscribe(text, text, text, integer, text, timestamptz) IS
  'Subscribes an account that is on the default plan; returns the number of its subscription. Billing periods count from now, by month or year. Follows the plan''s latest version unless pinned to one, and from pinned_until on again. Usage so far carries over. PU012 for an unknown plan, PU014 when the account is subscribed already.';

CREATE FUNCTION purser._trial_days(plan text, billing_interval text) RETURNS integer
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  days integer;
BEGIN
  SELECT max((price ->> 'trial_days')::integer) INTO days
    FROM (SELECT v.definition FROM purser.plan_version AS v
           WHERE v.plan = _trial_days.plan ORDER BY v.version DESC LIMIT 1) AS latest,
         jsonb_array_elements(coalesce(nullif(latest.definition -> 'prices', 'null'), '[]')) AS price
   WHERE price ->> 'interval' = _trial_days.billing_interval;
  IF coalesce(days, 0) = 0 THEN
    RAISE EXCEPTION 'plan "%" has no trial days per %', _trial_days.plan, _trial_days.billing_interval
      USING ERRCODE = 'PU014', HINT = 'Pass the number of days, or publish a price with trial_days.';
  END IF;
  RETURN days;
END
$$;
COMMENT ON FUNCTION purser._trial_days(text, text) IS
  'Internal. Days of trial that the plan''s latest version gives with its price of that interval; PU014 when none.';

CREATE FUNCTION purser.start_trial(
  account_id text,
  plan text,
  days integer DEFAULT NULL,
  fallback_plan text DEFAULT NULL,
  actor text DEFAULT session_user,
  billing_interval text DEFAULT 'month',
  again boolean DEFAULT false
) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
  begun purser.subscription;
  days_given integer;
BEGIN
  PERFORM purser._checked_id(start_trial.actor, 'actor'), purser._require_plan(start_trial.plan, NULL);
  IF start_trial.fallback_plan IS NOT NULL THEN
    PERFORM purser._require_plan(start_trial.fallback_plan, NULL);
  END IF;
  begun.billing_interval := purser._checked_interval(start_trial.billing_interval);
  days_given := coalesce(start_trial.days, purser._trial_days(start_trial.plan, start_trial.billing_interval));
  begun.plan := start_trial.plan;
  begun.fallback_plan := start_trial.fallback_plan;
  begun.status := 'trialing';
  begun.actor := start_trial.actor;
  account := purser._lock_account(start_trial.account_id);
  live := purser._settle_subscription(account.account_id);
  begun.trial_ends_at := purser._days_after(purser.clock(), days_given, 1, account.time_zone);
  IF NOT coalesce(start_trial.again, false)
     AND EXISTS (SELECT FROM purser.subscription AS s
                  WHERE s.account_id = account.account_id AND s.plan = start_trial.plan
                    AND s.trial_ends_at IS NOT NULL AND s.ended_at IS NOT NULL) THEN
    RAISE EXCEPTION 'account "%" has had a trial of plan "%"', account.account_id, start_trial.plan
      USING ERRCODE = 'PU010', HINT = 'Pass again => true to allow another.';
  END IF;
  RETURN purser._begin_subscription(
    account, live, begun, 'subscription.trial_started',
    jsonb_build_object('trial_ends_at', begun.trial_ends_at, 'fallback_plan', begun.fallback_plan));
END
$$;
COMMENT ON FUNCTION purser.start_trial(text, text, integer, text, text, text, boolean) IS
  'Starts a trial of a plan for an account on the default plan; returns the number of its subscription. days: NULL for the trial_days of the plan''s price for the interval. Unless it is activated before, the trial ends by itself at its instant and the account is on fallback_plan then, NULL for the default plan. One trial per account and plan, unless again: PU010. PU012 for an unknown plan, PU014 when the account is subscribed or for days outside 1 to 730.';

CREATE FUNCTION purser.extend_trial(account_id text, days integer, actor text, reason text) RETURNS timestamptz
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
BEGIN
  PERFORM purser._checked_id(extend_trial.actor, 'actor'), purser._checked_id(extend_trial.reason, 'reason'),
          purser._days_after(purser.clock(), extend_trial.days, 1, 'UTC');
  account := purser._lock_account(extend_trial.account_id);
  live := purser._settle_subscription(account.account_id);
  IF live.status IS DISTINCT FROM 'trialing' THEN
    RAISE EXCEPTION 'account "%" is not in a trial', account.account_id
      USING ERRCODE = 'PU010', HINT = 'Start one with purser.start_trial().';
  END IF;
  live.trial_ends_at := purser._days_after(live.trial_ends_at, extend_trial.days, 1, account.time_zone);
  PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
  PERFORM purser._tell_subscription('subscription.trial_extended', live, extend_trial.actor, jsonb_build_object(
    'trial_ends_at', live.trial_ends_at, 'days', extend_trial.days, 'reason', extend_trial.reason));
  RETURN live.trial_ends_at;
END
$$;
COMMENT ON FUNCTION purser.extend_trial(text, integer, text, text) IS
  'Lets a running trial end so many days later, at the same time of day; returns the new end. PU010 when the account is not in a trial, PU014 for days outside 1 to 730.';

CREATE FUNCTION purser.activate_subscription(account_id text, actor text DEFAULT session_user) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
  was text;
BEGIN
  PERFORM purser._checked_id(activate_subscription.actor, 'actor');
  account := purser._lock_account(activate_subscription.account_id);
  live := purser._settle_subscription(account.account_id);
  PERFORM purser._require_subscription(live, account.account_id);
  IF live.status = 'active' THEN
    RETURN false;
  END IF;
  was := live.status;
  IF was = 'trialing' THEN
    live.anchor := purser.clock() AT TIME ZONE account.time_zone;
  END IF;
  live.status := 'active';
  live.grace_ends_at := NULL;
  PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
  PERFORM purser._tell_subscription('subscription.activated', live, activate_subscription.actor,
                                    jsonb_build_object('from', was));
  RETURN true;
END
$$;
COMMENT ON FUNCTION purser.activate_subscription(text, text) IS
  'Makes a trial, or a subscription past due, an active one: it has been paid for. Billing periods of what was a trial count from now. False when it was active already. PU010 without a subscription.';

CREATE FUNCTION purser.mark_past_due(
  account_id text, actor text DEFAULT session_user, grace_days integer DEFAULT NULL
) RETURNS timestamptz
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
BEGIN
  PERFORM purser._checked_id(mark_past_due.actor, 'actor');
  mark_past_due.grace_days := coalesce(mark_past_due.grace_days, purser.setting('past_due_grace_days')::integer);
  PERFORM purser._days_after(purser.clock(), mark_past_due.grace_days, 0, 'UTC');
  account := purser._lock_account(mark_past_due.account_id);
  live := purser._settle_subscription(account.account_id);
  PERFORM purser._require_subscription(live, account.account_id);
  IF live.status = 'trialing' THEN
    RAISE EXCEPTION 'account "%" is in a trial, which owes nothing', account.account_id
      USING ERRCODE = 'PU010', HINT = 'A trial ends by itself; end it now with purser.cancel_subscription().';
  END IF;
  IF live.status = 'past_due' THEN
    RETURN live.grace_ends_at;
  END IF;
  live.status := 'past_due';
  live.grace_ends_at := purser._days_after(purser.clock(), mark_past_due.grace_days, 0, account.time_zone);
  PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
  PERFORM purser._tell_subscription('subscription.past_due', live, mark_past_due.actor,
                                    jsonb_build_object('grace_ends_at', live.grace_ends_at));
  PERFORM purser._settle_subscription(account.account_id);
  RETURN live.grace_ends_at;
END
$$;
COMMENT ON FUNCTION purser.mark_past_due(text, text, integer) IS
  'A payment failed: the account keeps its plan for grace_days (NULL: the setting past_due_grace_days), then it falls back to the default plan by itself. Returns the end of the grace; a subscription that is past due already keeps the end it has. PU010 without a subscription or in a trial.';

CREATE FUNCTION purser.change_plan(
  account_id text,
  plan text,
  actor text DEFAULT session_user,
  pinned_version integer DEFAULT NULL,
  at_period_end boolean DEFAULT false,
  billing_interval text DEFAULT NULL
) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
  same boolean;
BEGIN
  PERFORM purser._checked_id(change_plan.actor, 'actor'),
          purser._require_plan(change_plan.plan, change_plan.pinned_version);
  IF change_plan.billing_interval IS NOT NULL THEN
    PERFORM purser._checked_interval(change_plan.billing_interval);
  END IF;
  account := purser._lock_account(change_plan.account_id);
  live := purser._settle_subscription(account.account_id);
  IF live.account_id IS NULL THEN
    RETURN purser.subscribe(account.account_id, change_plan.plan, change_plan.actor, change_plan.pinned_version,
                            coalesce(change_plan.billing_interval, 'month'));
  END IF;
  change_plan.billing_interval := coalesce(change_plan.billing_interval, live.billing_interval);
  same := (live.plan, live.billing_interval) = (change_plan.plan, change_plan.billing_interval)
          AND live.pinned_version IS NOT DISTINCT FROM change_plan.pinned_version;
  IF same AND live.next_plan IS NULL THEN
    RETURN live.subscription_no;
  END IF;
  live.next_plan := CASE WHEN NOT same THEN change_plan.plan END;
  live.next_pinned_version := CASE WHEN NOT same THEN change_plan.pinned_version END;
  live.next_interval := CASE WHEN NOT same THEN change_plan.billing_interval END;
  live.next_actor := CASE WHEN NOT same THEN change_plan.actor END;
  live.next_plan_at := CASE
    WHEN same THEN NULL
    WHEN change_plan.at_period_end THEN (purser.subscription(account.account_id)).period_end
    ELSE purser.clock() END;
  PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
  IF same OR change_plan.at_period_end THEN
    PERFORM purser._tell_subscription(
      CASE WHEN same THEN 'subscription.change_canceled' ELSE 'subscription.change_scheduled' END,
      live, change_plan.actor,
      jsonb_build_object('next_plan', live.next_plan, 'pinned_version', live.next_pinned_version,
                         'billing_interval', live.next_interval, 'effective_at', live.next_plan_at));
    RETURN live.subscription_no;
  END IF;
  live := purser._settle_subscription(account.account_id);
  RETURN live.subscription_no;
END
$$;
COMMENT ON FUNCTION purser.change_plan(text, text, text, integer, boolean, text) IS
  'Moves an account to another plan, at once or at the end of its billing period (of its trial): the live subscription ends and the next starts at that instant, in one transaction. Usage, the anchor of billing periods and the state carry over: a trial stays a trial, a scheduled cancellation stays. Another billing_interval (month, year; NULL keeps it) starts billing periods anew. A later change replaces one that is scheduled; moving to the plan it has undoes it. Returns the number of the subscription that is live now. An account without a subscription gets its first, at once.';

CREATE FUNCTION purser.cancel_subscription(
  account_id text, actor text DEFAULT session_user, at_period_end boolean DEFAULT false
) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
  ends_at timestamptz;
BEGIN
  PERFORM purser._checked_id(cancel_subscription.actor, 'actor');
  account := purser._lock_account(cancel_subscription.account_id);
  live := purser._settle_subscription(account.account_id);
  ends_at := CASE WHEN cancel_subscription.at_period_end THEN (purser.subscription(account.account_id)).period_end
                  ELSE purser.clock() END;
  IF live.account_id IS NULL OR live.cancel_at <= ends_at THEN
    RETURN false;
  END IF;
  live.cancel_at := ends_at;
  IF cancel_subscription.at_period_end THEN
    PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
    PERFORM purser._tell_subscription('subscription.cancel_scheduled', live, cancel_subscription.actor,
                                      jsonb_build_object('effective_at', ends_at));
    RETURN true;
  END IF;
  live.status := 'canceled';
  live.ended_at := ends_at;
  live.end_reason := 'canceled';
  PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
  PERFORM purser._tell_subscription('subscription.canceled', live, cancel_subscription.actor,
                                    jsonb_build_object('reason', 'canceled', 'effective_at', ends_at));
  RETURN true;
END
$$;
COMMENT ON FUNCTION purser.cancel_subscription(text, text, boolean) IS
  'Ends the live subscription, at once or at the end of its billing period (of its trial); the account falls back to the default plan then. Usage carries over and bought credits stay; for monthly and rollover credits see the setting credits_on_cancel. False, and nothing changed, when there was none or it was to end by then already.';

CREATE FUNCTION purser.resume_subscription(account_id text, actor text DEFAULT session_user) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
  undone jsonb;
BEGIN
  PERFORM purser._checked_id(resume_subscription.actor, 'actor');
  account := purser._lock_account(resume_subscription.account_id);
  live := purser._settle_subscription(account.account_id);
  PERFORM purser._require_subscription(live, account.account_id);
  IF live.cancel_at IS NULL AND live.next_plan IS NULL THEN
    RAISE EXCEPTION 'nothing is scheduled for the subscription of account "%"', account.account_id
      USING ERRCODE = 'PU010', HINT = 'purser.subscription() says what is.';
  END IF;
  undone := jsonb_build_object('cancel_at', live.cancel_at, 'next_plan', live.next_plan, 'next_plan_at', live.next_plan_at);
  live.cancel_at := NULL;
  live.next_plan := NULL;
  live.next_pinned_version := NULL;
  live.next_interval := NULL;
  live.next_plan_at := NULL;
  live.next_actor := NULL;
  PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
  PERFORM purser._tell_subscription('subscription.resumed', live, resume_subscription.actor, undone);
  RETURN live.subscription_no;
END
$$;
COMMENT ON FUNCTION purser.resume_subscription(text, text) IS
  'Undoes a scheduled cancellation and a scheduled change of plan; returns the number of the subscription, which goes on. PU010 when nothing is scheduled.';

CREATE FUNCTION purser.pin_subscription(
  account_id text, version integer, until timestamptz DEFAULT NULL, actor text DEFAULT session_user
) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
BEGIN
  PERFORM purser._checked_id(pin_subscription.actor, 'actor'),
          purser._checked_pin(pin_subscription.version, pin_subscription.until);
  account := purser._lock_account(pin_subscription.account_id);
  live := purser._settle_subscription(account.account_id);
  PERFORM purser._require_subscription(live, account.account_id),
          purser._require_plan(live.plan, pin_subscription.version);
  live.pinned_version := pin_subscription.version;
  live.pinned_until := pin_subscription.until;
  PERFORM purser._store_subscription(live), purser._subscription_changed(account.account_id);
  PERFORM purser._tell_subscription('subscription.pinned', live, pin_subscription.actor,
    jsonb_build_object('pinned_version', pin_subscription.version, 'pinned_until', pin_subscription.until));
  RETURN live.subscription_no;
END
$$;
COMMENT ON FUNCTION purser.pin_subscription(text, integer, timestamptz, text) IS
  'Keeps the subscription on one version of its plan, until a time from which it follows the latest (NULL: for good). version NULL: it follows the latest at once. Returns the number of the subscription. PU010 without one, PU012 for an unknown version, PU014 for a time that is past.';
