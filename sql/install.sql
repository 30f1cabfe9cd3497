-- OPS-1, ADM-3: CREATE EXTENSION works once and again, takes nothing that somebody prepared, and
-- leaves every object commented, closed to PUBLIC and carried by pg_dump.
-- Runs first: the files after it use the extension, the function tried() and the catalogue made here.
SET client_min_messages = warning;

-- A schema that was there before may hold anything: the installation refuses it. From 18 on the
-- context says where in the script.
\set SHOW_CONTEXT never
CREATE SCHEMA purser;
CREATE EXTENSION purser;
DROP SCHEMA purser;
\set SHOW_CONTEXT errors

-- Names that would suit better than the server's own are not taken, not even while installing.
CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE plpgsql
  AS $$BEGIN RAISE WARNING 'prepared format() was called'; RETURN $1; END$$;
CREATE FUNCTION public.joined(text, bigint) RETURNS text LANGUAGE plpgsql
  AS $$BEGIN RAISE WARNING 'prepared operator was called'; RETURN $1; END$$;
CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = bigint, FUNCTION = public.joined);
CREATE EXTENSION purser;
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS depends_on_prepared_object
  FROM pg_depend AS d
 WHERE d.classid IN ('pg_proc'::regclass, 'pg_rewrite'::regclass, 'pg_constraint'::regclass,
                     'pg_policy'::regclass, 'pg_attrdef'::regclass)
   AND ((d.refclassid = 'pg_proc'::regclass
         AND d.refobjid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace))
     OR (d.refclassid = 'pg_operator'::regclass
         AND d.refobjid IN (SELECT oid FROM pg_operator WHERE oprnamespace = 'public'::regnamespace)));
DROP OPERATOR public.|| (text, bigint);
DROP FUNCTION public.joined(text, bigint), public.format(text, text);

-- Every object says what it is.
SELECT p.oid::regprocedure AS function_without_comment
  FROM pg_proc AS p
 WHERE p.pronamespace = 'purser'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass AS relation_without_comment
  FROM pg_class AS c
 WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
   AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT t.oid::regtype AS type_without_comment
  FROM pg_type AS t
  LEFT JOIN pg_class AS c ON c.oid = t.typrelid
 WHERE t.typnamespace = 'purser'::regnamespace AND t.typelem = 0 AND coalesce(c.relkind, 'c') = 'c'
   AND obj_description(t.oid, 'pg_type') IS NULL;
SELECT obj_description('purser'::regnamespace, 'pg_namespace') IS NOT NULL AS schema_has_comment;

-- Nobody can call anything who was not named, and nobody but the owner can write a table.
SELECT p.oid::regprocedure AS function_open_to_public
  FROM pg_proc AS p
 WHERE p.pronamespace = 'purser'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE');
SELECT p.oid::regprocedure AS internal_function_granted, a.grantee::regrole
  FROM pg_proc AS p, aclexplode(p.proacl) AS a
 WHERE p.pronamespace = 'purser'::regnamespace AND p.proname LIKE '\_%' AND a.grantee <> p.proowner;
SELECT c.oid::regclass AS relation_open_to_writes, a.grantee::regrole, a.privilege_type
  FROM pg_class AS c, aclexplode(c.relacl) AS a
 WHERE c.relnamespace = 'purser'::regnamespace AND a.grantee <> c.relowner AND a.privilege_type <> 'SELECT';

-- Functions written in SQL or PL/pgSQL pin the search path.
SELECT p.oid::regprocedure AS function_without_search_path
  FROM pg_proc AS p
  JOIN pg_language AS l ON l.oid = p.prolang
 WHERE p.pronamespace = 'purser'::regnamespace AND l.lanname <> 'c'
   AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'));

-- pg_dump carries every table and sequence, and the script puts no row where a restore would meet it.
SELECT c.oid::regclass AS relation_not_dumped
  FROM pg_class AS c
  JOIN pg_extension AS e ON e.extname = 'purser'
 WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind IN ('r', 'p', 'S')
   AND NOT c.oid = ANY (coalesce(e.extconfig, '{}'));
DO $$
DECLARE
  table_name regclass;
  has_row boolean;
BEGIN
  FOR table_name IN
    SELECT oid FROM pg_class WHERE relnamespace = 'purser'::regnamespace AND relkind = 'r'
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', table_name) INTO has_row;
    IF has_row THEN
      RAISE WARNING 'the install script left rows in %', table_name;
    END IF;
  END LOOP;
END
$$;

-- Account-owned tables can be distributed by account: it leads every key, and nothing fires a trigger.
SELECT i.indexrelid::regclass AS unique_key_without_account
  FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indrelid
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
 WHERE c.relnamespace = 'purser'::regnamespace AND i.indisunique AND a.attname <> 'account_id'
   AND c.relname IN ('account', 'subscription', 'entitlement', 'entitlement_stripe', 'usage_period', 'quota_key', 'wallet',
                     'credit_grant', 'ledger', 'rate_bucket');

-- A session that has kept plans and a catalogue in memory goes on after the extension was replaced.
SELECT purser.declare_features('{"calls": {"kind": "quota", "per": "lifetime"}}', 'tester');
SELECT purser.publish_plan('free', '{"name": "Before", "features": {"calls": 1}}', 'tester', 'first') ->> 'version' AS version;
SELECT allowed, used, quota FROM purser.check_and_increment('install-a', 'calls');
SELECT amount, balance_after FROM purser.grant_credits('install-a', 5, 'monthly', 'g1');
SELECT amount, balance_after FROM purser.charge_credits('install-a', 2, 'test', 'c1');
DROP EXTENSION purser;
CREATE EXTENSION purser;
SELECT purser.declare_features('{"calls": {"kind": "quota", "per": "lifetime"}}', 'tester');
SELECT purser.publish_plan('free', '{"name": "After", "features": {"calls": 2}}', 'tester', 'first') ->> 'version' AS version;
SELECT allowed, used, quota FROM purser.check_and_increment('install-a', 'calls');
SELECT purser.credit_balance('install-a');
SELECT amount, balance_after FROM purser.grant_credits('install-a', 7, 'monthly', 'g1');
SELECT amount, balance_after FROM purser.charge_credits('install-a', 3, 'test', 'c1');
SELECT count(*) AS violations FROM purser.verify_ledger();

-- An installation that is rolled back leaves nothing, and the library does not mind.
DROP EXTENSION purser;
BEGIN;
CREATE EXTENSION purser;
SELECT purser.declare_features('{"calls": {"kind": "quota", "per": "lifetime"}}', 'tester');
ROLLBACK;
SELECT to_regnamespace('purser') IS NULL AS nothing_left;
CREATE EXTENSION purser;

-- What a statement answers or how it fails, as one line: "PU014 message | detail | hint".
CREATE FUNCTION public.tried(statement text) RETURNS text
  LANGUAGE plpgsql
AS $$
DECLARE
  answer text;
  code text;
  message text;
  detail text;
  hint text;
BEGIN
  EXECUTE statement INTO answer;
  RETURN coalesce(answer, 'NULL');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
                          detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(' | ', code || ' ' || message, nullif(detail, ''), nullif(hint, ''));
END
$$;

-- The catalogue of the files that follow. They add plans and features of their own where they need them.
SELECT purser.declare_features('{
  "chat_messages": {"kind": "quota", "per": "day", "name": "chat messages", "unit": "message"},
  "interviews": {"kind": "quota", "per": "week"},
  "minutes": {"kind": "quota", "per": "month", "name": "minutes of audio", "unit": "minute"},
  "reports": {"kind": "quota", "per": "year"},
  "sites": {"kind": "quota", "per": "lifetime"},
  "renders": {"kind": "quota", "per": "billing"},
  "branding": {"kind": "switch"},
  "tts_multiplier": {"kind": "number", "default": 1.0, "minimum": 1.0},
  "audio_pipeline": {"kind": "choice", "choices": ["assemblyai", "auphonic"], "default": "assemblyai"}
}', 'tester');
SELECT plan, purser.publish_plan(plan, definition, 'tester', 'catalogue') ->> 'version' AS version
  FROM (VALUES
    ('free', '{"name": "Free", "position": 1, "features": {
        "chat_messages": 3, "interviews": 2, "minutes": 100, "reports": 4, "sites": 1, "renders": 10}}'::jsonb),
    ('creator', '{"name": "Creator", "position": 2,
        "prices": [{"interval": "month", "currency": "usd", "cents": 999},
                   {"interval": "year", "currency": "usd", "cents": 9900}],
        "features": {"chat_messages": 5, "interviews": 4, "minutes": 300, "reports": 12, "sites": 3, "renders": 20}}'),
    ('pro', '{"name": "Pro", "position": 3,
        "prices": [{"interval": "month", "currency": "usd", "cents": 2999}],
        "features": {"chat_messages": 10, "interviews": 20, "minutes": 3000, "reports": 52, "sites": 10,
                     "renders": 100, "branding": true, "tts_multiplier": 1.5, "audio_pipeline": "auphonic"}}'),
    ('unlimited', '{"name": "Unlimited", "position": 4, "features": {
        "chat_messages": null, "interviews": -1, "minutes": {"quota": null}, "reports": null, "sites": null,
        "renders": null, "branding": true}}')) AS plans (plan, definition);
SELECT purser.set_setting('upgrade_url', 'https://example.com/upgrade', 'tester');
SELECT purser.setting('default_plan') AS default_plan, purser.setting('upgrade_url') AS upgrade_url;
