-- The bare UPDATE and INSERT on one row: what can be had without batching.
\set account 100000000001
\set seq :seq + 1
\set correlation :batch * 100000000000 + :client_id * 1000000000 + :seq
WITH charged AS (
  UPDATE bench.wallet_in_cte
     SET balance_micros = balance_micros - 1500000, last_entry_no = last_entry_no + 1
   WHERE account_id = :account AND wallet = 'credits' AND balance_micros >= 1500000
  RETURNING account_id, wallet, last_entry_no, balance_micros
)
INSERT INTO bench.ledger_in_cte
       (account_id, wallet, entry_no, direction, reason, amount, balance_after, allocations, resource_type,
        resource_id, correlation_id, created_at, effective_at, fingerprint, hash)
SELECT account_id, wallet, last_entry_no, 'DEBIT', 'transcription', 1.5, balance_micros / 1000000.0,
       '[{"grant_id": 1, "kind": "monthly", "amount": 1.5}]', 'episode', :correlation, :correlation, now(), now(),
       '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
       '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'
  FROM charged
RETURNING entry_no, balance_after;
