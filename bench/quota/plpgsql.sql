\set account random(100000000001, 100000000000 + :accounts)
SELECT bench.check_and_increment(:account, 'chat_messages');
