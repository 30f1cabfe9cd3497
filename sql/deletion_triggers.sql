-- DEL-1, DEL-13: whatever triggers and row-level security do, either all of a user is gone at the end or
-- nothing is, and the refusal says what stood in the way.
SET client_min_messages = warning;
CREATE SCHEMA trig;
SET search_path = trig, public;
CREATE TABLE users (id bigint PRIMARY KEY, email text, posts int NOT NULL DEFAULT 0);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint REFERENCES users, words int NOT NULL DEFAULT 0);
CREATE TABLE words (id bigint PRIMARY KEY, post_id bigint REFERENCES posts, locked boolean NOT NULL DEFAULT false);
CREATE TABLE history (what text, user_id bigint);
SELECT purser.configure_users('trig.users', 'id', 'email', actor => 'tester');
INSERT INTO users SELECT i, i || '@example.com', 2 FROM generate_series(201, 209) AS i;
INSERT INTO posts SELECT id * 10 + i, id, 3 FROM users, generate_series(1, 2) AS i;
INSERT INTO words SELECT id * 10 + i, id FROM posts, generate_series(1, 3) AS i;

-- Counters kept on the parents, before and after each row: the parent is doomed itself and moves.
CREATE FUNCTION recount() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE trig.posts SET words = words - 1 WHERE id = OLD.post_id;
  UPDATE trig.users SET posts = posts FROM trig.posts AS p WHERE p.id = OLD.post_id AND users.id = p.user_id;
  RETURN OLD;
END
$$;
CREATE TRIGGER recount BEFORE DELETE ON words FOR EACH ROW EXECUTE FUNCTION recount();
CREATE TRIGGER recount_after AFTER DELETE ON words FOR EACH ROW EXECUTE FUNCTION recount();
SELECT erase('201');

-- A log without a foreign key is no part of the user.
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO trig.history VALUES (TG_TABLE_NAME, OLD.user_id);
  RETURN NULL;
END
$$;
CREATE TRIGGER log_it AFTER DELETE ON posts FOR EACH ROW EXECUTE FUNCTION log_it();
SELECT step, action, table_name, rows, warning FROM purser.plan_user_deletion('202') WHERE action = 'delete';
SELECT erase('202');
SELECT * FROM history;

-- With one, the trigger makes rows of a user who is going: they go too when their table's turn is still
-- to come, and stop the deletion when it is over.
ALTER TABLE history ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
SELECT erase('203');
DROP TRIGGER log_it ON posts;
CREATE FUNCTION log_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO trig.history VALUES (TG_TABLE_NAME, OLD.id);
  RETURN OLD;
END
$$;
CREATE TRIGGER log_user BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION log_user();
SELECT tried($$SELECT erase('209')$$);
SELECT count(*) FROM posts WHERE user_id = 209;
DROP TRIGGER log_user ON users;
TRUNCATE history;

-- A veto keeps rows and raises no error: the count tells.
CREATE FUNCTION keep_locked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RETURN CASE WHEN OLD.locked THEN NULL ELSE OLD END;
END
$$;
CREATE TRIGGER keep_locked BEFORE DELETE ON words FOR EACH ROW EXECUTE FUNCTION keep_locked();
UPDATE words SET locked = true WHERE id % 2 = 0 AND post_id = 2041;
SELECT tried($$SELECT erase('204')$$);
SELECT count(*) FROM words WHERE post_id = 2041;
ALTER TABLE words DISABLE TRIGGER keep_locked;
SELECT erase('204');

-- Soft deletion in disguise: the row is updated instead.
CREATE FUNCTION mark_instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE trig.posts SET words = -1 WHERE id = OLD.id;
  RETURN NULL;
END
$$;
CREATE TRIGGER mark_instead BEFORE DELETE ON posts FOR EACH ROW EXECUTE FUNCTION mark_instead();
SELECT tried($$SELECT erase('205')$$);
SELECT words FROM posts WHERE user_id = 205;
DROP TRIGGER mark_instead ON posts;

-- A row put back under a user whose foreign key does not look is found at the end.
CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO trig.posts VALUES (9000 + OLD.id, OLD.id);
  RETURN NULL;
END
$$;
CREATE TRIGGER put_back AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION put_back();
SELECT tried($$SELECT erase('206')$$);
BEGIN;
ALTER TABLE posts DISABLE TRIGGER ALL;
SELECT tried($$SELECT erase('206')$$);
ROLLBACK;
DROP TRIGGER put_back ON users;

-- An error of a trigger comes through as it is.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'not on a Sunday' USING ERRCODE = 'SU001', HINT = 'Come back on Monday.';
END
$$;
CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH STATEMENT EXECUTE FUNCTION refuse();
SELECT tried($$SELECT erase('207')$$);
DROP TRIGGER refuse ON users;
SELECT erase('207');

-- Row-level security that would hide rows is an error, not silence; and triggers run with the rights of
-- whoever deletes, not with those of the extension's owner.
CREATE ROLE regress_eraser;
GRANT purser_admin TO regress_eraser;
GRANT USAGE ON SCHEMA trig TO regress_eraser;
GRANT SELECT, UPDATE, DELETE ON users, posts, words TO regress_eraser;
GRANT SELECT, UPDATE, DELETE, INSERT ON history TO regress_eraser;
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO trig.history VALUES ('deleted by ' || current_user, NULL);
  RETURN OLD;
END
$$;
CREATE TRIGGER who BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION who();
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON posts USING (id % 2 = 0);
SET ROLE regress_eraser;
SELECT tried($$SELECT purser.plan_user_deletion('208')$$);
SELECT tried($$SELECT erase('208')$$);
RESET ROLE;
ALTER TABLE posts DISABLE ROW LEVEL SECURITY;
SET ROLE regress_eraser;
SELECT erase('208');
RESET ROLE;
SELECT * FROM history;
SHOW row_security;
DROP SCHEMA trig CASCADE;
DROP OWNED BY regress_eraser;
DROP ROLE regress_eraser;
