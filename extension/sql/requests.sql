-- One call for a whole request: a rate limit, several quotas and a charge or a hold of credits, all or nothing.
-- Lock order: the account's entitlements by feature, then its wallet. Rate limits come last: they are
-- taken only when everything else has been decided and is locked.

CREATE TYPE purser.request_part AS (
  part text,
  name text,
  allowed boolean,
  reason text,
  used numeric,
  "limit" numeric,
  remaining numeric,
  resets_at timestamptz,
  retry_after interval,
  entry_id text,
  hold_id text
);
COMMENT ON TYPE purser.request_part IS
  'One part of what a request asked for. part: rate (name is the scope), quota (the feature) or credits (the wallet). reason: ok, or why it was refused: those of purser.decision, rate_limited, cost_exceeds_limit, insufficient_credits. used, limit and remaining are units of a quota or requests; of credits, remaining is the balance and limit what was asked. entry_id: of the charge; hold_id: of the hold.';

CREATE FUNCTION purser._lock_quotas(account_id text, amounts jsonb) RETURNS SETOF purser.decision
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_lock_quotas';
COMMENT ON FUNCTION purser._lock_quotas(text, jsonb) IS
  'Internal. Locks the counters of several features and says what would be decided on each.';

CREATE FUNCTION purser._checked_credits(request jsonb, part text, own_fields text[], defaults jsonb) RETURNS jsonb
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  asked jsonb := request -> part;
  wrong text;
BEGIN
  SELECT key INTO wrong FROM jsonb_object_keys(asked) AS key
   WHERE key <> ALL (own_fields || '{"amount", "reason", "wallet", "resource_type", "resource_id", "resource_title", "notes"}')
   ORDER BY key LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'request: a % has no "%"', part, wrong
      USING ERRCODE = 'PU014', HINT = format('It has the arguments of %s_credits().', part);
  END IF;
  IF jsonb_typeof(asked -> 'amount') IS DISTINCT FROM 'number' OR (asked ->> 'amount')::numeric <= 0 THEN
    RAISE EXCEPTION 'request: amount of the % must be a positive number, got %', part, coalesce(asked ->> 'amount', 'null')
      USING ERRCODE = 'PU013', HINT = format('For example {"%s": {"amount": 2.5, "reason": "transcription"}}.', part);
  END IF;
  RETURN jsonb_set(request, ARRAY[part], jsonb_build_object('wallet', 'credits') || defaults || asked);
END
$$;
COMMENT ON FUNCTION purser._checked_credits(jsonb, text, text[], jsonb) IS
  'Internal. The request with the defaults of what it asks of a wallet.';

CREATE FUNCTION purser._checked_request(request jsonb, idempotency_key text) RETURNS jsonb
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wrong text;
  example CONSTANT text := 'For example {"rate": {"api": 1}, "quotas": {"minutes": 10}, "charge": {"amount": 2.5, "reason": "transcription", "correlation_id": "job-9"}}.';
BEGIN
  IF request IS NULL OR jsonb_typeof(request) <> 'object' OR request = '{}' THEN
    RAISE EXCEPTION 'argument "request" must be a JSON object that asks for something' USING ERRCODE = 'PU014', HINT = example;
  END IF;
  SELECT key INTO wrong FROM jsonb_each(request) AS part (key, value)
   WHERE key NOT IN ('rate', 'quotas', 'charge', 'hold') OR jsonb_typeof(value) <> 'object' ORDER BY key LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'request: "%" is not one of the objects rate, quotas, charge and hold', wrong USING ERRCODE = 'PU014', HINT = example;
  END IF;
  IF request ? 'charge' AND request ? 'hold' THEN
    RAISE EXCEPTION 'request: it charges and holds' USING ERRCODE = 'PU014', HINT = 'Ask for one of the two.';
  END IF;
  SELECT key INTO wrong FROM jsonb_each(request -> 'rate') AS part (key, value)
   WHERE jsonb_typeof(value) <> 'number' OR (value::numeric NOT BETWEEN 1 AND 2147483647) OR value::numeric % 1 <> 0 ORDER BY key LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'request: cost of scope "%" must be a positive whole number', wrong USING ERRCODE = 'PU013', HINT = example;
  END IF;
  IF request ? 'charge' THEN
    RETURN purser._checked_credits(request, 'charge', '{"correlation_id", "breakdown"}', jsonb_build_object('correlation_id', idempotency_key));
  ELSIF request ? 'hold' THEN
    RETURN purser._checked_credits(request, 'hold', '{"hold_id", "ttl"}', jsonb_build_object('hold_id', idempotency_key, 'ttl', '15 minutes'));
  END IF;
  RETURN request;
END
$$;
COMMENT ON FUNCTION purser._checked_request(jsonb, text) IS
  'Internal. The request when it can be decided, with the defaults of its charge.';

CREATE FUNCTION purser._check_credits(account_id text, asked jsonb) RETURNS SETOF purser.request_part
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  amount numeric := (asked ->> 'amount')::numeric;
  wallet_name text := purser._checked_id(asked ->> 'wallet', 'wallet');
  account_status text;
  balance numeric;
  refusal text;
BEGIN
  PERFORM purser._checked_id(coalesce(asked ->> 'correlation_id', asked ->> 'hold_id'), 'correlation_id'),
          purser._checked_id(asked ->> 'reason', 'reason');
  PERFORM FROM purser.wallet AS w WHERE w.account_id = _check_credits.account_id AND w.wallet = wallet_name
    FOR NO KEY UPDATE;
  SELECT coalesce((SELECT a.status FROM purser.account AS a WHERE a.account_id = _check_credits.account_id), 'active')
    INTO account_status;
  balance := purser.credit_balance(_check_credits.account_id, wallet_name);
  IF EXISTS (SELECT FROM purser.ledger AS l
              WHERE l.account_id = _check_credits.account_id AND l.correlation_id = asked ->> 'correlation_id')
     OR EXISTS (SELECT FROM purser.credit_hold AS h
                 WHERE h.account_id = _check_credits.account_id AND h.hold_id = asked ->> 'hold_id') THEN
    refusal := NULL;  -- made before: the call returns the first answer, or says that the request was another
  ELSIF account_status <> 'active' THEN
    refusal := 'account_' || account_status;
  ELSIF balance < amount THEN
    refusal := 'insufficient_credits';
  END IF;
  RETURN NEXT ROW('credits', wallet_name, refusal IS NULL, coalesce(refusal, 'ok'), NULL, amount, balance, NULL, NULL, NULL, NULL)::purser.request_part;
END
$$;
COMMENT ON FUNCTION purser._check_credits(text, jsonb) IS
  'Internal. Locks the wallet and says whether the charge or the hold can be made.';

CREATE FUNCTION purser._decided_request(account_id text, request jsonb) RETURNS SETOF purser.request_part
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF request ? 'quotas' THEN
    RETURN QUERY SELECT 'quota', d.feature, d.allowed, d.reason, d.used::numeric, d.quota::numeric, d.remaining::numeric, d.resets_at,
                        NULL::interval, NULL, NULL
                   FROM purser._lock_quotas(_decided_request.account_id, request -> 'quotas') AS d;
  END IF;
  IF request ?| '{charge, hold}' THEN
    RETURN QUERY SELECT * FROM purser._check_credits(_decided_request.account_id, coalesce(request -> 'charge', request -> 'hold'));
  END IF;
  RETURN QUERY SELECT 'rate', cost.key, d.allowed, d.reason, NULL::numeric, d."limit"::numeric, d.remaining::numeric, d.resets_at,
                      d.retry_after, NULL, NULL
                 FROM jsonb_each_text(coalesce(request -> 'rate', '{}')) AS cost,
                      purser.check_rate_limit(_decided_request.account_id, cost.key, cost.value::integer) AS d
                ORDER BY cost.key COLLATE "C";
END
$$;
COMMENT ON FUNCTION purser._decided_request(text, jsonb) IS
  'Internal. Locks all that the request touches, and says what would be decided on each part.';

CREATE FUNCTION purser._counted_request(account_id text, request jsonb) RETURNS SETOF purser.request_part
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  charge jsonb := request -> 'charge';
  hold jsonb := request -> 'hold';
  held purser.credit_hold_state;
BEGIN
  IF request ? 'quotas' THEN
    RETURN QUERY SELECT 'quota', d.feature, d.allowed, d.reason, d.used::numeric, d.quota::numeric, d.remaining::numeric, d.resets_at,
                        NULL::interval, NULL, NULL
                   FROM purser.check_and_increment_all(_counted_request.account_id, request -> 'quotas') AS d;
  END IF;
  IF charge IS NOT NULL THEN
    RETURN QUERY SELECT 'credits', e.wallet, true, 'ok', NULL::numeric, e.amount, e.balance_after, NULL::timestamptz, NULL::interval, e.entry_id, NULL
                   FROM purser.charge_credits(_counted_request.account_id, (charge ->> 'amount')::numeric, charge ->> 'reason',
                          charge ->> 'correlation_id', charge ->> 'resource_type', charge ->> 'resource_id',
                          charge ->> 'resource_title', charge -> 'breakdown', charge ->> 'wallet', charge ->> 'notes') AS e;
  END IF;
  IF hold IS NOT NULL THEN
    held := purser.hold_credits(_counted_request.account_id, (hold ->> 'amount')::numeric, hold ->> 'reason',
              (hold ->> 'ttl')::interval, hold ->> 'hold_id', hold ->> 'resource_type', hold ->> 'resource_id',
              hold ->> 'resource_title', hold ->> 'wallet', hold ->> 'notes');
    RETURN QUERY SELECT 'credits', held.wallet, true, 'ok', NULL::numeric, held.amount,
                        purser.credit_balance(held.account_id, held.wallet), held.expires_at, NULL::interval, NULL, held.hold_id;
  END IF;
END
$$;
COMMENT ON FUNCTION purser._counted_request(text, jsonb) IS
  'Internal. Counts and charges what _decided_request() found to fit and holds locked.';

CREATE FUNCTION purser._remembered_request(account_id text, idempotency_key text, fingerprint bytea) RETURNS jsonb
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  first purser.quota_key;
BEGIN
  SELECT * INTO first FROM purser.quota_key AS k
   WHERE k.account_id = _remembered_request.account_id AND k.idempotency_key = _remembered_request.idempotency_key;
  IF FOUND AND first.fingerprint <> _remembered_request.fingerprint THEN
    RAISE EXCEPTION 'idempotency key "%" was used for another request', idempotency_key
      USING ERRCODE = 'PU005', DETAIL = 'The first request under this key asked for something else.',
            HINT = 'Use a new key for a new request.';
  END IF;
  RETURN first.answers;
END
$$;
COMMENT ON FUNCTION purser._remembered_request(text, text, bytea) IS
  'Internal. The answers given before under the key; NULL when it is new. PU005 when it was used for another request.';

CREATE FUNCTION purser.check_request(account_id text, request jsonb, idempotency_key text DEFAULT NULL)
  RETURNS SETOF purser.request_part
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  asked jsonb := purser._checked_request(request, idempotency_key);
  digest bytea := sha256(convert_to('check_request/1 ' || request::text, 'UTF8'));
  parts purser.request_part[];
  answers jsonb;
BEGIN
  PERFORM purser._checked_id(account_id, 'account_id'),
          purser._checked_id(coalesce(idempotency_key, 'none'), 'idempotency_key');
  answers := purser._remembered_request(account_id, idempotency_key, digest);
  IF answers IS NULL THEN
    SELECT array_agg(p) INTO parts FROM purser._decided_request(account_id, asked) AS p;
    -- The same request may have been made while this one waited for its locks.
    answers := purser._remembered_request(account_id, idempotency_key, digest);
  END IF;
  IF answers IS NOT NULL THEN
    RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::purser.request_part, answers);
    RETURN;
  END IF;
  IF (SELECT bool_and(p.allowed) FROM unnest(parts) AS p) THEN
    -- Others may have taken of the rate meanwhile; nothing has been counted yet.
    parts := ARRAY(SELECT ROW('rate', cost.key, d.allowed, d.reason, NULL, d."limit", d.remaining, d.resets_at, d.retry_after, NULL, NULL)::purser.request_part
                     FROM jsonb_each_text(coalesce(asked -> 'rate', '{}')) AS cost,
                          purser.rate_limit(check_request.account_id, cost.key, cost.value::integer) AS d
                    ORDER BY cost.key COLLATE "C");
    IF coalesce((SELECT bool_and(p.allowed) FROM unnest(parts) AS p), true) THEN
      parts := ARRAY(SELECT p FROM purser._counted_request(account_id, asked) AS p) || parts;
      INSERT INTO purser.quota_key (account_id, idempotency_key, fingerprint, answers, created_at)
      SELECT check_request.account_id, check_request.idempotency_key, digest, to_jsonb(parts), purser.clock()
       WHERE check_request.idempotency_key IS NOT NULL
      ON CONFLICT DO NOTHING;
      PERFORM purser._remembered_request(account_id, idempotency_key, digest);
    END IF;
  END IF;
  RETURN QUERY SELECT * FROM unnest(parts);
END
$$;
COMMENT ON FUNCTION purser.check_request(text, jsonb, text) IS
  'One call for a whole request, all or nothing: {"rate": {"api": 1}, "quotas": {"minutes": 10, "interviews": 1}, "charge": {"amount": 2.5, "reason": …, "correlation_id": …}}; every part is optional. A charge takes the arguments of charge_credits(); instead of it "hold" takes those of hold_credits(), for work to be settled afterwards. They use the idempotency key where they name no correlation_id or hold_id. Everything was counted and charged when every row says allowed; otherwise nothing was, and each refusal is named. With an idempotency key a retry gets the first answer and counts, charges and takes of the rate once. A rate limit in shared memory is not rolled back with the caller. PU005 for a key used for another request, PU012 for an unknown feature or scope, PU013 for unusable amounts, PU014 for an unusable request.';
