-- DEL-3, DEL-4, DEL-6, DEL-7, ADM-3: nobody is deleted by mistake. Each guard rail refuses in its own
-- words and changes nothing; an account is made ready by one call; what went is told and queued.
SET client_min_messages = warning;
CREATE SCHEMA guard;
SET search_path = guard, public;
CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE TABLE notes (id bigint PRIMARY KEY, user_id bigint REFERENCES users);
INSERT INTO users SELECT i, 'User' || i || '@Example.com' FROM generate_series(401, 409) AS i;
INSERT INTO notes SELECT i, i FROM generate_series(401, 409) AS i;
SELECT purser.configure_users('guard.users', 'id', 'email', 'media/{id}/all/{id}/', 'tester');

-- Active, though nobody has used it yet; then paid; then the wrong address.
SELECT tried($$SELECT purser.delete_user('401', 'User401@Example.com', 'ops')$$);
SELECT count(*) FROM purser.account WHERE account_id = '401';
SELECT purser.subscribe('401', 'pro', 'tester');
SELECT purser.set_account_status('401', 'banned', 'ops', 'spam');
SELECT tried($$SELECT purser.delete_user('401', 'User401@Example.com', 'ops')$$);
SELECT purser.change_plan('401', 'unlimited', 'tester');  -- costs nothing
SELECT tried(format('SELECT purser.delete_user(''401'', %L, ''ops'')', address))
  FROM unnest(ARRAY['user401@example.com', 'User402@Example.com', 'User401@Example.com ', '%']) AS address;
SELECT count(*) FROM notes WHERE user_id = 401;

-- One call makes it ready: no longer active, no longer subscribed, audited. Twice does no harm.
SELECT purser.prepare_user_deletion('401', 'ops');
SELECT purser.prepare_user_deletion('0401', 'ops');
SELECT status FROM purser.account WHERE account_id = '401';
SELECT plan, status FROM purser.subscription WHERE account_id = '401' ORDER BY subscription_no;
SELECT actor, action, details FROM purser.audit_event WHERE account_id = '401' AND action LIKE 'user.%' ORDER BY at;
SELECT * FROM purser.plan_user_deletion('401');

-- The answer, the job and the trail; the account stays, closed.
SELECT purser.delete_user('401', 'User401@Example.com', 'ops') AS answer \gset
SELECT :'answer'::jsonb - 'duration_ms' - 'storage_job_id' AS answer, (:'answer'::jsonb ->> 'duration_ms')::int >= 0 AS timed;
SELECT job_id = :'answer'::jsonb ->> 'storage_job_id' AS is_the_one, kind, account_id, payload, status FROM purser.job WHERE account_id = '401';
SELECT actor, action, resource_id, details - 'storage_job_id' AS details FROM purser.audit_event WHERE account_id = '401' AND action = 'user.deleted';
SELECT status FROM purser.account WHERE account_id = '401';
SELECT allowed, reason FROM purser.check_and_increment('401', 'chat_messages');
SELECT tried($$SELECT purser.charge_credits('401', 1, 'late', 'late-1')$$);
SELECT tried($$SELECT purser.delete_user('401', 'User401@Example.com', 'ops')$$);
-- Rolled back, nothing is queued.
BEGIN;
SELECT purser.prepare_user_deletion('402', 'ops') IS NOT NULL AS prepared;
SELECT purser.delete_user('402', 'User402@Example.com', 'ops') ->> 'storage_status' AS status;
ROLLBACK;
SELECT count(*) FROM purser.job WHERE account_id = '402';
SELECT count(*) FROM purser.audit_event WHERE account_id = '402';

-- Accounts with powers are not deleted, not by anybody.
INSERT INTO purser.account (account_id, role, status, created_at)
VALUES ('403', 'admin', 'suspended', '2026-01-01'), ('404', 'superadmin', 'suspended', '2026-01-01'), ('root', 'superadmin', 'active', '2026-01-01'),
       ('chief', 'admin', 'active', '2026-01-01');
SELECT tried($$SELECT purser.prepare_user_deletion('403', 'ops')$$);
SELECT tried($$SELECT purser.delete_user('403', 'User403@Example.com', 'root', 'they asked')$$);
SELECT tried($$SELECT purser.prepare_user_deletion('404', 'ops')$$);
SELECT tried($$SELECT purser.delete_user('404', 'User404@Example.com', 'root', 'they asked')$$);

-- A superadmin may override active and paid with a reason, and nothing else; nobody else may.
SELECT purser.subscribe('405', 'pro', 'tester');
SELECT tried($$SELECT purser.delete_user('405', 'User405@Example.com', 'root')$$);
SELECT tried($$SELECT purser.delete_user('405', 'User405@Example.com', 'root', '')$$);
SELECT tried($$SELECT purser.delete_user('405', 'User405@Example.com', 'chief', 'court order')$$);
SELECT tried($$SELECT purser.delete_user('405', 'User405@Example.com', 'nobody', 'court order')$$);
SELECT tried($$SELECT purser.delete_user('405', 'user405@example.com', 'root', 'court order')$$);
SELECT purser.delete_user('405', 'User405@Example.com', 'root', 'court order') -> 'total_rows' AS total_rows;
SELECT details ->> 'override_reason' AS override_reason FROM purser.audit_event WHERE account_id = '405' AND action = 'user.deleted';
SELECT plan, status FROM purser.subscription WHERE account_id = '405';

-- Ids of every bad sort.
SELECT tried(format('SELECT purser.plan_user_deletion(%L)', id)), tried(format('SELECT purser.prepare_user_deletion(%L, ''ops'')', id)) = tried(format('SELECT purser.delete_user(%L, ''x'', ''ops'')', id)) AS same
  FROM (VALUES (NULL), (''), ('abc'), ('1; DROP TABLE users'), ('99999999999999999999'), (E'4\n06'), ('406.5'), ('999')) AS ids (id);
SELECT tried(format('SELECT purser.delete_user(%L, ''x'', ''ops'')', repeat('4', 10000)));
SELECT tried($$SELECT purser.delete_user('406', NULL, 'ops')$$);
SELECT tried($$SELECT purser.delete_user('406', '', 'ops')$$);
SELECT tried($$SELECT purser.delete_user('406', 'User406@Example.com', NULL)$$);
SELECT tried(format('SELECT purser.delete_user(''406'', ''x'', ''ops'', %L)', repeat('x', 10000)));
SELECT tried($$SELECT purser.prepare_user_deletion('406', NULL)$$);
-- A user without an address cannot be confirmed.
UPDATE users SET email = NULL WHERE id = 406;
SELECT purser.prepare_user_deletion('406', 'ops') ->> 'status' AS status;
SELECT tried($$SELECT purser.delete_user('406', 'NULL', 'ops')$$);

-- Roles: the application's role cannot, the operator's can where the tables let it, and is told what is missing.
CREATE ROLE regress_app;
CREATE ROLE regress_ops;
GRANT purser_app TO regress_app;
GRANT purser_admin TO regress_ops;
SET ROLE regress_app;
SELECT tried($$SELECT purser.plan_user_deletion('407')$$), tried($$SELECT purser.prepare_user_deletion('407', 'x')$$);
SELECT tried($$SELECT purser.delete_user('407', 'x', 'x')$$), tried($$SELECT purser.configure_users('guard.users', 'id', 'email')$$);
SET ROLE regress_ops;
SELECT tried($$SELECT purser.plan_user_deletion('407')$$);
RESET ROLE;
GRANT USAGE ON SCHEMA guard TO regress_ops;
GRANT SELECT ON guard.users, guard.notes TO regress_ops;
SET ROLE regress_ops;
SELECT * FROM purser.plan_user_deletion('407');
SELECT purser.prepare_user_deletion('407', 'ops') ->> 'status' AS status;
SELECT tried($$SELECT purser.delete_user('407', 'User407@Example.com', 'ops')$$);
RESET ROLE;
GRANT UPDATE, DELETE ON guard.users, guard.notes TO regress_ops;
SET ROLE regress_ops;
SELECT purser.delete_user('407', 'User407@Example.com', 'ops') -> 'rows' AS rows;
SELECT tried($$INSERT INTO purser.job VALUES ('x', 'y', 'z', '{}', 'queued', now(), now())$$);
RESET ROLE;
SELECT actor, database_role = session_user AS names_the_role FROM purser.audit_event WHERE account_id = '407' AND action = 'user.deleted';

-- Ids that would lead out of a storage prefix.
CREATE TABLE people (id text PRIMARY KEY, email text);
SELECT purser.configure_users('guard.people', 'id', 'email', 'users/{id}/', 'tester');
INSERT INTO people SELECT id, id || '@example.com' FROM unnest(ARRAY['..', '.', 'a/b', 'a\b', '{id}', '...', 'a b']) AS id;
SELECT id, tried(format('SELECT erase(%L)', id)) FROM people ORDER BY id COLLATE "C";
SELECT action, path, warning FROM purser.plan_user_deletion('..') WHERE action IN ('storage', 'refuse');
SELECT payload FROM purser.job WHERE account_id IN ('...', 'a b') ORDER BY payload;
-- Without a prefix there is nothing to clean up.
SELECT purser.configure_users('guard.people', 'id', 'email', actor => 'tester');
SELECT erase('a/b');
SELECT purser.prepare_user_deletion('..', 'ops') ->> 'status' AS status;
SELECT purser.delete_user('..', '..@example.com', 'ops') - 'duration_ms' AS answer;
DROP SCHEMA guard CASCADE;
DROP OWNED BY regress_app, regress_ops;
DROP ROLE regress_app, regress_ops;
