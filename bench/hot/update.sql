-- The bare UPDATE of one row of an equal table.
UPDATE bench.entitlement
   SET used = used + 1, lifetime = lifetime + 1
 WHERE account_id = 'hot-one-row'
   AND feature = 'hot_calls'
   AND period_end > now()
RETURNING used, held, period_end, plan, pinned_version;
