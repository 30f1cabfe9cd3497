-- DEL-1: deletion works on schemas it has never seen: several schemas, one table name in two of them,
-- names that need quotes or would be SQL, ids of any type, partitions on both sides, tables without a key.
SET client_min_messages = warning;

-- Names. A name is never run, and 63 bytes are not shortened into one another.
CREATE SCHEMA "Select";
CREATE SCHEMA "it's; DROP TABLE x; --";
CREATE TABLE "Select"."users""; DROP SCHEMA public CASCADE; --" ("Id" uuid PRIMARY KEY, "e-mail" text);
CREATE TABLE "it's; DROP TABLE x; --".users (
  "order" bigint PRIMARY KEY,
  "user'; SELECT pg_sleep(9); --" uuid REFERENCES "Select"."users""; DROP SCHEMA public CASCADE; --"
);
CREATE TABLE "Select".users (
  "a23456789_123456789_123456789_123456789_123456789_123456789_123" bigint PRIMARY KEY,
  "b23456789_123456789_123456789_123456789_123456789_123456789_123" bigint REFERENCES "it's; DROP TABLE x; --".users,
  "ein größerer Name, der mehr Bytes als Zeichen hat: ßßßßßß" bigint REFERENCES "Select".users
);
CREATE TABLE "Select"."a23456789_123456789_123456789_123456789_123456789_123456789_123" (
  i0 bigint PRIMARY KEY, others bigint REFERENCES "Select".users, round bigint REFERENCES "Select"."a23456789_123456789_123456789_123456789_123456789_123456789_123");
SELECT purser.configure_users('"Select"."users""; DROP SCHEMA public CASCADE; --"', 'Id', 'e-mail', actor => 'tester');
INSERT INTO "Select"."users""; DROP SCHEMA public CASCADE; --" VALUES
  ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a@example.com'),
  ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000b@example.com');
INSERT INTO "it's; DROP TABLE x; --".users VALUES (1, '00000000-0000-0000-0000-00000000000a'), (2, '00000000-0000-0000-0000-00000000000b');
INSERT INTO "Select".users VALUES (1, 1, NULL), (2, 2, NULL), (3, NULL, 1), (4, NULL, 2);
INSERT INTO "Select"."a23456789_123456789_123456789_123456789_123456789_123456789_123" VALUES (1, 1, NULL), (2, 2, NULL), (3, NULL, 1), (4, NULL, 2);
SELECT step, action, table_name, rows, path FROM purser.plan_user_deletion('00000000-0000-0000-0000-00000000000A') WHERE action <> 'refuse';
SELECT tried($$SELECT erase('00000000-0000-0000-0000-00000000000A')$$);  -- the address has a small a
SELECT erase('00000000-0000-0000-0000-00000000000a');
SELECT account_id, status FROM purser.account WHERE account_id LIKE '00000000%';
SELECT * FROM "Select".users;
SELECT * FROM "it's; DROP TABLE x; --".users;
SELECT i0 FROM "Select"."a23456789_123456789_123456789_123456789_123456789_123456789_123";
DROP SCHEMA "it's; DROP TABLE x; --", "Select" CASCADE;

-- The caller's search path and operators of the same name mean nothing here.
CREATE SCHEMA trap;
CREATE FUNCTION trap.always(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR trap.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = trap.always);
CREATE FUNCTION trap.never(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.never);
CREATE FUNCTION trap.count(OUT n bigint) LANGUAGE sql AS 'SELECT 0::bigint';
CREATE SCHEMA ids;
CREATE TABLE ids.users (id integer PRIMARY KEY, email text);
CREATE TABLE ids.wide (id numeric PRIMARY KEY, user_id bigint REFERENCES ids.users);
CREATE TABLE ids.narrow (id text COLLATE "C" PRIMARY KEY, user_id smallint REFERENCES ids.users);
CREATE TABLE ids.codes (code varchar(20) COLLATE "POSIX" REFERENCES ids.narrow, wide_id integer REFERENCES ids.wide);
CREATE TABLE trap.users (id bigint);
SELECT purser.configure_users('ids.users', 'id', 'email', actor => 'tester');
INSERT INTO ids.users VALUES (51, '51@example.com'), (52, '52@example.com');
INSERT INTO ids.wide VALUES (1.0, 51), (2.0, 52);
INSERT INTO ids.narrow VALUES ('a', 51), ('b', 52);
INSERT INTO ids.codes VALUES ('a', NULL), ('b', NULL), (NULL, 1), (NULL, 2);
SET search_path = trap, pg_catalog, ids, public;
SELECT public.erase('51');
RESET search_path;
SELECT * FROM ids.users, ids.wide, ids.narrow;
SELECT * FROM ids.codes;
DROP SCHEMA trap CASCADE;

-- Ids that are text, a domain, an enum; the text of the id is the account.
CREATE DOMAIN ids.handle AS text CHECK (value <> 'nobody');
CREATE TABLE ids.people (id ids.handle PRIMARY KEY, email text);
CREATE TABLE ids.pets (owner ids.handle REFERENCES ids.people);
SELECT purser.configure_users('ids.people', 'id', 'email', actor => 'tester');
INSERT INTO ids.people VALUES ('o''hara', 'o''hara@example.com'), ('%', '%@example.com');
INSERT INTO ids.pets VALUES ('o''hara'), ('%');
SELECT erase('o''hara'), erase('%');
SELECT tried($$SELECT erase('nobody')$$);
CREATE TYPE ids.colour AS ENUM ('red', 'blue');
CREATE TABLE ids.teams (id ids.colour PRIMARY KEY, email text);
CREATE TABLE ids.players (team ids.colour REFERENCES ids.teams, nick text UNIQUE);
SELECT purser.configure_users('ids.teams', 'id', 'email', actor => 'tester');
INSERT INTO ids.teams VALUES ('red', 'red@example.com');
INSERT INTO ids.players VALUES ('red', 'a'), ('red', NULL);
SELECT erase('red');
SELECT tried($$SELECT erase('green')$$);
DROP SCHEMA ids CASCADE;

-- Partitions: of users, of what they own, a key of one partition only, a key to one partition only.
-- Keys that partitions only inherit are not counted twice.
CREATE SCHEMA parts;
CREATE TABLE parts.users (id bigint PRIMARY KEY, email text) PARTITION BY HASH (id);
CREATE TABLE parts.users_0 PARTITION OF parts.users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts.users_1 PARTITION OF parts.users FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parts.events (id bigint, year int, user_id bigint REFERENCES parts.users, PRIMARY KEY (id, year)) PARTITION BY RANGE (year);
CREATE TABLE parts.events_2025 PARTITION OF parts.events FOR VALUES FROM (2025) TO (2026);
CREATE TABLE parts.events_2026 (extra text, user_id bigint, year int NOT NULL, id bigint NOT NULL);
ALTER TABLE parts.events_2026 DROP COLUMN extra;
ALTER TABLE parts.events ATTACH PARTITION parts.events_2026 FOR VALUES FROM (2026) TO (2027);
CREATE UNIQUE INDEX ON parts.events_2026 (id);
CREATE TABLE parts.likes (event_id bigint, year int, FOREIGN KEY (event_id, year) REFERENCES parts.events);
CREATE TABLE parts.tickets (id bigint PRIMARY KEY, event_id bigint REFERENCES parts.events_2026 (id));
CREATE TABLE parts.visits (id bigint, day int) PARTITION BY LIST (day);
CREATE TABLE parts.visits_1 PARTITION OF parts.visits FOR VALUES IN (1);
CREATE TABLE parts.visits_2 PARTITION OF parts.visits FOR VALUES IN (2);
ALTER TABLE parts.visits_2 ADD FOREIGN KEY (id) REFERENCES parts.users;
SELECT purser.configure_users('parts.users', 'id', 'email', actor => 'tester');
INSERT INTO parts.users SELECT i, i || '@example.com' FROM generate_series(61, 64) AS i;
INSERT INTO parts.events SELECT i, y, 61 + i % 4 FROM generate_series(1, 8) AS i, generate_series(2025, 2026) AS y;
-- The same id in another partition with another owner: a ticket belongs to the event of 2026.
UPDATE parts.events SET user_id = 61 WHERE year = 2025 AND id = 1;
INSERT INTO parts.likes SELECT id, year FROM parts.events;
INSERT INTO parts.tickets SELECT i, i FROM generate_series(1, 8) AS i;
INSERT INTO parts.visits VALUES (61, 1), (61, 2), (61, 2), (62, 2);
SELECT step, action, table_name, rows, path FROM purser.plan_user_deletion('61') WHERE action <> 'refuse';
SELECT erase('61');
SELECT id, email FROM parts.users ORDER BY id;
SELECT year, count(*), bool_or(user_id = 61) AS of_61 FROM parts.events GROUP BY year ORDER BY year;
SELECT count(*) FROM parts.likes;
SELECT array_agg(id ORDER BY id) FROM parts.tickets;
SELECT * FROM parts.visits ORDER BY id, day;
DROP SCHEMA parts CASCADE;

-- Inheritance: a foreign key belongs to its own table, not to tables that inherit from it.
CREATE SCHEMA heirs;
CREATE TABLE heirs.users (id bigint PRIMARY KEY, email text);
CREATE TABLE heirs.admins (level int) INHERITS (heirs.users);
CREATE TABLE heirs.files (id bigint PRIMARY KEY, user_id bigint REFERENCES heirs.users);
CREATE TABLE heirs.pictures () INHERITS (heirs.files);
SELECT purser.configure_users('heirs.users', 'id', 'email', actor => 'tester');
INSERT INTO heirs.users VALUES (71, '71@example.com');
INSERT INTO heirs.admins VALUES (71, 'another', 1);
INSERT INTO heirs.files VALUES (1, 71);
INSERT INTO heirs.pictures VALUES (2, 71);
SELECT erase('71');
SELECT tableoid::regclass, id FROM heirs.users UNION ALL SELECT tableoid::regclass, id FROM heirs.files;
DROP SCHEMA heirs CASCADE;

-- No primary key: a unique key that cannot be null, one that can or is deferrable (of no use), or none.
CREATE SCHEMA keyless;
CREATE TABLE keyless.users (id bigint NOT NULL UNIQUE, email text);
CREATE TABLE keyless.scores (user_id bigint REFERENCES keyless.users (id), game text, points int);
CREATE TABLE keyless.ranks (user_id bigint REFERENCES keyless.users (id), rank bigint UNIQUE, code int NOT NULL UNIQUE DEFERRABLE);
CREATE TABLE keyless.medals (rank bigint REFERENCES keyless.ranks (rank));
CREATE TABLE keyless.logs (user_id bigint REFERENCES keyless.users (id), at int) PARTITION BY LIST (at);
CREATE TABLE keyless.logs_1 PARTITION OF keyless.logs FOR VALUES IN (1);
CREATE TABLE keyless.logs_2 PARTITION OF keyless.logs FOR VALUES IN (2);
SELECT purser.configure_users('keyless.users', 'id', 'email', actor => 'tester');
INSERT INTO keyless.users VALUES (81, '81@example.com'), (82, '82@example.com');
INSERT INTO keyless.scores SELECT 81 + i % 2, 'the same', 1 FROM generate_series(1, 10) AS i;
INSERT INTO keyless.ranks VALUES (81, 1, 1), (82, 2, 2), (81, NULL, 3);
INSERT INTO keyless.medals VALUES (1), (1), (2), (NULL);
INSERT INTO keyless.logs SELECT 81 + i % 2, 1 + i / 2 % 2 FROM generate_series(0, 7) AS i;
SELECT erase('81');
SELECT (SELECT count(*) FROM keyless.scores) AS scores, (SELECT count(*) FROM keyless.ranks) AS ranks,
       (SELECT count(*) FROM keyless.medals) AS medals, (SELECT count(*) FROM keyless.logs) AS logs;
DROP SCHEMA keyless CASCADE;
