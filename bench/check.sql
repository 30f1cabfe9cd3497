-- Did every contender do the work it was timed for? One row for each that did not.

WITH counted (section, contender, effects) AS (
  -- The increments each counter took since it was set up with one.
  SELECT 'quota', contender, effects
    FROM (VALUES
           ('purser', (SELECT sum(used - 1) FROM purser.entitlement WHERE feature = 'chat_messages')),
           ('update', (SELECT sum(used - 1) FROM bench.entitlement WHERE feature = 'chat_messages')),
           ('plpgsql', (SELECT sum(used - 1) FROM bench.usage WHERE feature = 'chat_messages')),
           ('plpgsql_update_first',
            (SELECT sum(used - 1) FROM bench.usage_update_first WHERE feature = 'chat_messages')),
           ('round_trips', (SELECT sum(used - 1) FROM bench.usage_round_trips WHERE feature = 'chat_messages'))
         ) AS c (contender, effects)
  UNION ALL
  -- In calls of a hundred increments.
  SELECT 'batch', contender, effects / 100.0
    FROM (VALUES
           ('purser', (SELECT sum(used - 1) FROM purser.entitlement WHERE feature = 'batch_calls')),
           ('plpgsql', (SELECT sum(used - 1) FROM bench.usage WHERE feature = 'batch_calls')),
           ('plpgsql_update_first',
            (SELECT sum(used - 1) FROM bench.usage_update_first WHERE feature = 'batch_calls'))
         ) AS c (contender, effects)
  UNION ALL
  SELECT 'hot', contender, effects
    FROM (VALUES
           ('purser', (SELECT sum(used - 1) FROM purser.usage_history
                        WHERE feature = 'hot_calls' AND account_id = 'hot-striped')),
           ('one_row', (SELECT used - 1 FROM purser.entitlement
                         WHERE feature = 'hot_calls' AND account_id = 'hot-one-row')),
           ('spread', (SELECT sum(used - 1) FROM purser.entitlement
                        WHERE feature = 'hot_calls' AND account_id NOT LIKE 'hot-%')),
           ('update', (SELECT used - 1 FROM bench.entitlement
                        WHERE feature = 'hot_calls' AND account_id = 'hot-one-row'))
         ) AS c (contender, effects)
  UNION ALL
  -- The charges each ledger has.
  SELECT 'charge', contender, effects
    FROM (VALUES
           ('purser', (SELECT count(*) FROM purser.ledger WHERE direction = 'DEBIT' AND account_id NOT LIKE '%-%')),
           ('update_insert', (SELECT count(*) FROM bench.ledger WHERE direction = 'DEBIT')),
           ('update_insert_in_one', (SELECT count(*) FROM bench.ledger_in_cte WHERE direction = 'DEBIT')),
           ('grant_rows', (SELECT count(*) FROM bench.grant_ledger)),
           ('alike', (SELECT count(*) FROM bench.alike_ledger WHERE direction = 'DEBIT'))
         ) AS c (contender, effects)
  UNION ALL
  -- What is gone from the balances, in charges.
  SELECT 'charge', contender, effects
    FROM (VALUES
           ('purser', (SELECT sum(3000000000000 - balance_micros) / 1500000 FROM purser.wallet WHERE account_id NOT LIKE '%-%')),
           ('update_insert', (SELECT sum(3000000000000 - balance_micros) / 1500000 FROM bench.wallet)),
           ('update_insert_in_one', (SELECT sum(3000000000000 - balance_micros) / 1500000 FROM bench.wallet_in_cte)),
           ('grant_rows', (SELECT sum(1000000 - remaining) / 1.5 FROM bench.credit_grant)),
           ('alike', (SELECT sum(1000000 - remaining) / 1.5 FROM bench.alike_grant))
         ) AS c (contender, effects)
  UNION ALL
  SELECT 'charge_200', contender, (SELECT count(*) FROM purser.ledger WHERE direction = 'DEBIT' AND account_id LIKE prefix || '-%')
    FROM (VALUES ('purser', 'many'), ('few', 'few')) AS c (contender, prefix)
  UNION ALL
  SELECT 'hot_wallet', 'purser', (SELECT count(*) FROM purser.ledger WHERE direction = 'DEBIT' AND account_id = 'hot-wallet')
  UNION ALL
  -- The requests each bucket counted; one comes back in 53 minutes. What costs more than the limit is not counted.
  SELECT 'rate', 'purser', sum(10000 - d.remaining)
    FROM bench.customer, LATERAL purser.rate_limit(account_id, 'api', 10001) AS d
  UNION ALL
  SELECT 'rate_key', 'purser', sum(10000 - d.remaining)
    FROM bench.customer, LATERAL purser.rate_limit_key(account_id, 10000, '366 days', 10001) AS d
),
called AS (
  -- By the table that shows what they did.
  SELECT CASE WHEN section = 'hot_wallet' AND contender IN ('spread', 'update') THEN 'charge' ELSE section END AS section,
         CASE WHEN contender = 'purser_as_columns' THEN 'purser'
              WHEN section <> 'hot_wallet' THEN contender
              WHEN contender = 'update' THEN 'update_insert_in_one' ELSE 'purser' END AS contender,
         sum(CASE WHEN section = 'hot_wallet' AND contender = 'batch' THEN 20 * calls ELSE calls END) AS calls
    FROM bench.slice
   GROUP BY 1, 2
)
SELECT format('%s, %s: %s calls, %s effects', section, contender, coalesce(calls, 0), effects)
  FROM counted
  LEFT JOIN called USING (section, contender)
 WHERE effects <> coalesce(calls, 0)
UNION ALL
SELECT format('refusal, %s: %s accounts went over their limit', contender, above)
  FROM (VALUES
         ('purser', (SELECT count(*) FROM purser.entitlement WHERE feature = 'exports' AND used <> 5)),
         ('plpgsql', (SELECT count(*) FROM bench.usage WHERE feature = 'exports' AND used <> 5)),
         ('plpgsql_update_first',
          (SELECT count(*) FROM bench.usage_update_first WHERE feature = 'exports' AND used <> 5))
       ) AS c (contender, above)
 WHERE above <> 0
UNION ALL
SELECT format('redis: %s calls, %s effects', calls, effects)
  FROM bench.redis_effects, (SELECT coalesce(sum(calls), 0) AS calls FROM bench.slice WHERE contender = 'redis') AS c
 WHERE effects <> calls
UNION ALL
SELECT format('verify_ledger, %s: %s, %s', path, rule, message)
  FROM purser.verify_ledger();
