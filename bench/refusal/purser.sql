-- Every account has used all of its quota.
\set account random(100000000001, 100000000000 + :accounts)
SELECT purser.check_and_increment(:account, 'exports');
