-- Peer "PL/pgSQL, the same promises": the charge of plpgsql_credits.sql by a team that wants what purser gives: the
-- wallet's status is respected, entries are numbered without a gap and chained by SHA-256, a retry is told from another
-- request under the same id. The ledger has purser's columns and indexes.

CREATE TABLE bench.alike_wallet (
  account_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  balance numeric NOT NULL,
  last_entry_no bigint NOT NULL,
  head_hash bytea NOT NULL,
  PRIMARY KEY (account_id, wallet)
) WITH (fillfactor = 50);
INSERT INTO bench.alike_wallet
SELECT account_id, wallet, status, balance_micros / 1000000.0, last_entry_no, head_hash FROM purser.wallet WHERE wallet = 'credits';
CREATE TABLE bench.alike_grant (LIKE bench.credit_grant INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO bench.alike_grant SELECT * FROM bench.credit_grant ORDER BY account_id, grant_id;
SELECT bench.copy_table('ledger', 'alike_ledger');

CREATE FUNCTION bench.charge_credits_alike(
  account_id text, amount numeric, reason text, correlation_id text, resource_type text, resource_id text
) RETURNS bench.alike_ledger
  LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  held bench.alike_wallet;
  open_grant record;
  unpaid numeric := charge_credits_alike.amount;
  taken numeric;
  allocations jsonb := '[]';
  asked bytea := sha256(convert_to(concat_ws('|', account_id, amount, reason, resource_type, resource_id), 'UTF8'));
  entry bench.alike_ledger;
BEGIN
  SELECT * INTO held FROM bench.alike_wallet AS w
   WHERE w.account_id = charge_credits_alike.account_id AND w.wallet = 'credits' FOR NO KEY UPDATE;
  SELECT * INTO entry FROM bench.alike_ledger AS l
   WHERE l.account_id = charge_credits_alike.account_id AND l.correlation_id = charge_credits_alike.correlation_id;
  IF FOUND THEN
    IF entry.fingerprint <> asked THEN
      RAISE EXCEPTION 'correlation id "%" was used for another request', charge_credits_alike.correlation_id;
    END IF;
    RETURN entry;
  END IF;
  IF held.status <> 'active' OR held.balance < unpaid THEN
    RAISE EXCEPTION 'account %, balance %, required %', held.status, held.balance, unpaid;
  END IF;
  FOR open_grant IN
    SELECT g.grant_id, g.kind, g.remaining FROM bench.alike_grant AS g
     WHERE g.account_id = charge_credits_alike.account_id AND g.remaining > 0 AND g.expires_at > now()
     ORDER BY g.priority, g.expires_at, g.grant_id
  LOOP
    EXIT WHEN unpaid = 0;
    taken := least(unpaid, open_grant.remaining);
    unpaid := unpaid - taken;
    UPDATE bench.alike_grant AS g SET remaining = g.remaining - taken
     WHERE g.account_id = charge_credits_alike.account_id AND g.grant_id = open_grant.grant_id;
    allocations := allocations || jsonb_build_object('grant_id', open_grant.grant_id, 'kind', open_grant.kind, 'amount', taken);
  END LOOP;
  held.last_entry_no := held.last_entry_no + 1;
  held.balance := held.balance - charge_credits_alike.amount;
  held.head_hash := sha256(held.head_hash || convert_to(concat_ws('|', account_id, 'credits', held.last_entry_no, 'DEBIT', reason,
    amount, held.balance, allocations, resource_type, resource_id, correlation_id, now()), 'UTF8') || asked);
  INSERT INTO bench.alike_ledger AS l
         (account_id, wallet, entry_no, direction, reason, amount, balance_after, allocations, resource_type, resource_id,
          correlation_id, created_at, effective_at, fingerprint, hash)
  VALUES (account_id, 'credits', held.last_entry_no, 'DEBIT', reason, amount, held.balance, allocations, resource_type, resource_id,
          correlation_id, now(), now(), asked, held.head_hash)
  RETURNING * INTO entry;
  UPDATE bench.alike_wallet AS w SET balance = held.balance, last_entry_no = held.last_entry_no, head_hash = held.head_hash
   WHERE w.account_id = charge_credits_alike.account_id AND w.wallet = 'credits';
  RETURN entry;
END
$$;
