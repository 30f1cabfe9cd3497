-- ADM-1, ADM-3, LED-1: an application can call its functions and do nothing else: it touches no table,
-- calls no internal or administrative function, sets no clock, and cannot smuggle an own
-- operator, function or type into what runs with the owner's rights. The books are append-only for everybody.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
CREATE ROLE regress_purser_app IN ROLE purser_app;
CREATE ROLE regress_purser_admin IN ROLE purser_admin;
CREATE ROLE regress_purser_reader IN ROLE purser_reader;
CREATE ROLE regress_purser_sidecar IN ROLE purser_sidecar;
CREATE ROLE regress_purser_nobody;
SET purser.now = '2026-03-10 12:00+00';
SELECT count(purser.grant_credits(a, 10, 'purchased', 'g')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SELECT count(purser.charge_credits(a, 1, 'work', 'c')), count(purser.request_refund(a, 'it did not work', 'anna', '{credits/2}')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SELECT count(purser.set_top_up(a, 1000, 5, actor => 'tester')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SELECT count(purser.hold_credits(a, 1, 'work', '1 day', 'h')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SELECT count(purser.check_and_increment(a, 'chat_messages', 1, 'k')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SELECT count(purser.stripe_quota(a, 'chat_messages', 2, 'tester')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SELECT count(purser.subscribe(a, 'pro', 'tester')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SELECT purser.publish_plan('role-scopes', '{"name": "Scopes", "rate_limits": {"role_scope": {"max": 3, "per": "hour"}}}', 'tester', 'x') IS NULL;
SELECT purser.subscribe('role-rate', 'role-scopes', 'tester');
SET purser.now = '2026-03-11 12:00+00';
SELECT count(purser.check_and_increment(a, 'chat_messages')) FROM unnest('{role-a, role-b}'::text[]) AS a;
SET purser.now = '';

-- Who may call what. Whatever is added here was decided on.
SELECT r AS role, string_agg(DISTINCT p.proname, ', ' ORDER BY p.proname) AS may_call
  FROM unnest('{regress_purser_app, regress_purser_admin, regress_purser_reader, regress_purser_sidecar, regress_purser_nobody}'::text[]) AS r
  LEFT JOIN pg_proc AS p
    ON p.pronamespace = 'purser'::regnamespace AND has_function_privilege(r, p.oid, 'EXECUTE')
   AND p.proname !~ 'delet|configure_users'
 GROUP BY r ORDER BY r;
-- Who may do more than read a table. Nobody.
SELECT r AS role, c.oid::regclass, privilege
  FROM unnest('{regress_purser_app, regress_purser_admin, regress_purser_reader, regress_purser_sidecar, regress_purser_nobody}'::text[]) AS r,
       unnest('{INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER}'::text[]) AS privilege,
       pg_class AS c
 WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind IN ('r', 'v')
   AND (has_table_privilege(r, c.oid, privilege)
        OR (privilege IN ('INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(r, c.oid, privilege)));
SELECT r AS role, has_schema_privilege(r, 'purser', 'CREATE') AS may_create, has_schema_privilege(r, 'purser', 'USAGE') AS may_use
  FROM unnest('{regress_purser_app, regress_purser_admin, regress_purser_reader, regress_purser_sidecar, regress_purser_nobody}'::text[]) AS r;

-- Tried, not only looked up: the books and the audit trail take no change from any role.
CREATE FUNCTION pg_temp.as_role(role_name text, statement text) RETURNS text
  LANGUAGE plpgsql
AS $$
DECLARE
  answer text;
BEGIN
  PERFORM set_config('role', role_name, true);
  answer := tried(statement);
  PERFORM set_config('role', 'none', true);
  RETURN answer;
END
$$;
SELECT statement, array_agg(DISTINCT left(pg_temp.as_role(r, statement), 5)) AS codes
  FROM unnest('{regress_purser_app, regress_purser_admin, regress_purser_reader, regress_purser_sidecar, regress_purser_nobody}'::text[]) AS r,
       unnest(ARRAY[
         'INSERT INTO purser.ledger SELECT * FROM purser.ledger LIMIT 0', 'UPDATE purser.ledger SET amount = 1', 'DELETE FROM purser.ledger',
         'TRUNCATE purser.ledger', 'UPDATE purser.wallet SET balance_micros = 0', 'DELETE FROM purser.credit_grant',
         'UPDATE purser.entitlement SET used = 0', 'UPDATE purser.entitlement_stripe SET used = 0', 'DELETE FROM purser.quota_key', 'UPDATE purser.account SET role = ''superadmin''',
         'INSERT INTO purser.audit_event (event_id, at, actor, database_role, action) VALUES (''x'', now(), ''x'', ''x'', ''x'')',
         'UPDATE purser.audit_event SET actor = ''x''', 'DELETE FROM purser.audit_event', 'TRUNCATE purser.audit_event',
         'UPDATE purser.plan_version SET definition = ''{}''', 'INSERT INTO purser.setting VALUES (''upgrade_url'', ''x'')',
         'UPDATE purser.ledger_entries SET amount = 1',
         'CREATE TABLE purser.t (i int)', 'CREATE FUNCTION purser.f() RETURNS int LANGUAGE sql AS ''SELECT 1''',
         'CREATE TRIGGER t BEFORE INSERT ON purser.ledger FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
         'CREATE RULE r AS ON INSERT TO purser.ledger DO INSTEAD NOTHING', 'ALTER TABLE purser.ledger DISABLE ROW LEVEL SECURITY',
         'CREATE POLICY p ON purser.ledger USING (true)', 'ALTER FUNCTION purser.clock() SECURITY DEFINER', 'DROP EXTENSION purser',
         'SET session_replication_role = replica']) AS statement
 GROUP BY statement ORDER BY statement;

SELECT purser.publish_rate_card('roles', '{"operations": {"role_free": {"unit": "s", "rate": 1, "free": 5, "period": "month"}, "role_work": {"unit": "s", "rate": 1}}}', 'me', 'x') -> 'version' AS version;
SELECT purser.set_setting('rate_card', 'roles', 'me');
-- An application reads no table at all, and no internal or administrative function answers it.
SELECT c.oid::regclass AS readable FROM pg_class AS c
 WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind IN ('r', 'v')
   AND (has_table_privilege('regress_purser_app', c.oid, 'SELECT') OR has_any_column_privilege('regress_purser_app', c.oid, 'SELECT'));
SET SESSION AUTHORIZATION regress_purser_app;
SELECT tried($$SELECT purser.grant_credits('role-a', 1000000, 'purchased', 'mine')$$);
SELECT tried($$SELECT purser.refund_credits('role-a', 'credits/1', 1, 'r', 'x')$$);
SELECT tried($$SELECT purser.set_account_status('role-b', 'banned', 'me', 'x')$$);
SELECT tried($$SELECT purser.publish_plan('free', '{"name": "Mine"}', 'me', 'x')$$);
SELECT tried($$SELECT purser._settle_subscription('role-a')$$);
SELECT tried($$SELECT purser._audit('me', 'forged', NULL, NULL, NULL, '{}')$$);
SELECT tried($$SELECT purser._admits('active', NULL, NULL, 'minutes', 'month', NULL, 0, 0, 0, 1)$$);
SELECT tried($$SELECT * FROM purser.ledger$$);
SELECT tried($$SELECT * FROM purser.grants$$);
SELECT tried($$SELECT purser.verify_ledger()$$);
SELECT tried($$SELECT purser.reconcile()$$);
SELECT tried($$SELECT purser.import_credit_rows('[]', 'b', 'me')$$);
SELECT tried($$SELECT purser.adjust_credits('role-a', 5, 'root', 'for me', 'x')$$);
SELECT tried($$SELECT purser.publish_rate_card('role-card', '{}', 'me', 'x')$$);
SELECT tried($$SELECT purser.replay_rate_card('{}', '2026-01-01')$$);
SELECT tried($$SELECT purser.clear_rate_limits('role-a', NULL, 'me', 'x')$$);
SELECT tried($$SELECT purser.rate_limit_status()$$);
SELECT tried($$SELECT purser._account_changes('role-a')$$);
-- What it may do, it can.
SELECT allowed FROM purser.check_and_increment('role-a', 'minutes');
SELECT balance_after FROM purser.charge_credits('role-a', 1, 'work', 'c1', 'episode', 'e1');
SELECT purser.credit_balance('role-a'), purser.invoice('role-a', 'episode', 'e1') -> 'net' AS net;
SELECT purser.http_status(d), purser.http_body(d) ->> 'detail' AS detail FROM purser.check_quota('role-a', 'minutes') AS d;
SELECT allowed FROM purser.admit('role-a');
SELECT count(*) > 0 AS features, count(*) = (SELECT count(*) FROM purser.compare_plans()) AS compared FROM purser.features();
SELECT tried($$SELECT purser.rollback_plan('free', 1, 'me', 'x')$$);
SELECT tried($$SELECT purser.plan_history('free')$$);
SELECT jsonb_typeof(purser.pricing()), purser.has_feature('role-a', 'branding');
RESET SESSION AUTHORIZATION;
-- The audit trail knows the role that was logged in, whatever actor it names.
SET SESSION AUTHORIZATION regress_purser_admin;
SELECT purser.set_account_status('role-c', 'banned', 'somebody else', 'x');
SET SESSION AUTHORIZATION regress_purser_app;
SELECT allowed FROM purser.admit('role-c');
RESET SESSION AUTHORIZATION;
SELECT actor, database_role, action FROM purser.audit_event WHERE account_id = 'role-c' ORDER BY action DESC;

-- Own operators, functions and types in front of the server's own: every operator on the types purser uses,
-- every function of the server with such arguments, tables with the names of purser's and of types.
CREATE SCHEMA regress_trap;
DO $$
DECLARE
  ours constant oid[] := '{text, bigint, integer, boolean, numeric, jsonb, timestamptz, timestamp, bytea, inet, interval,
                           name, "char", oid, regclass, bigint[], text[], integer[], timestamptz[]}'::regtype[]::oid[];
  found record;
BEGIN
  FOR found IN
    SELECT DISTINCT ON (p.proname, p.proargtypes::text)
           p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result
      FROM pg_proc AS p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.provariadic = 0 AND NOT p.proretset
       AND p.pronargs <= 6 AND p.proargtypes::oid[] <@ ours AND p.prorettype = ANY (ours)
       AND p.proallargtypes IS NULL AND p.proname NOT IN ('set_config')
  LOOP
    EXECUTE format('CREATE FUNCTION regress_trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS '
                   '$f$BEGIN RAISE EXCEPTION ''trap: %I as %%'', current_user; END$f$',
                   found.proname, regexp_replace(found.arguments, ' ORDER BY ', ', '), found.result, found.proname);
  END LOOP;
  FOR found IN
    SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprleft <> 0 AS binary, o.oprresult::regtype AS result, o.oid
      FROM pg_operator AS o
     WHERE o.oprnamespace = 'pg_catalog'::regnamespace
       AND (o.oprleft = ANY (ours) OR o.oprleft = 0) AND o.oprright = ANY (ours) AND o.oprresult = ANY (ours)
  LOOP
    EXECUTE format('CREATE FUNCTION regress_trap.op_%s(%s) RETURNS %s LANGUAGE plpgsql AS '
                   '$f$BEGIN RAISE EXCEPTION ''trap: operator as %%'', current_user; END$f$',
                   found.oid, CASE WHEN found.binary THEN found.l || ', ' || found.r ELSE found.r::text END, found.result);
    EXECUTE format('CREATE OPERATOR regress_trap.%s (%s RIGHTARG = %s, FUNCTION = regress_trap.op_%s)',
                   found.oprname, CASE WHEN found.binary THEN format('LEFTARG = %s,', found.l) END, found.r, found.oid);
  END LOOP;
END
$$;
SELECT count(*) > 500 AS many_functions FROM pg_proc WHERE pronamespace = 'regress_trap'::regnamespace;
SELECT count(*) > 200 AS many_operators FROM pg_operator WHERE oprnamespace = 'regress_trap'::regnamespace;
GRANT USAGE ON SCHEMA regress_trap TO regress_purser_app, regress_purser_admin;
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY '{account, entitlement, ledger, wallet, setting, plan, plan_version, decision, ledger_entry, violation,
                          text, jsonb, timestamptz, bytea, regclass, _text}'::text[] LOOP
    EXECUTE format('CREATE TABLE regress_trap.%I (trap int)', name);
    EXECUTE format('GRANT SELECT ON regress_trap.%I TO regress_purser_app, regress_purser_admin', name);
  END LOOP;
END
$$;
-- In a fresh session, so that every statement is parsed under the trap.
\c -
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_purser_app;
CREATE TEMP TABLE entitlement (trap int);
CREATE TEMP TABLE text (trap int);
SET search_path = regress_trap, pg_catalog, pg_temp;
\set SHOW_CONTEXT never
SELECT 1 + 1;
SELECT lower('The trap shuts.'::pg_catalog.text);
SELECT 1::text;
SELECT allowed FROM purser.check_and_increment('role-trap', 'minutes');
SELECT allowed FROM purser.check_and_increment('role-trap', 'minutes');
SELECT allowed FROM purser.check_and_increment('role-trap', 'minutes', 1, 'k');
SELECT allowed FROM purser.check_and_increment('role-trap', 'minutes', 1, 'k');
SELECT allowed FROM purser.check_and_increment('role-trap', 'minutes', 1000);
SELECT allowed FROM purser.check_quota('role-trap', 'minutes');
SELECT feature FROM purser.usage('role-trap') LIMIT 1;
SELECT purser.http_status(ROW(false, 'quota_exceeded', 'a', 'minutes', 1, 1, 0, NULL, 'exhausted', 100, 0, 0, NULL)::purser.decision);
SELECT purser.http_body(ROW(false, 'quota_exceeded', 'a', 'minutes', 1, 1, 0, NULL, 'exhausted', 100, 0, 0, NULL)::purser.decision) IS NULL;
SELECT allowed, "limit" FROM purser.rate_limit('role-rate', 'role_scope');
SELECT allowed, remaining FROM purser.rate_limit('role-rate', 'role_scope', 2);
SELECT allowed, purser.http_status(d), purser.http_body(d) IS NULL, purser.http_headers(d) IS NULL FROM purser.rate_limit_key('role-trap', 5, '1 hour') AS d;
SELECT purser.feature_value('role-trap', 'minutes'), purser.has_feature('role-trap', 'minutes');
SELECT purser.pricing() IS NULL, purser.display_price(1, 'usd'), purser.setting('default_plan'), purser.clock() IS NULL;
SELECT purser.open_account('role-trap-2', 'Asia/Tokyo');
SELECT allowed FROM purser.admit('role-c');
SELECT balance_after FROM purser.charge_credits('role-b', 1, 'work', 'c1', 'episode', 'e1', 'title', '{"a": 1}', 'credits', 'notes');
SELECT balance_after, replayed FROM purser.charge_credits('role-b', 1, 'work', 'c1', 'episode', 'e1', 'title', '{"a": 1}', 'credits', 'notes');
SELECT purser.credit_balance('role-b'), purser.credit_balance('role-b', 'credits', purser.clock());
SELECT purser.estimate_cost('role-b', 'role_free', 5) IS NULL, purser.estimate_cost_batch('role-b', 'role_work', '{1, 2}') IS NULL;
SELECT amount FROM purser.charge_operation('role-b', 'role_free', 5, 'op-free');
SELECT amount, replayed FROM purser.charge_operation('role-b', 'role_free', 5, 'op-free');
SELECT amount FROM purser.charge_operation_batch('role-b', 'role_work', '{0.1, 0.2}', 'op-work');
SELECT amount FROM purser.hold_operation('role-b', 'role_work', 0.1, '{}', '1 day', 'op-h', 'episode', 'e1', 't', 'credits', 'n');
SELECT amount FROM purser.hold_operation('role-trap', 'role_free', 1, hold_id => 'op-h0');
SELECT amount, replayed FROM purser.hold_operation('role-trap', 'role_free', 1, hold_id => 'op-h0');
SELECT amount FROM purser.capture_operation('role-b', 'op-h', 0.2, '{}', 'op-h', 'n');
SELECT amount FROM purser.capture_operation('role-trap', 'op-h0');
SELECT amount, replayed FROM purser.capture_operation('role-trap', 'op-h0');
SELECT purser.rate_card() IS NULL, purser.recomputed_amount('{}');
SELECT purser.invoice('role-b', 'episode', 'e1') IS NULL;
RESET SESSION AUTHORIZATION;
DROP TABLE pg_temp.entitlement, pg_temp.text;
\c -
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_purser_admin;
SET search_path = regress_trap, pg_catalog, pg_temp;
SELECT purser.declare_features('{"role_feature": {"kind": "choice", "choices": ["a", "b"], "default": "a"}}');
SELECT purser.publish_plan('role-plan', '{"name": "Role", "features": {"minutes": 5, "role_feature": "b"}}', 'me', 'x') IS NULL;
SELECT purser.publish_plan('role-plan', '{"name": "Role"}', 'me', 'x', true) IS NULL;
SELECT version, changes FROM purser.plan_history('role-plan');
SELECT path, change FROM purser.plan_diff('role-plan', 1, 1);
SELECT purser.create_code('role-code', 'promotional_credits', '{"amount": 5}', actor => 'me');
SELECT allowed, reason FROM purser.redeem_code('role-a', 'ROLE-code');
SELECT code FROM purser.account_discounts('role-a');
SELECT purser.deactivate_code('role-code', 'me');
SELECT purser.declare_experiment('role-experiment', '{"only": 1}', 'me');
SELECT purser.experiment_variant('role-a', 'role-experiment');
SELECT variant, accounts FROM purser.experiment_report('role-experiment');
SELECT purser.close_experiment('role-experiment', 'me');
SELECT purser.rollback_plan('role-plan', 1, 'me', 'x', true) IS NULL;
SELECT rule FROM purser.validate_plan('{"name": "Role", "features": {"nothing": 1}}');
SELECT rule FROM purser.validate_rate_card('{}');
SELECT purser.publish_rate_card('role-card', '{"operations": {"role_work": {"unit": "s", "rate": 2}}}', 'me', 'x') OPERATOR(pg_catalog.->) 'version' IS NULL;
SELECT purser.publish_rate_card('role-card', '{"operations": {"role_work": {"unit": "s", "rate": 3}}}', 'me', 'x', NULL, true) IS NULL;
SELECT version, in_force FROM purser.rate_card_history('role-card');
SELECT path, change FROM purser.rate_card_diff('role-card', 1, 1);
SELECT operation, charges, charged FROM purser.replay_rate_card('{"operations": {"role_work": {"unit": "s", "rate": 3}}}', '2020-01-01', NULL, 'role-b');
SELECT purser.set_setting('upgrade_url', 'https://example.com/upgrade');
SELECT purser.stripe_quota('role-trap', 'minutes', 2, 'me');
SELECT purser.clear_rate_limits('role-rate', '{role_scope}', 'me', 'x');
SELECT storage IS NULL FROM purser.rate_limit_status();
SELECT purser.subscribe('role-trap', 'role-plan'), purser.change_plan('role-trap', 'role-plan', 'me', 1);
SELECT allowed FROM purser.check_and_increment('role-trap', 'minutes');
SELECT purser.cancel_subscription('role-trap');
SELECT purser.set_account_status('role-trap', 'suspended', 'me', 'x'), purser.set_account_status('role-trap', 'active', 'me', 'y');
SELECT balance_after FROM purser.grant_credits('role-trap', 5, 'monthly', 'g', purser.clock() OPERATOR(pg_catalog.+) '1 day', 3, 'credits', 'notes');
SELECT balance_after FROM purser.charge_credits('role-trap', 3, 'work', 'c');
SELECT balance_after FROM purser.refund_credits('role-trap', 'credits/2', 1, 'r', 'x');
SELECT purser.adjust_credits('role-trap', 1, 'me', 'x', 'y');
SELECT path, rule FROM purser.reconcile('role-trap');
SELECT status, entry_id, message FROM purser.import_credit_rows('[{"row_key": "1", "account_id": "role-import", "quantity": "5"}]', 'roles', 'me', 2);
SELECT agrees FROM purser.import_report('roles');
SELECT balance_after, replayed FROM purser.refund_credits('role-trap', 'credits/2', 1, 'r', 'x');
SELECT rule FROM purser.verify_ledger('role-trap');
SELECT rule FROM purser.verify_ledger() WHERE path OPERATOR(pg_catalog.~~) 'role-%';
SELECT account_id, remaining FROM purser.grants WHERE account_id OPERATOR(pg_catalog.=) 'role-trap';
SELECT entry_id FROM purser.ledger_entries WHERE account_id OPERATOR(pg_catalog.=) 'role-trap' ORDER BY entry_id;
SELECT used FROM purser.usage_history WHERE account_id OPERATOR(pg_catalog.=) 'role-trap';
SELECT role OPERATOR(pg_catalog.=) 'user' FROM purser.account WHERE account_id OPERATOR(pg_catalog.=) 'role-trap';
RESET SESSION AUTHORIZATION;

-- Nobody but a superuser sets the clock: not in a session that uses purser, not before its library is loaded.
\c -
SET client_min_messages = error;
SET SESSION AUTHORIZATION regress_purser_app;
SET purser.now = '2001-01-01';
SELECT purser.clock() > '2020-01-01' AS clock_is_real;
SET purser.now = '2001-01-01';
SELECT set_config('purser.now', '2001-01-01', true);
ALTER ROLE regress_purser_app SET purser.now = '2001-01-01';
RESET SESSION AUTHORIZATION;
SET client_min_messages = warning;

-- A reader sees the rows of the account it is set to, in every table and view, and none without.
SET SESSION AUTHORIZATION regress_purser_reader;
CREATE FUNCTION pg_temp.seen() RETURNS TABLE (relation regclass, accounts text[])
  LANGUAGE plpgsql
AS $$
BEGIN
  FOR relation IN
    SELECT c.oid FROM pg_class AS c
     WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege(c.oid, 'SELECT')
       AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'account_id')
     ORDER BY c.relname
  LOOP
    EXECUTE format('SELECT array_agg(DISTINCT account_id::text ORDER BY account_id::text) FROM %s', relation) INTO accounts;
    RETURN NEXT;
  END LOOP;
END
$$;
SELECT * FROM pg_temp.seen();
SET purser.account_id = 'role-a';
SELECT * FROM pg_temp.seen();
SET purser.account_id = '';
SELECT * FROM pg_temp.seen() WHERE accounts IS NOT NULL;
-- A cheap function in the condition is not shown other rows first.
SET purser.account_id = 'role-a';
CREATE FUNCTION pg_temp.peek(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
  AS $$BEGIN IF $1 <> 'role-a' THEN RAISE WARNING 'saw %', $1; END IF; RETURN true; END$$;
SELECT count(*) > 0 AS rows FROM purser.ledger WHERE pg_temp.peek(account_id);
SELECT count(*) > 0 AS rows FROM purser.ledger_entries WHERE pg_temp.peek(account_id);
SELECT count(*) > 0 AS rows FROM purser.grants WHERE pg_temp.peek(account_id);
SELECT count(*) > 0 AS rows FROM purser.usage_history WHERE pg_temp.peek(account_id);
SELECT count(*) > 0 AS rows FROM purser.wallet WHERE pg_temp.peek(account_id);
SET row_security = off;
SELECT tried('SELECT count(*) FROM purser.ledger');
RESET row_security;
SELECT relation, tried(format('SELECT count(*) FROM purser.%I', relation)) FROM unnest('{audit_event, job, quota_key}'::text[]) AS relation;
SELECT tried($$SELECT purser.credit_balance('role-b')$$);
SELECT tried($$SELECT purser.check_quota('role-b', 'minutes')$$);
-- The operator sees all of them.
SET SESSION AUTHORIZATION regress_purser_admin;
SELECT relation, '{role-a, role-b}' <@ accounts AS sees_all FROM pg_temp.seen();
RESET SESSION AUTHORIZATION;

-- Settings of a session do not change what is hashed and compared.
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = -15;
SET transform_null_equals = on;
SELECT count(*) AS violations FROM purser.verify_ledger();
SELECT replayed FROM purser.charge_credits('role-b', 1, 'work', 'c1', 'episode', 'e1', 'title', '{"a": 1}', 'credits', 'notes');
SELECT allowed FROM purser.check_and_increment('role-b', 'chat_messages', 1, 'k');
-- A read-only transaction stays one.
BEGIN READ ONLY;
SELECT tried($$SELECT purser.check_and_increment('role-a', 'minutes')$$) LIKE '25006 %' AS refused,
       tried($$SELECT purser.charge_credits('role-a', 1, 'work', 'c9')$$) LIKE '25006 %' AS refused,
       tried($$SELECT (purser.check_quota('role-a', 'minutes')).allowed$$) AS asked,
       tried($$SELECT purser.credit_balance('role-a')$$) AS balance;
COMMIT;

DROP SCHEMA regress_trap CASCADE;
DROP FUNCTION pg_temp.seen(), pg_temp.peek(text);
DROP ROLE regress_purser_app, regress_purser_admin, regress_purser_reader, regress_purser_sidecar, regress_purser_nobody;
