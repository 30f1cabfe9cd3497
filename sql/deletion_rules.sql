-- DEL-1, DEL-2: rows that name another user are somebody else's. They are never deleted silently: the
-- schema says so with ON DELETE CASCADE, or an operator decides with a rule, or the deletion is refused.
SET client_min_messages = warning;
CREATE SCHEMA social;
SET search_path = social, public;
CREATE TABLE users (id bigint PRIMARY KEY, email text, invited_by bigint REFERENCES users);
CREATE TABLE posts (id bigint PRIMARY KEY, author_id bigint NOT NULL REFERENCES users, editor_id bigint REFERENCES users);
CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint REFERENCES posts, author_id bigint REFERENCES users);
CREATE TABLE reactions (comment_id bigint REFERENCES comments, user_id bigint REFERENCES users ON DELETE CASCADE, emoji text);
CREATE TABLE marks (comment_id bigint REFERENCES comments, colour text);
CREATE TABLE messages (id bigint PRIMARY KEY, sender_id bigint NOT NULL REFERENCES users, recipient_id bigint NOT NULL REFERENCES users);
CREATE INDEX ON users (invited_by);
CREATE INDEX ON posts (author_id);
CREATE INDEX ON posts (editor_id);
CREATE INDEX ON comments (post_id, id);
CREATE INDEX ON comments (author_id);
CREATE INDEX ON reactions USING hash (comment_id);
CREATE INDEX ON reactions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX ON marks (comment_id) WHERE colour = 'red';
CREATE INDEX ON messages (sender_id);
CREATE INDEX ON messages (recipient_id);
SELECT purser.configure_users('social.users', 'id', 'email', actor => 'tester');

CREATE FUNCTION pg_temp.furnish() RETURNS void LANGUAGE sql AS $$
  TRUNCATE social.users, social.posts, social.comments, social.reactions, social.marks, social.messages;
  INSERT INTO social.users VALUES (301, '301@example.com', NULL), (302, '302@example.com', NULL), (303, '303@example.com', 302);
  INSERT INTO social.posts VALUES (1, 301), (2, 301), (3, 302);
  -- 11: own comment under an own post. 12: somebody's under it. 13: own under somebody's. 14: nobody's.
  INSERT INTO social.comments VALUES (11, 1, 301), (12, 1, 302), (13, 3, 301), (14, 2, NULL), (15, 3, 302);
  INSERT INTO social.reactions VALUES (11, 301), (12, 302), (12, NULL), (13, NULL), (15, 302);
  INSERT INTO social.marks VALUES (11), (12), (15);
$$;
SELECT pg_temp.furnish();
SELECT * FROM purser.plan_user_deletion('301');
SELECT tried($$SELECT erase('301')$$);
SELECT contents('social') AS before \gset

-- The rule set_null keeps them; delete takes them, but not what hangs on them and is somebody else's again.
BEGIN;
SELECT purser.deletion_rule('social.comments', 'set_null', 'post_id', 'tester');
SELECT erase('301');
SELECT * FROM comments ORDER BY id;
SELECT * FROM reactions ORDER BY 1, 2;
ROLLBACK;
BEGIN;
SELECT purser.deletion_rule('social.comments', 'delete', 'post_id', 'tester');
SELECT tried($$SELECT erase('301')$$);
SELECT purser.deletion_rule('social.reactions', 'delete', actor => 'tester');
SELECT erase('301');
SELECT * FROM comments ORDER BY id;
SELECT * FROM reactions ORDER BY 1, 2;
ROLLBACK;
-- ON DELETE CASCADE says the same.
BEGIN;
ALTER TABLE comments DROP CONSTRAINT comments_post_id_fkey, ADD FOREIGN KEY (post_id) REFERENCES posts ON DELETE CASCADE;
ALTER TABLE reactions DROP CONSTRAINT reactions_comment_id_fkey, ADD FOREIGN KEY (comment_id) REFERENCES comments ON DELETE CASCADE;
SELECT erase('301');
ROLLBACK;
-- A rule also keeps what a cascade would take; the rule for a column goes before the one for its table.
BEGIN;
ALTER TABLE comments DROP CONSTRAINT comments_post_id_fkey, ADD FOREIGN KEY (post_id) REFERENCES posts ON DELETE CASCADE;
SELECT purser.deletion_rule('social.comments', 'delete', actor => 'tester');
SELECT purser.deletion_rule('social.comments', 'set_null', 'post_id', 'tester');
SELECT erase('301');
SELECT * FROM comments ORDER BY id;
ROLLBACK;
-- And refuse protects them.
BEGIN;
SELECT purser.deletion_rule('social.comments', 'set_null', 'post_id', 'tester');
SELECT purser.deletion_rule('social.marks', 'refuse', actor => 'tester');
SELECT tried($$SELECT erase('301')$$);
SELECT action, table_name, rows, warning FROM purser.plan_user_deletion('301') WHERE action = 'refuse';
DELETE FROM marks WHERE comment_id = 11;
SELECT erase('301');
ROLLBACK;
SELECT contents('social') = :'before' AS nothing_has_changed;

-- A row that names two users belongs to both until somebody says which column means ownership.
INSERT INTO messages VALUES (1, 301, 302), (2, 302, 301), (3, 301, 301), (4, 302, 303);
UPDATE posts SET editor_id = 301 WHERE id = 3;
UPDATE posts SET editor_id = 302 WHERE id = 1;
SELECT purser.deletion_rule('social.comments', 'set_null', 'post_id', 'tester');
SELECT tried($$SELECT erase('301')$$);
SELECT purser.deletion_rule('social.messages', 'delete', actor => 'tester');
SELECT purser.deletion_rule('social.posts', 'delete', 'author_id', 'tester');
SELECT purser.deletion_rule('social.posts', 'set_null', 'editor_id', 'tester');
SELECT erase('301');
SELECT * FROM posts;
SELECT * FROM messages;

-- One deletion takes one user: not even a rule deletes another along.
SELECT tried($$SELECT erase('302')$$);
SELECT purser.deletion_rule('social.users', 'delete', actor => 'tester');
SELECT tried($$SELECT erase('302')$$);
ALTER TABLE users DROP CONSTRAINT users_invited_by_fkey, ADD FOREIGN KEY (invited_by) REFERENCES users ON DELETE CASCADE;
SELECT purser.remove_deletion_rule('social.users', actor => 'tester');
SELECT tried($$SELECT erase('302')$$);
SELECT action, table_name, rows, path, warning FROM purser.plan_user_deletion('302') WHERE action IN ('collateral', 'refuse');
SELECT purser.deletion_rule('social.users', 'set_null', 'invited_by', 'tester');
SELECT erase('302');
SELECT * FROM users;
DELETE FROM purser.deletion_rule;

-- Users that can be reached through what they share: a team's members are not the team's property.
CREATE TABLE teams (id bigint PRIMARY KEY, owner_id bigint NOT NULL REFERENCES users);
ALTER TABLE users ADD COLUMN team_id bigint REFERENCES teams;
CREATE TABLE plans (team_id bigint REFERENCES teams, text text);
INSERT INTO users VALUES (304, '304@example.com'), (305, '305@example.com'), (306, '306@example.com');
INSERT INTO teams VALUES (1, 304), (2, 306);
INSERT INTO plans VALUES (1, 'of team 1'), (2, 'of team 2');
UPDATE users SET team_id = 1 WHERE id IN (304, 305);
SELECT tried($$SELECT erase('304')$$);
-- A member goes alone.
BEGIN;
SELECT erase('305');
ROLLBACK;
SELECT purser.deletion_rule('social.users', 'set_null', 'team_id', 'tester');
SELECT erase('304');
SELECT id, team_id FROM users ORDER BY id;
SELECT * FROM plans;
SELECT purser.remove_deletion_rule('social.users', 'team_id', 'tester');

-- A row can be somebody else's without naming them: it hangs on what they own. A picture of the user in
-- another's album, another's track that a withdrawn licence of the user covered. What names the user is theirs.
CREATE TABLE albums (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE pictures (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE licences (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE placements (album_id bigint NOT NULL REFERENCES albums, picture_id bigint NOT NULL REFERENCES pictures, PRIMARY KEY (album_id, picture_id));
CREATE TABLE tracks (id bigint PRIMARY KEY, album_id bigint NOT NULL REFERENCES albums, licence_id bigint REFERENCES licences);
CREATE TABLE lyrics (track_id bigint NOT NULL REFERENCES tracks, line text);
CREATE TABLE ratings (track_id bigint NOT NULL REFERENCES tracks, user_id bigint NOT NULL REFERENCES users);
INSERT INTO albums VALUES (1, 305), (2, 306), (3, 306);
INSERT INTO pictures VALUES (1, 305), (2, 306);
INSERT INTO licences VALUES (1, 305), (2, 306);
INSERT INTO placements VALUES (1, 1), (1, 2), (2, 1), (2, 2);
INSERT INTO tracks VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, 2), (5, 2, NULL), (6, 1, NULL);
INSERT INTO lyrics SELECT id, 'la' FROM tracks;
INSERT INTO ratings VALUES (3, 305), (4, 305), (5, 306);
SELECT action, table_name, rows, path, warning FROM purser.plan_user_deletion('305') WHERE action IN ('delete', 'collateral') AND rows > 0;
SELECT tried($$SELECT erase('305')$$);
SELECT purser.deletion_rule('social.tracks', 'set_null', 'licence_id', 'tester');
SELECT purser.deletion_rule('social.placements', 'delete', actor => 'tester');
SELECT erase('305');
SELECT * FROM placements;
SELECT * FROM tracks ORDER BY id;
SELECT * FROM lyrics ORDER BY track_id;
SELECT * FROM ratings;
DELETE FROM purser.deletion_rule;
DROP SCHEMA social CASCADE;
