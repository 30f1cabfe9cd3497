-- # A user is deleted, completely, and nobody else is touched
-- Said once: where the application's users are, and where their files lie.
SELECT purser.configure_users('public.users', 'id', 'email', storage_prefix => 'users/{id}/');

-- Maya asks to be forgotten. Deletion is for ever, so purser makes sure first: her account is still active.
--! PU009
SELECT purser.delete_user('42', 'maya@northlight.example', actor => 'support');

-- Suspended, she cannot be deleted either: someone is still paying for a plan.
SELECT purser.set_account_status('42', 'suspended', actor => 'support', reason => 'asked to be forgotten');

--! PU009
SELECT purser.delete_user('42', 'maya@northlight.example', actor => 'support');

-- One call makes an account ready to be deleted: inactive, and on the free plan.
SELECT purser.prepare_user_deletion('42', actor => 'support');

-- The e-mail must be typed exactly, so that a slip of the mouse deletes nobody.
--! PU009
SELECT purser.delete_user('42', 'maya@northlight.exmaple', actor => 'support');

-- The dry run. Nobody told purser about these tables: it follows the foreign keys from users, through any depth,
-- and says what it would do, in which order, to how many rows, and what is to be thought about first.
SELECT step, action, table_name, rows, path FROM purser.plan_user_deletion('42');
SELECT action, table_name, warning FROM purser.plan_user_deletion('42') WHERE warning IS NOT NULL;

-- 41 comments under Maya's episodes were written by others. Nobody has decided about them yet, so nothing happens.
--! PU009
SELECT purser.delete_user('42', 'maya@northlight.example', actor => 'support');

-- Decided: they keep their comments, which only lose the episode. And the index that somebody forgot is made.
SELECT purser.deletion_rule('public.comments', 'set_null', column_name => 'episode_id');
CREATE INDEX ON guidance (conversation_id);
SELECT step, action, table_name, rows, path, warning
  FROM purser.plan_user_deletion('42')
 WHERE table_name IN ('public.comments', 'public.guidance');

-- Counted by hand before the deletion, without purser: whose rows are there?
CREATE TEMPORARY TABLE before AS
SELECT table_name, count(*) FILTER (WHERE owner_id = 42) AS maya,
       count(*) FILTER (WHERE owner_id <> 42) AS others
  FROM row_owners
 GROUP BY table_name;

-- Now it happens: one transaction, children first, checked before it ends.
SELECT jsonb_pretty(purser.delete_user('42', 'maya@northlight.example', actor => 'support')) AS deleted;

-- Counted by hand again. Nothing of Maya is left; of everyone else, everything is.
SELECT before.table_name, before.maya AS maya_before, count(*) FILTER (WHERE owner_id = 42) AS maya_now,
       before.others AS others_before, count(*) FILTER (WHERE owner_id <> 42) AS others_now
  FROM before
  LEFT JOIN row_owners USING (table_name)
 GROUP BY before.table_name, before.maya, before.others
 ORDER BY before.others DESC;

--~
DO $$
BEGIN
    ASSERT NOT EXISTS (SELECT FROM row_owners WHERE owner_id = 42), 'rows of the deleted user are left';
    ASSERT (SELECT sum(others) FROM before) = (SELECT count(*) FROM row_owners), 'rows of other users are missing';
    ASSERT (SELECT count(*) FROM comments WHERE episode_id IS NULL) = 41, 'not all comments of others were kept';
    ASSERT NOT EXISTS (SELECT FROM purser.audit_event WHERE details::text LIKE '%northlight%'), 'the audit trail names her';
    ASSERT NOT EXISTS (SELECT FROM purser.verify_ledger()), 'the books are not in order';
END
$$;

-- Her files are outside the database; deleting them was queued in that same transaction.
SELECT kind, status, payload FROM purser.job;

-- Who did what stays on record, without her name or address.
SELECT action, actor, details ->> 'reason' AS reason, details ->> 'total_rows' AS rows
  FROM purser.audit_event
 WHERE account_id = '42'
 ORDER BY at;
