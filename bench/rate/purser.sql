-- One decision by the account's plan, as an application asks for it.
\set account random(100000000001, 100000000000 + :accounts)
SELECT purser.rate_limit(:account, 'api');
