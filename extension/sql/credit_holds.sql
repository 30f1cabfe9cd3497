-- Credits set aside for work in flight.

CREATE TYPE purser.credit_hold_state AS (
  hold_id text,
  account_id text,
  wallet text,
  state text,
  amount numeric,
  captured numeric,
  remaining numeric,
  expires_at timestamptz,
  allocations jsonb,
  reason text,
  resource_type text,
  resource_id text,
  created_at timestamptz,
  ended_at timestamptz,
  replayed boolean
);
COMMENT ON TYPE purser.credit_hold_state IS
  'A hold of credits as hold_credits(), hold_operation() and release_credits() return it. state: open, captured, released or expired. remaining: what is still set aside. allocations: what each grant bore when it was made. replayed: true when the same call had been made before and nothing was changed.';

CREATE FUNCTION purser.hold_credits(
  account_id text,
  amount numeric,
  reason text,
  ttl interval DEFAULT '15 minutes',
  hold_id text DEFAULT gen_random_uuid()::text,
  resource_type text DEFAULT NULL,
  resource_id text DEFAULT NULL,
  resource_title text DEFAULT NULL,
  wallet text DEFAULT 'credits',
  notes text DEFAULT NULL
) RETURNS purser.credit_hold_state
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_hold_credits';
COMMENT ON FUNCTION purser.hold_credits(text, numeric, text, interval, text, text, text, text, text, text) IS
  'Sets credits aside for work that begins now, in the order a charge would take them. Settle with capture_credits() or release_credits(); it ends by itself after ttl (at most 366 days), whether or not anything runs. No ledger entry until it is captured. Held credits do not expire with their grant. Asking again for the same hold_id is the same hold. Hold in a transaction of its own, before the work: then a failure of the work loses nothing. PU002 when credits do not suffice, PU003 when the account is not active, PU005 for a hold_id used for another request, PU013, PU014 for unusable arguments, PU015 at 1000 open holds.';

CREATE FUNCTION purser.capture_credits(
  account_id text,
  hold_id text,
  amount numeric DEFAULT NULL,
  correlation_id text DEFAULT NULL,
  final boolean DEFAULT true,
  breakdown jsonb DEFAULT NULL,
  notes text DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_capture_credits';
COMMENT ON FUNCTION purser.capture_credits(text, text, numeric, text, boolean, jsonb, text) IS
  'Charges what was really used of a hold (NULL: all that is held) and gives the rest back to its own grants; with final => false the rest stays held for further captures. The charge can be refunded like any other. correlation_id: NULL for the one capture a hold usually has; name each when there are several. The same id and request returns the first entry. An account that was suspended meanwhile is charged all the same. PU006 when the hold is unknown or over, or holds less than that; PU014 for a hold that hold_operation() made; PU005, PU013, PU014 as for charges.';

CREATE FUNCTION purser.release_credits(account_id text, hold_id text) RETURNS purser.credit_hold_state
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_release_credits';
COMMENT ON FUNCTION purser.release_credits(text, text) IS
  'Ends a hold without charging what is left of it: that goes back to the grants it came from; a part whose grant has ended meanwhile is written off. Releasing again changes nothing. PU006 when the hold is unknown, used up or expired.';

CREATE VIEW purser.credit_holds WITH (security_barrier) AS
SELECT h.account_id, h.wallet, h.hold_id,
       CASE WHEN timed_out THEN 'expired' ELSE h.state END AS state,
       h.amount, h.captured,
       CASE WHEN h.state = 'open' AND NOT timed_out THEN h.amount - h.captured ELSE 0 END AS remaining,
       h.reason, h.resource_type, h.resource_id, h.resource_title, h.notes, h.created_at, h.expires_at,
       CASE WHEN timed_out THEN h.expires_at ELSE h.ended_at END AS ended_at, h.estimate
  FROM purser.credit_hold AS h,
       LATERAL (SELECT h.state = 'open' AND h.expires_at <= purser.clock() AS timed_out) AS at_this_time
 WHERE pg_has_role(current_user, 'purser_admin', 'usage')
    OR h.account_id = current_setting('purser.account_id', true);
COMMENT ON VIEW purser.credit_holds IS 'Holds of credits, open and ended, as of now. estimate: how a hold for an operation was priced.';
