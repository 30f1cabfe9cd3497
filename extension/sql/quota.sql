-- Quotas: decide and count. The functions are C; their statements name every object and operator
-- with its schema, which is why they need no search_path of their own.

CREATE FUNCTION purser._admits(
  status text, plan text, pinned_version integer, feature text, per text, override text, used bigint, held bigint,
  carried bigint, amount bigint
) RETURNS boolean
  LANGUAGE c STABLE PARALLEL SAFE
  -- Dear, so that whatever the plan, no other row than the one asked for is ever tested.
  COST 100000
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

CREATE FUNCTION purser.require_quota(
  account_id text,
  feature text,
  amount bigint DEFAULT 1,
  idempotency_key text DEFAULT NULL
) RETURNS purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_require_quota';
COMMENT ON FUNCTION purser.require_quota(text, text, bigint, text) IS
  'check_and_increment() for those who cannot go on without: a refusal is raised, with the JSON of http_body() as the detail. PU001 used up or too much at once, PU003 account not active, PU004 not included in the plan.';

CREATE FUNCTION purser.check_and_increment_all(
  account_id text,
  amounts jsonb,
  idempotency_key text DEFAULT NULL
) RETURNS SETOF purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_check_and_increment_all';
COMMENT ON FUNCTION purser.check_and_increment_all(text, jsonb, text) IS
  'Several features at once, all or nothing: amounts is {"minutes": 10, "interviews": 1}. One row per feature, in name order. Everything was counted when every row says allowed; when one says it is not, nothing was, and each row says what would have been decided on it alone. PU012 for an unknown feature, PU013 for an amount that is not whole and positive, PU015 above 100 features.';

CREATE FUNCTION purser.record_usage(
  account_id text,
  feature text,
  amount bigint DEFAULT 1,
  idempotency_key text DEFAULT NULL,
  at timestamptz DEFAULT NULL
) RETURNS purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_record_usage';
COMMENT ON FUNCTION purser.record_usage(text, text, bigint, text, timestamptz) IS
  'Counts usage that has happened, whatever the quota says: never refused for a limit or a status, reason and level say what it ran over. A negative amount takes back, at most what the period holds (PU013). at: when it happened, for late events and corrections; the period it belongs to and the lifetime change, not today''s count, nor what was rolled over since. At most the setting correction_days (90) ago, never ahead of the clock (PU014).';

CREATE FUNCTION purser.hold_quota(
  account_id text,
  feature text,
  amount bigint DEFAULT 1,
  ttl interval DEFAULT '15 minutes',
  hold_id text DEFAULT gen_random_uuid()::text
) RETURNS purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_hold_quota';
COMMENT ON FUNCTION purser.hold_quota(text, text, bigint, interval, text) IS
  'Sets quota aside for work that begins now and is settled later with commit_quota() or release_quota(). Refused like an increment; when it is made, hold_id says how to settle it. It ends by itself after ttl (at most 366 days), whether or not anything runs. Asking again for the same hold_id is the same hold (PU005 when feature or amount differ). Hold in a transaction of its own, before the work: then a failure of the work loses nothing.';

CREATE FUNCTION purser.commit_quota(
  account_id text,
  hold_id text,
  amount bigint DEFAULT NULL
) RETURNS purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_commit_quota';
COMMENT ON FUNCTION purser.commit_quota(text, text, bigint) IS
  'Ends a hold by counting what was really used (NULL: all that was held), in the period running now. What was held is counted in any case; more than that must fit, and where it does not the decision is a refusal and the hold stays open. Committing again with the same amount changes nothing. PU006 when the hold is unknown, released, expired or was committed with another amount.';

CREATE FUNCTION purser.release_quota(account_id text, hold_id text) RETURNS purser.decision
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_release_quota';
COMMENT ON FUNCTION purser.release_quota(text, text) IS
  'Ends a hold and counts nothing. Releasing again changes nothing. PU006 when the hold is unknown or was committed.';

CREATE FUNCTION purser._reset_usage(account_id text, feature text) RETURNS bigint
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_reset_usage';
COMMENT ON FUNCTION purser._reset_usage(text, text) IS
  'Internal. Ends the running period of one counter here and begins it anew; returns what had been used.';

CREATE FUNCTION purser.reset_usage(account_id text, feature text, actor text, reason text) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  forgiven bigint;
BEGIN
  PERFORM purser._checked_id(actor, 'actor'), purser._checked_id(reason, 'reason');
  forgiven := purser._reset_usage(account_id, feature);
  PERFORM purser._audit(actor, 'usage.reset', account_id, 'feature', feature,
                        jsonb_build_object('used', forgiven, 'reason', reason));
  RETURN forgiven;
END
$$;
COMMENT ON FUNCTION purser.reset_usage(text, text, text, text) IS
  'Lets the account begin the running period of a feature anew; returns how much had been used. That stays in the history as a period that ended here, so lifetime totals still are the sum over periods. Audited. PU012 for an unknown feature.';

CREATE FUNCTION purser._stripe_quota(account_id text, feature text, stripes integer) RETURNS integer
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_stripe_quota';
COMMENT ON FUNCTION purser._stripe_quota(text, text, integer) IS
  'Internal. Spreads one counter over so many rows, or folds it back into one; returns over how many it was spread.';

CREATE FUNCTION purser.stripe_quota(account_id text, feature text, stripes integer, actor text) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before integer;
BEGIN
  PERFORM purser._checked_id(actor, 'actor');
  before := purser._stripe_quota(account_id, feature, stripes);
  IF before <> stripes THEN
    PERFORM purser._audit(actor, 'quota.striped', account_id, 'feature', feature,
                          jsonb_build_object('stripes', stripes, 'before', before));
  END IF;
  RETURN before;
END
$$;
COMMENT ON FUNCTION purser.stripe_quota(text, text, integer, text) IS
  'For a counter that many sessions raise at once: counts it in 2 to 64 rows (stripes, about as many as there are writers), so that they do not wait for one another''s commit; 0 counts in one row again. Returns how many there were. Works under load and changes no limit: exactly what one row would give out is given out. What an increment answers as used may leave out what others count at the same moment. Increments with an idempotency key, holds, corrections and calls for several features still take turns. A transaction that increments a striped counter and then needs the exact sum (those calls, or what is left being little) may meet another that does the same: 40P01, repeat it; a transaction of one call never does. Audited. PU012 for an unknown feature, PU014 for a number of stripes out of bounds.';

CREATE FUNCTION purser.adjust_usage(
  account_id text,
  feature text,
  amount bigint,
  actor text,
  reason text,
  at timestamptz DEFAULT NULL
) RETURNS purser.decision
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  adjusted purser.decision;
BEGIN
  PERFORM purser._checked_id(actor, 'actor'), purser._checked_id(reason, 'reason');
  adjusted := purser.record_usage(adjust_usage.account_id, adjust_usage.feature, adjust_usage.amount, NULL, adjust_usage.at);
  PERFORM purser._audit(actor, 'usage.adjusted', adjust_usage.account_id, 'feature', adjust_usage.feature,
                        jsonb_build_object('amount', adjust_usage.amount, 'at', adjust_usage.at, 'used', adjusted.used, 'reason', reason));
  RETURN adjusted;
END
$$;
COMMENT ON FUNCTION purser.adjust_usage(text, text, bigint, text, text, timestamptz) IS
  'record_usage() for an operator, with a reason and audited: adds to or takes back from the running period, or the one that contains at.';

CREATE FUNCTION purser.enforce_quota() RETURNS trigger
  LANGUAGE c SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_enforce_quota';
COMMENT ON FUNCTION purser.enforce_quota() IS
  'Trigger for a table of the application: its rows consume a quota, so no path of code can go around it. Arguments: the feature, the column with the account, and optionally a column with the amount (1 a row without it). Create it AFTER INSERT REFERENCING NEW TABLE AS … FOR EACH STATEMENT, which counts once per account and in account order; or FOR EACH ROW (BEFORE counts rows that ON CONFLICT DO NOTHING or a later trigger then drops). On DELETE (and for an UPDATE that moves a row) rows give back what the running period still holds of them. A statement that does not fit is refused whole: PU001, PU003 or PU004 with the JSON of http_body() as the detail.';

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
           WHEN 'quota_exceeded' THEN CASE WHEN (decision).resets_at IS NULL THEN 402 ELSE 429 END
           WHEN 'per_call_exceeded' THEN 422
           ELSE CASE WHEN (decision).allowed THEN 200 ELSE 403 END END;
END;
COMMENT ON FUNCTION purser.http_status(purser.decision) IS
  'The HTTP status of a decision: 200 allowed or recorded; 429 used up until it resets; 402 used up for good, so that only another plan helps; 403 not in the plan, or account not active; 422 more than one call may take.';

CREATE FUNCTION purser._decision_text(decision purser.decision) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE (decision).reason
           WHEN 'ok' THEN 'Allowed.'
           WHEN 'over_quota' THEN
             format('You have used %s of %s %s.', (decision).used, (decision).quota, named.feature)
           WHEN 'per_call_exceeded' THEN
             format('At most %s %s at a time.', (decision).max_amount, named.feature)
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
        SELECT e.account_id, e.feature, e.period_start, e.period_end,
               e.used + (SELECT coalesce(sum(s.used), 0)::bigint FROM purser.entitlement_stripe AS s
                          WHERE s.account_id = e.account_id AND s.feature = e.feature), true
          FROM purser.entitlement AS e
         WHERE e.per <> '') AS h
 WHERE pg_has_role(current_user, 'purser_admin', 'usage')
    OR h.account_id = current_setting('purser.account_id', true);
COMMENT ON VIEW purser.usage_history IS
  'Usage per account, feature and period, the running period included. A running period that nobody used since it ended still shows here until the next call.';
