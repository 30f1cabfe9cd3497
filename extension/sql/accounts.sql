-- Accounts, their status and their subscription. Every function here locks the account row first
-- and then, in key order, the rows that carry copies of what it changes.

CREATE FUNCTION purser._lock_account(account_id text) RETURNS purser.account
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  locked purser.account;
BEGIN
  PERFORM purser._checked_id(_lock_account.account_id, 'account_id');
  PERFORM purser._account_changes(_lock_account.account_id);
  INSERT INTO purser.account (account_id, created_at) VALUES (_lock_account.account_id, purser.clock())
  ON CONFLICT DO NOTHING;
  -- Written, not only locked: a REPEATABLE READ transaction that has not seen what follows must fail
  -- when it shares the row, rather than copy an old plan or status into a new entitlement.
  UPDATE purser.account AS a SET status = a.status WHERE a.account_id = _lock_account.account_id
  RETURNING * INTO locked;
  PERFORM FROM purser.entitlement AS e WHERE e.account_id = _lock_account.account_id
    ORDER BY e.feature FOR NO KEY UPDATE;
  RETURN locked;
END
$$;
COMMENT ON FUNCTION purser._lock_account(text) IS
  'Internal. Makes the account exist and locks it with all its entitlements.';

CREATE FUNCTION purser._terms_changed(account_id text) RETURNS void
  LANGUAGE c VOLATILE STRICT
  AS 'MODULE_PATHNAME', 'purser_terms_changed';
COMMENT ON FUNCTION purser._terms_changed(text) IS
  'Internal. Makes the next decision on each feature of the account look its terms up again. Called, with the account locked, by whoever changes its status, plan, time zone or overrides.';

CREATE FUNCTION purser.open_account(
  account_id text,
  time_zone text DEFAULT 'UTC',
  actor text DEFAULT session_user
) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  opened boolean;
BEGIN
  PERFORM purser._checked_id(actor, 'actor');
  INSERT INTO purser.account (account_id, time_zone, created_at)
  VALUES (purser._checked_id(open_account.account_id, 'account_id'),
          purser._checked_time_zone(open_account.time_zone), purser.clock())
  ON CONFLICT DO NOTHING;
  opened := FOUND;
  IF opened THEN
    PERFORM purser._audit(actor, 'account.opened', open_account.account_id,
                          'account', open_account.account_id, jsonb_build_object('time_zone', open_account.time_zone));
  END IF;
  RETURN opened;
END
$$;
COMMENT ON FUNCTION purser.open_account(text, text, text) IS
  'Opens an account on the default plan ahead of its first use. True when it is new; an existing account is left as it is.';

CREATE FUNCTION purser.set_account_status(account_id text, status text, actor text, reason text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
BEGIN
  PERFORM purser._checked_id(actor, 'actor'), purser._checked_id(reason, 'reason'),
          purser._checked_id(set_account_status.status, 'status');
  IF set_account_status.status NOT IN ('active', 'suspended', 'banned', 'deleted') THEN
    RAISE EXCEPTION 'unknown account status "%"', set_account_status.status
      USING ERRCODE = 'PU014', HINT = 'Use active, suspended, banned or deleted.';
  END IF;
  account := purser._lock_account(set_account_status.account_id);
  IF account.role = 'superadmin' AND set_account_status.status <> 'active' THEN
    RAISE EXCEPTION 'account "%" is a superadmin and cannot be %', account.account_id, set_account_status.status
      USING ERRCODE = 'PU010', HINT = 'A superadmin cannot be suspended, banned or deleted.';
  END IF;
  UPDATE purser.account AS a SET status = set_account_status.status WHERE a.account_id = account.account_id;
  PERFORM purser._terms_changed(account.account_id);
  PERFORM FROM purser.wallet AS w WHERE w.account_id = account.account_id ORDER BY w.wallet FOR NO KEY UPDATE;
  UPDATE purser.wallet AS w SET status = set_account_status.status WHERE w.account_id = account.account_id;
  PERFORM purser._audit(actor, 'account.status_changed', account.account_id, 'account', account.account_id,
                        jsonb_build_object('from', account.status, 'to', set_account_status.status, 'reason', reason));
END
$$;
COMMENT ON FUNCTION purser.set_account_status(text, text, text, text) IS
  'Sets active, suspended, banned or deleted. Takes effect on every decision and charge with the commit. PU010 for a superadmin.';

CREATE FUNCTION purser.admit(account_id text, actor text DEFAULT session_user, OUT allowed boolean, OUT reason text)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  current_status text;
BEGIN
  PERFORM purser._checked_id(admit.account_id, 'account_id'), purser._checked_id(actor, 'actor');
  SELECT a.status INTO current_status FROM purser.account AS a WHERE a.account_id = admit.account_id;
  current_status := coalesce(current_status, 'active');
  allowed := current_status = 'active';
  reason := CASE current_status
    WHEN 'active' THEN 'ok'
    WHEN 'suspended' THEN 'This account is suspended.'
    WHEN 'banned' THEN 'This account is banned.'
    ELSE 'This account was deleted.' END;
  IF NOT allowed THEN
    PERFORM purser._audit(actor, 'account.login_refused', admit.account_id, 'account', admit.account_id,
                          jsonb_build_object('status', current_status));
  END IF;
END
$$;
COMMENT ON FUNCTION purser.admit(text, text) IS
  'The login gate: allowed for active accounts only, with a reason fit to show. Each refusal leaves one audit event; commit the transaction to keep it.';

CREATE FUNCTION purser._set_subscription(
  account_id text, plan text, actor text, pinned_version integer, replace_live boolean
) RETURNS integer
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  live purser.subscription;
  next_no integer;
  at timestamptz := purser.clock();
BEGIN
  PERFORM purser._checked_id(_set_subscription.plan, 'plan'), purser._checked_id(actor, 'actor');
  IF NOT EXISTS (SELECT FROM purser.plan_version AS v
                  WHERE v.plan = _set_subscription.plan
                    AND v.version = coalesce(_set_subscription.pinned_version, v.version)) THEN
    RAISE EXCEPTION 'plan "%"% is not published', _set_subscription.plan,
                    coalesce(' version ' || _set_subscription.pinned_version, '')
      USING ERRCODE = 'PU012', HINT = 'Publish it with purser.publish_plan().';
  END IF;
  IF (SELECT v.definition ->> 'active' = 'false' FROM purser.plan_version AS v
       WHERE v.plan = _set_subscription.plan ORDER BY v.version DESC LIMIT 1) THEN
    RAISE EXCEPTION 'plan "%" is not active', _set_subscription.plan
      USING ERRCODE = 'PU012', HINT = 'Publish a version that is active, or choose another plan.';
  END IF;
  account := purser._lock_account(_set_subscription.account_id);
  SELECT * INTO live FROM purser.subscription AS s
   WHERE s.account_id = account.account_id AND s.ended_at IS NULL;
  IF FOUND AND NOT replace_live THEN
    RAISE EXCEPTION 'account "%" is already subscribed to plan "%"', account.account_id, live.plan
      USING ERRCODE = 'PU014', HINT = 'Use purser.change_plan() to move it to another plan.';
  END IF;
  UPDATE purser.subscription AS s SET status = 'expired', ended_at = at
   WHERE s.account_id = account.account_id AND s.ended_at IS NULL;
  SELECT coalesce(max(s.subscription_no), 0) + 1 INTO next_no
    FROM purser.subscription AS s WHERE s.account_id = account.account_id;
  INSERT INTO purser.subscription
         (account_id, subscription_no, plan, pinned_version, status, anchor, started_at, actor)
  VALUES (account.account_id, next_no, _set_subscription.plan, _set_subscription.pinned_version, 'active',
          coalesce(live.anchor, at AT TIME ZONE account.time_zone), at, actor);
  PERFORM purser._terms_changed(account.account_id);
  PERFORM purser._audit(actor, 'subscription.started', account.account_id, 'plan', _set_subscription.plan,
                        jsonb_build_object('subscription_no', next_no, 'from', live.plan,
                                           'pinned_version', _set_subscription.pinned_version));
  RETURN next_no;
END
$$;
COMMENT ON FUNCTION purser._set_subscription(text, text, text, integer, boolean) IS
  'Internal. Ends the live subscription, starts the next one, and tells the account''s entitlements.';

CREATE FUNCTION purser.subscribe(
  account_id text,
  plan text,
  actor text DEFAULT session_user,
  pinned_version integer DEFAULT NULL
) RETURNS integer
  LANGUAGE sql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser._set_subscription(account_id, plan, actor, pinned_version, false);
END;
COMMENT ON FUNCTION purser.subscribe(text, text, text, integer) IS
  'Subscribes an account that is on the default plan; returns the number of its subscription. Follows the plan''s latest version unless pinned to one. Usage so far carries over. PU012 for an unknown plan, PU014 when the account is subscribed already.';

CREATE FUNCTION purser.change_plan(
  account_id text,
  plan text,
  actor text DEFAULT session_user,
  pinned_version integer DEFAULT NULL
) RETURNS integer
  LANGUAGE sql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser._set_subscription(account_id, plan, actor, pinned_version, true);
END;
COMMENT ON FUNCTION purser.change_plan(text, text, text, integer) IS
  'Moves an account to another plan at once: ends the live subscription and starts the next in one transaction. Usage and the anchor of billing periods carry over.';

CREATE FUNCTION purser.cancel_subscription(account_id text, actor text DEFAULT session_user) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
BEGIN
  PERFORM purser._checked_id(actor, 'actor');
  account := purser._lock_account(cancel_subscription.account_id);
  UPDATE purser.subscription AS s SET status = 'canceled', ended_at = purser.clock()
   WHERE s.account_id = account.account_id AND s.ended_at IS NULL;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM purser._terms_changed(account.account_id);
  PERFORM purser._audit(actor, 'subscription.canceled', account.account_id, 'account', account.account_id, '{}');
  RETURN true;
END
$$;
COMMENT ON FUNCTION purser.cancel_subscription(text, text) IS
  'Ends the live subscription at once; the account falls back to the default plan. Usage carries over and bought credits stay. False when there was none.';
