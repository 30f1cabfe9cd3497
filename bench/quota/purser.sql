-- One increment, as an application calls it.
\set account random(100000000001, 100000000000 + :accounts)
SELECT purser.check_and_increment(:account, 'chat_messages');
