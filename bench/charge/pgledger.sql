-- A transfer from one of the accounts to another. No idempotency, grants, or holds.
\set account random(100000000001, 100000000000 + :accounts)
\set step random(1, :accounts - 1)
\set other 100000000001 + (:account - 100000000001 + :step) % :accounts
SELECT * FROM pgledger_create_transfer(:account, :other, 1.5);
