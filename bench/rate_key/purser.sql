-- One decision on a key that is no account.
\set account random(100000000001, 100000000000 + :accounts)
SELECT purser.rate_limit_key(:account, 10000, '366 days');
