-- DEL-1: how the application's users are found. Only a table and columns that can name one user each
-- are accepted, and what was configured is checked again at every use.
-- Runs before the other deletion files: they use the functions made here.
SET client_min_messages = warning;

-- Every row of every table of some schemas, as one hash: what is not deleted must not change.
CREATE FUNCTION public.contents(VARIADIC schemas text[]) RETURNS text
  LANGUAGE plpgsql
AS $$
DECLARE
  relation record;
  rows text;
  everything text := '';
BEGIN
  FOR relation IN
    SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY (schemas) ORDER BY 1, 2
  LOOP
    EXECUTE format('SELECT string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C") FROM %I.%I AS t',
                   relation.schemaname, relation.tablename) INTO rows;
    everything := everything || coalesce(rows, '') || '|';
  END LOOP;
  RETURN md5(everything);
END
$$;

-- Prepares and deletes a user whose address is id@example.com; says what went, by table.
CREATE FUNCTION public.erase(user_id text) RETURNS text
  LANGUAGE plpgsql
AS $$
DECLARE
  answer jsonb;
BEGIN
  PERFORM purser.prepare_user_deletion(user_id, 'tester');
  answer := purser.delete_user(user_id, user_id || '@example.com', 'tester');
  RETURN (answer -> 'rows')::text
         || CASE WHEN answer -> 'set_null' = '{}' THEN '' ELSE ' set null ' || (answer -> 'set_null')::text END;
END
$$;

SELECT tried($$SELECT purser.plan_user_deletion('1')$$);
SELECT tried($$SELECT purser.prepare_user_deletion('1', 'tester')$$);
SELECT tried($$SELECT purser.delete_user('1', '1@example.com', 'tester')$$);

CREATE SCHEMA found;
CREATE TABLE found.users (id bigint PRIMARY KEY, email text, nickname text, region text);
CREATE UNIQUE INDEX ON found.users (nickname) WHERE region = 'eu';
CREATE UNIQUE INDEX ON found.users (region, id);
CREATE VIEW found.people AS SELECT id, email FROM found.users;
CREATE TABLE found.members (id bigint PRIMARY KEY, email text) PARTITION BY RANGE (id);
CREATE TABLE found.members_1 PARTITION OF found.members FOR VALUES FROM (0) TO (100);
CREATE TEMP TABLE guests (id bigint PRIMARY KEY, email text);

SELECT tried($$SELECT purser.configure_users(NULL, 'id', 'email')$$);
SELECT tried($$SELECT purser.configure_users('found.nowhere', 'id', 'email')$$);
SELECT tried($$SELECT purser.configure_users('found.people', 'id', 'email')$$);
SELECT tried($$SELECT purser.configure_users('found.members_1', 'id', 'email')$$);
SELECT tried($$SELECT purser.configure_users('pg_temp.guests', 'id', 'email')$$) LIKE 'PU014 pg_temp%' AS temporary_refused;
SELECT tried($$SELECT purser.configure_users('found.users', 'uid', 'email')$$);
SELECT tried($$SELECT purser.configure_users('found.users', 'id', 'mail')$$);
SELECT tried($$SELECT purser.configure_users('found.users', NULL, 'email')$$);
SELECT tried($$SELECT purser.configure_users('found.users', 'email', 'email')$$);
SELECT tried($$SELECT purser.configure_users('found.users', 'nickname', 'email')$$);
SELECT tried($$SELECT purser.configure_users('found.users', 'region', 'email')$$);
SELECT tried(format('SELECT purser.configure_users(''found.users'', ''id'', ''email'', storage_prefix => %L)', prefix))
  FROM unnest(ARRAY['users/', 'users/{id}', '/users/{id}/', 'users/../{id}/', '../{id}/', './{id}/', E'users\n/{id}/', '']) AS prefix;
SELECT tried($$SELECT purser.configure_users('found.users', 'id', 'email', actor => '')$$);
SELECT count(*) FROM purser.user_source;

-- A second call replaces the first; both are audited.
SELECT purser.configure_users('found.members', 'id', 'email', actor => 'tester');
SELECT purser.configure_users('found.users', 'id', 'email', 'users/{id}/', 'tester');
SELECT table_schema, table_name, id_column, email_column, storage_prefix, actor FROM purser.user_source;
SELECT actor, action, resource_id, details FROM purser.audit_event WHERE action = 'users.configured' ORDER BY at;

-- Rules name tables and foreign keys that are there.
CREATE TABLE found.notes (id bigint PRIMARY KEY, user_id bigint REFERENCES found.users, body text);
SELECT tried($$SELECT purser.deletion_rule(NULL, 'delete')$$);
SELECT tried($$SELECT purser.deletion_rule('found.people', 'delete')$$);
SELECT tried($$SELECT purser.deletion_rule('found.users', 'delete')$$);
SELECT tried($$SELECT purser.deletion_rule('found.notes', NULL)$$);
SELECT tried($$SELECT purser.deletion_rule('found.notes', 'anonymise')$$);
SELECT tried($$SELECT purser.deletion_rule('found.notes', 'delete', 'body')$$);
SELECT tried($$SELECT purser.deletion_rule('found.notes', 'delete', 'nothing')$$);
SELECT tried($$SELECT purser.deletion_rule('found.notes', 'set_null', 'user_id', 'tester')$$);
SELECT tried($$SELECT purser.deletion_rule('found.notes', 'refuse', 'user_id', 'tester')$$);
SELECT table_schema, table_name, column_name, rule, actor FROM purser.deletion_rule;

-- What is there no more is named, and nothing is deleted.
INSERT INTO found.users VALUES (1, '1@example.com');
ALTER TABLE found.notes RENAME COLUMN user_id TO author_id;
SELECT tried($$SELECT purser.plan_user_deletion('1')$$);
DROP TABLE found.notes;
SELECT tried($$SELECT erase('1')$$);
SELECT tried($$SELECT purser.remove_deletion_rule('notes', 'user_id', 'tester')$$);
SELECT tried($$SELECT purser.remove_deletion_rule('found.notes', NULL, 'tester')$$);
SELECT tried($$SELECT purser.remove_deletion_rule('found.notes', 'user_id', 'tester')$$);
ALTER TABLE found.users RENAME COLUMN email TO mail;
SELECT tried($$SELECT erase('1')$$);
ALTER TABLE found.users RENAME COLUMN mail TO email;
ALTER TABLE found.users DROP CONSTRAINT users_pkey;
SELECT tried($$SELECT erase('1')$$);
DROP TABLE found.users CASCADE;
SELECT tried($$SELECT erase('1')$$);
DROP SCHEMA found CASCADE;
