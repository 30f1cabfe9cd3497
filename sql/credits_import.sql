-- CRD-15: old balances and their history become entries of the ledger, once: minutes at a rate, each entry with the rate and
-- the instant it had, and no balance of the past is negative.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

CREATE TEMP TABLE old_minutes (account_id text, row_key int, quantity numeric, at timestamptz, rate numeric, kind text, reason text,
                               resource_type text, resource_id text, resource_title text, expires_at timestamptz);
INSERT INTO old_minutes VALUES
  ('import-a', 3, -30, '2025-02-03 09:00+00', NULL, NULL, 'transcription', 'episode', 'e1', 'Pilot', NULL),
  ('import-a', 1, 100, '2025-01-01', NULL, 'purchased', 'pack of 100', NULL, NULL, NULL, NULL),
  ('import-a', 2, -10.5, '2025-01-15', NULL, NULL, 'transcription', 'episode', 'e1', 'Pilot', NULL),
  ('import-a', 4, -5, '2025-06-01', 1.5, NULL, 'transcription', 'episode', 'e2', 'Second', NULL),
  ('import-b', 5, 60, '2025-05-01', NULL, 'monthly', 'May', NULL, NULL, NULL, '2025-06-01'),
  ('import-b', 6, -20, '2025-05-20', NULL, NULL, 'transcription', NULL, NULL, NULL, NULL),
  ('import-b', 7, 60, '2025-06-01', NULL, 'monthly', 'June', NULL, NULL, NULL, '2025-07-01'),
  ('import-c', 8, 12.25, NULL, NULL, NULL, 'opening balance', NULL, NULL, NULL, NULL);

-- A dry run answers the same and changes nothing.
SELECT row_key, account_id, at, quantity, rate, credits, status, entry_id, code, message
  FROM purser.import_credits('old_minutes', 'minutes', 'ops', 2, 'minute', dry_run => true);
SELECT count(*) AS entries FROM purser.ledger WHERE account_id LIKE 'import-%';
SELECT count(*) AS accounts FROM purser.account WHERE account_id LIKE 'import-%';
SELECT * FROM purser.import_report('minutes');

SELECT row_key, account_id, at, quantity, rate, credits, status, entry_id, code, message
  FROM purser.import_credits('old_minutes', 'minutes', 'ops', 2, 'minute');
SELECT * FROM purser.import_report('minutes');
SELECT entry_id, direction, reason, amount, balance_after, effective_at, breakdown - 'import' AS breakdown, resource_id
  FROM purser.ledger_entries WHERE account_id = 'import-a' ORDER BY effective_at;
-- The month that ended took its rest along, at its instant.
SELECT entry_id, direction, reason, amount, balance_after, effective_at FROM purser.ledger_entries WHERE account_id = 'import-b' ORDER BY effective_at, entry_id;
SELECT at, purser.credit_balance('import-a', 'credits', at) AS a, purser.credit_balance('import-b', 'credits', at) AS b
  FROM unnest('{2024-12-31, 2025-01-01, 2025-01-15, 2025-02-03 08:59:59, 2025-02-03 09:00, 2025-05-31, 2025-06-01, 2025-07-01, 2026-03-10 12:00}'::timestamptz[]) AS at;
SELECT purser.credit_balance('import-a') AS a, purser.credit_balance('import-b') AS b, purser.credit_balance('import-c') AS c;
SELECT kind, amount, remaining, granted_at, expires_at, state FROM purser.grants WHERE account_id = 'import-b' ORDER BY grant_id;
SELECT purser.invoice('import-a', 'episode', 'e1') - 'lines' AS invoice;

SET purser.now = '2026-03-10 13:00+00';
-- Again, in pieces, by rows of a query: nothing more.
SELECT status, count(*) FROM purser.import_credits('old_minutes', 'minutes', 'ops', 2, 'minute') GROUP BY status;
SELECT status, entry_id FROM purser.import_credit_rows((SELECT jsonb_agg(to_jsonb(o)) FROM old_minutes AS o WHERE row_key = 3), 'minutes', 'ops', 2, 'minute');
SET purser.now = '2026-03-10 14:00+00';
SELECT status, count(*) FROM purser.import_credits('old_minutes', 'minutes', 'ops', 2, 'minute') GROUP BY status;
SELECT source_rows, ledger_rows, source_credits, ledger_credits, agrees FROM purser.import_report('minutes');
SET purser.now = '2026-03-10 15:00+00';
-- At another rate a row that was imported is another request.
SELECT status, code, count(*) FROM purser.import_credits('old_minutes', 'minutes', 'ops', 3, 'minute') GROUP BY status, code ORDER BY status;
SELECT source_rows, rejected_rows, ledger_rows, agrees FROM purser.import_report('minutes');
SELECT actor, details FROM purser.audit_event WHERE action = 'credits.imported' AND resource_id = 'minutes' ORDER BY at LIMIT 1;

-- What is wrong is rejected with its reason, and the rest is imported.
CREATE TEMP TABLE "odd rows; --" (row_key text, account_id text, quantity text, at text, wallet text, kind text, expires_at text, resource_type text, rate text);
INSERT INTO "odd rows; --" (row_key, account_id, quantity, at, wallet, kind, expires_at, resource_type, rate) VALUES
  ('good', 'import-d', '10', NULL, NULL, NULL, NULL, NULL, NULL), ('tokens', 'import-d', '5', '2026-01-01', 'tokens', NULL, NULL, NULL, NULL),
  ('late', 'import-d', '5', '2025-12-31', 'tokens', NULL, NULL, NULL, NULL), ('early', 'import-a', '1', '2025-01-10', NULL, NULL, NULL, NULL, NULL),
  ('future', 'import-d', '1', '2026-03-11', NULL, NULL, NULL, NULL, NULL), ('too much', 'import-d', '-10.000001', NULL, 'tokens', NULL, NULL, NULL, NULL),
  ('no wallet', 'import-e', '-1', NULL, NULL, NULL, NULL, NULL, NULL), ('zero', 'import-e', '0', NULL, NULL, NULL, NULL, NULL, NULL),
  ('nan', 'import-e', 'NaN', NULL, NULL, NULL, NULL, NULL, NULL), ('infinite', 'import-e', 'Infinity', NULL, NULL, NULL, NULL, NULL, NULL),
  ('huge', 'import-e', '1e30', NULL, NULL, NULL, NULL, NULL, NULL), ('fine', 'import-e', '0.0000001', NULL, NULL, NULL, NULL, NULL, NULL),
  ('word', 'import-e', 'ten', NULL, NULL, NULL, NULL, NULL, NULL), ('date', 'import-e', '1', '2026-02-30', NULL, NULL, NULL, NULL, NULL),
  ('none', 'import-e', NULL, NULL, NULL, NULL, NULL, NULL, NULL), (NULL, 'import-e', '1', NULL, NULL, NULL, NULL, NULL, NULL),
  ('nobody', NULL, '1', NULL, NULL, NULL, NULL, NULL, NULL), ('empty', '', '1', NULL, NULL, NULL, NULL, NULL, NULL),
  ('kind', 'import-e', '1', NULL, NULL, 'gift', NULL, NULL, NULL), ('expired', 'import-e', '1', '2026-01-02', NULL, NULL, '2026-01-02', NULL, NULL),
  ('half', 'import-e', '1', NULL, NULL, NULL, NULL, 'episode', NULL), ('rate', 'import-e', '1', NULL, NULL, NULL, NULL, NULL, 'x'),
  (repeat('k', 250), 'import-e', '1', NULL, NULL, NULL, NULL, NULL, NULL);
SELECT left(row_key, 20) AS row_key, status, code, message FROM purser.import_credits('"odd rows; --"', 'odd', 'ops') AS r
 ORDER BY status, r.row_key COLLATE "C";
SELECT account_id FROM purser.account WHERE account_id IN ('import-d', 'import-e', '');
SELECT source_rows, rejected_rows, ledger_rows, ledger_credits, accounts FROM purser.import_report('odd');

-- Arguments.
SELECT tried($$SELECT purser.import_credits(NULL, 'b', 'ops')$$);
SELECT tried($$SELECT purser.import_credits('no_such_table', 'b', 'ops')$$);
SELECT tried($$SELECT purser.import_credits('old_minutes', '', 'ops')$$);
SELECT rate, tried(format('SELECT purser.import_credits(%L, %L, %L, %L)', 'old_minutes', 'b', 'ops', rate)) FROM unnest('{0, -1, NaN, Infinity}'::text[]) AS rate;
SELECT tried($$SELECT purser.import_credit_rows('{}', 'b', 'ops')$$);
SELECT tried($$SELECT purser.import_credit_rows(NULL, 'b', 'ops')$$);
SELECT status, code, message FROM purser.import_credit_rows('[1, null, [], {"row_key": "x"}]', 'b', 'ops');
SELECT count(*) FROM purser.import_credit_rows('[]', 'b', 'ops');

-- An account whose plan gives credits: its allowance begins with the first call that is no import, so that more of the past can
-- be imported meanwhile.
SELECT purser.publish_plan('import-plan', '{"name": "Import", "credits": {"credits": {"allowance": 100}}}', 'tester', 'x') ->> 'version' AS version;
SELECT purser.setting('default_plan') AS default_plan \gset
SELECT purser.set_setting('default_plan', 'import-plan', 'tester');
SELECT status FROM purser.import_credit_rows('[{"row_key": "1", "account_id": "import-g", "quantity": 10, "at": "2025-01-01"}]', 'plan', 'ops');
SET purser.now = '2026-03-10 16:00+00';
SELECT status FROM purser.import_credit_rows('[{"row_key": "2", "account_id": "import-g", "quantity": -4, "at": "2025-02-01"}]', 'plan', 'ops');
SELECT purser.credit_balance('import-g');
SELECT allocations, balance_after FROM purser.charge_credits('import-g', 101, 'work', 'c');
SELECT entry_id, direction, reason, amount, balance_after, effective_at FROM purser.ledger_entries WHERE account_id = 'import-g' ORDER BY effective_at, entry_id;
SELECT status, code FROM purser.import_credit_rows('[{"row_key": "3", "account_id": "import-g", "quantity": 1, "at": "2025-03-01"}]', 'plan', 'ops');
SELECT purser.set_setting('default_plan', :'default_plan', 'tester');

-- The caller's rights decide what is read: whoever may import does not read with the owner's.
CREATE TABLE public.import_secret (account_id text, row_key text, quantity numeric);
INSERT INTO public.import_secret VALUES ('import-f', '1', 1);
CREATE ROLE regress_importer IN ROLE purser_admin;
SET SESSION AUTHORIZATION regress_importer;
SELECT tried($$SELECT purser.import_credits('public.import_secret', 'b', 'ops')$$);
SELECT tried($$SELECT purser.import_credits('purser.quota_key', 'b', 'ops')$$) LIKE '42501%' AS refused;
RESET SESSION AUTHORIZATION;
GRANT SELECT ON public.import_secret TO regress_importer;
SET SESSION AUTHORIZATION regress_importer;
SELECT status FROM purser.import_credits('public.import_secret', 'secret', 'ops');
RESET SESSION AUTHORIZATION;
DROP TABLE public.import_secret;
DROP ROLE regress_importer;
SELECT path, rule, message FROM purser.reconcile() WHERE path LIKE 'import-%';
SELECT path, rule, message FROM purser.verify_ledger() WHERE path LIKE 'import-%';
