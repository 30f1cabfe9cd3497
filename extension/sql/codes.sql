-- Codes: coupons, gifts and referrals.
-- Lock order: account or wallet by account_id (the grant or the trial), then ledger, then the redemption,
-- then the code. The code's row is last and held for the shortest time, so that redeeming waits like
-- charging does and cannot deadlock with it, whatever the transaction charged before.

CREATE TABLE purser.code (
  code text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('promotional_credits', 'trial', 'discount')),
  definition jsonb NOT NULL,
  max_redemptions integer CHECK (max_redemptions > 0),
  redeemed integer NOT NULL DEFAULT 0 CHECK (redeemed BETWEEN 0 AND coalesce(max_redemptions, redeemed)),
  per_account_once boolean NOT NULL,
  active boolean NOT NULL DEFAULT true,
  expires_at timestamptz,
  actor text NOT NULL,
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE purser.code IS 'Codes that accounts redeem, in lower case. redeemed counts the rows of purser.code_redemption.';

CREATE TABLE purser.code_redemption (
  account_id text COLLATE "C" NOT NULL,
  code text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C",
  benefit jsonb NOT NULL,
  redeemed_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, code, request_id)
);
COMMENT ON TABLE purser.code_redemption IS 'Who redeemed which code, and what it gave; immutable. request_id is once for codes an account may redeem once, else the correlation id of the request.';

CREATE FUNCTION purser._code_problem(kind text, definition jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known text[] := CASE kind WHEN 'promotional_credits' THEN '{amount,wallet,expires_days,referrer}'
                            WHEN 'trial' THEN '{days,referrer}'
                            ELSE '{percent,cents,currency,duration,months,referrer}' END;
  unknown text;
BEGIN
  IF definition IS NULL OR jsonb_typeof(definition) <> 'object' THEN
    RETURN 'the definition must be a JSON object';
  END IF;
  SELECT k INTO unknown FROM jsonb_object_keys(definition) AS k WHERE k <> ALL (known) ORDER BY k LIMIT 1;
  IF FOUND THEN
    RETURN format('unknown field "%s", expected one of %s', left(unknown, 40), array_to_string(known, ', '));
  END IF;
  RETURN CASE
    WHEN kind = 'promotional_credits' AND NOT purser._is_number(definition -> 'amount', 0.000001, 9223372036854, 6)
      THEN 'amount must be a positive number of credits with at most 6 places'
    WHEN definition ? 'wallet' AND jsonb_typeof(definition -> 'wallet') <> 'string'
      THEN 'wallet must be a name'
    WHEN definition ? 'expires_days' AND NOT purser._is_number(definition -> 'expires_days', 1, 36500, 0)
      THEN 'expires_days must be an integer from 1 to 36500'
    WHEN kind = 'trial' AND NOT purser._is_number(definition -> 'days', 1, 730, 0)
      THEN 'days must be an integer from 1 to 730'
    WHEN kind = 'discount' AND (definition ? 'percent') = (definition ? 'cents')
      THEN 'a discount has either percent, or cents and currency'
    WHEN definition ? 'percent' AND NOT purser._is_number(definition -> 'percent', 0.01, 100, 2)
      THEN 'percent must be above 0 and at most 100'
    WHEN definition ? 'cents' AND NOT purser._is_number(definition -> 'cents', 1, 9007199254740991, 0)
      THEN 'cents must be a positive integer'
    WHEN (definition ? 'cents') <> (definition ? 'currency') OR coalesce(definition ->> 'currency', 'usd') !~ '^[a-z]{3}$'
      THEN 'currency must be three lower-case letters, given with cents'
    WHEN kind = 'discount' AND coalesce(definition ->> 'duration', '') NOT IN ('once', 'months', 'forever')
      THEN 'duration must be once, months or forever'
    WHEN (definition ? 'months') <> (coalesce(definition ->> 'duration', '') = 'months')
         OR definition ? 'months' AND NOT purser._is_number(definition -> 'months', 1, 120, 0)
      THEN 'months must be an integer from 1 to 120, given with duration months'
    WHEN definition ? 'referrer'
         AND (jsonb_typeof(definition -> 'referrer') <> 'object'
              OR (definition -> 'referrer') - '{account_id,amount}'::text[] <> '{}'
              OR coalesce(jsonb_typeof(definition #> '{referrer,account_id}'), '') <> 'string'
              OR NOT purser._is_number(definition #> '{referrer,amount}', 0.000001, 9223372036854, 6))
      THEN 'referrer must be {"account_id": …, "amount": credits}'
  END;
END
$$;
COMMENT ON FUNCTION purser._code_problem(text, jsonb) IS
  'Internal. What is wrong with the definition of a code; NULL when nothing is.';

CREATE FUNCTION purser._is_number(value jsonb, lowest numeric, highest numeric, places integer) RETURNS boolean
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE WHEN jsonb_typeof(value) = 'number'
              THEN value::numeric BETWEEN lowest AND highest AND round(value::numeric, places) = value::numeric
              ELSE false END;
END;
COMMENT ON FUNCTION purser._is_number(jsonb, numeric, numeric, integer) IS
  'Internal. Whether the value is a JSON number within bounds, with at most so many decimal places.';

CREATE FUNCTION purser._folded_code(code text) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser._checked_id(lower(btrim(code)), 'code');
END;
COMMENT ON FUNCTION purser._folded_code(text) IS
  'Internal. The code as it is stored: in lower case, without blanks around it. PU014 when it is no identifier.';

CREATE FUNCTION purser.create_code(
  code text,
  kind text,
  definition jsonb,
  max_redemptions integer DEFAULT NULL,
  expires_at timestamptz DEFAULT NULL,
  per_account_once boolean DEFAULT true,
  actor text DEFAULT session_user
) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  folded text := purser._folded_code(create_code.code);
  problem text;
BEGIN
  PERFORM purser._checked_id(create_code.kind, 'kind'), purser._checked_id(create_code.actor, 'actor');
  problem := CASE
    WHEN create_code.kind NOT IN ('promotional_credits', 'trial', 'discount')
      THEN format('unknown kind of code "%s"', create_code.kind)
    WHEN create_code.max_redemptions <= 0 THEN format('max_redemptions must be positive, not %s', create_code.max_redemptions)
    WHEN create_code.expires_at <= purser.clock() THEN 'the code would already be expired'
    WHEN create_code.per_account_once IS NULL THEN 'argument "per_account_once" is null'
    ELSE purser._code_problem(create_code.kind, create_code.definition) END;
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION 'code "%": %', folded, problem USING ERRCODE = 'PU014',
      HINT = 'Kinds are promotional_credits {"amount"}, trial {"days"} and discount {"percent" or "cents" and "currency", "duration"}.';
  END IF;
  IF create_code.definition ? 'wallet' THEN
    PERFORM purser._checked_id(create_code.definition ->> 'wallet', 'wallet');
  END IF;
  IF create_code.definition ? 'referrer' THEN
    PERFORM purser._checked_id(create_code.definition #>> '{referrer,account_id}', 'referrer');
  END IF;
  INSERT INTO purser.code (code, kind, definition, max_redemptions, per_account_once, expires_at, actor, created_at)
  VALUES (folded, create_code.kind, create_code.definition, create_code.max_redemptions, create_code.per_account_once,
          create_code.expires_at, create_code.actor, purser.clock())
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'code "%" exists already', folded
      USING ERRCODE = 'PU014', HINT = 'Codes are compared without regard to case, and are never used again.';
  END IF;
  PERFORM purser._audit(create_code.actor, 'code.created', NULL, 'code', folded,
                        jsonb_build_object('kind', create_code.kind, 'definition', create_code.definition,
                                           'max_redemptions', create_code.max_redemptions,
                                           'expires_at', create_code.expires_at));
  RETURN folded;
END
$$;
COMMENT ON FUNCTION purser.create_code(text, text, jsonb, integer, timestamptz, boolean, text) IS
  'Makes a code. kind and definition: promotional_credits {"amount", "wallet", "expires_days"}; trial {"days"}, which extends a running trial; discount {"percent"} or {"cents", "currency"} with "duration" once, forever or months and "months", recorded for billing. Any may have "referrer": {"account_id", "amount"}, who is granted credits of its own for every redemption. max_redemptions NULL: as often as it likes. Returns the code as stored: without blanks around it, in lower case. PU014 for anything unusable.';

CREATE FUNCTION purser.deactivate_code(code text, actor text DEFAULT session_user) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  folded text := purser._folded_code(deactivate_code.code);
BEGIN
  PERFORM purser._checked_id(deactivate_code.actor, 'actor');
  IF NOT EXISTS (SELECT FROM purser.code AS c WHERE c.code = folded) THEN
    RAISE EXCEPTION 'unknown code "%"', folded USING ERRCODE = 'PU012', HINT = 'The view purser.code_report lists all codes.';
  END IF;
  UPDATE purser.code AS c SET active = false WHERE c.code = folded AND c.active;
  IF FOUND THEN
    PERFORM purser._audit(deactivate_code.actor, 'code.deactivated', NULL, 'code', folded, '{}');
    RETURN true;
  END IF;
  RETURN false;
END
$$;
COMMENT ON FUNCTION purser.deactivate_code(text, text) IS
  'Takes a code out of use; what it gave stays. False when it was out of use already. PU012 for an unknown code.';

CREATE FUNCTION purser._code_refusal(c purser.code, account_id text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE
    WHEN (c).code IS NULL THEN 'unknown_code'
    WHEN NOT (c).active THEN 'code_inactive'
    WHEN (c).expires_at <= purser.clock() THEN 'code_expired'
    WHEN (c).per_account_once AND EXISTS (SELECT FROM purser.code_redemption AS r
                                           WHERE r.account_id = _code_refusal.account_id AND r.code = (c).code)
      THEN 'already_redeemed'
    WHEN (c).redeemed >= (c).max_redemptions THEN 'code_used_up'
    WHEN (c).definition #>> '{referrer,account_id}' = _code_refusal.account_id THEN 'own_code'
    WHEN (c).kind = 'trial'
         AND (SELECT s.status FROM purser.subscription(_code_refusal.account_id) AS s) IS DISTINCT FROM 'trialing'
      THEN 'no_trial'
    ELSE (SELECT 'account_' || a.status FROM purser.account AS a
           WHERE a.account_id = _code_refusal.account_id AND a.status <> 'active') END;
END;
COMMENT ON FUNCTION purser._code_refusal(purser.code, text) IS
  'Internal. Why the account cannot redeem the code as it stands; NULL when it can.';

CREATE FUNCTION purser._give_benefit(c purser.code, account_id text, correlation text) RETURNS jsonb
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  given jsonb := '{}';
  receiver record;
  entry purser.ledger_entry;
BEGIN
  -- Wallets in the order of their accounts, as everywhere.
  FOR receiver IN
    SELECT g.* FROM (VALUES
      (_give_benefit.account_id, 'granted', c.definition -> 'amount', coalesce(c.definition ->> 'wallet', 'credits'),
       purser.clock() + make_interval(days => (c.definition ->> 'expires_days')::integer)),
      (c.definition #>> '{referrer,account_id}', 'referral', c.definition #> '{referrer,amount}', 'credits', NULL)
    ) AS g (account_id, what, amount, wallet, expires_at)
     WHERE g.amount IS NOT NULL
     ORDER BY g.account_id COLLATE "C"
  LOOP
    -- A referrer who is banned since gets nothing; the account that redeems still does.
    CONTINUE WHEN receiver.what = 'referral'
              AND EXISTS (SELECT FROM purser.account AS a WHERE a.account_id = receiver.account_id AND a.status <> 'active');
    entry := purser.grant_credits(receiver.account_id, receiver.amount::numeric, 'promotional',
                                  encode(sha256(convert_to(jsonb_build_array('code', c.code, _give_benefit.account_id,
                                                                             correlation, receiver.what)::text, 'UTF8')), 'hex'),
                                  receiver.expires_at, NULL, receiver.wallet, format('code %s', c.code));
    given := given || jsonb_build_object(receiver.what, jsonb_build_object(
               'account_id', receiver.account_id, 'amount', receiver.amount, 'entry_id', entry.entry_id));
  END LOOP;
  IF c.kind = 'trial' THEN
    RETURN given || jsonb_build_object('days', c.definition -> 'days', 'trial_ends_at',
      purser.extend_trial(_give_benefit.account_id, (c.definition ->> 'days')::integer, 'code ' || c.code, 'code ' || c.code));
  END IF;
  RETURN given || CASE c.kind WHEN 'discount' THEN c.definition - 'referrer' ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION purser._give_benefit(purser.code, text, text) IS
  'Internal. Grants or extends what a code is good for and says what.';

CREATE FUNCTION purser.redeem_code(
  account_id text,
  code text,
  correlation_id text DEFAULT NULL,
  OUT allowed boolean,
  OUT reason text,
  OUT kind text,
  OUT benefit jsonb,
  OUT replayed boolean
)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  folded text := purser._folded_code(redeem_code.code);
  found_code purser.code;
  request text;
  first_redemption purser.code_redemption;
BEGIN
  PERFORM purser._checked_id(redeem_code.account_id, 'account_id');
  IF redeem_code.correlation_id IS NOT NULL THEN
    PERFORM purser._checked_id(redeem_code.correlation_id, 'correlation_id');
  END IF;
  SELECT * INTO found_code FROM purser.code AS c WHERE c.code = folded;
  allowed := false;
  replayed := false;
  kind := found_code.kind;
  request := CASE WHEN found_code.per_account_once THEN 'once' ELSE redeem_code.correlation_id END;
  IF found_code.code IS NOT NULL AND request IS NULL THEN
    RAISE EXCEPTION 'argument "correlation_id" is null'
      USING ERRCODE = 'PU014', HINT = 'An account may redeem this code more than once: name each request, so that a retry counts once.';
  END IF;
  SELECT * INTO first_redemption FROM purser.code_redemption AS r
   WHERE r.account_id = redeem_code.account_id AND r.code = folded AND r.request_id = request
     AND r.correlation_id = redeem_code.correlation_id;
  IF FOUND THEN
    allowed := true;
    reason := 'ok';
    benefit := first_redemption.benefit;
    replayed := true;
    RETURN;
  END IF;
  reason := purser._code_refusal(found_code, redeem_code.account_id);
  IF reason IS NOT NULL THEN
    RETURN;
  END IF;
  -- Given first and taken back when somebody else was faster, so that the code is locked last.
  BEGIN
    benefit := purser._give_benefit(found_code, redeem_code.account_id, request);
    INSERT INTO purser.code_redemption (account_id, code, request_id, correlation_id, benefit, redeemed_at)
    VALUES (redeem_code.account_id, folded, request, redeem_code.correlation_id, benefit, purser.clock())
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
      UPDATE purser.code AS c SET redeemed = c.redeemed + 1
       WHERE c.code = folded AND c.active AND (c.max_redemptions IS NULL OR c.redeemed < c.max_redemptions);
    END IF;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'somebody was faster' USING ERRCODE = 'PUX12';
    END IF;
    PERFORM purser._emit('code.redeemed', redeem_code.account_id,
                         jsonb_build_object('code', folded, 'kind', found_code.kind, 'benefit', benefit));
    allowed := true;
    reason := 'ok';
    RETURN;
  EXCEPTION
    WHEN SQLSTATE 'PUX12' THEN
      benefit := NULL;
    -- The trial ended between the question and the extension.
    WHEN SQLSTATE 'PU010' THEN
      IF found_code.kind <> 'trial' THEN
        RAISE;
      END IF;
      benefit := NULL;
      reason := 'no_trial';
      RETURN;
  END;
  SELECT * INTO found_code FROM purser.code AS c WHERE c.code = folded;
  SELECT * INTO first_redemption FROM purser.code_redemption AS r
   WHERE r.account_id = redeem_code.account_id AND r.code = folded AND r.request_id = request
     AND r.correlation_id = redeem_code.correlation_id;
  allowed := FOUND;
  replayed := FOUND;
  benefit := first_redemption.benefit;
  reason := CASE WHEN FOUND THEN 'ok'
                 ELSE coalesce(purser._code_refusal(found_code, redeem_code.account_id), 'code_used_up') END;
END
$$;
COMMENT ON FUNCTION purser.redeem_code(text, text, text) IS
  'Redeems a code, all or nothing, and says what it gave. reason: ok; unknown_code, code_inactive, code_expired, code_used_up, already_redeemed, own_code (of the referrer itself), no_trial (nothing to extend), account_suspended, account_banned, account_deleted, which change nothing. The same correlation id returns the first answer; it is required for codes that an account may redeem more than once (PU014). Codes are secrets that can be guessed: limit attempts with rate_limit().';

CREATE FUNCTION purser.account_discounts(account_id text)
  RETURNS TABLE (code text, percent numeric, cents bigint, currency text, duration text, redeemed_at timestamptz, ends_at timestamptz)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(account_discounts.account_id, 'account_id');
  RETURN QUERY
    SELECT r.code, (r.benefit ->> 'percent')::numeric, (r.benefit ->> 'cents')::bigint, r.benefit ->> 'currency',
           r.benefit ->> 'duration', r.redeemed_at,
           r.redeemed_at + make_interval(months => (r.benefit ->> 'months')::integer)
      FROM purser.code_redemption AS r
     WHERE r.account_id = account_discounts.account_id AND r.benefit ? 'duration'
       AND (r.benefit ->> 'months' IS NULL
            OR r.redeemed_at + make_interval(months => (r.benefit ->> 'months')::integer) > purser.clock())
     ORDER BY r.redeemed_at, r.code;
END
$$;
COMMENT ON FUNCTION purser.account_discounts(text) IS
  'Discounts an account has redeemed, for whoever bills it: percent, or cents of a currency; once, months (until ends_at, then no longer listed) or forever. Whether one of duration once has been used is for the biller to know.';

CREATE VIEW purser.code_report AS
SELECT c.code, c.kind, c.definition,
       CASE WHEN NOT c.active THEN 'inactive' WHEN c.expires_at <= purser.clock() THEN 'expired'
            WHEN c.redeemed >= c.max_redemptions THEN 'used_up' ELSE 'open' END AS state,
       c.redeemed, c.max_redemptions, c.max_redemptions - c.redeemed AS remaining, c.expires_at,
       coalesce(r.accounts, 0) AS accounts, coalesce(r.granted, 0) AS granted, coalesce(r.referrals, 0) AS referrals,
       r.last_redeemed_at, c.actor, c.created_at
  FROM purser.code AS c
  LEFT JOIN LATERAL (SELECT count(DISTINCT n.account_id) AS accounts, sum((n.benefit #>> '{granted,amount}')::numeric) AS granted,
                            sum((n.benefit #>> '{referral,amount}')::numeric) AS referrals, max(n.redeemed_at) AS last_redeemed_at
                       FROM purser.code_redemption AS n WHERE n.code = c.code) AS r ON true;
COMMENT ON VIEW purser.code_report IS
  'Every code: open, inactive, expired or used_up, how often it was redeemed and by how many accounts, credits granted to them and to referrers.';
