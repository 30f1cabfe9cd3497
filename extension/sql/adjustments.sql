-- Credits put right by hand. Locks: the wallet, by granting or charging.

CREATE FUNCTION purser._require_superadmin(actor text, what text) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM purser.account AS a
                  WHERE a.account_id = purser._checked_id(_require_superadmin.actor, 'actor')
                    AND a.role = 'superadmin' AND a.status = 'active') THEN
    RAISE EXCEPTION 'actor "%" may not %', _require_superadmin.actor, _require_superadmin.what
      USING ERRCODE = 'PU010', HINT = 'Only an active superadmin may.';
  END IF;
END
$$;
COMMENT ON FUNCTION purser._require_superadmin(text, text) IS
  'Internal. PU010 unless the actor''s account is an active superadmin''s.';

CREATE FUNCTION purser.adjust_credits(
  account_id text,
  amount numeric,
  actor text,
  reason text,
  correlation_id text,
  wallet text DEFAULT 'credits',
  expires_at timestamptz DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  entry purser.ledger_entry;
BEGIN
  PERFORM purser._checked_id(adjust_credits.reason, 'reason'), purser._checked_id(adjust_credits.account_id, 'account_id');
  PERFORM purser._require_superadmin(adjust_credits.actor, 'adjust credits');
  IF adjust_credits.amount = 0 THEN
    RAISE EXCEPTION 'adjustment must not be zero'
      USING ERRCODE = 'PU013', HINT = 'Pass the credits to add, or a negative number of credits to take.';
  END IF;
  IF adjust_credits.amount < 0 AND adjust_credits.expires_at IS NOT NULL THEN
    RAISE EXCEPTION 'credits that are taken cannot expire'
      USING ERRCODE = 'PU014', HINT = 'Pass expires_at with credits to add only.';
  END IF;
  IF adjust_credits.amount < 0 THEN
    entry := purser.charge_credits(adjust_credits.account_id, -adjust_credits.amount, 'adjustment', adjust_credits.correlation_id,
                                   wallet => adjust_credits.wallet, notes => adjust_credits.reason);
  ELSE
    entry := purser.grant_credits(adjust_credits.account_id, adjust_credits.amount, 'adjustment', adjust_credits.correlation_id,
                                  adjust_credits.expires_at, wallet => adjust_credits.wallet, notes => adjust_credits.reason);
  END IF;
  IF NOT entry.replayed THEN
    PERFORM purser._audit(adjust_credits.actor, 'credits.adjusted', adjust_credits.account_id, 'ledger_entry', entry.entry_id,
                          jsonb_build_object('amount', adjust_credits.amount, 'reason', adjust_credits.reason,
                                             'balance_after', entry.balance_after));
  END IF;
  RETURN entry;
END
$$;
COMMENT ON FUNCTION purser.adjust_credits(text, numeric, text, text, text, text, timestamptz) IS
  'Adds credits to a wallet, as a grant of kind adjustment, or takes them when amount is negative, in debit order. The reason is kept with the entry as its notes and, with the actor, in the audit trail. The same correlation id and request returns the first entry and leaves no second audit event. PU010 unless the actor is an active superadmin, PU013 for zero and unusable amounts, PU002 when there is not enough to take, PU003, PU005 and PU014 as for charges and grants.';
