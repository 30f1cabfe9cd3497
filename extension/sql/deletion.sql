-- Complete deletion of a user: where the users are, what happens to rows that refer to them, the dry
-- run and the deletion. What touches the application's tables runs with the caller's rights, so
-- that their triggers get no others; only purser's own tables are written as the owner.
-- Statements are made for one run: compiling them costs more than it saves, so jit is off.
-- Lock order: the user's row, then the account with all that belongs to it, then the application's
-- rows from parents to children.

CREATE TABLE purser.user_source (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  table_schema text COLLATE "C" NOT NULL,
  table_name text COLLATE "C" NOT NULL,
  id_column text COLLATE "C" NOT NULL,
  email_column text COLLATE "C" NOT NULL,
  storage_prefix text,
  actor text NOT NULL,
  configured_at timestamptz NOT NULL
);
COMMENT ON TABLE purser.user_source IS 'How the application''s users are found; set with purser.configure_users(). storage_prefix has {id} where the user''s id goes.';

CREATE TABLE purser.deletion_rule (
  table_schema text COLLATE "C" NOT NULL,
  table_name text COLLATE "C" NOT NULL,
  column_name text COLLATE "C" NOT NULL,
  rule text COLLATE "C" NOT NULL CHECK (rule IN ('delete', 'set_null', 'refuse')),
  actor text NOT NULL,
  decided_at timestamptz NOT NULL,
  PRIMARY KEY (table_schema, table_name, column_name)
);
COMMENT ON TABLE purser.deletion_rule IS 'What happens to rows that refer to a deleted user''s rows, where the foreign key alone should not decide; set with purser.deletion_rule(). An empty column_name stands for every foreign key of the table.';

CREATE FUNCTION purser.configure_users(
  users_table regclass,
  id_column name,
  email_column name,
  storage_prefix text DEFAULT NULL,
  actor text DEFAULT session_user
) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  named record;
  absent name;
BEGIN
  PERFORM purser._checked_id(actor, 'actor'), purser._checked_id(id_column::text, 'id_column'),
          purser._checked_id(email_column::text, 'email_column');
  SELECT n.nspname, c.relname, c.relkind, c.relispartition, c.relpersistence INTO named
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.oid = users_table;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'argument "users_table" names no table'
      USING ERRCODE = 'PU014', HINT = 'Pass the table of users, such as ''public.users''.';
  END IF;
  IF named.relkind NOT IN ('r', 'p') OR named.relispartition OR named.relpersistence = 't' THEN
    RAISE EXCEPTION '%.% cannot be the table of users', named.nspname, named.relname
      USING ERRCODE = 'PU014',
            DETAIL = 'It is a view, a foreign table, a partition or a temporary table.',
            HINT = 'Name a plain table, or the partitioned table itself.';
  END IF;
  SELECT wanted.name INTO absent
    FROM unnest(ARRAY[id_column, email_column]) AS wanted (name)
   WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = users_table AND a.attname = wanted.name
                        AND a.attnum > 0 AND NOT a.attisdropped)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'table %.% has no column "%"', named.nspname, named.relname, absent
      USING ERRCODE = 'PU014', HINT = 'Name the columns that hold the user''s id and e-mail address.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_index AS i
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                  WHERE i.indrelid = users_table AND a.attname = id_column
                    AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1
                    AND i.indpred IS NULL) THEN
    RAISE EXCEPTION 'column "%" of %.% is not unique', id_column, named.nspname, named.relname
      USING ERRCODE = 'PU014',
            DETAIL = 'One id must name one user: deleting two rows by mistake cannot be taken back.',
            HINT = 'Use the primary key, or add a unique index that is not partial.';
  END IF;
  IF storage_prefix IS NOT NULL
     AND (storage_prefix NOT LIKE '%{id}%' OR storage_prefix NOT LIKE '%/'
          OR storage_prefix LIKE '/%' OR storage_prefix ~ '(^|/)\.{1,2}/' OR storage_prefix ~ '[[:cntrl:]]'
          OR octet_length(storage_prefix) > 255) THEN
    RAISE EXCEPTION 'storage prefix "%" is not usable', left(storage_prefix, 100)
      USING ERRCODE = 'PU014',
            DETAIL = 'It must contain {id}, end with "/" so that users/1/ never takes users/10/, not begin with one, and have no "." or ".." step.',
            HINT = 'For example users/{id}/.';
  END IF;
  INSERT INTO purser.user_source AS known
         (table_schema, table_name, id_column, email_column, storage_prefix, actor, configured_at)
  VALUES (named.nspname, named.relname, id_column, email_column, storage_prefix, actor, purser.clock())
  ON CONFLICT (singleton) DO UPDATE
     SET table_schema = excluded.table_schema,
         table_name = excluded.table_name,
         id_column = excluded.id_column,
         email_column = excluded.email_column,
         storage_prefix = excluded.storage_prefix,
         actor = excluded.actor,
         configured_at = excluded.configured_at;
  PERFORM purser._audit(actor, 'users.configured', NULL, 'table', format('%I.%I', named.nspname, named.relname),
                        jsonb_build_object('id_column', id_column, 'email_column', email_column,
                                           'storage_prefix', storage_prefix));
END
$$;
COMMENT ON FUNCTION purser.configure_users(regclass, name, name, text, text) IS
  'Tells purser where the application keeps its users: the table, the unique column whose text is the account id, the column with the e-mail address, and the prefix of a user''s objects in storage, such as users/{id}/. One table; a second call replaces the first.';

CREATE FUNCTION purser.deletion_rule(
  table_name regclass,
  rule text,
  column_name name DEFAULT NULL,
  actor text DEFAULT session_user
) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  named record;
BEGIN
  PERFORM purser._checked_id(actor, 'actor');
  IF rule IS NULL OR rule NOT IN ('delete', 'set_null', 'refuse') THEN
    RAISE EXCEPTION 'unknown deletion rule "%"', left(rule, 100)
      USING ERRCODE = 'PU014', HINT = 'Use delete, set_null or refuse.';
  END IF;
  SELECT n.nspname, c.relname INTO named
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.oid = deletion_rule.table_name AND c.relkind IN ('r', 'p');
  IF NOT FOUND THEN
    RAISE EXCEPTION 'argument "table_name" names no table'
      USING ERRCODE = 'PU014', HINT = 'Pass the table whose rows refer to a user''s rows, such as ''public.comments''.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_constraint AS k
                   LEFT JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                  WHERE k.conrelid = deletion_rule.table_name AND k.contype = 'f'
                    AND (deletion_rule.column_name IS NULL OR a.attname = deletion_rule.column_name)) THEN
    RAISE EXCEPTION 'table %.% has no foreign key%', named.nspname, named.relname,
                    coalesce(' on column "' || deletion_rule.column_name || '"', '')
      USING ERRCODE = 'PU014', HINT = 'A rule says what a foreign key means; name the column that refers.';
  END IF;
  INSERT INTO purser.deletion_rule AS known (table_schema, table_name, column_name, rule, actor, decided_at)
  VALUES (named.nspname, named.relname, coalesce(deletion_rule.column_name::text, ''), deletion_rule.rule,
          deletion_rule.actor, purser.clock())
  ON CONFLICT ON CONSTRAINT deletion_rule_pkey DO UPDATE
     SET rule = excluded.rule, actor = excluded.actor, decided_at = excluded.decided_at;
  PERFORM purser._audit(deletion_rule.actor, 'deletion_rule.set', NULL, 'table',
                        format('%I.%I', named.nspname, named.relname),
                        jsonb_build_object('rule', deletion_rule.rule, 'column', deletion_rule.column_name));
END
$$;
COMMENT ON FUNCTION purser.deletion_rule(regclass, text, name, text) IS
  'Decides what happens to rows of a table that refer to rows being deleted, by one foreign-key column or by all of the table: delete them (even rows that name another user), set_null the reference and keep them, or refuse the deletion. Overrides the foreign key''s own ON DELETE. The rule for a column goes before the one for its table.';

CREATE FUNCTION purser.remove_deletion_rule(
  table_name text,
  column_name name DEFAULT NULL,
  actor text DEFAULT session_user
) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names text[];
  removed boolean;
BEGIN
  PERFORM purser._checked_id(actor, 'actor'), purser._checked_id(table_name, 'table_name');
  names := parse_ident(table_name);
  IF cardinality(names) <> 2 THEN
    RAISE EXCEPTION 'table name "%" has no schema', table_name
      USING ERRCODE = 'PU014', HINT = 'Name the table as purser.deletion_rule lists it, such as public.comments.';
  END IF;
  DELETE FROM purser.deletion_rule AS r
   WHERE r.table_schema = names[1] AND r.table_name = names[2]
     AND r.column_name = coalesce(remove_deletion_rule.column_name::text, '');
  removed := FOUND;
  IF removed THEN
    PERFORM purser._audit(actor, 'deletion_rule.removed', NULL, 'table', table_name,
                          jsonb_build_object('column', column_name));
  END IF;
  RETURN removed;
END
$$;
COMMENT ON FUNCTION purser.remove_deletion_rule(text, name, text) IS
  'Takes a rule back, so that the foreign key decides again. The table is named by text because it may be there no more. False when there was no such rule.';

CREATE FUNCTION purser.plan_user_deletion(
  user_id text,
  OUT step integer,
  OUT action text,
  OUT table_name text,
  OUT rows bigint,
  OUT path text,
  OUT warning text
) RETURNS SETOF record
  LANGUAGE c VOLATILE SECURITY INVOKER
  SET row_security = off
  SET jit = off
  AS 'MODULE_PATHNAME', 'purser_plan_user_deletion';
COMMENT ON FUNCTION purser.plan_user_deletion(text) IS
  'Dry run of delete_user(): what would happen in order, how many rows, how they were found, and what would refuse or slow it. Changes and locks nothing. Actions: set_null, delete, storage; collateral (rows of other users that need a rule) and refuse (what blocks it now). PU012 for an unknown user.';

CREATE FUNCTION purser.prepare_user_deletion(user_id text, actor text) RETURNS jsonb
  LANGUAGE c VOLATILE SECURITY INVOKER
  SET row_security = off
  SET jit = off
  AS 'MODULE_PATHNAME', 'purser_prepare_user_deletion';
COMMENT ON FUNCTION purser.prepare_user_deletion(text, text) IS
  'Makes a user deletable: suspends the account and cancels its subscription, audited. Returns what was changed. PU010 for an admin or superadmin, PU012 for an unknown user.';

CREATE FUNCTION purser.delete_user(
  user_id text,
  confirm_email text,
  actor text,
  override_reason text DEFAULT NULL
) RETURNS jsonb
  LANGUAGE c VOLATILE SECURITY INVOKER
  SET row_security = off
  SET jit = off
  AS 'MODULE_PATHNAME', 'purser_delete_user';
COMMENT ON FUNCTION purser.delete_user(text, text, text, text) IS
  'Deletes a user and everything that belongs to them by foreign keys, in this transaction, with the caller''s rights. The account must be inactive, without a paid subscription and no admin, and confirm_email must be the user''s address exactly; a superadmin may override the first two with a reason. Returns deleted_user_id, email, rows and set_null by table, total_rows, storage_path, storage_job_id, storage_status, duration_ms. PU009 when refused, PU012 for an unknown user, PU010 for want of rights.';
