-- The same call with the load spread over all accounts: nobody waits for anybody.
\set account random(100000000001, 100000000000 + :accounts)
SELECT purser.check_and_increment(:account, 'hot_calls');
