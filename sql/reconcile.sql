-- LED-8: whatever is changed in the books or the counters by hand, reconcile() names the violation. LED-1's chain is in ledger.sql.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

SELECT purser.publish_plan('books-plan', '{"name": "Rec", "features": {"chat_messages": 5, "minutes": 100, "interviews": 5}}', 'tester', 'x') ->> 'version' AS version;
SELECT purser.subscribe('books-a', 'books-plan', 'tester');
SELECT count(purser.grant_credits('books-a', 100, kind, kind)) FROM unnest('{monthly, purchased}'::text[]) AS kind;
SELECT count(purser.charge_credits('books-a', 30 * n, 'work', 'c' || n, 'job', 'j' || n)) FROM generate_series(1, 3) AS n;
SELECT entry_id, allocations FROM purser.refund_credits('books-a', 'credits/5', 70, 'partly', 'r1');
SELECT entry_id FROM purser.grant_credits('books-a', 5, 'promotional', 'short', '2026-03-11');
SELECT entry_id FROM purser.charge_credits('books-a', 5, 'work', 'c4');
SET purser.now = '2026-03-12 12:00+00';
-- Gives back to a new grant, the old one has expired.
SELECT entry_id, allocations FROM purser.refund_credits('books-a', 'credits/8', 2, 'failed', 'r2');
SELECT count(purser.check_and_increment('books-a', 'chat_messages', 2)), count(purser.hold_quota('books-a', 'minutes', 7, '1 day', 'h'));
SET purser.now = '2026-03-13 12:00+00';
SELECT count(purser.check_and_increment('books-a', 'chat_messages', 1)), count(purser.stripe_quota('books-a', 'interviews', 2, 'tester'));
SELECT count(purser.grant_credits('books-b', 10, 'purchased', 'g'));
-- Many grants, so that some are aside of the row.
SELECT count(purser.grant_credits('books-many', 1, 'purchased', 'g' || n, priority => 30 - n)) FROM generate_series(1, 20) AS n;

SELECT count(purser.grant_credits('books-hold', 10, kind, kind)) FROM unnest('{monthly, purchased}'::text[]) AS kind;
SELECT hold_id, allocations FROM purser.hold_credits('books-hold', 15, 'work', '1 day', 'open');
SELECT entry_id, allocations FROM purser.capture_credits('books-hold', 'open', 12, 'first', final => false);
SELECT entry_id FROM purser.capture_credits('books-hold', (purser.hold_credits('books-hold', 2, 'work', '1 day', 'done')).hold_id, 1);

SELECT * FROM purser.reconcile('books-a');
SELECT * FROM purser.reconcile('books-hold');
SELECT * FROM purser.reconcile('books-many');
SELECT * FROM purser.reconcile('books-nobody');
-- Everything the files before this one have written.
SELECT * FROM purser.reconcile();

-- Runs one act by hand, shows what is found, and takes it back.
CREATE FUNCTION pg_temp.after(act text, account text DEFAULT 'books-a') RETURNS TABLE (path text, rule text, message text)
  LANGUAGE plpgsql
AS $$
BEGIN
  EXECUTE act;
  RETURN QUERY SELECT v.path, v.rule, v.message FROM purser.reconcile(account) AS v ORDER BY v.path COLLATE "C", v.rule COLLATE "C", v.message COLLATE "C";
  IF (SELECT array_agg(v ORDER BY v) FROM purser.reconcile(account) AS v) IS DISTINCT FROM
     (SELECT array_agg(v ORDER BY v) FROM purser.reconcile() AS v WHERE v.path LIKE account || '%')
     OR EXISTS (SELECT FROM purser.reconcile('books-b')) THEN
    RAISE WARNING 'found for another account, or not among all accounts';
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'ZZ999';
EXCEPTION WHEN SQLSTATE 'ZZ999' THEN
  NULL;
END
$$;

-- Rows without the row they belong to.
SELECT * FROM pg_temp.after($$SET LOCAL session_replication_role = replica; DELETE FROM purser.account WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.wallet WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET status = 'banned' WHERE account_id = 'books-a'$$);

-- The wallet.
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET balance_micros = balance_micros + 1 WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET last_entry_no = 99 WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET last_grant_id = 99 WHERE account_id = 'books-a'$$);

-- Its lots: credits that nobody granted, that moved from one grant to another, that are owed.
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_remaining_micros[1] = lot_remaining_micros[1] + 1000000 WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_remaining_micros[1] = lot_remaining_micros[1] + 1000000, lot_remaining_micros[2] = lot_remaining_micros[2] - 1000000 WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_remaining_micros[2] = lot_remaining_micros[2] + 2000000, lot_held_micros[2] = -2000000 WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_grant_ids[1] = 77 WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_kinds[1] = 'gift' WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_expires_at[1] = '2030-01-01' WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$
  UPDATE purser.wallet
     SET lot_grant_ids = lot_grant_ids[2:2] || lot_grant_ids[1:1] || lot_grant_ids[3:], lot_kinds = lot_kinds[2:2] || lot_kinds[1:1] || lot_kinds[3:],
         lot_priorities = lot_priorities[2:2] || lot_priorities[1:1] || lot_priorities[3:],
         lot_expires_at = lot_expires_at[2:2] || lot_expires_at[1:1] || lot_expires_at[3:],
         lot_remaining_micros = lot_remaining_micros[2:2] || lot_remaining_micros[1:1] || lot_remaining_micros[3:],
         lot_held_micros = lot_held_micros[2:2] || lot_held_micros[1:1] || lot_held_micros[3:] WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$
  UPDATE purser.wallet
     SET lot_grant_ids = lot_grant_ids[1:1] || lot_grant_ids, lot_kinds = lot_kinds[1:1] || lot_kinds, lot_priorities = lot_priorities[1:1] || lot_priorities,
         lot_expires_at = lot_expires_at[1:1] || lot_expires_at, lot_remaining_micros = 0::bigint || lot_remaining_micros,
         lot_held_micros = 0::bigint || lot_held_micros WHERE account_id = 'books-a'$$);
-- Aside of the row.
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_tail = jsonb_set(lot_tail, '{remaining_micros, 1}', '3000000') WHERE account_id = 'books-many'$$, 'books-many');
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_tail = NULL WHERE account_id = 'books-many'$$, 'books-many');
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_tail = jsonb_set(lot_tail, '{priorities, 1}', '90') WHERE account_id = 'books-many'$$, 'books-many');

-- Entries. Each edit by itself, and what follows from it.
SELECT column_name, value, v.*
  FROM (VALUES ('amount', '61'), ('amount', '''NaN'''), ('amount', '-60'), ('amount', '60.0000001'), ('direction', '''CREDIT'''), ('direction', '''GIFT'''),
               ('balance_after', '111'), ('balance_after', '-1'), ('allocations', '''[]'''), ('allocations', '''{"not": "a list"}'''),
               ('allocations', $$'[{"kind": "monthly", "amount": "sixty", "grant_id": 1}]'$$),
               ('allocations', $$'[{"kind": "monthly", "amount": 60, "grant_id": "x"}]'$$),
               ('allocations', $$'[{"kind": "purchased", "amount": 60, "grant_id": 2}]'$$), ('allocations', $$'[{"kind": "gift", "amount": 60, "grant_id": 1}]'$$),
               ('allocations', $$'[{"kind": "monthly", "amount": 60, "grant_id": 7}]'$$), ('entry_no', '40'), ('resource_id', '''j9'''))
         AS edits (column_name, value),
       LATERAL pg_temp.after(format('UPDATE purser.ledger SET %I = %s WHERE account_id = %L AND entry_no = 4', column_name, value, 'books-a')) AS v;
SELECT * FROM pg_temp.after($$DELETE FROM purser.ledger WHERE account_id = 'books-a' AND entry_no = 3$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.ledger WHERE account_id = 'books-a' AND entry_no = 9$$);

-- Grants.
SELECT column_name, value, v.*
  FROM (VALUES ('amount', '99'), ('kind', '''gift'''), ('entry_no', '2'), ('entry_no', '4'), ('grant_id', '88'), ('priority', '11'))
         AS edits (column_name, value),
       LATERAL pg_temp.after(format('UPDATE purser.credit_grant SET %I = %s WHERE account_id = %L AND grant_id = 1', column_name, value, 'books-a')) AS v;
SELECT * FROM pg_temp.after($$DELETE FROM purser.credit_grant WHERE account_id = 'books-a' AND grant_id = 2$$);
-- More taken from a grant than it ever had, while every other sum is right.
SELECT * FROM pg_temp.after($$
  UPDATE purser.ledger SET allocations = '[{"kind": "monthly", "amount": 80, "grant_id": 1}, {"kind": "purchased", "amount": 10, "grant_id": 2}]'
   WHERE account_id = 'books-a' AND entry_no = 5$$);

-- Refunds.
SELECT column_name, value, v.*
  FROM (VALUES ('refund_of', '99'), ('refund_of', '1'), ('refund_of', '6'), ('refund_of', '3'), ('resource_id', '''j1'''), ('direction', '''DEBIT'''),
               ('allocations', $$'[{"kind": "monthly", "amount": 70, "grant_id": 1}]'$$))
         AS edits (column_name, value),
       LATERAL pg_temp.after(format('UPDATE purser.ledger SET %I = %s WHERE account_id = %L AND entry_no = 6', column_name, value, 'books-a')) AS v;
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET refund_of = 4, resource_id = 'j2' WHERE account_id = 'books-a' AND entry_no = 9$$);

-- Holds.
SELECT column_name, value, v.*
  FROM (VALUES ('captured', '11'), ('amount', '16'), ('parts', $$'[{"kind": "purchased", "amount": 4, "grant_id": 2}]'$$),
               ('parts', $$'[{"kind": "monthly", "amount": 3, "grant_id": 1}]'$$), ('expires_at', '''2030-01-01'''), ('hold_id', '''other'''))
         AS edits (column_name, value),
       LATERAL pg_temp.after(format('UPDATE purser.credit_hold SET %I = %s WHERE account_id = %L AND hold_id = %L', column_name, value, 'books-hold', 'open'), 'books-hold') AS v;
SELECT * FROM pg_temp.after($$UPDATE purser.credit_hold SET state = 'released', ended_at = created_at, parts = '[]' WHERE account_id = 'books-hold' AND hold_id = 'open'$$, 'books-hold');
SELECT * FROM pg_temp.after($$DELETE FROM purser.credit_hold WHERE account_id = 'books-hold' AND hold_id = 'done'$$, 'books-hold');
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET lot_held_micros[1] = 0, lot_remaining_micros[1] = lot_remaining_micros[1] + lot_held_micros[1] WHERE account_id = 'books-hold'$$, 'books-hold');
SELECT * FROM pg_temp.after($$UPDATE purser.wallet SET holds_until = 'infinity' WHERE account_id = 'books-hold'$$, 'books-hold');
SELECT * FROM pg_temp.after($$UPDATE purser.ledger SET direction = 'CREDIT' WHERE account_id = 'books-hold' AND hold_id = 'done'$$, 'books-hold');

-- Counters.
SELECT * FROM pg_temp.after($$UPDATE purser.entitlement SET lifetime = 0 WHERE account_id = 'books-a' AND feature = 'chat_messages'$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.usage_period WHERE account_id = 'books-a' AND feature = 'chat_messages'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.entitlement SET held = 0 WHERE account_id = 'books-a' AND feature = 'minutes'$$);
SELECT * FROM pg_temp.after($$UPDATE purser.quota_hold SET state = 'released', ended_at = created_at WHERE account_id = 'books-a'$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.entitlement_stripe WHERE account_id = 'books-a' AND stripe = 1$$);
SELECT * FROM pg_temp.after($$UPDATE purser.entitlement_stripe SET available = -1 WHERE account_id = 'books-a' AND stripe = 1$$);
SELECT * FROM pg_temp.after($$DELETE FROM purser.entitlement WHERE account_id = 'books-a' AND feature = 'chat_messages'$$);

-- All is back as it was.
SELECT * FROM purser.reconcile();
