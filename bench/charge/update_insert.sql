-- One UPDATE and one INSERT in a transaction on equal tables, writing a row as wide as ours: no decision,
-- no debit order, no replay, no hash.
\set account random(100000000001, 100000000000 + :accounts)
\set seq :seq + 1
\set correlation :batch * 100000000000 + :client_id * 1000000000 + :seq
BEGIN;
UPDATE bench.wallet
   SET balance_micros = balance_micros - 1500000, last_entry_no = last_entry_no + 1
 WHERE account_id = :account AND wallet = 'credits' AND balance_micros >= 1500000
RETURNING last_entry_no, balance_micros \gset
INSERT INTO bench.ledger
       (account_id, wallet, entry_no, direction, reason, amount, balance_after, allocations, resource_type,
        resource_id, correlation_id, created_at, effective_at, fingerprint, hash)
VALUES (:account, 'credits', :last_entry_no, 'DEBIT', 'transcription', 1.5, :balance_micros / 1000000.0,
        '[{"grant_id": 1, "kind": "monthly", "amount": 1.5}]', 'episode', :correlation, :correlation, now(), now(),
        '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
        '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff');
COMMIT;
