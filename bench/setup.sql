-- What the benchmarks run on: accounts, plans and credits in purser, and the same customers in the
-- tables of every peer. Run once on an empty cluster, with the number of accounts in :accounts.

CREATE EXTENSION purser;

CREATE SCHEMA bench;
COMMENT ON SCHEMA bench IS 'Peers that purser is measured against, and the results.';

-- Every account an application would have: long decimal ids, spread over four plans.
CREATE TABLE bench.customer AS
SELECT (100000000000 + n)::text COLLATE "C" AS account_id,
       (ARRAY['free', 'creator', 'pro', 'team'])[1 + n % 4] AS plan
  FROM generate_series(1, :accounts) AS n;

-- purser ------------------------------------------------------------------------------------------

SELECT purser.declare_features(
  '{"chat_messages": {"kind": "quota", "per": "month"}, "exports": {"kind": "quota", "per": "month"},
    "minutes": {"kind": "quota", "per": "month"},       "episodes": {"kind": "quota", "per": "month"},
    "members": {"kind": "quota", "per": "month"},       "auto_publish": {"kind": "switch"},
    "hot_calls": {"kind": "quota", "per": "month"},
    "batch_calls": {"kind": "quota", "per": "month"},
    "api": {"kind": "switch"},                          "multiplier": {"kind": "number", "default": 1}}', 'bench');

SELECT purser.publish_plan(code,
         '{"name": "Plan", "features": {"chat_messages": 1000000000, "hot_calls": 1000000000,
           "batch_calls": 1000000000, "exports": 5, "minutes": 100, "episodes": 10,
           "members": 3, "auto_publish": true, "api": true, "multiplier": 1},
           "rate_limits": {"api": {"max": 10000, "per": "day", "every": 366}}}', 'bench', 'benchmark')
  FROM unnest(ARRAY['free', 'creator', 'pro', 'team']) AS code;

SELECT count(purser.subscribe(account_id, plan, 'bench')) AS subscribed FROM bench.customer;
SELECT count(purser.check_and_increment(account_id, 'chat_messages')) AS counting FROM bench.customer;
SELECT count(purser.check_and_increment(account_id, feature)) AS counting
  FROM (SELECT account_id FROM bench.customer UNION ALL VALUES ('hot-striped'), ('hot-one-row')) AS c,
       unnest('{hot_calls, batch_calls}'::text[]) AS feature;
SELECT purser.stripe_quota('hot-striped', 'hot_calls', 16, 'bench');
SELECT count(purser.check_and_increment(account_id, 'exports', 5)) AS at_their_limit FROM bench.customer;
SELECT count(purser.grant_credits(account_id, 1000000, 'monthly', 'm' || account_id, now() + '30 days')),
       count(purser.grant_credits(account_id, 1000000, 'rollover', 'r' || account_id, now() + '60 days')),
       count(purser.grant_credits(account_id, 1000000, 'purchased', 'p' || account_id))
  FROM bench.customer;

-- Pages as full as fillfactor lets them be, as in every other table here: a page with more room is pruned less
-- often, and the side that has it would win by that alone.
VACUUM (FULL) purser.entitlement, purser.entitlement_stripe, purser.wallet, purser.ledger, purser.credit_grant;

-- Peer "update" and "update + insert": the same tables, indexes and fillfactor, and nothing around them ----

CREATE FUNCTION bench.copy_table(name text, copy text DEFAULT NULL) RETURNS void
  LANGUAGE plpgsql
AS $$
BEGIN
  EXECUTE format('CREATE TABLE bench.%3$I (LIKE purser.%1$I INCLUDING ALL) %2$s', name,
                 (SELECT 'WITH (' || array_to_string(c.reloptions, ', ') || ')'
                    FROM pg_class AS c WHERE c.oid = format('purser.%I', name)::regclass), coalesce(copy, name));
  EXECUTE format('INSERT INTO bench.%I SELECT * FROM purser.%I', coalesce(copy, name), name);
END
$$;
COMMENT ON FUNCTION bench.copy_table(text, text) IS
  'Copies a table of purser to the schema bench: columns, checks, indexes, storage parameters and rows.';
SELECT bench.copy_table(name) FROM unnest(ARRAY['entitlement', 'wallet', 'ledger']) AS name;
-- The two ways of writing the floor of a charge are measured apart.
ALTER TABLE bench.wallet RENAME TO wallet_in_cte;
ALTER TABLE bench.ledger RENAME TO ledger_in_cte;
SELECT bench.copy_table(name) FROM unnest(ARRAY['wallet', 'ledger']) AS name;

\ir plpgsql_quota.sql

-- What a worker has to count: a hundred accounts at a time.
CREATE TABLE bench.batch AS
SELECT n, array_agg(account_id) AS account_ids, array_agg(account_id ORDER BY account_id) AS sorted_ids,
       array_fill('batch_calls'::text, '{100}') AS features
  FROM (SELECT n, (100000000001 + floor(random() * :accounts))::bigint::text COLLATE "C" AS account_id
          FROM generate_series(1, 1000) AS n, generate_series(1, 100)) AS b
 GROUP BY n;
ALTER TABLE bench.batch ADD PRIMARY KEY (n);

\ir plpgsql_credits.sql
\ir plpgsql_credits_alike.sql

-- The one who calls: an ordinary role, as applications connect.
CREATE ROLE bench_app LOGIN;
GRANT purser_app TO bench_app;
GRANT USAGE ON SCHEMA bench TO bench_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA bench TO bench_app;

\ir result.sql
