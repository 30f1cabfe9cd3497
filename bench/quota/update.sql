-- The bare UPDATE by primary key of an equal table: no limit, no decision.
\set account random(100000000001, 100000000000 + :accounts)
UPDATE bench.entitlement
   SET used = used + 1, lifetime = lifetime + 1
 WHERE account_id = :account
   AND feature = 'chat_messages'
   AND period_end > now()
RETURNING used, held, period_end, plan, pinned_version;
