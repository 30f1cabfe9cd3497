-- Reports for the operator, over all accounts. Each reads the entries of the time it is asked about, which means the
-- whole ledger: run them beside the day's work, or on a standby. since is included, until is not.

CREATE FUNCTION purser._checked_rows(max_rows integer) RETURNS integer
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 10000 THEN
    RAISE EXCEPTION 'max_rows must be between 1 and 10000, not %', coalesce(max_rows::text, 'null') USING ERRCODE = 'PU014';
  END IF;
  RETURN max_rows;
END
$$;
COMMENT ON FUNCTION purser._checked_rows(integer) IS 'Internal. The number of rows, when it is a usable one.';

CREATE FUNCTION purser.top_consumers(
  since timestamptz DEFAULT date_trunc('month', purser.clock()),
  until timestamptz DEFAULT 'infinity',
  wallet text DEFAULT 'credits',
  max_rows integer DEFAULT 20
) RETURNS TABLE (account_id text, plan text, charges bigint, charged numeric, refunded numeric, net numeric, share numeric)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_id(top_consumers.wallet, 'wallet') AS wallet, purser._checked_rows(top_consumers.max_rows) AS max_rows
  ), used AS (
    SELECT l.account_id, count(*) FILTER (WHERE l.direction = 'DEBIT') AS charges,
           coalesce(sum(l.amount) FILTER (WHERE l.direction = 'DEBIT'), 0) AS charged,
           coalesce(sum(l.amount) FILTER (WHERE l.direction = 'CREDIT'), 0) AS refunded
      FROM asked
      JOIN purser.ledger AS l USING (wallet)
     WHERE l.created_at >= top_consumers.since AND l.created_at < top_consumers.until
       AND l.correlation_id IS NOT NULL AND (l.direction = 'DEBIT' OR l.refund_of IS NOT NULL)
     GROUP BY l.account_id
  )
  SELECT u.account_id, purser._plan_of(u.account_id), u.charges, u.charged, u.refunded, u.charged - u.refunded,
         round(100 * (u.charged - u.refunded) / nullif(sum(u.charged - u.refunded) OVER (), 0), 1)
    FROM used AS u
   ORDER BY u.charged - u.refunded DESC, u.account_id
   LIMIT (SELECT max_rows FROM asked);
END;
COMMENT ON FUNCTION purser.top_consumers(timestamptz, timestamptz, text, integer) IS
  'The accounts that used most credits, net of refunds, with their plans and their share of all use in percent.';

CREATE FUNCTION purser._usage_or_warning(account_id text) RETURNS SETOF purser.decision
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT * FROM purser.usage(_usage_or_warning.account_id);
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'account "%" is left out: %', account_id, SQLERRM USING ERRCODE = SQLSTATE;
END
$$;
COMMENT ON FUNCTION purser._usage_or_warning(text) IS
  'Internal. What an account has used; one that cannot be asked is left out of a report with a warning, and does not stop it.';

CREATE FUNCTION purser.near_limit(percent integer DEFAULT 80, max_rows integer DEFAULT 100)
  RETURNS TABLE (account_id text, what text, name text, used numeric, "limit" numeric, percent_used numeric, remaining numeric)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_rows(near_limit.max_rows) AS max_rows
  )
  SELECT near.*
    FROM asked, (
      SELECT w.account_id, 'credits' AS what, w.wallet, given.amount - balance.left, given.amount,
             round(100 * (given.amount - balance.left) / given.amount, 1) AS percent_used, balance.left
        FROM purser.wallet AS w,
             LATERAL (SELECT (w.allowance ->> 'amount')::numeric AS amount) AS given,
             LATERAL (SELECT purser.credit_balance(w.account_id, w.wallet) AS left) AS balance
       WHERE given.amount > 0 AND balance.left < given.amount
      UNION ALL
      SELECT d.account_id, 'quota', d.feature, d.used, d.quota, round(100.0 * (d.used + d.held) / d.quota, 1), d.remaining
        FROM (SELECT DISTINCT e.account_id FROM purser.entitlement AS e WHERE e.used > 0 OR e.held > 0) AS a,
             LATERAL purser._usage_or_warning(a.account_id) AS d
       WHERE d.quota > 0
    ) AS near
   WHERE near.percent_used >= near_limit.percent
   ORDER BY near.percent_used DESC, near.account_id, near.what, near.wallet
   LIMIT (SELECT max_rows FROM asked);
END;
COMMENT ON FUNCTION purser.near_limit(integer, integer) IS
  'Accounts that have used so many percent of their month''s allowance of credits or of a quota, fullest first: whom to write to. A wallet with credits beyond its allowance left is not near anything. Asks every account that has used something; one that cannot be asked is left out with a warning.';

CREATE FUNCTION purser.credits_by_month(
  since timestamptz DEFAULT date_trunc('month', purser.clock()) - interval '11 months',
  until timestamptz DEFAULT 'infinity',
  wallet text DEFAULT 'credits'
) RETURNS TABLE (month date, issued numeric, sold numeric, consumed numeric, refunded numeric, expired numeric, outstanding numeric)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_id(credits_by_month.wallet, 'wallet') AS wallet
  ), entries AS (
    SELECT date_trunc('month', l.effective_at AT TIME ZONE 'UTC')::date AS month, l.amount,
           CASE WHEN l.refund_of IS NOT NULL THEN 'refunded'
                WHEN l.direction = 'CREDIT' AND l.reason = 'rollover' AND l.correlation_id IS NULL THEN 'rolled over'
                WHEN l.direction = 'CREDIT' THEN 'issued'
                WHEN l.correlation_id IS NOT NULL THEN 'consumed'
                WHEN l.reason = 'rolled_over' THEN 'rolled over'
                ELSE 'expired' END AS what,
           l.allocations #>> '{0,kind}' AS kind, l.direction
      FROM asked
      JOIN purser.ledger AS l USING (wallet)
     WHERE l.effective_at < credits_by_month.until
  ), months AS (
    SELECT e.month,
           coalesce(sum(e.amount) FILTER (WHERE e.what = 'issued'), 0) AS issued,
           coalesce(sum(e.amount) FILTER (WHERE e.what = 'issued' AND e.kind = 'purchased'), 0) AS sold,
           coalesce(sum(e.amount) FILTER (WHERE e.what = 'consumed'), 0) AS consumed,
           coalesce(sum(e.amount) FILTER (WHERE e.what = 'refunded'), 0) AS refunded,
           coalesce(sum(e.amount) FILTER (WHERE e.what = 'expired'), 0) AS expired,
           sum(sum(CASE e.direction WHEN 'DEBIT' THEN -e.amount ELSE e.amount END)) OVER (ORDER BY e.month) AS outstanding
      FROM entries AS e GROUP BY e.month
  )
  SELECT * FROM months AS m
   WHERE m.month >= date_trunc('month', credits_by_month.since AT TIME ZONE 'UTC')::date
   ORDER BY m.month;
END;
COMMENT ON FUNCTION purser.credits_by_month(timestamptz, timestamptz, text) IS
  'Issued against consumed, the trend by calendar month (UTC): credits issued, of them sold, consumed, given back, expired (breakage), and what is outstanding at the end of the month: what the operator still owes. What rolled over is neither issued nor expired. outstanding is the sum from the beginning.';

CREATE FUNCTION purser.most_expensive_operations(
  since timestamptz DEFAULT date_trunc('month', purser.clock()),
  until timestamptz DEFAULT 'infinity',
  wallet text DEFAULT 'credits',
  max_rows integer DEFAULT 20
) RETURNS TABLE (reason text, charges bigint, net numeric, average numeric, highest numeric, share numeric)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_id(most_expensive_operations.wallet, 'wallet') AS wallet,
           purser._checked_rows(most_expensive_operations.max_rows) AS max_rows
  )
  SELECT c.reason, count(*), sum(c.amount - c.refunded), round(avg(c.amount), 6), max(c.amount),
         round(100 * sum(c.amount - c.refunded) / nullif(sum(sum(c.amount - c.refunded)) OVER (), 0), 1)
    FROM asked
    JOIN purser._charges AS c USING (wallet)
   WHERE c.created_at >= most_expensive_operations.since AND c.created_at < most_expensive_operations.until
   GROUP BY c.reason
   ORDER BY sum(c.amount - c.refunded) DESC, c.reason
   LIMIT (SELECT max_rows FROM asked);
END;
COMMENT ON FUNCTION purser.most_expensive_operations(timestamptz, timestamptz, text, integer) IS
  'What credits are spent on: for each reason (the operation, where a rate card priced it) how many charges, net of refunds, the average and the highest charge, and the share of all in percent.';

CREATE FUNCTION purser.breakage(
  since timestamptz DEFAULT date_trunc('month', purser.clock()),
  until timestamptz DEFAULT 'infinity',
  wallet text DEFAULT 'credits'
) RETURNS TABLE (kind text, reason text, grants bigint, granted numeric, lost numeric, percent_lost numeric)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_id(breakage.wallet, 'wallet') AS wallet
  )
  SELECT g.kind, lost.reason, count(*), sum(g.amount), sum(lost.amount), round(100 * sum(lost.amount) / sum(g.amount), 1)
    FROM (SELECT l.account_id, l.wallet, l.reason, (l.allocations #>> '{0,grant_id}')::bigint AS grant_id, sum(l.amount) AS amount
            FROM asked
            JOIN purser.ledger AS l USING (wallet)
           WHERE l.direction = 'DEBIT' AND l.correlation_id IS NULL AND l.reason IN ('expired', 'lapsed')
             AND l.effective_at >= breakage.since AND l.effective_at < breakage.until
           GROUP BY 1, 2, 3, 4) AS lost
    JOIN purser.credit_grant AS g USING (account_id, wallet, grant_id)
   GROUP BY g.kind, lost.reason
   ORDER BY sum(lost.amount) DESC, g.kind, lost.reason;
END;
COMMENT ON FUNCTION purser.breakage(timestamptz, timestamptz, text) IS
  'Credits that nobody used before they ended, by kind of grant and by reason (expired; lapsed with the subscription): how many grants, what they were, and what of it was lost.';

CREATE FUNCTION purser._csv(VARIADIC fields text[]) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(
          CASE WHEN f IS NULL THEN ''
               WHEN f ~ '[",\r\n]' OR f ~ '^[-=+@\t]' AND f !~ '^-?[0-9]+(\.[0-9]+)?$'
                 THEN '"' || CASE WHEN f ~ '^[-=+@\t\r]' AND f !~ '^-?[0-9]+(\.[0-9]+)?$' THEN '''' ELSE '' END
                      || replace(f, '"', '""') || '"'
               ELSE f END, ',' ORDER BY ordinality)
          FROM unnest(fields) WITH ORDINALITY AS u (f, ordinality));
COMMENT ON FUNCTION purser._csv(text[]) IS
  'Internal. One line of CSV (RFC 4180). Text that a spreadsheet would take for a formula gets an apostrophe in front.';

CREATE FUNCTION purser.ledger_csv(
  account_id text,
  since timestamptz DEFAULT '-infinity',
  until timestamptz DEFAULT 'infinity',
  wallet text DEFAULT 'credits'
) RETURNS SETOF text
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_id(ledger_csv.account_id, 'account_id') AS account_id,
           purser._checked_id(ledger_csv.wallet, 'wallet') AS wallet
  )
  SELECT line FROM asked, LATERAL (
    SELECT 0 AS entry_no, 'entry_id,created_at,effective_at,direction,reason,amount,balance_after,resource_type,resource_id,title,correlation_id,refund_of,hold_id,notes,breakdown' AS line
    UNION ALL
    SELECT l.entry_no,
           purser._csv(l.wallet || '/' || l.entry_no,
                       to_char(l.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                       to_char(l.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                       l.direction, l.reason, l.amount::text, l.balance_after::text, l.resource_type, l.resource_id, l.resource_title,
                       l.correlation_id, l.wallet || '/' || l.refund_of, l.hold_id, l.notes, l.breakdown::text)
      FROM purser.ledger AS l
     WHERE l.account_id = asked.account_id AND l.wallet = asked.wallet
       AND l.created_at >= ledger_csv.since AND l.created_at < ledger_csv.until
  ) AS lines
  ORDER BY lines.entry_no;
END;
COMMENT ON FUNCTION purser.ledger_csv(text, timestamptz, timestamptz, text) IS
  'One wallet''s ledger as lines of CSV (RFC 4180), a header first; instants in UTC. Text that a spreadsheet would take for a formula gets an apostrophe in front. With psql: \copy (SELECT purser.ledger_csv(''acme'')) TO PROGRAM ''cat > ledger.csv'' or -At -o.';
