-- Accounts: opening, status, time zone. Every function here locks the account row first and then, in
-- key order, the rows that carry copies of what it changes.

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

CREATE FUNCTION purser.set_time_zone(account_id text, time_zone text, actor text DEFAULT session_user) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
BEGIN
  PERFORM purser._checked_id(set_time_zone.actor, 'actor'), purser._checked_time_zone(set_time_zone.time_zone);
  account := purser._lock_account(set_time_zone.account_id);
  IF account.time_zone = set_time_zone.time_zone THEN
    RETURN;
  END IF;
  PERFORM purser._settle_subscription(account.account_id);
  UPDATE purser.account AS a SET time_zone = set_time_zone.time_zone WHERE a.account_id = account.account_id;
  -- The anchor is a time on the wall clock: it stays the same instant on the new one.
  UPDATE purser.subscription AS s
     SET anchor = s.anchor AT TIME ZONE account.time_zone AT TIME ZONE set_time_zone.time_zone
   WHERE s.account_id = account.account_id AND s.ended_at IS NULL;
  PERFORM purser._terms_changed(account.account_id);
  PERFORM purser._audit(set_time_zone.actor, 'account.time_zone_changed', account.account_id, 'account', account.account_id,
                        jsonb_build_object('from', account.time_zone, 'to', set_time_zone.time_zone));
END
$$;
COMMENT ON FUNCTION purser.set_time_zone(text, text, text) IS
  'Moves an account to another time zone: days, weeks, months and years of its quotas begin on that wall clock from now on, with what was used so far. Billing periods keep the instant they are anchored at. PU014 for a zone the server does not know.';
