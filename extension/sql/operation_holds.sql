-- Operations held for at their estimate and settled at what they took. Lock order: see operation_holds.cpp.

CREATE FUNCTION purser.hold_operation(
  account_id text,
  operation text,
  quantity numeric,
  modifiers jsonb DEFAULT '{}',
  ttl interval DEFAULT '15 minutes',
  hold_id text DEFAULT gen_random_uuid()::text,
  resource_type text DEFAULT NULL,
  resource_id text DEFAULT NULL,
  resource_title text DEFAULT NULL,
  wallet text DEFAULT 'credits',
  notes text DEFAULT NULL
) RETURNS purser.credit_hold_state
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_hold_operation';
COMMENT ON FUNCTION purser.hold_operation(text, text, numeric, jsonb, interval, text, text, text, text, text, text) IS
  'Prices an operation before it begins, at the rate card in force and the account''s plan, and sets that much aside as hold_credits() does. Units that other open holds were made for count as used. What is wholly free has a hold too, of amount 0. Settle with capture_operation() when it is done, release_credits() when it failed, which costs and counts nothing; it ends by itself after ttl. The same hold_id and request returns the first hold, also after a new rate card. PU002 when credits do not suffice, PU003 when the account is not active, PU005 for a hold_id used for another request, PU010 when the plan refuses so much, PU012 for an unknown operation, modifier or choice, PU013 and PU014 for unusable arguments, PU015 at 1000 open holds.';

CREATE FUNCTION purser.capture_operation(
  account_id text,
  hold_id text,
  quantity numeric DEFAULT NULL,
  modifiers jsonb DEFAULT NULL,
  correlation_id text DEFAULT NULL,
  notes text DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_capture_operation';
COMMENT ON FUNCTION purser.capture_operation(text, text, numeric, jsonb, text, text) IS
  'Charges an operation that hold_operation() set credits aside for at what it really took, and gives the rest back. quantity and modifiers: NULL as estimated. Priced with the version of the rate card and the plan it was held with; free units and tiers are counted now, in the period now running. When that comes to more than is held, the rest is taken from the wallet as well, in the same entry; PU002 when credits do not suffice for it, and the hold stays open. What costs nothing makes no entry: entry_id is NULL, amount 0, and the id is taken all the same. correlation_id: NULL for "capture of" the hold_id. The same id and request returns the first answer. An account that was suspended meanwhile is charged all the same. PU006 when the hold is unknown or over, PU005 for an id used for another request, PU010 when the plan refuses so much, PU012 for an unknown modifier or choice, PU013 and PU014 for unusable arguments and for a hold that hold_credits() made.';
