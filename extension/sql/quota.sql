-- Quotas: decide and count. The functions are C; their statements name every object and operator
-- with its schema, which is why they need no search_path of their own.

CREATE FUNCTION purser._admits(
  status text, plan text, pinned_version integer, feature text, per text, override text, used bigint, held bigint,
  carried bigint, amount bigint
) RETURNS boolean
  LANGUAGE c STABLE PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'purser_admits';
COMMENT ON FUNCTION purser._admits(text, text, integer, text, text, text, bigint, bigint, bigint, bigint) IS
  'Internal. Whether a row of purser.entitlement takes the amount, by the plan version this session has in memory.';

CREATE FUNCTION purser.check_and_increment(
  account_id text,
  feature text,
  amount bigint DEFAULT 1,
  idempotency_key text DEFAULT NULL
) RETURNS purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_check_and_increment';
COMMENT ON FUNCTION purser.check_and_increment(text, text, bigint, text) IS
  'Decides whether the account may use amount units of the feature, and counts them when it may, in one atomic step of the caller''s transaction. A refusal writes nothing. With an idempotency key a retry counts once and gets the first answer; a refused call leaves no key, so its retry is decided anew. PU005 for a key used for another request, PU012 for an unknown feature, PU013 for an amount below 1, PU014 for unusable arguments.';

CREATE FUNCTION purser.check_and_increment_batch(
  account_ids text[],
  features text[],
  amounts bigint[] DEFAULT NULL,
  idempotency_keys text[] DEFAULT NULL
) RETURNS SETOF purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_check_and_increment_batch';
COMMENT ON FUNCTION purser.check_and_increment_batch(text[], text[], bigint[], text[]) IS
  'Many calls of check_and_increment() in one, for workers and importers: element i of every array belongs to increment i, and row i of the answer to it. Each is decided for itself. Rows are locked in one order, so that overlapping batches cannot deadlock. amounts are 1 where NULL is passed for the array. At most 100000 increments (PU015); PU014 for arrays of unequal length or with NULLs.';

CREATE FUNCTION purser.check_quota(
  account_id text,
  feature text,
  amount bigint DEFAULT 1
) RETURNS purser.decision
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_check_quota';
COMMENT ON FUNCTION purser.check_quota(text, text, bigint) IS
  'What check_and_increment() would decide now. Counts nothing and locks nothing.';

CREATE FUNCTION purser.usage(account_id text) RETURNS SETOF purser.decision
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_usage';
COMMENT ON FUNCTION purser.usage(text) IS
  'Usage of every metered feature of the account''s plan in its running period, each as check_quota() for one more unit would answer.';

CREATE FUNCTION purser.http_status(decision purser.decision) RETURNS integer
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE (decision).reason
           WHEN 'ok' THEN 200
           WHEN 'quota_exceeded' THEN 429
           ELSE 403 END;
END;
COMMENT ON FUNCTION purser.http_status(purser.decision) IS
  'The HTTP status of a decision: 200 allowed, 429 used up, 403 not included or account not active.';

CREATE FUNCTION purser._decision_text(decision purser.decision) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE (decision).reason
           WHEN 'ok' THEN 'Allowed.'
           WHEN 'quota_exceeded' THEN
             format('You have used %s of %s %s.', (decision).used, (decision).quota, named.feature)
             || coalesce(to_char((decision).resets_at AT TIME ZONE 'UTC',
                                 '" The limit resets at "YYYY-MM-DD HH24:MI" UTC."'), '')
           WHEN 'feature_not_included' THEN format('Your plan does not include %s.', named.feature)
           WHEN 'account_suspended' THEN 'This account is suspended.'
           WHEN 'account_banned' THEN 'This account is banned.'
           WHEN 'account_deleted' THEN 'This account was deleted.' END
    FROM (SELECT coalesce((SELECT f.definition ->> 'name' FROM purser.feature AS f
                            WHERE f.code = (decision).feature), (decision).feature) AS feature) AS named;
END;
COMMENT ON FUNCTION purser._decision_text(purser.decision) IS 'Internal. A decision as a sentence for the person who asked.';

CREATE FUNCTION purser.http_body(decision purser.decision) RETURNS jsonb
  LANGUAGE sql STABLE STRICT SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object(
           'detail', purser._decision_text(decision),
           'limit_type', (decision).feature,
           'current', (decision).used,
           'limit', (decision).quota,
           'reset_at', (decision).resets_at,
           'upgrade_url', purser.setting('upgrade_url'));
END;
COMMENT ON FUNCTION purser.http_body(purser.decision) IS
  'The JSON body that goes with http_status(): detail, limit_type, current, limit, reset_at, upgrade_url.';

-- Views read with their owner's rights, so each repeats the rule of the row policies (privileges.sql).
CREATE VIEW purser.usage_history WITH (security_barrier) AS
SELECT h.account_id, h.feature, h.period_start, h.period_end, h.used, h.running
  FROM (SELECT u.account_id, u.feature, u.period_start, u.period_end, u.used, false AS running
          FROM purser.usage_period AS u
         UNION ALL
        SELECT e.account_id, e.feature, e.period_start, e.period_end, e.used, true
          FROM purser.entitlement AS e
         WHERE e.per <> '') AS h
 WHERE pg_has_role(current_user, 'purser_admin', 'usage')
    OR h.account_id = current_setting('purser.account_id', true);
COMMENT ON VIEW purser.usage_history IS
  'Usage per account, feature and period, the running period included. A running period that nobody used since it ended still shows here until the next call.';
