-- The same call with the decision spread over columns, as many drivers want it.
\set account random(100000000001, 100000000000 + :accounts)
SELECT * FROM purser.check_and_increment(:account, 'chat_messages');
