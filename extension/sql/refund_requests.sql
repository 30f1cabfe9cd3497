-- Refunds that somebody asks for and somebody else decides.
-- Locks: the request, then what refund_credits() locks.

CREATE TABLE purser.refund_request (
  account_id text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'denied')),
  reason text NOT NULL CHECK (length(reason) >= 10),
  requested_by text NOT NULL,
  resource_type text COLLATE "C",
  resource_id text COLLATE "C",
  requested_at timestamptz NOT NULL,
  decided_by text,
  decision_reason text,
  decided_at timestamptz,
  PRIMARY KEY (account_id, request_id),
  CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE INDEX refund_request_open ON purser.refund_request (requested_at) WHERE state = 'open';
COMMENT ON TABLE purser.refund_request IS 'Requests to refund charges, with what was decided. resource_type and resource_id: the resource it was made for, NULL when entries were chosen.';

CREATE TABLE purser.refund_request_entry (
  account_id text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  entry_no bigint NOT NULL,
  open boolean NOT NULL DEFAULT true,
  refunded numeric NOT NULL DEFAULT 0 CHECK (refunded >= 0),
  PRIMARY KEY (account_id, request_id, wallet, entry_no)
);
CREATE UNIQUE INDEX refund_request_entry_one_open ON purser.refund_request_entry (account_id, wallet, entry_no) WHERE open;
COMMENT ON TABLE purser.refund_request_entry IS 'The charges a refund request is about, and how much of each it was given. At most one open request for each charge.';

CREATE FUNCTION purser._require_admin(actor text, what text) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(_require_admin.actor, 'actor');
  IF EXISTS (SELECT FROM purser.account AS a
              WHERE a.account_id = _require_admin.actor AND (a.role = 'user' OR a.status <> 'active')) THEN
    RAISE EXCEPTION 'actor "%" may not %', _require_admin.actor, _require_admin.what
      USING ERRCODE = 'PU010', HINT = 'Only an active admin or superadmin may.';
  END IF;
END
$$;
COMMENT ON FUNCTION purser._require_admin(text, text) IS
  'Internal. PU010 when the actor has an account that is not an active admin''s or superadmin''s. An actor without one is somebody of the operator''s.';

CREATE FUNCTION purser._requested_entries(account_id text, entry_ids text[], resource_type text, resource_id text)
  RETURNS TABLE (wallet text, entry_no bigint)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  asked text;
  charge purser._charges;
BEGIN
  IF entry_ids IS NULL THEN
    RETURN QUERY SELECT c.wallet, c.entry_no FROM purser._charges AS c
      WHERE c.account_id = _requested_entries.account_id AND c.resource_type = _requested_entries.resource_type
        AND c.resource_id = _requested_entries.resource_id AND c.refunded < c.amount;
    RETURN;
  END IF;
  FOREACH asked IN ARRAY entry_ids LOOP
    SELECT * INTO charge FROM purser._charges AS c
     WHERE c.account_id = _requested_entries.account_id
       AND (c.wallet, c.entry_no) = (SELECT p.wallet, p.entry_no FROM purser._entry(asked) AS p);
    IF NOT FOUND THEN
      RAISE EXCEPTION 'account "%" has no charge "%"', _requested_entries.account_id, coalesce(left(asked, 60), 'null')
        USING ERRCODE = 'PU012', HINT = 'Pass the entry_id of charges of this account.';
    END IF;
    IF charge.refunded >= charge.amount THEN
      RAISE EXCEPTION 'charge "%" is refunded in full already', asked USING ERRCODE = 'PU007', HINT = 'Leave it out.';
    END IF;
    RETURN QUERY SELECT charge.wallet, charge.entry_no;
  END LOOP;
END
$$;
COMMENT ON FUNCTION purser._requested_entries(text, text[], text, text) IS
  'Internal. The charges a request is about: those named, or all of a resource that have something left to refund.';

CREATE FUNCTION purser.request_refund(
  account_id text,
  reason text,
  requested_by text,
  entry_ids text[] DEFAULT NULL,
  resource_type text DEFAULT NULL,
  resource_id text DEFAULT NULL,
  request_id text DEFAULT gen_random_uuid()::text
) RETURNS purser.refund_request
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  request purser.refund_request;
  entry record;
  entries integer := 0;
BEGIN
  PERFORM purser._checked_id(request_refund.account_id, 'account_id'), purser._checked_id(request_refund.requested_by, 'requested_by'),
          purser._checked_id(request_refund.request_id, 'request_id');
  IF length(btrim(coalesce(request_refund.reason, ''))) < 10 OR octet_length(request_refund.reason) > 4096 THEN
    RAISE EXCEPTION 'the reason of a refund request must have 10 characters to 4096 bytes'
      USING ERRCODE = 'PU014', HINT = 'Say what went wrong.';
  END IF;
  IF (request_refund.entry_ids IS NULL) = (request_refund.resource_type IS NULL)
     OR (request_refund.resource_type IS NULL) <> (request_refund.resource_id IS NULL) THEN
    RAISE EXCEPTION 'a refund request is for entries or for one resource'
      USING ERRCODE = 'PU014', HINT = 'Pass entry_ids, or resource_type and resource_id.';
  END IF;
  IF cardinality(request_refund.entry_ids) NOT BETWEEN 1 AND 1000 THEN
    RAISE EXCEPTION 'a refund request names 1 to 1000 entries, not %', cardinality(request_refund.entry_ids) USING ERRCODE = 'PU014';
  END IF;
  -- The row comes first: a second copy of the request waits here for the first.
  INSERT INTO purser.refund_request (account_id, request_id, reason, requested_by, resource_type, resource_id, requested_at)
  VALUES (request_refund.account_id, request_refund.request_id, request_refund.reason, request_refund.requested_by,
          request_refund.resource_type, request_refund.resource_id, purser.clock())
  ON CONFLICT DO NOTHING RETURNING * INTO request;
  IF NOT FOUND THEN
    SELECT * INTO request FROM purser.refund_request AS r
     WHERE r.account_id = request_refund.account_id AND r.request_id = request_refund.request_id;
    IF (request.reason, request.requested_by, request.resource_type, request.resource_id)
       IS DISTINCT FROM (request_refund.reason, request_refund.requested_by, request_refund.resource_type, request_refund.resource_id) THEN
      RAISE EXCEPTION 'refund request "%" was made for something else', request_refund.request_id
        USING ERRCODE = 'PU005', HINT = 'Use a new request_id for a new request.';
    END IF;
    RETURN request;
  END IF;
  FOR entry IN SELECT DISTINCT e.wallet, e.entry_no
                 FROM purser._requested_entries(request_refund.account_id, request_refund.entry_ids,
                                                request_refund.resource_type, request_refund.resource_id) AS e
                ORDER BY e.wallet, e.entry_no LOOP
    entries := entries + 1;
    INSERT INTO purser.refund_request_entry (account_id, request_id, wallet, entry_no)
    VALUES (request_refund.account_id, request_refund.request_id, entry.wallet, entry.entry_no)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'charge "%/%" has an open refund request already', entry.wallet, entry.entry_no
        USING ERRCODE = 'PU010', HINT = 'Wait for its decision.';
    END IF;
  END LOOP;
  IF entries = 0 THEN
    RAISE EXCEPTION 'nothing is left to refund of % "%"', request_refund.resource_type, request_refund.resource_id
      USING ERRCODE = 'PU012', HINT = 'Look at purser.invoice().';
  END IF;
  PERFORM purser._audit(request.requested_by, 'refund.requested', request.account_id, 'refund_request', request.request_id,
                        jsonb_build_object('reason', request.reason, 'entries', entries)),
          purser._emit('refund.requested', request.account_id,
                       jsonb_build_object('request_id', request.request_id, 'requested_by', request.requested_by, 'reason', request.reason));
  RETURN request;
END
$$;
COMMENT ON FUNCTION purser.request_refund(text, text, text, text[], text, text, text) IS
  'Asks for a refund of chosen charges, or of all charges of one resource that have something left to refund. Nothing is paid back until decide_refund(). Only charges of this account: PU012 for any other, and for a resource without any. The reason has at least 10 characters (PU014). One open request for each charge: PU010. PU007 for a charge refunded in full. The same request_id again is the same request, PU005 for another one.';

CREATE VIEW purser.refund_queue AS
SELECT r.account_id, r.request_id, r.requested_at, r.requested_by, r.reason, r.resource_type, r.resource_id,
       a.status AS account_status, a.created_at AS customer_since,
       CASE WHEN EXISTS (SELECT FROM purser.subscription AS s WHERE s.account_id = r.account_id AND s.ended_at IS NULL)
            THEN (purser.subscription(r.account_id)).plan ELSE purser.setting('default_plan') END AS plan,
       asked.charged, asked.refundable, asked.charges,
       (SELECT coalesce(jsonb_object_agg(w.wallet, purser.credit_balance(w.account_id, w.wallet)), '{}')
          FROM purser.wallet AS w WHERE w.account_id = r.account_id) AS balances,
       (SELECT count(*) FROM purser.refund_request AS o WHERE o.account_id = r.account_id AND o.state <> 'open') AS earlier_requests,
       (SELECT coalesce(sum(l.amount), 0) FROM purser.ledger AS l
         WHERE l.account_id = r.account_id AND l.refund_of IS NOT NULL) AS refunded_before
  FROM purser.refund_request AS r
  JOIN purser.account AS a USING (account_id),
       LATERAL (
         SELECT sum(c.amount) AS charged, sum(c.amount - c.refunded) AS refundable,
                jsonb_agg(jsonb_build_object('entry_id', c.wallet || '/' || c.entry_no, 'at', c.created_at, 'reason', c.reason,
                                             'title', c.resource_title, 'charged', c.amount, 'refunded', c.refunded,
                                             'breakdown', c.breakdown) ORDER BY c.wallet, c.entry_no) AS charges
           FROM purser.refund_request_entry AS e
           JOIN purser._charges AS c USING (account_id, wallet, entry_no)
          WHERE e.account_id = r.account_id AND e.request_id = r.request_id
       ) AS asked
 WHERE r.state = 'open'
 ORDER BY r.requested_at, r.account_id, r.request_id;
COMMENT ON VIEW purser.refund_queue IS 'Refund requests that wait for a decision, oldest first, with what is needed to decide: who, since when, on which plan, what was charged with titles and breakdowns, what of it can still be refunded, the balances, and what was asked for and given back before.';

CREATE FUNCTION purser._refund_requested(request purser.refund_request, amount numeric) RETURNS numeric
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  entry record;
  part numeric;
  unpaid numeric := amount;
BEGIN
  FOR entry IN
    SELECT e.wallet, e.entry_no, c.amount - c.refunded AS refundable
      FROM purser.refund_request_entry AS e
      JOIN purser._charges AS c USING (account_id, wallet, entry_no)
     WHERE e.account_id = request.account_id AND e.request_id = request.request_id
     ORDER BY e.wallet, e.entry_no DESC
  LOOP
    part := CASE WHEN amount IS NULL THEN entry.refundable ELSE least(entry.refundable, unpaid) END;
    CONTINUE WHEN part <= 0;
    PERFORM purser.refund_credits(request.account_id, entry.wallet || '/' || entry.entry_no, part, request.reason,
                                  'refund of ' || entry.wallet || '/' || entry.entry_no || ' by ' || md5(request.request_id));
    UPDATE purser.refund_request_entry AS e SET refunded = part
     WHERE e.account_id = request.account_id AND e.request_id = request.request_id
       AND e.wallet = entry.wallet AND e.entry_no = entry.entry_no;
    unpaid := unpaid - part;
  END LOOP;
  IF unpaid > 0 THEN
    RAISE EXCEPTION 'refund of % exceeds what is left of the charges: %', amount, trim_scale(amount - unpaid)
      USING ERRCODE = 'PU007', HINT = 'Refund at most what is left.';
  END IF;
  RETURN (SELECT coalesce(sum(e.refunded), 0) FROM purser.refund_request_entry AS e
           WHERE e.account_id = request.account_id AND e.request_id = request.request_id);
END
$$;
COMMENT ON FUNCTION purser._refund_requested(purser.refund_request, numeric) IS
  'Internal. Refunds the charges of a request, all that is left of them or so much in all, the latest charge first. Returns what was refunded.';

CREATE FUNCTION purser.decide_refund(
  account_id text,
  request_id text,
  decision text,
  actor text,
  amount numeric DEFAULT NULL,
  reason text DEFAULT NULL
) RETURNS purser.refund_request
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  request purser.refund_request;
  decided text := CASE decision WHEN 'approve' THEN 'approved' WHEN 'deny' THEN 'denied' END;
  refunded numeric := 0;
BEGIN
  PERFORM purser._checked_id(decide_refund.account_id, 'account_id'), purser._checked_id(decide_refund.request_id, 'request_id'),
          purser._require_admin(decide_refund.actor, 'decide on refunds');
  IF decided IS NULL THEN
    RAISE EXCEPTION 'decision must be approve or deny, not "%"', coalesce(left(decide_refund.decision, 40), 'null') USING ERRCODE = 'PU014';
  END IF;
  IF decided = 'denied' AND (decide_refund.amount IS NOT NULL OR btrim(coalesce(decide_refund.reason, '')) = '') THEN
    RAISE EXCEPTION 'a denial has a reason and no amount'
      USING ERRCODE = 'PU014', HINT = 'Pass the reason the customer will be told.';
  END IF;
  IF octet_length(decide_refund.reason) > 4096 THEN
    RAISE EXCEPTION 'argument "reason" is too long: % bytes, at most 4096', octet_length(decide_refund.reason) USING ERRCODE = 'PU014';
  END IF;
  IF decide_refund.amount <= 0 OR decide_refund.amount = 'NaN' THEN
    RAISE EXCEPTION 'amount must be positive, not %', decide_refund.amount USING ERRCODE = 'PU013', HINT = 'Deny the request to refund nothing.';
  END IF;
  SELECT * INTO request FROM purser.refund_request AS r
   WHERE r.account_id = decide_refund.account_id AND r.request_id = decide_refund.request_id FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account "%" has no refund request "%"', decide_refund.account_id, decide_refund.request_id
      USING ERRCODE = 'PU012', HINT = 'Look at purser.refund_queue.';
  END IF;
  IF request.state <> 'open' THEN
    IF request.state = decided THEN
      RETURN request;
    END IF;
    RAISE EXCEPTION 'refund request "%" was % by % already', request.request_id, request.state, request.decided_by
      USING ERRCODE = 'PU010', HINT = 'A decision stands; refund_credits() can still give back what is left.';
  END IF;
  IF decided = 'approved' THEN
    refunded := purser._refund_requested(request, decide_refund.amount);
  END IF;
  UPDATE purser.refund_request_entry AS e SET open = false
   WHERE e.account_id = request.account_id AND e.request_id = request.request_id;
  UPDATE purser.refund_request AS r
     SET state = decided, decided_by = decide_refund.actor, decision_reason = decide_refund.reason, decided_at = purser.clock()
   WHERE r.account_id = request.account_id AND r.request_id = request.request_id
  RETURNING * INTO request;
  PERFORM purser._audit(decide_refund.actor, 'refund.' || decided, request.account_id, 'refund_request', request.request_id,
                        jsonb_build_object('refunded', refunded, 'reason', decide_refund.reason)),
          purser._emit('refund.' || decided, request.account_id,
                       jsonb_build_object('request_id', request.request_id, 'refunded', refunded, 'reason', decide_refund.reason));
  RETURN request;
END
$$;
COMMENT ON FUNCTION purser.decide_refund(text, text, text, text, numeric, text) IS
  'Decides an open refund request: approve gives back all that is left of its charges, or amount of it, the latest charge first, to the grants they were taken from; deny needs a reason. The same decision again changes nothing. PU007 when amount is more than is left, PU010 when it was decided otherwise and for an actor whose account is not an admin''s, PU012 for an unknown request, PU013, PU014.';

CREATE FUNCTION purser.refund_unfinished(
  account_id text,
  entry_id text,
  completed numeric,
  reason text,
  correlation_id text
) RETURNS purser.ledger_entry
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  charged numeric;
BEGIN
  PERFORM purser._checked_id(refund_unfinished.account_id, 'account_id'), purser._checked_id(refund_unfinished.entry_id, 'entry_id');
  IF refund_unfinished.completed IS NULL OR refund_unfinished.completed = 'NaN' OR refund_unfinished.completed NOT BETWEEN 0 AND 0.999999999999 THEN
    RAISE EXCEPTION 'completed must be from 0 to less than 1, not %', coalesce(refund_unfinished.completed::text, 'null')
      USING ERRCODE = 'PU013', HINT = 'Pass the share of the work that was done, for example 0.8.';
  END IF;
  SELECT c.amount INTO charged FROM purser._charges AS c
   WHERE c.account_id = refund_unfinished.account_id
     AND (c.wallet, c.entry_no) = (SELECT p.wallet, p.entry_no FROM purser._entry(refund_unfinished.entry_id) AS p);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account "%" has no charge "%"', refund_unfinished.account_id, left(refund_unfinished.entry_id, 60)
      USING ERRCODE = 'PU012', HINT = 'Pass the entry_id that purser.charge_credits() returned.';
  END IF;
  RETURN purser.refund_credits(refund_unfinished.account_id, refund_unfinished.entry_id,
                               ceil(charged * (1 - refund_unfinished.completed) * 1000000) / 1000000,
                               refund_unfinished.reason, refund_unfinished.correlation_id);
END
$$;
COMMENT ON FUNCTION purser.refund_unfinished(text, text, numeric, text, text) IS
  'Refunds the share of a charge whose work was not done: of a job that failed at 80 % (completed 0.8), a fifth, rounded up to a millionth. Errors as refund_credits(); PU013 for a share that is none.';
