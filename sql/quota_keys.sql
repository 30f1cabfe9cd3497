-- QUO-11: an increment with an idempotency key counts once, whatever happens between the first call and
-- its retry; a key belongs to one request; a refusal leaves no key.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- A retry counts once and gets the first answer, not today's.
SELECT * FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-1');
SELECT allowed, used FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-2');
SELECT * FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-1');
SELECT used, lifetime FROM purser.entitlement WHERE account_id = 'key-a';

-- The same key with another amount or feature is an error that counts nothing.
SELECT tried($$SELECT purser.check_and_increment('key-a', 'chat_messages', 2, 'message-1')$$);
SELECT tried($$SELECT purser.check_and_increment('key-a', 'minutes', 1, 'message-1')$$);
SELECT feature, used, lifetime FROM purser.entitlement WHERE account_id = 'key-a' AND lifetime > 0;
-- Another account has keys of its own.
SELECT allowed, used FROM purser.check_and_increment('key-b', 'minutes', 7, 'message-1');

-- Without room the call is refused and its key stays free; the same call is decided anew later, and
-- the key may even be used for another request.
SELECT allowed, used FROM purser.check_and_increment('key-a', 'chat_messages', 1);
SELECT allowed, reason FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-4');
SELECT count(*) AS keys FROM purser.quota_key WHERE account_id = 'key-a';
-- A replay is answered although nothing more would fit.
SELECT allowed, used FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-2');
SELECT purser.subscribe('key-a', 'creator', 'tester');
SELECT allowed, used, quota FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-4');
SELECT allowed, used, quota FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-4');

-- After another plan, another period, another kind of account status: still the first answer.
SELECT purser.change_plan('key-a', 'unlimited', 'tester');
SET purser.now = '2027-08-01 00:00+00';
SELECT purser.set_account_status('key-a', 'suspended', 'tester', 'unpaid');
SELECT * FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-1');
SELECT * FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-4');
SELECT allowed, reason FROM purser.check_and_increment('key-a', 'chat_messages', 1, 'message-5');
SELECT used, lifetime FROM purser.entitlement WHERE account_id = 'key-a' AND feature = 'chat_messages';

-- A caller that rolls back takes the key with it.
BEGIN;
SELECT allowed, used FROM purser.check_and_increment('key-c', 'chat_messages', 2, 'message-1');
ROLLBACK;
SELECT allowed, used FROM purser.check_and_increment('key-c', 'chat_messages', 1, 'message-1');
BEGIN;
SAVEPOINT before;
SELECT allowed, used FROM purser.check_and_increment('key-c', 'chat_messages', 1, 'message-2');
ROLLBACK TO before;
SELECT allowed, used FROM purser.check_and_increment('key-c', 'chat_messages', 2, 'message-2');
COMMIT;
SELECT idempotency_key, answers -> 0 -> 'used' AS used, created_at FROM purser.quota_key WHERE account_id = 'key-c' ORDER BY 1;

-- An unlimited answer, with its NULLs, comes back as it was given.
SELECT purser.subscribe('key-d', 'unlimited', 'tester');
SELECT allowed, reason, used, quota, remaining, resets_at, level FROM purser.check_and_increment('key-d', 'sites', 5, 'k');
SELECT allowed, reason, used, quota, remaining, resets_at, level FROM purser.check_and_increment('key-d', 'sites', 5, 'k');
