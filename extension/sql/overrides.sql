-- Overrides: what one account gets instead of what its plan gives.
-- Locks: account, then its override, then entitlement by (account_id, feature).

CREATE FUNCTION purser._validate_override(feature text, value jsonb) RETURNS SETOF purser.violation
  LANGUAGE c STABLE
  AS 'MODULE_PATHNAME', 'purser_validate_override';
COMMENT ON FUNCTION purser._validate_override(text, jsonb) IS
  'Internal. All that is wrong with a value for the feature. PU012 for a feature that is not declared.';

CREATE FUNCTION purser.set_override(
  account_id text,
  feature text,
  value jsonb,
  expires_at timestamptz,
  reason text,
  actor text DEFAULT session_user
) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  about jsonb;
BEGIN
  PERFORM purser._checked_id(set_override.feature, 'feature'), purser._checked_id(set_override.actor, 'actor'),
          purser._checked_id(set_override.reason, 'reason'), purser._checked_future(set_override.expires_at, 'expires_at');
  IF set_override.value IS NULL THEN
    RAISE EXCEPTION 'argument "value" is null'
      USING ERRCODE = 'PU014', HINT = 'Pass a JSON value; ''null''::jsonb is an unlimited quota.';
  END IF;
  PERFORM purser._require_valid(format('override of "%s"', set_override.feature),
    (SELECT jsonb_agg(jsonb_build_object('path', v.path, 'rule', v.rule, 'message', v.message) ORDER BY v.path)
       FROM purser._validate_override(set_override.feature, set_override.value) AS v));
  account := purser._lock_account(set_override.account_id);
  INSERT INTO purser.feature_override (account_id, feature, value, expires_at, reason, actor, set_at)
  VALUES (account.account_id, set_override.feature, set_override.value, set_override.expires_at,
          set_override.reason, set_override.actor, purser.clock())
  ON CONFLICT ON CONSTRAINT feature_override_pkey DO UPDATE
     SET value = excluded.value, expires_at = excluded.expires_at, reason = excluded.reason,
         actor = excluded.actor, set_at = excluded.set_at;
  PERFORM purser._terms_changed(account.account_id);
  about := jsonb_build_object('feature', set_override.feature, 'value', set_override.value,
                              'expires_at', set_override.expires_at, 'reason', set_override.reason);
  PERFORM purser._audit(set_override.actor, 'override.set', account.account_id, 'feature', set_override.feature, about),
          purser._emit('override.set', account.account_id, about);
END
$$;
COMMENT ON FUNCTION purser.set_override(text, text, jsonb, timestamptz, text, text) IS
  'Gives one account another value for a feature than its plan does, in force with the commit, until expires_at (NULL: until cleared); it lapses by itself. Replaces an earlier override of the feature. value as in a plan: a limit or {"quota", "per", …} for a quota (what it leaves out is as in the plan; null is unlimited), true or false, a number, a choice. PU008 lists everything wrong with the value; PU012 for an unknown feature, PU014 for unusable arguments.';

CREATE FUNCTION purser.clear_override(
  account_id text, feature text, reason text, actor text DEFAULT session_user
) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  account purser.account;
  cleared purser.feature_override;
  about jsonb;
BEGIN
  PERFORM purser._checked_id(clear_override.feature, 'feature'), purser._checked_id(clear_override.actor, 'actor'),
          purser._checked_id(clear_override.reason, 'reason');
  account := purser._lock_account(clear_override.account_id);
  DELETE FROM purser.feature_override AS o
   WHERE o.account_id = account.account_id AND o.feature = clear_override.feature RETURNING * INTO cleared;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM purser._terms_changed(account.account_id);
  about := jsonb_build_object('feature', clear_override.feature, 'value', cleared.value, 'reason', clear_override.reason);
  PERFORM purser._audit(clear_override.actor, 'override.cleared', account.account_id, 'feature', clear_override.feature, about),
          purser._emit('override.cleared', account.account_id, about);
  RETURN coalesce(cleared.expires_at > purser.clock(), true);
END
$$;
COMMENT ON FUNCTION purser.clear_override(text, text, text, text) IS
  'Ends an override now; the plan''s value is in force again with the commit. False when there was none, or it had lapsed already.';

CREATE FUNCTION purser.entitlements(account_id text) RETURNS SETOF purser.feature_entitlement
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_entitlements';
COMMENT ON FUNCTION purser.entitlements(text) IS
  'Everything the account gets: each declared feature with its value and where that comes from (override, plan, default).';
