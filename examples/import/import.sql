-- Minutes of an older system become credits. Run with psql in this directory, as a member of purser_admin:
--   psql -v ON_ERROR_STOP=1 -f import.sql
-- Run it as often as you like: a row is imported once.

-- 1. What happened, each line with the rate it had then and the instant it happened. History comes first: nothing may be
--    imported before an entry that is there.
CREATE TEMP TABLE history (line int, customer text, happened timestamptz, minutes numeric, old_rate numeric, what text, episode text);
\copy history FROM 'history.csv' (FORMAT csv, HEADER)

CREATE TEMP VIEW history_rows AS
SELECT customer AS account_id, line AS row_key, minutes AS quantity, old_rate AS rate, happened AS at, what AS reason,
       CASE WHEN episode IS NOT NULL THEN 'episode' END AS resource_type, episode AS resource_id
  FROM history;

SELECT status, message, count(*) FROM purser.import_credits('history_rows', 'history-2025', 'migration', unit => 'minute', dry_run => true)
 GROUP BY 1, 2;
SELECT account_id, at, quantity, rate, credits, status, entry_id
  FROM purser.import_credits('history_rows', 'history-2025', 'migration', unit => 'minute');

-- 2. Opening balances as of now, at today's rate of 2 credits a minute.
CREATE TEMP TABLE balances (customer text, minutes numeric);
\copy balances FROM 'balances.csv' (FORMAT csv, HEADER)

CREATE TEMP VIEW balance_rows AS
SELECT customer AS account_id, customer AS row_key, minutes AS quantity, 'opening balance' AS reason FROM balances;

SELECT account_id, quantity, rate, credits, status, entry_id
  FROM purser.import_credits('balance_rows', 'balances-2026', 'migration', rate => 2, unit => 'minute');

-- 3. What was given, beside what the ledger has.
SELECT batch, r.*
  FROM unnest('{history-2025, balances-2026}'::text[]) AS batch, LATERAL purser.import_report(batch) AS r;
SELECT * FROM purser.reconcile();
