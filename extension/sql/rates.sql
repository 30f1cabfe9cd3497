-- Rate limits: how often, where quotas say how much. The functions are C; their statements name
-- every object and operator with its schema, which is why they need no search_path of their own.

CREATE TYPE purser.rate_decision AS (
  allowed boolean,
  "limit" bigint,
  remaining bigint,
  retry_after interval,
  resets_at timestamptz,
  reason text,
  scope text,
  per interval
);
COMMENT ON TYPE purser.rate_decision IS
  'Answer to "may this request pass now". limit requests are given back evenly over per; remaining counts this request; retry_after is 0 when it passed, and NULL when it never can; resets_at is when the whole limit is there again. limit, remaining, resets_at and per are NULL when the scope is unlimited, scope for a free key. reason: ok, rate_limited, cost_exceeds_limit.';

-- Used only where purser is not in shared_preload_libraries. A free key stands in account_id, with
-- its window as scope. rate_table.cpp knows the columns by their order.
CREATE UNLOGGED TABLE purser.rate_bucket (
  account_id text COLLATE "C" NOT NULL,
  scope text COLLATE "C" NOT NULL,
  full_at timestamptz NOT NULL,
  fraction bigint NOT NULL,
  counted_at timestamptz NOT NULL,
  max_requests bigint NOT NULL,
  per_micros bigint NOT NULL,
  PRIMARY KEY (account_id, scope)
) WITH (fillfactor = 50);
COMMENT ON TABLE purser.rate_bucket IS
  'Rate limits in use on a server that does not preload purser. Unlogged: a crash empties it. full_at and fraction (2^-64 microseconds) are when a bucket is full again; then its row means nothing and goes as new ones come.';

CREATE FUNCTION purser.rate_limit(
  account_id text,
  scope text,
  cost integer DEFAULT 1
) RETURNS purser.rate_decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_rate_limit';
COMMENT ON FUNCTION purser.rate_limit(text, text, integer) IS
  'Decides whether a request of the account may pass now, by the limit its plan has for the scope, and counts it when it may. The limit is the plan''s own, or else the default plan''s, times the plan''s rate_multiplier; a scope that neither limits is unlimited. Looks at the plan alone: whether the account is suspended is for admit() to say. Of N callers at once exactly as many pass as the limit has left. Not transactional in shared memory: a request that passed stays counted when its transaction rolls back, and a crash of the server forgets all counts. PU012 for a scope that no published plan limits, PU013 for a cost below 1, PU014 for unusable arguments.';

CREATE FUNCTION purser.check_rate_limit(
  account_id text,
  scope text,
  cost integer DEFAULT 1
) RETURNS purser.rate_decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_check_rate_limit';
COMMENT ON FUNCTION purser.check_rate_limit(text, text, integer) IS
  'What rate_limit() would decide now. Counts nothing.';

CREATE FUNCTION purser.rate_limit_key(
  key text,
  max_requests integer,
  per interval,
  cost integer DEFAULT 1
) RETURNS purser.rate_decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_rate_limit_key';
COMMENT ON FUNCTION purser.rate_limit_key(text, integer, interval, integer) IS
  'As rate_limit(), for callers without an account: the key is any text, such as ip:203.0.113.9 or a hash of an e-mail address, and the limit is given with the call. The same key with another per is another bucket, with another max_requests the same one. per is at most 366 days and has no months. PU013 for max_requests or cost below 1, PU014 for unusable arguments.';

CREATE FUNCTION purser._account_changes(account_id text) RETURNS void
  LANGUAGE c VOLATILE STRICT
  AS 'MODULE_PATHNAME', 'purser_account_changes';
COMMENT ON FUNCTION purser._account_changes(text) IS
  'Internal. With the commit of this transaction, what rate limits remember of the account''s plan is void. Called by whoever locks an account.';

CREATE FUNCTION purser._rate_limit_scopes(account_id text) RETURNS text[]
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_rate_limit_scopes';
COMMENT ON FUNCTION purser._rate_limit_scopes(text) IS
  'Internal. Every scope that the account''s plan or any published plan limits.';

CREATE FUNCTION purser._clear_rate_limit(account_id text, scope text) RETURNS void
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_clear_rate_limit';
COMMENT ON FUNCTION purser._clear_rate_limit(text, text) IS
  'Internal. Forgets what was counted for one account and scope, with the commit.';

CREATE FUNCTION purser.clear_rate_limits(
  account_id text,
  scopes text[] DEFAULT NULL,
  actor text DEFAULT session_user,
  reason text DEFAULT NULL
) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known text[] := purser._rate_limit_scopes(clear_rate_limits.account_id);
  wanted text[];
  unknown text;
BEGIN
  PERFORM purser._checked_id(clear_rate_limits.account_id, 'account_id'), purser._checked_id(actor, 'actor'),
          purser._checked_id(reason, 'reason');
  SELECT coalesce(array_agg(DISTINCT purser._checked_id(s, 'scopes') ORDER BY purser._checked_id(s, 'scopes')), '{}') INTO wanted
    FROM unnest(coalesce(scopes, known)) AS s;
  SELECT s INTO unknown FROM unnest(wanted) AS s WHERE s <> ALL (known) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unknown rate limit scope "%"', unknown
      USING ERRCODE = 'PU012', DETAIL = 'No published plan has it among its rate_limits.',
            HINT = 'Leave scopes out to clear them all.';
  END IF;
  PERFORM purser._audit(actor, 'rate_limits.cleared', clear_rate_limits.account_id, 'account', clear_rate_limits.account_id,
                        jsonb_build_object('scopes', wanted, 'reason', reason));
  PERFORM purser._clear_rate_limit(clear_rate_limits.account_id, s) FROM unnest(wanted) AS s;
  RETURN cardinality(wanted);
END
$$;
COMMENT ON FUNCTION purser.clear_rate_limits(text, text[], text, text) IS
  'Gives an account its whole limit back at once, in the scopes named or in all of them; takes effect with the commit and leaves an audit event. reason is required. Returns how many scopes that were. PU012 for a scope that no published plan limits.';

CREATE FUNCTION purser._rate_limit_memory(OUT slots bigint, OUT used bigint, OUT evictions bigint)
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_rate_limit_memory';
COMMENT ON FUNCTION purser._rate_limit_memory() IS
  'Internal. The state of the shared memory for rate limits; NULLs when there is none.';

CREATE FUNCTION purser.rate_limit_status(
  OUT storage text,
  OUT slots bigint,
  OUT used bigint,
  OUT evictions bigint
)
  LANGUAGE sql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE WHEN m.slots IS NULL THEN 'table' ELSE 'shared memory' END, m.slots,
         coalesce(m.used, (SELECT count(*) FROM purser.rate_bucket AS b WHERE b.full_at > purser.clock())),
         coalesce(m.evictions, 0)
    FROM purser._rate_limit_memory() AS m;
END;
COMMENT ON FUNCTION purser.rate_limit_status() IS
  'Where rate limits are kept: "shared memory" when purser is in shared_preload_libraries, else "table". slots is what purser.rate_limit_slots asked for, used how many buckets are not full again, of all databases; evictions counts, since the server started, buckets in use that had to go for others, whose callers could start anew: ask for more slots when it grows.';

CREATE FUNCTION purser.http_status(decision purser.rate_decision) RETURNS integer
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE WHEN (decision).allowed THEN 200 ELSE 429 END;
END;
COMMENT ON FUNCTION purser.http_status(purser.rate_decision) IS
  'The HTTP status of a rate decision: 200 or 429.';

CREATE FUNCTION purser._whole_seconds(span interval) RETURNS bigint
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT ceil(extract(epoch FROM span))::bigint;
END;
COMMENT ON FUNCTION purser._whole_seconds(interval) IS
  'Internal. The seconds after which the span is over, as HTTP fields want them.';

CREATE FUNCTION purser.http_body(decision purser.rate_decision) RETURNS jsonb
  LANGUAGE sql STABLE STRICT SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object(
           'detail', CASE (decision).reason
                       WHEN 'ok' THEN 'Allowed.'
                       WHEN 'rate_limited' THEN
                         format('Too many requests. Try again in %s seconds.', purser._whole_seconds((decision).retry_after))
                       WHEN 'cost_exceeds_limit' THEN
                         format('This request counts for more than the limit of %s.', (decision)."limit") END,
           'limit_type', coalesce((decision).scope, 'requests'),
           'current', (decision)."limit" - (decision).remaining,
           'limit', (decision)."limit",
           'reset_at', (decision).resets_at,
           'upgrade_url', purser.setting('upgrade_url'));
END;
COMMENT ON FUNCTION purser.http_body(purser.rate_decision) IS
  'The JSON body that goes with http_status() of a rate decision: detail, limit_type (the scope), current, limit, reset_at, upgrade_url.';

CREATE FUNCTION purser.http_headers(decision purser.rate_decision) RETURNS jsonb
  LANGUAGE sql STABLE STRICT SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_strip_nulls(jsonb_build_object(
           'RateLimit-Policy', format('"%s";q=%s;w=%s', coalesce((decision).scope, 'default'), (decision)."limit",
                                      purser._whole_seconds((decision).per)),
           'RateLimit', format('"%s";r=%s;t=%s', coalesce((decision).scope, 'default'), (decision).remaining,
                               greatest(0, purser._whole_seconds((decision).resets_at - purser.clock()))),
           'Retry-After', CASE WHEN NOT (decision).allowed
                               THEN purser._whole_seconds((decision).retry_after)::text END))
   WHERE (decision)."limit" IS NOT NULL
   UNION ALL
  SELECT '{}' WHERE (decision)."limit" IS NULL;
END;
COMMENT ON FUNCTION purser.http_headers(purser.rate_decision) IS
  'The response fields of a rate decision as {"name": "value"}: RateLimit-Policy (q limit, w window in seconds) and RateLimit (r remaining, t seconds until the whole limit is there again), as in draft-ietf-httpapi-ratelimit-headers-08 and later, and Retry-After when it was refused. Empty when the scope is unlimited.';
