-- What an account sees of its books: summaries by month, charges apart from any resource, invoices, and the one
-- page support needs. All of it reads the ledger as it is written; what time did since (an allowance that began, a
-- grant that expired) is written by the next change of the wallet or by run_due().

CREATE FUNCTION purser.allowance(
  account_id text,
  wallet text DEFAULT 'credits',
  at timestamptz DEFAULT NULL,
  OUT allowance numeric,
  OUT rollover jsonb,
  OUT period_start timestamptz,
  OUT period_end timestamptz,
  OUT subscribed boolean
) RETURNS record
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_allowance';
COMMENT ON FUNCTION purser.allowance(text, text, timestamptz) IS
  'The credits that the account''s plan gives for one wallet at an instant (NULL: now), as far as is known now, and the period they are for. allowance: 0 when the plan gives none. rollover: what becomes of those not used, NULL for nothing. The next allowance is that at period_end.';

CREATE FUNCTION purser._entry(entry_id text, OUT wallet text, OUT entry_no bigint) RETURNS record
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT substring(entry_id FROM '^(.+)/[0-9]{1,18}$'), substring(entry_id FROM '^.+/([0-9]{1,18})$')::bigint;
END;
COMMENT ON FUNCTION purser._entry(text) IS
  'Internal. The wallet and the number in the id of an entry; NULLs when it is none.';

-- Is this entry a charge: something the account paid for, which can be refunded.
CREATE VIEW purser._charges AS
SELECT l.*, coalesce(back.refunded, 0) AS refunded
  FROM purser.ledger AS l
  LEFT JOIN LATERAL (
         SELECT sum(r.amount) AS refunded FROM purser.ledger AS r
          WHERE r.account_id = l.account_id AND r.wallet = l.wallet AND r.refund_of = l.entry_no
       ) AS back ON true
 WHERE l.direction = 'DEBIT' AND l.correlation_id IS NOT NULL;
COMMENT ON VIEW purser._charges IS 'Internal. Every charge with what of it was refunded.';

CREATE FUNCTION purser._period_summary(account_id text, wallet text, period_start timestamptz, period_end timestamptz) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH entries AS (
    SELECT l.*, CASE l.direction WHEN 'DEBIT' THEN -l.amount ELSE l.amount END AS moved,
           CASE WHEN l.refund_of IS NOT NULL THEN (
                  SELECT c.reason FROM purser.ledger AS c
                   WHERE c.account_id = l.account_id AND c.wallet = l.wallet AND c.entry_no = l.refund_of)
                WHEN l.direction = 'DEBIT' AND l.correlation_id IS NOT NULL THEN l.reason END AS category,
           l.allocations #>> '{0,kind}' AS kind
      FROM purser.ledger AS l
     WHERE l.account_id = _period_summary.account_id AND l.wallet = _period_summary.wallet
       AND l.effective_at < _period_summary.period_end
  ), within AS (
    SELECT * FROM entries AS e WHERE e.effective_at >= _period_summary.period_start
  ), categories AS (
    SELECT w.category, -sum(w.moved) AS net FROM within AS w WHERE w.category IS NOT NULL GROUP BY w.category HAVING sum(w.moved) <> 0
  ), grants AS (
    SELECT w.kind, sum(w.amount) AS granted FROM within AS w
     WHERE w.direction = 'CREDIT' AND w.refund_of IS NULL AND w.reason <> 'rollover' GROUP BY w.kind
  )
  SELECT jsonb_build_object(
           'period_start', _period_summary.period_start,
           'period_end', _period_summary.period_end,
           'opening', coalesce((SELECT sum(e.moved) FROM entries AS e WHERE e.effective_at < _period_summary.period_start), 0),
           'granted', coalesce((SELECT sum(g.granted) FROM grants AS g), 0),
           'granted_by_kind', coalesce((SELECT jsonb_object_agg(g.kind, g.granted) FROM grants AS g), '{}'),
           'used', coalesce((SELECT sum(w.amount) FROM within AS w WHERE w.direction = 'DEBIT' AND w.correlation_id IS NOT NULL), 0),
           'refunded', coalesce((SELECT sum(w.amount) FROM within AS w WHERE w.refund_of IS NOT NULL), 0),
           'expired', coalesce((SELECT sum(w.amount) FROM within AS w WHERE w.direction = 'DEBIT' AND w.reason IN ('expired', 'lapsed')
                                                                         AND w.correlation_id IS NULL), 0),
           'rolled_over', coalesce((SELECT sum(w.amount) FROM within AS w WHERE w.reason = 'rolled_over' AND w.correlation_id IS NULL), 0),
           'closing', coalesce((SELECT sum(e.moved) FROM entries AS e), 0),
           'by_category', coalesce((SELECT jsonb_object_agg(c.category, c.net) FROM categories AS c), '{}'));
END;
COMMENT ON FUNCTION purser._period_summary(text, text, timestamptz, timestamptz) IS
  'Internal. What moved in one wallet in a period, from the ledger: opening + granted - used + refunded - expired = closing. Reads the whole wallet up to the end of the period.';

CREATE FUNCTION purser._months_back(account_id text, wallet text, months_back integer)
  RETURNS TABLE (period_start timestamptz, period_end timestamptz)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  asked_at timestamptz := purser.clock();
BEGIN
  -- The instant before a period begins lies in the one before it.
  FOR i IN 1 .. months_back LOOP
    SELECT a.period_start, a.period_end INTO period_start, period_end
      FROM purser.allowance(_months_back.account_id, _months_back.wallet, asked_at) AS a;
    RETURN NEXT;
    asked_at := period_start - interval '1 microsecond';
  END LOOP;
END
$$;
COMMENT ON FUNCTION purser._months_back(text, text, integer) IS
  'Internal. The running month of an account and those before it, latest first, counted as its allowances are now.';

CREATE FUNCTION purser.ledger_summary(account_id text, months_back integer DEFAULT 1, wallet text DEFAULT 'credits') RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  running record;
BEGIN
  PERFORM purser._checked_id(ledger_summary.account_id, 'account_id'), purser._checked_id(ledger_summary.wallet, 'wallet');
  IF ledger_summary.months_back IS NULL OR ledger_summary.months_back NOT BETWEEN 1 AND 12 THEN
    RAISE EXCEPTION 'months_back must be between 1 and 12, not %', coalesce(ledger_summary.months_back::text, 'null')
      USING ERRCODE = 'PU014', HINT = 'Pass 1 for the running month alone.';
  END IF;
  SELECT * INTO running FROM purser.allowance(ledger_summary.account_id, ledger_summary.wallet);
  RETURN jsonb_build_object(
    'account_id', ledger_summary.account_id,
    'wallet', ledger_summary.wallet,
    'available', purser.credit_balance(ledger_summary.account_id, ledger_summary.wallet),
    'held', (SELECT coalesce(sum(h.amount - h.captured), 0) FROM purser.credit_hold AS h
              WHERE h.account_id = ledger_summary.account_id AND h.wallet = ledger_summary.wallet
                AND h.state = 'open' AND h.expires_at > purser.clock()),
    'allowance', running.allowance,
    'next_allowance', (SELECT jsonb_build_object('amount', n.allowance, 'at', running.period_end)
                         FROM purser.allowance(ledger_summary.account_id, ledger_summary.wallet, running.period_end) AS n
                        WHERE n.allowance > 0),
    'months', (SELECT jsonb_agg(purser._period_summary(ledger_summary.account_id, ledger_summary.wallet, m.period_start, m.period_end)
                                ORDER BY m.period_start DESC)
                 FROM purser._months_back(ledger_summary.account_id, ledger_summary.wallet, ledger_summary.months_back) AS m));
END
$$;
COMMENT ON FUNCTION purser.ledger_summary(text, integer, text) IS
  'One wallet for 1 to 12 months back, latest first: for each month its bounds, opening, granted (and by kind), used, refunded, expired, rolled_over, closing, and net use by category (the reason of the charge). opening + granted - used + refunded - expired = closing. Months are the account''s own, as allowances count them. Beside them what is available now, what is held, the allowance and the next one with its date. PU014 for other months.';

CREATE FUNCTION purser._emit_statement(account_id text, wallet text, period_start timestamptz, period_end timestamptz) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  summary jsonb := purser._period_summary(account_id, wallet, period_start, period_end);
BEGIN
  IF EXISTS (SELECT FROM purser.ledger AS l
              WHERE l.account_id = _emit_statement.account_id AND l.wallet = _emit_statement.wallet
                AND l.effective_at < _emit_statement.period_end) THEN
    PERFORM purser._emit('credits.statement', account_id, jsonb_build_object('wallet', wallet) || summary);
  END IF;
END
$$;
COMMENT ON FUNCTION purser._emit_statement(text, text, timestamptz, timestamptz) IS
  'Internal. The event credits.statement for a period of a wallet that has ended, written with the entries that end it; none for a wallet nothing ever happened in.';

CREATE FUNCTION purser.account_charges(
  account_id text,
  since timestamptz DEFAULT '-infinity',
  until timestamptz DEFAULT 'infinity',
  wallet text DEFAULT 'credits'
) RETURNS TABLE (entry_id text, at timestamptz, reason text, charged numeric, refunded numeric, net numeric, running_net numeric,
                 correlation_id text, notes text, breakdown jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_id(account_charges.account_id, 'account_id') AS account_id,
           purser._checked_id(account_charges.wallet, 'wallet') AS wallet
  )
  SELECT c.wallet || '/' || c.entry_no, c.created_at, c.reason, c.amount, c.refunded, c.amount - c.refunded,
         sum(c.amount - c.refunded) OVER (ORDER BY c.entry_no), c.correlation_id, c.notes, c.breakdown
    FROM asked
    JOIN purser._charges AS c USING (account_id, wallet)
   WHERE c.resource_type IS NULL
     AND c.created_at >= account_charges.since AND c.created_at < account_charges.until
   ORDER BY c.entry_no;
END;
COMMENT ON FUNCTION purser.account_charges(text, timestamptz, timestamptz, text) IS
  'Charges to the account as a whole, which belong to no resource and so to no invoice: each with what was refunded of it, and the net so far. since is included, until is not.';

CREATE FUNCTION purser.invoices(
  account_id text,
  wallet text DEFAULT 'credits',
  before text DEFAULT NULL,
  max_rows integer DEFAULT 50
) RETURNS TABLE (number text, resource_type text, resource_id text, title text, charged numeric, refunded numeric, net numeric,
                 lines bigint, first_at timestamptz, last_at timestamptz)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  below bigint := 9223372036854775807;
BEGIN
  PERFORM purser._checked_id(invoices.account_id, 'account_id'), purser._checked_id(invoices.wallet, 'wallet');
  IF invoices.max_rows IS NULL OR invoices.max_rows NOT BETWEEN 1 AND 1000 THEN
    RAISE EXCEPTION 'max_rows must be between 1 and 1000, not %', coalesce(invoices.max_rows::text, 'null') USING ERRCODE = 'PU014';
  END IF;
  IF invoices.before IS NOT NULL THEN
    below := (purser._entry(invoices.before)).entry_no;
    IF below IS NULL THEN
      RAISE EXCEPTION '"%" is not the number of an invoice', left(invoices.before, 60)
        USING ERRCODE = 'PU014', HINT = 'Pass the number of the last invoice of the page before.';
    END IF;
  END IF;
  RETURN QUERY
    SELECT l.wallet || '/' || min(l.entry_no), l.resource_type, l.resource_id,
           (array_agg(l.resource_title ORDER BY l.entry_no DESC) FILTER (WHERE l.resource_title IS NOT NULL))[1],
           coalesce(sum(l.amount) FILTER (WHERE l.direction = 'DEBIT'), 0),
           coalesce(sum(l.amount) FILTER (WHERE l.direction = 'CREDIT'), 0),
           sum(CASE l.direction WHEN 'DEBIT' THEN l.amount ELSE -l.amount END),
           count(*), min(l.created_at), max(l.created_at)
      FROM purser.ledger AS l
     WHERE l.account_id = invoices.account_id AND l.wallet = invoices.wallet AND l.resource_type IS NOT NULL
     GROUP BY l.wallet, l.resource_type, l.resource_id
    HAVING min(l.entry_no) < below
     ORDER BY min(l.entry_no) DESC
     LIMIT invoices.max_rows;
END
$$;
COMMENT ON FUNCTION purser.invoices(text, text, text, integer) IS
  'One row for each resource something was charged for, the latest first: number, title, charged, refunded, net. The next page begins before the number of the last row. purser.invoice() shows the lines of one.';

CREATE FUNCTION purser._plan_of(account_id text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE WHEN EXISTS (SELECT FROM purser.subscription AS s WHERE s.account_id = _plan_of.account_id AND s.ended_at IS NULL)
              THEN (purser.subscription(_plan_of.account_id)).plan ELSE purser.setting('default_plan') END;
END;
COMMENT ON FUNCTION purser._plan_of(text) IS
  'Internal. The plan an account is on; the name of the default plan also where credits are used without any plans.';

CREATE FUNCTION purser.account_overview(account_id text, wallet text DEFAULT 'credits') RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  month jsonb;
  allocated numeric;
  used numeric;
BEGIN
  PERFORM purser._checked_id(account_overview.account_id, 'account_id'), purser._checked_id(account_overview.wallet, 'wallet');
  SELECT purser._period_summary(account_overview.account_id, account_overview.wallet, m.period_start, m.period_end) INTO month
    FROM purser._months_back(account_overview.account_id, account_overview.wallet, 1) AS m;
  allocated := (month ->> 'opening')::numeric - (month ->> 'expired')::numeric + (month ->> 'granted')::numeric;
  used := (month ->> 'used')::numeric - (month ->> 'refunded')::numeric;
  RETURN jsonb_build_object(
    'account_id', account_overview.account_id,
    'status', coalesce((SELECT a.status FROM purser.account AS a WHERE a.account_id = account_overview.account_id), 'active'),
    'plan', purser._plan_of(account_overview.account_id),
    'wallet', account_overview.wallet,
    'balance', purser.credit_balance(account_overview.account_id, account_overview.wallet),
    'period_start', month -> 'period_start',
    'period_end', month -> 'period_end',
    'allocated', allocated,
    'used_this_month', used,
    'percent_used', CASE WHEN allocated > 0 THEN round(100 * used / allocated, 1) END,
    'by_category', month -> 'by_category',
    'open_holds', (SELECT count(*) FROM purser.credit_hold AS h
                    WHERE h.account_id = account_overview.account_id AND h.wallet = account_overview.wallet
                      AND h.state = 'open' AND h.expires_at > purser.clock()),
    'open_refund_requests', (SELECT count(*) FROM purser.refund_request AS r
                              WHERE r.account_id = account_overview.account_id AND r.state = 'open'),
    'last_charges', coalesce((
      SELECT jsonb_agg(jsonb_build_object('entry_id', c.wallet || '/' || c.entry_no, 'at', c.created_at, 'reason', c.reason,
                                          'charged', c.amount, 'refunded', c.refunded, 'resource_type', c.resource_type,
                                          'resource_id', c.resource_id, 'title', c.resource_title) ORDER BY c.entry_no DESC)
        FROM (SELECT * FROM purser._charges AS c
               WHERE c.account_id = account_overview.account_id AND c.wallet = account_overview.wallet
               ORDER BY c.entry_no DESC LIMIT 20) AS c), '[]'));
END
$$;
COMMENT ON FUNCTION purser.account_overview(text, text) IS
  'Any account''s credits on one page: balance, allocated (what the month began with and was given, without what expired), used this month net of refunds, percent, by category where not zero, holds and refund requests that are open, and the last 20 charges with their titles. percent_used is NULL when nothing was allocated.';
