-- What the border promises, shown with functions that fail on purpose (border.cpp). Prints one line
-- for each promise, "ok …" or "FAILED …". psql runs it with the variable `module`, the library's path.
\set QUIET on
\set ON_ERROR_STOP on
\set VERBOSITY verbose
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;

CREATE SCHEMA border;
CREATE TYPE border.pair AS (n integer, name text);
CREATE FUNCTION border.live() RETURNS integer LANGUAGE c AS :'module', 'border_live';
CREATE FUNCTION border.resident() RETURNS bigint LANGUAGE c AS :'module', 'border_resident';
CREATE FUNCTION border.fail(how text) RETURNS text LANGUAGE c AS :'module', 'border_fail';
CREATE FUNCTION border.run(statement text) RETURNS bigint LANGUAGE c AS :'module', 'border_run';
CREATE FUNCTION border.value(statement text) RETURNS text LANGUAGE c AS :'module', 'border_value';
CREATE FUNCTION border.kept(amount numeric) RETURNS numeric LANGUAGE c AS :'module', 'border_kept';
CREATE FUNCTION border.guard_restores() RETURNS boolean LANGUAGE c AS :'module', 'border_guard_restores';
CREATE FUNCTION border.throw_in_guard() RETURNS void LANGUAGE c AS :'module', 'border_throw_in_guard';
CREATE FUNCTION border.sleep(seconds double precision) RETURNS void LANGUAGE c AS :'module', 'border_sleep';
CREATE FUNCTION border.rows(n integer, fail_after integer) RETURNS SETOF border.pair
  LANGUAGE c AS :'module', 'border_rows';
CREATE FUNCTION border.pair(n integer, name text) RETURNS border.pair LANGUAGE c AS :'module', 'border_pair';
CREATE FUNCTION border.trigger() RETURNS trigger LANGUAGE c AS :'module', 'border_trigger';
CREATE FUNCTION border.fail_at_commit(how text) RETURNS void LANGUAGE c AS :'module', 'border_fail_at_commit';

CREATE FUNCTION border.check(promise text, got text, wanted text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN got IS NOT DISTINCT FROM wanted AND border.live() = 0 THEN 'ok ' || promise
              ELSE format('FAILED %s: got <%s>, wanted <%s>, %s objects not destroyed',
                          promise, got, wanted, border.live()) END;
$$;

-- Every field of the error a statement ends with.
CREATE TYPE border.diagnosis AS (
  state text, message text, detail text, hint text, context text,
  schema_name text, table_name text, column_name text, constraint_name text, type_name text
);
CREATE FUNCTION border.diagnose(statement text) RETURNS border.diagnosis LANGUAGE plpgsql AS $$
DECLARE
  d border.diagnosis;
BEGIN
  EXECUTE statement;
  RETURN d;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS
    d.state = RETURNED_SQLSTATE, d.message = MESSAGE_TEXT, d.detail = PG_EXCEPTION_DETAIL,
    d.hint = PG_EXCEPTION_HINT, d.context = PG_EXCEPTION_CONTEXT, d.schema_name = SCHEMA_NAME,
    d.table_name = TABLE_NAME, d.column_name = COLUMN_NAME, d.constraint_name = CONSTRAINT_NAME,
    d.type_name = PG_DATATYPE_NAME;
  RETURN d;
END
$$;
-- The first four of them.
CREATE FUNCTION border.error_of(statement text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' | ', (d).state, (d).message, (d).detail, (d).hint) FROM border.diagnose(statement) AS d;
$$;

-- Large enough for the server to give its memory back at once.
SELECT border.check('a value made beside a connection outlives it',
  md5(border.value($$SELECT repeat('purser', 500000)$$)), md5(repeat('purser', 500000)));

-- Upwards: C++ exceptions ---------------------------------------------------------------------------

SELECT border.check('an error of the rules keeps its SQLSTATE, message, detail and hint',
  border.error_of($$SELECT border.fail('error')$$),
  'PU002 | balance 1, required 2 | {"shortfall": 1} | Grant credits first.');
SELECT border.check('an error without detail and hint has none',
  border.error_of($$SELECT border.fail('bare error')$$), 'PU014 | argument is bad |  | ');
SELECT border.check('percent signs are text',
  border.error_of($$SELECT border.fail('percent')$$), 'PU014 | 100% of %s | %d | %n');
SELECT border.check('std::bad_alloc is out of memory',
  border.error_of($$SELECT border.fail('bad_alloc')$$), '53200 | out of memory |  | ');
SELECT border.check('an allocation that fails is out of memory',
  border.error_of($$SELECT border.fail('no memory')$$), '53200 | out of memory |  | ');
SELECT border.check('std::runtime_error is an internal error that says so',
  border.error_of($$SELECT border.fail('runtime_error')$$),
  'XX000 | a rule of purser is broken | This is a defect in purser.'
  ' | Please report it with the statement that led to it.');
SELECT border.check('an unknown exception is an internal error',
  (border.diagnose($$SELECT border.fail('unknown')$$)).state, 'XX000');
SELECT border.check('the context names the PL/pgSQL caller',
  ((border.diagnose($$DO 'BEGIN PERFORM border.fail(''error''); END'$$)).context
    LIKE '%PL/pgSQL function inline_code_block line 1 at PERFORM%')::text, 'true');
SELECT border.check('the same function works after each of them', border.fail('success'), 'returned');

-- Downwards: errors of PostgreSQL below C++ objects ---------------------------------------------------

CREATE TABLE border.ledger (
  amount numeric CONSTRAINT positive CHECK (amount > 0),
  note text NOT NULL
);
CREATE FUNCTION border.raise_all() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a message' USING ERRCODE = 'PU007', DETAIL = 'A detail.', HINT = 'A hint.',
    COLUMN = 'a column', CONSTRAINT = 'a constraint', DATATYPE = 'a type', TABLE = 'a table',
    SCHEMA = 'a schema';
END
$$;

SELECT border.check('an error of PostgreSQL keeps every field through C++',
  (jsonb_agg(to_jsonb(border.diagnose(s)) - 'context') -> 0)::text,
  (jsonb_agg(to_jsonb(border.diagnose(s)) - 'context') -> 1)::text)
  FROM unnest(ARRAY[$$SELECT border.run('SELECT border.raise_all()')$$, $$SELECT border.raise_all()$$]) AS s;
SELECT border.check('and the fields are those that were raised',
  (to_jsonb(border.diagnose($$SELECT border.run('SELECT border.raise_all()')$$)) - 'context')::text,
  jsonb_build_object('state', 'PU007', 'message', 'a message', 'detail', 'A detail.', 'hint', 'A hint.',
    'schema_name', 'a schema', 'table_name', 'a table', 'column_name', 'a column',
    'constraint_name', 'a constraint', 'type_name', 'a type')::text);
SELECT border.check('its context keeps the inner frames and gains the outer ones',
  regexp_replace((border.diagnose($$SELECT border.run('SELECT border.raise_all()')$$)).context, '\n', ' / ', 'g'),
  'PL/pgSQL function border.raise_all() line 3 at RAISE / SQL statement "SELECT border.raise_all()"'
  ' / SQL statement "SELECT border.run(''SELECT border.raise_all()'')"'
  ' / PL/pgSQL function border.diagnose(text) line 5 at EXECUTE');
SELECT border.check('a violated constraint is named',
  format('%s %s.%s %s', (d).state, (d).schema_name, (d).table_name, (d).constraint_name),
  '23514 border.ledger positive')
  FROM border.diagnose($$SELECT border.run('INSERT INTO border.ledger VALUES (-1, '''')')$$) AS d;
SELECT border.check('a column that must not be null is named',
  format('%s %s', (d).state, (d).column_name), '23502 note')
  FROM border.diagnose($$SELECT border.run('INSERT INTO border.ledger VALUES (1, NULL)')$$) AS d;
SELECT border.check('a syntax error is the error of the inner statement',
  (border.diagnose($$SELECT border.run('SELEKT 1')$$)).state, '42601');
SELECT border.check('a kept plan works after it failed',
  border.error_of('SELECT border.kept(0)') || ' | ' || border.kept(4)::text,
  '22012 | division by zero |  |  | 0.000001');
SELECT border.check('the guard leaves the server''s own stacks and memory context as they were',
  border.error_of('SELECT border.guard_restores()'), '22012 | raised below the guard |  | ');
SELECT border.check('what is added to the context below the guard stays',
  ((border.diagnose('SELECT border.guard_restores()')).context LIKE 'inner%')::text, 'true');
SELECT border.check('a C++ exception below the guard arrives as well',
  border.error_of('SELECT border.throw_in_guard()'),
  'PU002 | balance 1, required 2 | {"shortfall": 1} | Grant credits first.');
SELECT border.check('and PostgreSQL can raise errors after it',
  border.error_of('SELECT 1 / 0'), '22012 | division by zero |  | ');

-- Up and down again -----------------------------------------------------------------------------------

SELECT border.check('C++ below SQL below C++ keeps the innermost error',
  border.error_of($$SELECT border.run('SELECT border.run(''SELECT border.fail(''''error'''')'')')$$),
  'PU002 | balance 1, required 2 | {"shortfall": 1} | Grant credits first.');
SELECT border.check('so does PL/pgSQL between them',
  border.error_of($$SELECT border.run('DO ''BEGIN PERFORM border.run(''''SELECT 1 / 0''''); END''')$$),
  '22012 | division by zero |  | ');
SELECT border.check('an inner failure that PL/pgSQL handles lets the outer C++ go on',
  border.run($$SELECT border.error_of('SELECT border.fail(''error'')') FROM generate_series(1, 3)$$)::text, '3');
SELECT border.check('an inner success is a success',
  border.run($$SELECT border.run('SELECT border.fail(''success'')')$$)::text, '1');

-- Subtransactions, cursors, triggers, sets, callbacks -------------------------------------------------

DO $$
DECLARE
  i integer;
BEGIN
  FOR i IN 1..100 LOOP
    BEGIN
      INSERT INTO border.ledger VALUES (i, 'kept');
      IF i % 2 = 0 THEN
        PERFORM border.fail('error');
      ELSIF i % 3 = 0 THEN
        PERFORM border.run('SELECT 1 / 0');
      END IF;
    EXCEPTION WHEN SQLSTATE 'PU002' OR division_by_zero THEN
      NULL;
    END;
  END LOOP;
END
$$;
SELECT border.check('an exception block undoes what a failed call saw, and only that',
  count(*)::text, '33') FROM border.ledger;

BEGIN;
DECLARE rows CURSOR FOR
  SELECT CASE WHEN i = 5 THEN border.fail('error') ELSE border.fail('success') END FROM generate_series(1, 9) AS i;
FETCH 4 FROM rows \g /dev/null
SAVEPOINT before;
\set ON_ERROR_STOP off
FETCH 1 FROM rows;
\set failed_with :LAST_ERROR_SQLSTATE
ROLLBACK TO before;
\set ON_ERROR_STOP on
SELECT border.check('a cursor fails with the error of its row', :'failed_with', 'PU002');
SELECT border.check('and the transaction goes on from its savepoint', border.fail('success'), 'returned');
COMMIT;

CREATE TABLE border.guarded (n integer);
CREATE TRIGGER guard BEFORE INSERT ON border.guarded FOR EACH ROW WHEN (new.n < 0)
  EXECUTE FUNCTION border.trigger('error');
CREATE TRIGGER pass BEFORE INSERT ON border.guarded FOR EACH ROW EXECUTE FUNCTION border.trigger('success');
SELECT border.check('a trigger fails the statement with its error',
  border.error_of('INSERT INTO border.guarded SELECT 3 - n FROM generate_series(1, 9) AS n'),
  'PU002 | balance 1, required 2 | {"shortfall": 1} | Grant credits first.');
INSERT INTO border.guarded VALUES (1), (2);
SELECT border.check('nothing of that statement stays', count(*)::text, '2') FROM border.guarded;
SELECT border.check('a trigger fails below C++ as well',
  border.error_of($$SELECT border.run('INSERT INTO border.guarded VALUES (-1)')$$),
  'PU002 | balance 1, required 2 | {"shortfall": 1} | Grant credits first.');

SELECT border.check('a set is returned whole',
  string_agg(name, ', '), 'row 0, row 1, row 2') FROM border.rows(3, -1);
SELECT border.check('a set that fails midway returns nothing but its error',
  border.error_of('SELECT * FROM border.rows(1000, 900)'),
  'PU002 | balance 1, required 2 | {"shortfall": 1} | Grant credits first.');
SELECT border.check('a row is returned whole', border.pair(7, 'seven')::text, '(7,seven)');
SELECT border.check('one call site returns rows after one that failed',
  string_agg(coalesce((border.diagnose(format('SELECT border.pair(%s, ''a'')', n))).state, 'fine'), ', '),
  'PU002, fine, PU002') FROM unnest(ARRAY[-1, 1, -1]) AS n;

\set ON_ERROR_STOP off
BEGIN;
INSERT INTO border.guarded VALUES (3);
SELECT border.fail_at_commit('error') \g /dev/null
COMMIT;
\set failed_with :LAST_ERROR_SQLSTATE
SELECT border.check('a callback that throws at commit fails the commit', :'failed_with', 'PU002');
BEGIN;
INSERT INTO border.guarded VALUES (4);
SELECT border.fail_at_commit('sql error') \g /dev/null
COMMIT;
\set failed_with :LAST_ERROR_SQLSTATE
\set failed_because :LAST_ERROR_MESSAGE
SELECT border.check('so does one below which PostgreSQL raises', :'failed_with' || ' ' || :'failed_because',
  '22012 raised in a callback');
SELECT border.check('and their transactions left nothing', count(*)::text, '2') FROM border.guarded;

-- Cancelling ------------------------------------------------------------------------------------------

SET statement_timeout = '200ms';
SELECT border.sleep(30);
\set failed_with :LAST_ERROR_SQLSTATE
RESET statement_timeout;
SELECT border.check('a cancel reaches a call below the guard', :'failed_with', '57014');
SET statement_timeout = '200ms';
SELECT border.run('SELECT border.run(''SELECT pg_sleep(30)'')');
\set failed_with :LAST_ERROR_SQLSTATE
RESET statement_timeout;
SELECT border.check('a cancel unwinds C++ below SQL below C++', :'failed_with', '57014');
\set ON_ERROR_STOP on

-- Memory: after a warm-up, 100,000 calls take none; the rarer kinds a tenth of that -----------------------

CREATE PROCEDURE border.call_many(statement text, times integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..times LOOP
    BEGIN
      EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
END
$$;
CREATE FUNCTION border.grows(statement text, times integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint;
BEGIN
  CALL border.call_many(statement, times / 10);
  before := border.resident();
  CALL border.call_many(statement, times);
  RETURN border.resident() - before;
END
$$;
\if :{?calls}
\else
\set calls 100000
\endif
SELECT border.check(format('%s times %s takes no memory', times, statement),
    CASE WHEN grown < 1024 THEN 'none' ELSE grown || ' kB' END, 'none')
  FROM (VALUES ($$SELECT border.fail('success')$$, :calls), ($$SELECT border.fail('error')$$, :calls),
               ($$SELECT border.run('SELECT 1 / 0')$$, :calls),
               ($$SELECT border.fail('runtime_error')$$, :calls / 10),
               ($$SELECT border.kept(0)$$, :calls / 10), ($$SELECT border.guard_restores()$$, :calls / 10),
               ($$SELECT border.rows(3, 2)$$, :calls / 10), ($$SELECT border.pair(1, 'a')$$, :calls / 10)
       ) AS s (statement, times),
       LATERAL (SELECT border.grows(s.statement, s.times) AS grown) AS g;
SELECT 'end';
