-- Told when credits run low or are lost, and topped up before they are gone.
-- Locks: the wallet, then its top-up and the requests for it.

CREATE FUNCTION purser._emit_low(account_id text, wallet text, balance numeric, threshold numeric) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser._emit('credits.low', account_id, jsonb_build_object('wallet', wallet, 'balance', balance, 'threshold', threshold));
END;
COMMENT ON FUNCTION purser._emit_low(text, text, numeric, numeric) IS
  'Internal. The event credits.low: a change took the balance below the threshold.';

CREATE FUNCTION purser._emit_lost(account_id text, wallet text, grant_id bigint, reason text, amount numeric) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser._emit('credits.' || reason, account_id, jsonb_build_object('wallet', wallet, 'grant_id', grant_id, 'amount', amount));
END;
COMMENT ON FUNCTION purser._emit_lost(text, text, bigint, text, numeric) IS
  'Internal. The event credits.expired or credits.lapsed: what was left of a grant is written off.';

CREATE FUNCTION purser.set_low_balance_alert(
  account_id text,
  threshold numeric,
  wallet text DEFAULT 'credits',
  actor text DEFAULT session_user
) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(actor, 'actor'), purser._open_wallet(set_low_balance_alert.account_id, set_low_balance_alert.wallet);
  UPDATE purser.wallet AS w SET alert_micros = purser._threshold_micros(threshold)
   WHERE w.account_id = set_low_balance_alert.account_id AND w.wallet = set_low_balance_alert.wallet;
  PERFORM purser._audit(actor, 'credits.alert_set', account_id, 'wallet', wallet, jsonb_build_object('threshold', threshold));
END
$$;
COMMENT ON FUNCTION purser.set_low_balance_alert(text, numeric, text, text) IS
  'Sets the balance below which the event credits.low tells of a wallet, once for each crossing: the next comes after the balance has recovered. NULL: the setting low_balance; 0: never. Opens the wallet when it does not exist. PU013 for an amount that is none.';

CREATE FUNCTION purser._threshold_micros(threshold numeric) RETURNS bigint
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF threshold = 'NaN' OR threshold < 0 OR threshold > 1000000000000 OR threshold <> round(threshold, 6) THEN
    RAISE EXCEPTION 'threshold must be an amount of credits from 0 on, with at most 6 decimals, not %', threshold
      USING ERRCODE = 'PU013', HINT = 'Pass 0 for never.';
  END IF;
  RETURN threshold * 1000000;
END
$$;
COMMENT ON FUNCTION purser._threshold_micros(numeric) IS 'Internal. A threshold in millionths; NULL stays NULL.';

CREATE FUNCTION purser._open_wallet(account_id text, wallet text) RETURNS void
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_open_wallet';
COMMENT ON FUNCTION purser._open_wallet(text, text) IS
  'Internal. Makes the wallet exist, brings it up to now and locks it.';

CREATE TABLE purser.top_up (
  account_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  threshold numeric NOT NULL,
  amount numeric NOT NULL,
  max_per_month integer NOT NULL,
  cooldown interval NOT NULL,
  armed boolean NOT NULL DEFAULT true,
  actor text NOT NULL,
  set_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, wallet)
);
COMMENT ON TABLE purser.top_up IS 'Which wallets buy credits by themselves. armed: nothing was requested yet for the last time the balance fell below the threshold, be it that a cool-down or the cap of the month holds it back; a recovery or a failed payment arms it again.';

CREATE TABLE purser.top_up_request (
  account_id text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  amount numeric NOT NULL,
  balance numeric NOT NULL,
  state text COLLATE "C" NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'completed', 'failed')),
  requested_at timestamptz NOT NULL,
  ended_at timestamptz,
  payment_reference text,
  failure text,
  PRIMARY KEY (account_id, request_id),
  CHECK ((ended_at IS NULL) = (state = 'requested'))
);
CREATE UNIQUE INDEX top_up_request_one_open ON purser.top_up_request (account_id, wallet) WHERE state = 'requested';
CREATE INDEX top_up_request_latest ON purser.top_up_request (account_id, wallet, requested_at);
COMMENT ON TABLE purser.top_up_request IS 'Purchases asked for because credits ran low: whoever takes payments acts on them and completes or fails them. At most one open for each wallet.';

CREATE FUNCTION purser.set_top_up(
  account_id text,
  threshold numeric,
  amount numeric,
  max_per_month integer DEFAULT 3,
  cooldown interval DEFAULT '1 hour',
  wallet text DEFAULT 'credits',
  actor text DEFAULT session_user
) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  micros bigint := purser._threshold_micros(threshold);
BEGIN
  PERFORM purser._checked_id(actor, 'actor');
  IF micros IS NOT NULL AND (set_top_up.amount IS NULL OR purser._threshold_micros(set_top_up.amount) = 0) THEN
    RAISE EXCEPTION 'a top-up buys an amount above 0, not %', coalesce(set_top_up.amount::text, 'null') USING ERRCODE = 'PU013';
  END IF;
  IF coalesce(max_per_month NOT BETWEEN 1 AND 1000, true) OR coalesce(cooldown < interval '0' OR cooldown > interval '366 days', true) THEN
    RAISE EXCEPTION 'max_per_month must be 1 to 1000, and cooldown from nothing to 366 days'
      USING ERRCODE = 'PU014', HINT = 'Pass a NULL threshold to stop top-ups.';
  END IF;
  PERFORM purser._open_wallet(set_top_up.account_id, set_top_up.wallet);
  UPDATE purser.wallet AS w SET top_up_micros = nullif(micros, 0)
   WHERE w.account_id = set_top_up.account_id AND w.wallet = set_top_up.wallet;
  DELETE FROM purser.top_up AS t WHERE t.account_id = set_top_up.account_id AND t.wallet = set_top_up.wallet;
  INSERT INTO purser.top_up (account_id, wallet, threshold, amount, max_per_month, cooldown, actor, set_at)
  SELECT set_top_up.account_id, set_top_up.wallet, set_top_up.threshold, set_top_up.amount, set_top_up.max_per_month,
         set_top_up.cooldown, set_top_up.actor, purser.clock()
   WHERE micros > 0;
  PERFORM purser._audit(actor, 'credits.top_up_set', account_id, 'wallet', wallet,
                        jsonb_build_object('threshold', threshold, 'amount', set_top_up.amount, 'max_per_month', max_per_month,
                                           'cooldown', cooldown)),
          purser._request_top_up(account_id, wallet, purser.credit_balance(account_id, wallet));
END
$$;
COMMENT ON FUNCTION purser.set_top_up(text, numeric, numeric, integer, interval, text, text) IS
  'Has a wallet ask for credits when its balance is below the threshold: one request (event credits.top_up_requested) for each time it fell below, none while one is open, none sooner than cooldown after the last, and at most max_per_month begun in a calendar month (UTC), failed ones not counted. A NULL or 0 threshold stops it. PU013, PU014 for unusable arguments.';

CREATE FUNCTION purser._request_top_up(account_id text, wallet text, balance numeric) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  top_up purser.top_up;
  now_is timestamptz := purser.clock();
  request purser.top_up_request;
BEGIN
  SELECT * INTO top_up FROM purser.top_up AS t
   WHERE t.account_id = _request_top_up.account_id AND t.wallet = _request_top_up.wallet;
  IF NOT FOUND OR (balance >= top_up.threshold AND top_up.armed) OR (balance < top_up.threshold AND NOT top_up.armed) THEN
    RETURN;
  END IF;
  IF balance < top_up.threshold THEN
    IF EXISTS (SELECT FROM purser.top_up_request AS r
                WHERE r.account_id = top_up.account_id AND r.wallet = top_up.wallet
                  AND (r.state = 'requested' OR r.requested_at > now_is - top_up.cooldown))
       OR (SELECT count(*) FROM purser.top_up_request AS r
            WHERE r.account_id = top_up.account_id AND r.wallet = top_up.wallet AND r.state <> 'failed'
              AND r.requested_at >= date_trunc('month', now_is AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') >= top_up.max_per_month THEN
      RETURN;
    END IF;
    INSERT INTO purser.top_up_request (account_id, request_id, wallet, amount, balance, requested_at)
    VALUES (top_up.account_id, gen_random_uuid()::text, top_up.wallet, top_up.amount, _request_top_up.balance, now_is)
    RETURNING * INTO request;
    PERFORM purser._emit('credits.top_up_requested', top_up.account_id, jsonb_build_object(
      'request_id', request.request_id, 'wallet', top_up.wallet, 'amount', top_up.amount, 'balance', _request_top_up.balance,
      'threshold', top_up.threshold));
  END IF;
  UPDATE purser.top_up AS t SET armed = _request_top_up.balance >= top_up.threshold
   WHERE t.account_id = top_up.account_id AND t.wallet = top_up.wallet;
END
$$;
COMMENT ON FUNCTION purser._request_top_up(text, text, numeric) IS
  'Internal. Requests a top-up where the balance asks for one, and arms it again where it has recovered. The wallet is locked.';

CREATE FUNCTION purser._lock_top_up(account_id text, request_id text) RETURNS purser.top_up_request
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  request purser.top_up_request;
BEGIN
  PERFORM purser._checked_id(_lock_top_up.account_id, 'account_id'), purser._checked_id(_lock_top_up.request_id, 'request_id');
  SELECT * INTO request FROM purser.top_up_request AS r
   WHERE r.account_id = _lock_top_up.account_id AND r.request_id = _lock_top_up.request_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account "%" has no top-up request "%"', _lock_top_up.account_id, _lock_top_up.request_id
      USING ERRCODE = 'PU012', HINT = 'Pass the request_id of the event credits.top_up_requested.';
  END IF;
  PERFORM purser._open_wallet(request.account_id, request.wallet);
  SELECT * INTO request FROM purser.top_up_request AS r
   WHERE r.account_id = _lock_top_up.account_id AND r.request_id = _lock_top_up.request_id FOR UPDATE;
  RETURN request;
END
$$;
COMMENT ON FUNCTION purser._lock_top_up(text, text) IS 'Internal. A top-up request under the lock of its wallet. PU012 when there is none.';

CREATE FUNCTION purser.complete_top_up(account_id text, request_id text, payment_reference text) RETURNS purser.ledger_entry
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  request purser.top_up_request := purser._lock_top_up(account_id, request_id);
BEGIN
  PERFORM purser._checked_id(complete_top_up.payment_reference, 'payment_reference');
  IF request.state = 'completed' AND request.payment_reference <> complete_top_up.payment_reference THEN
    RAISE EXCEPTION 'top-up request "%" was completed by payment "%"', request.request_id, request.payment_reference
      USING ERRCODE = 'PU005', HINT = 'Grant credits for another payment with grant_credits().';
  END IF;
  IF request.state = 'failed' THEN
    -- What was asked for in its stead is not needed any more.
    UPDATE purser.top_up_request AS r SET state = 'failed', ended_at = purser.clock(), failure = 'superseded by a late payment'
     WHERE r.account_id = request.account_id AND r.wallet = request.wallet AND r.state = 'requested';
    IF FOUND THEN
      PERFORM purser._emit('credits.top_up_failed', request.account_id, jsonb_build_object(
        'wallet', request.wallet, 'failure', 'superseded by a late payment', 'superseded_by', request.request_id));
    END IF;
  END IF;
  -- Before the grant, which arms the top-up again where it suffices.
  UPDATE purser.top_up_request AS r
     SET state = 'completed', ended_at = coalesce(r.ended_at, purser.clock()), payment_reference = complete_top_up.payment_reference
   WHERE r.account_id = request.account_id AND r.request_id = request.request_id;
  RETURN purser.grant_credits(request.account_id, request.amount, 'purchased', 'top-up ' || request.request_id,
                              wallet => request.wallet, notes => 'payment ' || complete_top_up.payment_reference);
END
$$;
COMMENT ON FUNCTION purser.complete_top_up(text, text, text) IS
  'The payment for a top-up request has come: grants its credits as purchased, which never expire. The same again returns the first entry; a payment that comes after the request was given up counts all the same, and closes the request that took its place. PU005 for another payment, PU012 for an unknown request.';

CREATE FUNCTION purser.fail_top_up(account_id text, request_id text, failure text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  request purser.top_up_request := purser._lock_top_up(account_id, request_id);
BEGIN
  PERFORM purser._checked_id(fail_top_up.failure, 'failure');
  IF request.state = 'completed' THEN
    RAISE EXCEPTION 'top-up request "%" is completed', request.request_id USING ERRCODE = 'PU010', HINT = 'Refund the payment instead.';
  END IF;
  IF request.state = 'failed' THEN
    RETURN;
  END IF;
  UPDATE purser.top_up_request AS r SET state = 'failed', ended_at = purser.clock(), failure = fail_top_up.failure
   WHERE r.account_id = request.account_id AND r.request_id = request.request_id;
  UPDATE purser.top_up AS t SET armed = true WHERE t.account_id = request.account_id AND t.wallet = request.wallet;
  PERFORM purser._emit('credits.top_up_failed', request.account_id,
                       jsonb_build_object('request_id', request.request_id, 'wallet', request.wallet, 'failure', fail_top_up.failure));
END
$$;
COMMENT ON FUNCTION purser.fail_top_up(text, text, text) IS
  'The payment for a top-up request did not come. The next change of the wallet asks again once the cool-down is over, if its balance is still low. Failing again changes nothing. PU010 for one that is completed, PU012 for an unknown one.';

-- Packs ---------------------------------------------------------------------------------------------

CREATE TABLE purser.credit_pack (
  pack text COLLATE "C" PRIMARY KEY,
  name text NOT NULL,
  credits numeric NOT NULL CHECK (credits > 0),
  cents bigint NOT NULL CHECK (cents >= 0),
  currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
  wallet text COLLATE "C" NOT NULL DEFAULT 'credits',
  position integer NOT NULL DEFAULT 0,
  active boolean NOT NULL DEFAULT true,
  stripe_price_id text
);
COMMENT ON TABLE purser.credit_pack IS 'Credits as they are sold. A pack that is not active any more keeps its row: what was sold of it stays.';

CREATE FUNCTION purser.declare_credit_packs(packs jsonb, actor text DEFAULT session_user) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  code text;
  pack jsonb;
  wrong text;
  declared integer := 0;
BEGIN
  PERFORM purser._checked_id(actor, 'actor');
  IF packs IS NULL OR jsonb_typeof(packs) <> 'object' OR packs = '{}' THEN
    RAISE EXCEPTION 'argument "packs" must be a JSON object of packs'
      USING ERRCODE = 'PU014', HINT = 'For example {"starter": {"name": "Starter", "credits": 500, "cents": 1000, "currency": "usd"}}.';
  END IF;
  FOR code, pack IN SELECT * FROM jsonb_each(packs) LOOP
    PERFORM purser._checked_id(code, 'pack');
    wrong := CASE
      WHEN jsonb_typeof(pack) <> 'object' THEN 'must be an object'
      WHEN EXISTS (SELECT FROM jsonb_object_keys(pack) AS k
                    WHERE k NOT IN ('name', 'credits', 'cents', 'currency', 'wallet', 'position', 'active', 'stripe_price_id')) THEN 'has an unknown field'
      WHEN jsonb_typeof(pack -> 'credits') IS DISTINCT FROM 'number' OR (pack ->> 'credits')::numeric NOT BETWEEN 0.000001 AND 1000000000
           OR (pack ->> 'credits')::numeric <> round((pack ->> 'credits')::numeric, 6) THEN 'needs credits, an amount above 0'
      WHEN jsonb_typeof(pack -> 'cents') IS DISTINCT FROM 'number' OR (pack ->> 'cents')::numeric NOT BETWEEN 0 AND 1000000000000
           OR (pack ->> 'cents')::numeric % 1 <> 0 THEN 'needs cents, a whole number from 0 on'
      WHEN coalesce(pack ->> 'currency', '') !~ '^[a-z]{3}$' THEN 'needs a currency such as usd'
      WHEN coalesce(jsonb_typeof(pack -> 'active'), 'boolean') <> 'boolean' THEN 'has an active that is not true or false'
      WHEN coalesce(pack ->> 'position', '0') !~ '^[0-9]{1,6}$' THEN 'has a position that is not a number' END;
    IF wrong IS NOT NULL THEN
      RAISE EXCEPTION 'pack "%" %', code, wrong USING ERRCODE = 'PU014';
    END IF;
    INSERT INTO purser.credit_pack AS p (pack, name, credits, cents, currency, wallet, position, active, stripe_price_id)
    VALUES (code, coalesce(pack ->> 'name', code), (pack ->> 'credits')::numeric, (pack ->> 'cents')::bigint, pack ->> 'currency',
            purser._checked_id(coalesce(pack ->> 'wallet', 'credits'), 'wallet'), coalesce(pack ->> 'position', '0')::integer,
            coalesce((pack ->> 'active')::boolean, true), pack ->> 'stripe_price_id')
    ON CONFLICT ON CONSTRAINT credit_pack_pkey DO UPDATE
       SET name = excluded.name, credits = excluded.credits, cents = excluded.cents, currency = excluded.currency, wallet = excluded.wallet,
           position = excluded.position, active = excluded.active, stripe_price_id = excluded.stripe_price_id;
    declared := declared + 1;
  END LOOP;
  PERFORM purser._audit(actor, 'credit_packs.declared', NULL, 'credit_pack', NULL, packs);
  RETURN declared;
END
$$;
COMMENT ON FUNCTION purser.declare_credit_packs(jsonb, text) IS
  'Declares packs of credits or changes them: {"starter": {"name": "Starter", "credits": 500, "cents": 1000, "currency": "usd"}, …}, with wallet, position, active and stripe_price_id where wanted. Volume packs are packs with a better price. Returns how many. PU014 names what is wrong; then nothing is changed.';

CREATE FUNCTION purser.credit_packs() RETURNS TABLE (pack text, name text, credits numeric, wallet text, price text, cents bigint, currency text,
                                                     cents_per_credit numeric, stripe_price_id text)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT p.pack, p.name, p.credits, p.wallet, purser.display_price(p.cents, p.currency), p.cents, p.currency,
         trim_scale(round(p.cents / p.credits, 6)), p.stripe_price_id
    FROM purser.credit_pack AS p
   WHERE p.active
   ORDER BY p.position, p.credits, p.pack;
END;
COMMENT ON FUNCTION purser.credit_packs() IS 'The packs that are sold, as a page shows them: credits, price and what a credit costs in them.';

CREATE FUNCTION purser.grant_pack(account_id text, pack text, correlation_id text, quantity integer DEFAULT 1) RETURNS purser.ledger_entry
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  sold purser.credit_pack;
BEGIN
  SELECT * INTO sold FROM purser.credit_pack AS p WHERE p.pack = purser._checked_id(grant_pack.pack, 'pack');
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown pack "%"', grant_pack.pack USING ERRCODE = 'PU012', HINT = 'Declare it with purser.declare_credit_packs().';
  END IF;
  IF coalesce(quantity NOT BETWEEN 1 AND 10000, true) THEN
    RAISE EXCEPTION 'quantity must be 1 to 10000, not %', coalesce(quantity::text, 'null') USING ERRCODE = 'PU014';
  END IF;
  RETURN purser.grant_credits(grant_pack.account_id, sold.credits * quantity, 'purchased', grant_pack.correlation_id, wallet => sold.wallet,
                              notes => format('%s × %s', quantity, sold.pack));
END
$$;
COMMENT ON FUNCTION purser.grant_pack(text, text, text, integer) IS
  'Credits an account for packs it bought: purchased credits, which never expire. The correlation id is the payment''s, so that it counts once. Also for a pack that is not sold any more, since payments may come late. PU005, PU012, PU014 as for grants.';
