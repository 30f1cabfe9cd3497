-- Credits and their ledger.

CREATE FUNCTION purser.grant_credits(
  account_id text,
  amount numeric,
  kind text,
  correlation_id text,
  expires_at timestamptz DEFAULT NULL,
  priority integer DEFAULT NULL,
  wallet text DEFAULT 'credits',
  notes text DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_grant_credits';
COMMENT ON FUNCTION purser.grant_credits(text, numeric, text, text, timestamptz, integer, text, text) IS
  'Adds a grant to a wallet. kind: monthly, rollover, promotional, refund, adjustment or purchased, in the default order in which they are spent; priority (0 first, 100 last) overrides it. The same correlation id and request returns the first entry. PU005 for an id used for another request, PU013 for an amount that is not a positive decimal of at most 6 places, PU014 for unusable arguments, PU015 when the wallet has too many live grants.';

CREATE FUNCTION purser.charge_credits(
  account_id text,
  amount numeric,
  reason text,
  correlation_id text,
  resource_type text DEFAULT NULL,
  resource_id text DEFAULT NULL,
  resource_title text DEFAULT NULL,
  breakdown jsonb DEFAULT NULL,
  wallet text DEFAULT 'credits',
  notes text DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_charge_credits';
COMMENT ON FUNCTION purser.charge_credits(text, numeric, text, text, text, text, text, jsonb, text, text) IS
  'Debits a wallet, all or nothing: lowest priority first, then soonest expiry, then oldest grant. The same correlation id and request returns the first entry, for ever. PU002 when credits do not suffice, with balance, required and shortfall as JSON in the detail; PU003 when the account is not active; PU005 for an id used for another request; PU013, PU014 for unusable arguments.';

CREATE FUNCTION purser.refund_credits(
  account_id text,
  entry_id text,
  amount numeric DEFAULT NULL,
  reason text DEFAULT 'refund',
  correlation_id text DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_refund_credits';
COMMENT ON FUNCTION purser.refund_credits(text, text, numeric, text, text) IS
  'Gives a charge back, all that is left of it or a part, to the very grants it was taken from, last debited first. A part of a grant that has expired since becomes a new grant of kind refund which lives as long as the old one still had to live when it was charged, or held for the charge. correlation_id is required. PU007 when more is asked than is left, PU012 for an unknown entry, PU005, PU013, PU014 as for charges.';

CREATE FUNCTION purser.credit_balance(
  account_id text,
  wallet text DEFAULT 'credits',
  at timestamptz DEFAULT NULL
) RETURNS numeric
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_credit_balance';
COMMENT ON FUNCTION purser.credit_balance(text, text, timestamptz) IS
  'What can be spent now, holds and grants that are expired, frozen or lapsed excluded; or the balance at an instant, from the ledger, as far as the end of the subscription is known now.';

CREATE FUNCTION purser.verify_ledger(account_id text DEFAULT NULL) RETURNS SETOF purser.violation
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_verify_ledger';
COMMENT ON FUNCTION purser.verify_ledger(text) IS
  'Recomputes the hash chain and the balances of one account or of all, and names what does not hold: entry_missing, entry_unreadable, hash_mismatch, balance_mismatch, head_mismatch, lots_mismatch, grant_mismatch, wallet_missing. No row means the books are as they were written. Blocks nobody.';

-- Views read with their owner's rights, so each repeats the rule of the row policies (privileges.sql).
CREATE VIEW purser.grants WITH (security_barrier) AS
SELECT g.account_id, g.wallet, g.grant_id, g.kind, g.priority, g.amount,
       coalesce(lot.remaining, 0) AS remaining,
       coalesce(lot.held, 0) AS held,
       nullif(g.expires_at - make_interval(days => g.grace_days), 'infinity') AS expires_at,
       g.granted_at,
       g.wallet || '/' || g.entry_no AS entry_id,
       CASE WHEN g.expires_at <= purser.clock() THEN 'expired'
            WHEN lot.grant_id IS NULL THEN 'spent'
            WHEN g.expires_at - make_interval(days => g.grace_days) <= purser.clock() THEN 'grace'
            WHEN lot.unsubscribed AND on_cancel.policy = 'lapse' THEN 'lapsed'
            WHEN lot.unsubscribed AND on_cancel.policy = 'freeze' THEN 'frozen'
            ELSE 'live' END AS state
  FROM (SELECT (SELECT s.value FROM purser.setting AS s WHERE s.name = 'credits_on_cancel') AS policy) AS on_cancel
 CROSS JOIN purser.credit_grant AS g
  LEFT JOIN LATERAL (
         SELECT l.grant_id,
                g.kind IN ('monthly', 'rollover') AND w.subscription_until <= purser.clock()
                  AND g.grant_id <= w.last_subscribed_grant AS unsubscribed,
                trim_scale(l.remaining_micros / 1000000.0) AS remaining,
                trim_scale(l.held_micros / 1000000.0) AS held
           FROM purser.wallet AS w
           JOIN purser._lots AS l USING (account_id, wallet)
          WHERE w.account_id = g.account_id AND w.wallet = g.wallet AND l.grant_id = g.grant_id
       ) AS lot ON true
 WHERE pg_has_role(current_user, 'purser_admin', 'usage')
    OR g.account_id = current_setting('purser.account_id', true);
COMMENT ON VIEW purser.grants IS
  'Every grant with what remains of it and what is held, in credits. expires_at is NULL when it never expires. state, as of now: live; grace (past its expires_at, and still to be spent for the days of the setting expiry_grace_days); frozen or lapsed (the account''s subscription is over, see the setting credits_on_cancel); expired; spent (nothing is left, or it was written off).';

CREATE VIEW purser.ledger_entries WITH (security_barrier) AS
SELECT l.account_id, l.wallet, l.wallet || '/' || l.entry_no AS entry_id, l.created_at, l.effective_at,
       l.direction, l.reason, l.amount, l.balance_after, l.allocations, l.resource_type, l.resource_id,
       l.resource_title, l.breakdown, l.notes, l.correlation_id,
       l.wallet || '/' || l.refund_of AS refund_of
  FROM purser.ledger AS l
 WHERE pg_has_role(current_user, 'purser_admin', 'usage')
    OR l.account_id = current_setting('purser.account_id', true);
COMMENT ON VIEW purser.ledger_entries IS 'The ledger for people and reports, one row an entry.';

CREATE FUNCTION purser.invoice(
  account_id text,
  resource_type text,
  resource_id text,
  wallet text DEFAULT 'credits'
) RETURNS jsonb
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH asked AS MATERIALIZED (
    SELECT purser._checked_id(invoice.account_id, 'account_id') AS account_id,
           purser._checked_id(invoice.resource_type, 'resource_type') AS resource_type,
           purser._checked_id(invoice.resource_id, 'resource_id') AS resource_id,
           purser._checked_id(invoice.wallet, 'wallet') AS wallet
  )
  SELECT jsonb_build_object(
           'number', (array_agg(l.wallet || '/' || l.entry_no ORDER BY l.entry_no))[1],
           'account_id', invoice.account_id,
           'wallet', invoice.wallet,
           'resource_type', invoice.resource_type,
           'resource_id', invoice.resource_id,
           'title', (array_agg(l.resource_title ORDER BY l.entry_no DESC)
                      FILTER (WHERE l.resource_title IS NOT NULL))[1],
           'charged', coalesce(sum(l.amount) FILTER (WHERE l.direction = 'DEBIT'), 0),
           'refunded', coalesce(sum(l.amount) FILTER (WHERE l.direction = 'CREDIT'), 0),
           'net', sum(CASE l.direction WHEN 'DEBIT' THEN l.amount ELSE -l.amount END),
           'lines', jsonb_agg(jsonb_build_object(
             'entry_id', l.wallet || '/' || l.entry_no,
             'at', l.created_at,
             'direction', l.direction,
             'reason', l.reason,
             'credits', l.amount,
             'breakdown', l.breakdown,
             'correlation_id', l.correlation_id,
             'notes', l.notes) ORDER BY l.entry_no))
    FROM asked
    JOIN purser.ledger AS l
      ON l.account_id = asked.account_id
     AND l.wallet = asked.wallet
     AND l.resource_type = asked.resource_type
     AND l.resource_id = asked.resource_id
  HAVING count(*) > 0;
END;
COMMENT ON FUNCTION purser.invoice(text, text, text, text) IS
  'All charges and refunds of one resource in one wallet as a document: number, title, charged, refunded, net and the lines. NULL when nothing was charged for it.';
