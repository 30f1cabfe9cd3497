-- DEL-1: every kind of constraint and ON DELETE: rows that only refer are detached as their key says,
-- whatever else is deferred, not validated or partly null.
SET client_min_messages = warning;
CREATE SCHEMA keys;
SET search_path = keys, public;
CREATE TABLE users (id bigint PRIMARY KEY, email text, code text UNIQUE);
SELECT purser.configure_users('keys.users', 'id', 'email', actor => 'tester');

-- SET NULL and SET DEFAULT keep the row. A doomed row is deleted, never detached first, so that a check
-- on it cannot fail.
INSERT INTO users VALUES (0, 'nobody'), (101, '101@example.com'), (102, '102@example.com');
CREATE TABLE files (
  id bigint PRIMARY KEY,
  user_id bigint REFERENCES users,
  copied_from bigint REFERENCES files ON DELETE SET NULL,
  seen_by bigint DEFAULT 0 REFERENCES users ON DELETE SET DEFAULT,
  CHECK (copied_from IS NOT NULL OR id % 10 < 5)
);
CREATE TABLE thumbs (id bigint PRIMARY KEY, file_id bigint NOT NULL REFERENCES files, drawn_from bigint REFERENCES files ON DELETE SET NULL);
INSERT INTO files VALUES (1, 101, NULL, 101), (6, 101, 1, NULL), (2, 102, NULL, 102), (3, 102, 1, 102), (7, 102, 2, 102), (4, NULL, 6, 101);
INSERT INTO thumbs VALUES (1, 1, 1), (2, 2, 1), (3, 3, 3);
SELECT step, action, table_name, rows, path FROM purser.plan_user_deletion('101') WHERE action <> 'refuse';
SELECT erase('101');
SELECT * FROM files ORDER BY id;
SELECT * FROM thumbs ORDER BY id;
DROP TABLE thumbs, files;

-- A composite reference is detached by the columns that may be null; SET NULL can name them (PostgreSQL 15).
CREATE TABLE rooms (tenant text, number int, user_id bigint NOT NULL REFERENCES users, PRIMARY KEY (tenant, number));
CREATE TABLE lamps (id int PRIMARY KEY, tenant text NOT NULL, number int, FOREIGN KEY (tenant, number) REFERENCES rooms);
DO $$
BEGIN
  EXECUTE 'CREATE TABLE doors (id int PRIMARY KEY, tenant text, number int, FOREIGN KEY (tenant, number) REFERENCES rooms ON DELETE SET NULL '
          || CASE WHEN current_setting('server_version_num')::int >= 150000 THEN '(number)' ELSE '' END || ')';
END
$$;
CREATE TABLE walls (id int PRIMARY KEY, tenant text, number int, FOREIGN KEY (tenant, number) REFERENCES rooms MATCH FULL ON DELETE SET NULL);
SELECT purser.deletion_rule('keys.lamps', 'set_null', actor => 'tester');
INSERT INTO users VALUES (103, '103@example.com');
INSERT INTO rooms VALUES ('a', 1, 103), ('a', 2, 102);
INSERT INTO lamps VALUES (1, 'a', 1), (2, 'a', 2);
INSERT INTO doors VALUES (1, 'a', 1), (2, 'a', 2), (3, 'a', NULL);
INSERT INTO walls VALUES (1, 'a', 1), (2, 'a', 2), (3, NULL, NULL);
SELECT erase('103');
SELECT * FROM lamps ORDER BY id;
SELECT id, number, tenant = 'a' OR current_setting('server_version_num')::int < 150000 AS tenant_kept FROM doors ORDER BY id;
SELECT * FROM walls ORDER BY id;
SELECT purser.remove_deletion_rule('keys.lamps', actor => 'tester');
DROP TABLE walls, doors, lamps, rooms;

-- What cannot be null cannot be detached: refused before anything is tried.
CREATE TABLE pages (id int PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE drafts (id int PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE SET NULL);
INSERT INTO users VALUES (104, '104@example.com');
INSERT INTO pages VALUES (1, 104);
SELECT purser.deletion_rule('keys.pages', 'set_null', actor => 'tester');
SELECT tried($$SELECT erase('104')$$);
SELECT action, table_name, rows, warning FROM purser.plan_user_deletion('104') WHERE action <> 'delete';
SELECT purser.remove_deletion_rule('keys.pages', actor => 'tester');
INSERT INTO drafts VALUES (1, 104);
SELECT tried($$SELECT erase('104')$$);
SELECT purser.deletion_rule('keys.drafts', 'delete', 'user_id', 'tester');
SELECT erase('104');
SELECT purser.remove_deletion_rule('keys.drafts', 'user_id', 'tester');
DROP TABLE pages, drafts;

-- Deferred constraints, unique keys that are deferred, constraints not validated with orphans from before.
CREATE TABLE orders (id bigint PRIMARY KEY, user_code text REFERENCES users (code) DEFERRABLE INITIALLY DEFERRED, place int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE lines (order_id bigint, no int, PRIMARY KEY (order_id, no));
INSERT INTO lines VALUES (999, 1), (998, 1);
ALTER TABLE lines ADD FOREIGN KEY (order_id) REFERENCES orders DEFERRABLE NOT VALID;
INSERT INTO users VALUES (105, '105@example.com', 'E');
INSERT INTO orders VALUES (1, 'E', 1), (2, 'E', 2), (3, NULL, 3);
INSERT INTO lines SELECT 1 + i % 3, i FROM generate_series(1, 9) AS i;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
-- In the same transaction, before any of it was checked.
INSERT INTO lines VALUES (4, 1);
INSERT INTO orders VALUES (4, 'E', 4);
SELECT erase('105');
COMMIT;
SELECT * FROM orders;
SELECT * FROM lines ORDER BY 1, 2;

-- A user with no code: nothing refers to NULL.
INSERT INTO users VALUES (106, '106@example.com', NULL);
SELECT erase('106');
SELECT count(*) FROM orders;
DROP TABLE lines, orders;

-- Two keys between the same two tables, and two keys on one column.
CREATE TABLE talks (id int PRIMARY KEY, user_id bigint REFERENCES users, FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL);
CREATE TABLE pairs (a int REFERENCES talks, b int REFERENCES talks ON DELETE CASCADE);
INSERT INTO users VALUES (107, '107@example.com');
INSERT INTO talks VALUES (1, 107), (2, 107), (3, NULL), (4, NULL);
INSERT INTO pairs VALUES (1, 3), (3, 1), (1, 2), (3, 4), (1, 1), (NULL, 2);
SELECT erase('107');
SELECT * FROM pairs;
SELECT * FROM talks ORDER BY id;
DROP SCHEMA keys CASCADE;
