-- LED-1, LED-2: whatever an owner changes in the books by hand, verify_ledger() names it; charges and
-- refunds of one resource read as one invoice.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

SELECT count(purser.grant_credits('ledger-a', 100, kind, kind)) FROM unnest('{monthly, purchased}'::text[]) AS kind;
SELECT count(purser.charge_credits('ledger-a', n, 'work', 'c' || n, 'job', 'j' || n, 'Job ' || n, jsonb_build_object('n', n), notes => 'note'))
  FROM generate_series(1, 3) AS n;
SELECT entry_id FROM purser.refund_credits('ledger-a', 'credits/4', 1, 'partly', 'r1');
SELECT entry_id FROM purser.grant_credits('ledger-a', 50, 'purchased', 'tokens', wallet => 'ai_tokens');
SELECT count(purser.grant_credits('ledger-b', 10, 'purchased', 'g'));
SELECT * FROM purser.verify_ledger('ledger-a');
SELECT * FROM purser.verify_ledger('ledger-nobody');

-- Runs one act by hand in a transaction of its own, shows what is found, and takes it back.
CREATE FUNCTION pg_temp.after(act text) RETURNS TABLE (path text, rule text, message text)
  LANGUAGE plpgsql
AS $$
BEGIN
  EXECUTE act;
  RETURN QUERY SELECT v.path, v.rule, v.message FROM purser.verify_ledger('ledger-a') AS v;
  IF NOT EXISTS (SELECT FROM purser.verify_ledger() AS v WHERE v.path LIKE 'ledger-a/%')
     OR EXISTS (SELECT FROM purser.verify_ledger('ledger-b')) THEN
    RAISE WARNING 'found for another account, or not among all accounts';
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'ZZ999';
EXCEPTION WHEN SQLSTATE 'ZZ999' THEN
  NULL;
END
$$;

-- Every column of an entry is covered by its hash, or by what the entries around it say.
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET amount = 1.000001 WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 4$$);
SELECT column_name, v.path, v.rule
  FROM (VALUES ('direction', '''CREDIT'''), ('reason', '''gift'''), ('balance_after', '1000'), ('allocations', '''[]'''),
               ('allocations', $$'[{"kind": "purchased", "amount": 2, "grant_id": 2}]'$$), ('resource_type', '''toy'''),
               ('resource_id', '''j9'''), ('resource_title', '''Fun'''), ('resource_title', 'NULL'), ('breakdown', '''{"n": 9}'''),
               ('notes', ''''''), ('notes', 'NULL'), ('fingerprint', 'sha256(''x'')'), ('fingerprint', 'NULL'), ('correlation_id', '''c9'''), ('correlation_id', 'NULL'), ('refund_of', '3'),
               ('created_at', '''2026-03-10 12:00:00.000001+00'''), ('effective_at', '''2026-03-11 12:00+00'''),
               ('hash', 'sha256(''x'')'))
         AS edits (column_name, value),
       LATERAL pg_temp.after(format('UPDATE purser.ledger SET %I = %s WHERE account_id = %L AND wallet = %L AND entry_no = 4',
                                    column_name, value, 'ledger-a', 'credits')) AS v;
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET allocations = '{"not": "a list"}' WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 4$$);
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET allocations = '[{"kind": "monthly", "amount": 2}]' WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 4$$);
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET allocations = '[{"kind": "monthly", "amount": "two", "grant_id": 1}]' WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 4$$);
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET amount = 'NaN' WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 4$$);

-- Entries deleted at the end, in the middle, at the beginning, all of them.
SELECT * FROM pg_temp.after($$DELETE FROM purser.ledger WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 6$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.ledger WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no IN (3, 4)$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.ledger WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 1$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.ledger WHERE account_id = 'ledger-a' AND wallet = 'credits'$$);
-- An entry forged at the end, with a balance that fits and a hash that cannot.
SELECT * FROM pg_temp.after($$INSERT INTO purser.ledger
  SELECT account_id, wallet, 7, 'CREDIT', reason, 500, balance_after + 500, allocations, resource_type, resource_id, resource_title,
         breakdown, notes, 'forged', NULL, created_at, effective_at, fingerprint, hash
    FROM purser.ledger WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 6$$);
-- Two entries change places; an entry moves to another wallet.
SELECT * FROM pg_temp.after($$
  UPDATE purser.ledger SET entry_no = CASE entry_no WHEN 3 THEN 1004 ELSE 1003 END WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no IN (3, 4);
  UPDATE purser.ledger SET entry_no = entry_no - 1000 WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no > 1000$$);
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET wallet = 'ai_tokens', entry_no = 2 WHERE account_id = 'ledger-a' AND wallet = 'credits' AND entry_no = 6$$);
-- The wallet: its balance, its head, its grants, and the row as a whole.
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET balance_micros = balance_micros + 1 WHERE account_id = 'ledger-a' AND wallet = 'credits'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET last_entry_no = 7 WHERE account_id = 'ledger-a' AND wallet = 'credits'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET head_hash = sha256('x') WHERE account_id = 'ledger-a' AND wallet = 'credits'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_remaining_micros[2] = 500000000 WHERE account_id = 'ledger-a' AND wallet = 'credits'$$);
-- Credits moved from one grant to another, a lot that lives longer or is another kind, a record edited or gone.
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_remaining_micros = ARRAY[lot_remaining_micros[1] - 5000000, lot_remaining_micros[2] + 5000000] WHERE account_id = 'ledger-a' AND wallet = 'credits'$$);
SELECT column_name, v.path, v.rule
  FROM (VALUES ('lot_expires_at[1]', '''2099-01-01'''), ('lot_kinds[1]', '''purchased'''), ('lot_priorities[1]', '99'))
         AS edits (column_name, value),
       LATERAL pg_temp.after(format('UPDATE purser.wallet SET %s = %s WHERE account_id = %L AND wallet = %L',
                                    column_name, value, 'ledger-a', 'credits')) AS v;
SELECT column_name, v.path, v.rule
  FROM (VALUES ('kind', '''purchased'''), ('amount', '1000'), ('priority', '99'), ('expires_at', '''2099-01-01'''), ('entry_no', '2'))
         AS edits (column_name, value),
       LATERAL pg_temp.after(format('UPDATE purser.credit_grant SET %I = %s WHERE account_id = %L AND wallet = %L AND grant_id = 1',
                                    column_name, value, 'ledger-a', 'credits')) AS v;
SELECT * FROM pg_temp.after($$DELETE FROM purser.credit_grant WHERE account_id = 'ledger-a' AND wallet = 'credits' AND grant_id = 1$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.wallet WHERE account_id = 'ledger-a' AND wallet = 'credits'$$);

-- Nothing of it can be used: with the wallet row gone, calls fail and write nothing.
BEGIN;
DELETE FROM purser.wallet WHERE account_id = 'ledger-a' AND wallet = 'credits';
SELECT split_part(tried(call), ' ', 1) AS code FROM (VALUES
  ($$SELECT purser.refund_credits('ledger-a', 'credits/3', 1, 'r', 'x')$$),
  ($$SELECT purser.charge_credits('ledger-a', 1, 'r', 'x')$$),
  ($$SELECT purser.grant_credits('ledger-a', 1, 'purchased', 'x')$$)) AS calls (call);
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'ledger-a' AND wallet = 'credits';
ROLLBACK;
SELECT * FROM purser.verify_ledger('ledger-a');

-- LED-2: three charges of one episode are one invoice of 15.0; refunded in full it is 0.
SELECT balance_after FROM purser.grant_credits('ledger-c', 100, 'purchased', 'pack');
SELECT entry_id FROM purser.charge_credits('ledger-c', 3.0, 'transcription', 'c1', 'episode', 'e1', 'Pilot', '{"minutes": 2}');
SELECT entry_id FROM purser.charge_credits('ledger-c', 9, 'hosting', 'c2', 'website', 'e1', 'Site');
SELECT entry_id FROM purser.charge_credits('ledger-c', 1, 'support', 'c3');
SET purser.now = '2026-03-11 12:00+00';
SELECT entry_id FROM purser.charge_credits('ledger-c', 4.5, 'assembly', 'c4', 'episode', 'e1', 'Pilot, take 2', notes => 'retake');
SELECT entry_id FROM purser.charge_credits('ledger-c', 7.5, 'premium voice', 'c5', 'episode', 'e1');
SELECT jsonb_pretty(purser.invoice('ledger-c', 'episode', 'e1'));
SELECT amount FROM purser.refund_credits('ledger-c', 'credits/2', NULL, 'unhappy', 'r1');
SELECT amount FROM purser.refund_credits('ledger-c', 'credits/5', 4.5, 'unhappy', 'r2');
SELECT i -> 'charged' AS charged, i -> 'refunded' AS refunded, i -> 'net' AS net FROM purser.invoice('ledger-c', 'episode', 'e1') AS i;
SELECT amount FROM purser.refund_credits('ledger-c', 'credits/6', NULL, 'unhappy', 'r3');
SELECT i -> 'number' AS number, i -> 'title' AS title, i -> 'charged' AS charged, i -> 'refunded' AS refunded, i -> 'net' AS net,
       jsonb_array_length(i -> 'lines') AS lines
  FROM purser.invoice('ledger-c', 'episode', 'e1') AS i;
SELECT purser.invoice('ledger-c', 'website', 'e1') -> 'net' AS website, purser.invoice('ledger-c', 'episode', 'e2') AS nothing,
       purser.invoice('ledger-a', 'episode', 'e1') AS not_mine;
SELECT tried($$SELECT purser.charge_credits('ledger-c', 1, 'r', 'half', 'episode', NULL)$$);
SELECT tried($$SELECT purser.charge_credits('ledger-c', 1, 'r', 'half', NULL, 'e1')$$);

-- The views for people say the same.
SELECT entry_id, direction, reason, amount, balance_after, resource_type, resource_id, resource_title, correlation_id, refund_of
  FROM purser.ledger_entries WHERE account_id = 'ledger-c' ORDER BY created_at, entry_id;
SELECT account_id, sum(CASE direction WHEN 'CREDIT' THEN amount ELSE -amount END) AS sum_of_entries,
       purser.credit_balance(account_id) AS balance,
       (SELECT sum(remaining) FROM purser.grants AS g WHERE g.account_id = l.account_id AND g.wallet = 'credits') AS sum_of_grants
  FROM purser.ledger_entries AS l WHERE account_id LIKE 'ledger-%' AND wallet = 'credits' GROUP BY account_id ORDER BY 1;
