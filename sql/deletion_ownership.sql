-- DEL-1: whatever belongs to a user by foreign keys goes, through any number of tables and any shape
-- of references, and everyone else's rows stay as they were.
SET client_min_messages = warning;
CREATE SCHEMA own;
SET search_path = own, public;
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE);
SELECT purser.configure_users('own.users', 'id', 'email', actor => 'tester');

-- Several levels, and a table that is reached in two ways of unequal length: posts → images, and
-- posts → comments → images. Native cascades fail on it when one arm is NO ACTION.
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint NOT NULL REFERENCES posts ON DELETE CASCADE);
CREATE TABLE images (
  id bigint PRIMARY KEY,
  post_id bigint REFERENCES posts ON DELETE CASCADE,
  comment_id bigint REFERENCES comments
);
CREATE TABLE labels (image_id bigint NOT NULL REFERENCES images ON DELETE RESTRICT, label text, PRIMARY KEY (image_id, label));

-- A tree, a chain of 1,000, NOT NULL cycles of two and three tables, a table of links.
CREATE TABLE folders (id bigint PRIMARY KEY, user_id bigint REFERENCES users, parent_id bigint REFERENCES folders);
CREATE TABLE revisions (id bigint PRIMARY KEY, user_id bigint REFERENCES users, previous bigint REFERENCES revisions ON DELETE RESTRICT);
CREATE TABLE husbands (id bigint PRIMARY KEY, user_id bigint REFERENCES users, wife_id bigint NOT NULL);
CREATE TABLE wives (id bigint PRIMARY KEY, husband_id bigint NOT NULL REFERENCES husbands);
ALTER TABLE husbands ADD FOREIGN KEY (wife_id) REFERENCES wives DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE rock (id bigint PRIMARY KEY, user_id bigint REFERENCES users, beaten_by bigint NOT NULL);
CREATE TABLE scissors (id bigint PRIMARY KEY, beaten_by bigint NOT NULL REFERENCES rock ON DELETE RESTRICT);
CREATE TABLE paper (id bigint PRIMARY KEY, beaten_by bigint NOT NULL REFERENCES scissors ON DELETE RESTRICT);
ALTER TABLE rock ADD FOREIGN KEY (beaten_by) REFERENCES paper DEFERRABLE INITIALLY DEFERRED;
-- Refers back to what refers to it: the reference that may be NULL does not make two steps of it.
CREATE TABLE shows (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, latest_id bigint);
CREATE TABLE issues (id bigint PRIMARY KEY, show_id bigint NOT NULL REFERENCES shows);
ALTER TABLE shows ADD FOREIGN KEY (latest_id) REFERENCES issues ON DELETE SET NULL;

-- Composite keys, a key to a unique constraint that is not the primary key, swapped columns.
CREATE TABLE tenants_users (tenant text, user_id bigint REFERENCES users, code text UNIQUE, PRIMARY KEY (tenant, user_id));
CREATE TABLE desks (id bigint PRIMARY KEY, owner bigint, tenant text, FOREIGN KEY (owner, tenant) REFERENCES tenants_users (user_id, tenant));
CREATE TABLE badges (id bigint PRIMARY KEY, code text REFERENCES tenants_users (code));

CREATE FUNCTION pg_temp.furnish(u bigint, chain bigint) RETURNS void
  LANGUAGE plpgsql
AS $$
DECLARE
  n bigint := u * 100000;
BEGIN
  INSERT INTO users VALUES (u, u || '@example.com');
  INSERT INTO posts SELECT n + i, u FROM generate_series(1, 10) AS i;
  INSERT INTO comments SELECT n + i, n + 1 + i % 10 FROM generate_series(1, 30) AS i;
  INSERT INTO images SELECT n + i, CASE WHEN i % 2 = 0 THEN n + 1 + i % 10 END, CASE WHEN i % 6 <> 2 THEN n + i END FROM generate_series(1, 24) AS i;
  INSERT INTO labels SELECT n + i, label FROM generate_series(1, 24) AS i, unnest('{a,b}'::text[]) AS label;
  INSERT INTO folders SELECT n + i, CASE i WHEN 1 THEN u END, CASE WHEN i > 1 THEN n + i / 2 END FROM generate_series(1, 31) AS i;
  INSERT INTO revisions SELECT n + i, CASE i WHEN 1 THEN u END, CASE WHEN i > 1 THEN n + i - 1 END FROM generate_series(1, chain) AS i;
  INSERT INTO husbands SELECT n + i, CASE i WHEN 1 THEN u END, n + 1 + i % 5 FROM generate_series(1, 5) AS i;
  INSERT INTO wives SELECT n + i, n + i FROM generate_series(1, 5) AS i;
  INSERT INTO rock SELECT n + i, CASE i WHEN 1 THEN u END, n + 1 + i % 4 FROM generate_series(1, 4) AS i;
  INSERT INTO scissors SELECT n + i, n + i FROM generate_series(1, 4) AS i;
  INSERT INTO paper SELECT n + i, n + i FROM generate_series(1, 4) AS i;
  INSERT INTO shows SELECT n + i, u FROM generate_series(1, 3) AS i;
  INSERT INTO issues SELECT n + i, n + 1 + i % 3 FROM generate_series(1, 9) AS i;
  UPDATE shows SET latest_id = n + 5 + id % 3 WHERE user_id = u;
  INSERT INTO tenants_users SELECT 'tenant ' || i, u, u || '/' || i FROM generate_series(1, 2) AS i;
  INSERT INTO desks SELECT n + i, u, 'tenant ' || 1 + i % 2 FROM generate_series(1, 4) AS i;
  INSERT INTO badges SELECT n + i, u || '/' || 1 + i % 2 FROM generate_series(1, 4) AS i;
END
$$;

BEGIN;
SELECT pg_temp.furnish(2, 20), pg_temp.furnish(3, 5);
COMMIT;
-- Half a reference is none: these rows belong to nobody.
INSERT INTO desks VALUES (1, 1, NULL), (2, NULL, 'tenant 1'), (3, NULL, NULL);
SELECT contents('own') AS before \gset
BEGIN;
SELECT pg_temp.furnish(1, 1000);
COMMIT;

SELECT contents('own') AS whole \gset
-- Rolled back, it leaves everything.
BEGIN;
SELECT total FROM (SELECT purser.prepare_user_deletion('1', 'tester') IS NOT NULL AS prepared) AS p,
       LATERAL (SELECT purser.delete_user('1', '1@example.com', 'tester') -> 'total_rows' AS total WHERE prepared) AS d;
SELECT contents('own') = :'before' AS everyone_elses_rows_are_equal;
ROLLBACK;
SELECT contents('own') = :'whole' AS nothing_was_deleted;
SELECT count(*) FROM purser.account WHERE account_id = '1';

SELECT erase('1');
SELECT contents('own') = :'before' AS everyone_elses_rows_are_equal;
SELECT tried($$SELECT erase('1')$$);
SELECT erase('2');
SELECT erase('3');
SELECT count(*) AS temporary_tables_left FROM pg_class AS c WHERE c.relname LIKE 'purser_doomed%';

-- A user who owns nothing.
INSERT INTO users VALUES (4, '4@example.com');
SELECT erase('4');
DROP SCHEMA own CASCADE;
