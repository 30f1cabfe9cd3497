-- Peer "PL/pgSQL, grants as rows": the charge a good team would write for itself. Grants are rows, locked in
-- the order in which they are spent; the ledger keeps what each bore; a repeated correlation id returns the
-- first entry. Its ledger has as many indexes as purser's, no hash chain, and no
-- CHECK, which PostgreSQL would parse anew in every statement.

CREATE TABLE bench.credit_grant (
  account_id text COLLATE "C" NOT NULL,
  grant_id bigint NOT NULL,
  kind text NOT NULL,
  priority integer NOT NULL,
  expires_at timestamptz NOT NULL,
  remaining numeric NOT NULL,
  PRIMARY KEY (account_id, grant_id)
) WITH (fillfactor = 50);
INSERT INTO bench.credit_grant
SELECT account_id, grant_id, kind, priority, expires_at, amount
  FROM purser.credit_grant
 ORDER BY account_id, grant_id;

CREATE TABLE bench.grant_ledger (
  account_id text COLLATE "C" NOT NULL,
  entry_id bigint GENERATED ALWAYS AS IDENTITY,
  direction text NOT NULL,
  reason text NOT NULL,
  amount numeric NOT NULL,
  balance_after numeric NOT NULL,
  allocations jsonb NOT NULL,
  resource_type text COLLATE "C",
  resource_id text COLLATE "C",
  correlation_id text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, entry_id)
);
CREATE UNIQUE INDEX ON bench.grant_ledger (account_id, correlation_id);
CREATE INDEX ON bench.grant_ledger (account_id, resource_type, resource_id) WHERE resource_type IS NOT NULL;

CREATE FUNCTION bench.charge_credits(
  account_id text, amount numeric, reason text, correlation_id text, resource_type text, resource_id text
) RETURNS bench.grant_ledger
  LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  open_grant record;
  balance numeric := 0;
  unpaid numeric := charge_credits.amount;
  taken numeric;
  from_grants bigint[] := '{}';
  amounts numeric[] := '{}';
  allocations jsonb := '[]';
  entry bench.grant_ledger;
BEGIN
  FOR open_grant IN
    SELECT g.grant_id, g.kind, g.remaining
      FROM bench.credit_grant AS g
     WHERE g.account_id = charge_credits.account_id
       AND g.remaining > 0
       AND g.expires_at > now()
     ORDER BY g.priority, g.expires_at, g.grant_id
       FOR NO KEY UPDATE
  LOOP
    balance := balance + open_grant.remaining;
    CONTINUE WHEN unpaid = 0;
    taken := least(unpaid, open_grant.remaining);
    unpaid := unpaid - taken;
    from_grants := from_grants || open_grant.grant_id;
    amounts := amounts || taken;
    allocations := allocations
      || jsonb_build_object('grant_id', open_grant.grant_id, 'kind', open_grant.kind, 'amount', taken);
  END LOOP;
  IF unpaid = 0 THEN
    INSERT INTO bench.grant_ledger AS l
           (account_id, direction, reason, amount, balance_after, allocations, resource_type, resource_id,
            correlation_id, created_at)
    VALUES (charge_credits.account_id, 'DEBIT', charge_credits.reason, charge_credits.amount,
            balance - charge_credits.amount, allocations, charge_credits.resource_type,
            charge_credits.resource_id, charge_credits.correlation_id, now())
    ON CONFLICT (account_id, correlation_id) DO NOTHING
    RETURNING * INTO entry;
    IF FOUND THEN
      FOR i IN 1 .. cardinality(from_grants) LOOP
        UPDATE bench.credit_grant AS g
           SET remaining = g.remaining - amounts[i]
         WHERE g.account_id = charge_credits.account_id AND g.grant_id = from_grants[i];
      END LOOP;
      RETURN entry;
    END IF;
  END IF;
  SELECT * INTO entry
    FROM bench.grant_ledger AS l
   WHERE l.account_id = charge_credits.account_id AND l.correlation_id = charge_credits.correlation_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'insufficient credits: balance %, required %', balance, charge_credits.amount;
  END IF;
  IF (entry.amount, entry.reason) IS DISTINCT FROM (charge_credits.amount, charge_credits.reason) THEN
    RAISE EXCEPTION 'correlation id "%" was used for another request', charge_credits.correlation_id;
  END IF;
  RETURN entry;
END
$$;
