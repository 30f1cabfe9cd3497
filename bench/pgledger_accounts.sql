-- Peer "pgledger": as many accounts as there are wallets, with the same ids and balances.
INSERT INTO pgledger_accounts (id, name, currency, balance, version, allow_negative_balance, allow_positive_balance, created_at, updated_at)
SELECT account_id, account_id, 'USD', 3000000, 1, false, true, now(), now() FROM bench.customer;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO bench_app;
