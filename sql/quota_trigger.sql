-- QUO-14: a trigger makes the rows of a table consume a quota, whoever inserts them.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT purser.declare_features('{"plan_projects": {"kind": "quota", "per": "lifetime", "name": "plan_projects"}}', 'tester') AS declared;
SELECT purser.publish_plan('makers', '{"name": "Makers", "features": {"plan_projects": 3, "minutes": 60}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe(id::text, 'makers', 'tester') AS subscription FROM generate_series(9001, 9003) AS id;
CREATE TABLE project (id int PRIMARY KEY, owner_id bigint, title text);
CREATE TABLE recording (id int PRIMARY KEY, owner_id bigint, minutes int);
CREATE TRIGGER projects_are_counted BEFORE INSERT OR UPDATE OR DELETE ON project
  FOR EACH ROW EXECUTE FUNCTION purser.enforce_quota('plan_projects', 'owner_id');
CREATE TRIGGER recordings_are_counted AFTER INSERT ON recording REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION purser.enforce_quota('minutes', 'owner_id', 'minutes');
CREATE TRIGGER removed_recordings_are_counted AFTER DELETE ON recording REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION purser.enforce_quota('minutes', 'owner_id', 'minutes');
CREATE TRIGGER changed_recordings_are_counted AFTER UPDATE ON recording REFERENCING OLD TABLE AS before NEW TABLE AS after
  FOR EACH STATEMENT EXECUTE FUNCTION purser.enforce_quota('minutes', 'owner_id', 'minutes');

-- A bulk insert of 10 with 3 left inserts nothing and says why.
SELECT tried($$INSERT INTO project SELECT n, 9001, 'p' FROM generate_series(1, 10) AS n$$);
SELECT count(*) AS projects, (SELECT used FROM purser.check_quota('9001', 'plan_projects')) AS used FROM project;
INSERT INTO project SELECT n, 9001, 'p' FROM generate_series(1, 3) AS n;
SELECT tried($$INSERT INTO project VALUES (4, 9001, 'one more')$$);
-- Others are not affected, and rows that belong to nobody take nothing.
INSERT INTO project VALUES (4, 9002, 'theirs'), (5, NULL, 'nobody''s');
SELECT used FROM purser.check_quota('9002', 'plan_projects');
-- Deleting gives back; giving away takes from the new owner; other changes take nothing.
DELETE FROM project WHERE id = 1;
UPDATE project SET owner_id = 9002 WHERE id = 2;
UPDATE project SET title = 'renamed' WHERE id = 3;
SELECT account_id, used FROM purser.usage('9001') WHERE feature = 'plan_projects' UNION ALL SELECT account_id, used FROM purser.usage('9002') WHERE feature = 'plan_projects';
SELECT id, owner_id, title FROM project ORDER BY id;
INSERT INTO project VALUES (6, 9002, 'full now');
SELECT tried($$UPDATE project SET owner_id = 9002 WHERE id = 3$$);

-- For each statement: amounts are added up, one count per account.
INSERT INTO recording VALUES (1, 9001, 20), (2, 9002, 30), (3, 9001, 40), (4, NULL, 50), (5, 9003, NULL), (6, 9003, 0);
SELECT tried($$INSERT INTO recording SELECT n, 9002, 4 FROM generate_series(100, 109) AS n$$);
SELECT id, used FROM (SELECT count(*) AS id FROM recording) AS r, purser.check_quota('9001', 'minutes');
UPDATE recording SET minutes = 35 WHERE id = 2;
UPDATE recording SET owner_id = 9003 WHERE id = 3;
DELETE FROM recording WHERE id = 1;
INSERT INTO recording SELECT n, 9003, 1 FROM generate_series(200, 204) AS n WHERE false;
SELECT e.account_id, e.used FROM purser.entitlement AS e WHERE e.feature = 'minutes' AND e.account_id IN ('9001', '9002', '9003') ORDER BY 1;
-- COPY is no way around, and what is rolled back was never counted.
COPY project FROM stdin;
7	9001	copied
8	9001	copied
\.
BEGIN;
COPY project FROM stdin;
9	9003	copied
\.
ROLLBACK;
SELECT account_id, used FROM purser.usage('9001') WHERE feature = 'plan_projects' UNION ALL SELECT account_id, used FROM purser.usage('9003') WHERE feature = 'plan_projects';
-- Rows of an earlier period give nothing back to this one.
SET purser.now = '2026-04-10 12:00+00';
DELETE FROM recording;
SELECT e.account_id, e.used FROM purser.entitlement AS e WHERE e.feature = 'minutes' AND e.account_id IN ('9001', '9002', '9003') ORDER BY 1;
-- Not in the plan, not active: each with its own code.
SELECT tried($$INSERT INTO project VALUES (20, 9999, 'on the free plan')$$);
SELECT purser.set_account_status('9003', 'banned', 'tester', 'test');
SELECT tried($$INSERT INTO project VALUES (20, 9003, 'banned')$$);

-- Somebody who may insert, and nothing else, is counted too.
CREATE ROLE regress_inserter;
GRANT INSERT ON project TO regress_inserter;
SET ROLE regress_inserter;
SELECT tried($$INSERT INTO project VALUES (30, 9001, 'too many'), (31, 9001, 'too many')$$);
RESET ROLE;
REVOKE ALL ON project FROM regress_inserter;
DROP ROLE regress_inserter;

-- Misuse.
CREATE TABLE misuse (id int, "odd ""name" text, amount numeric);
CREATE FUNCTION misused(arguments text, kind text DEFAULT 'BEFORE INSERT', each text DEFAULT 'ROW') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER t %s ON misuse FOR EACH %s EXECUTE FUNCTION purser.enforce_quota(%s)', kind, each, arguments);
  RETURN (SELECT tried($q$INSERT INTO misuse VALUES (1, '9001', 1.5) RETURNING id$q$));
END $$;
BEGIN; SELECT misused($$$$); ROLLBACK;
BEGIN; SELECT misused($$'plan_projects'$$); ROLLBACK;
BEGIN; SELECT misused($$'plan_projects', 'owner_id'$$); ROLLBACK;
BEGIN; SELECT misused($$'no_such', 'id'$$); ROLLBACK;
BEGIN; SELECT misused($$'minutes', 'id', 'amount'$$); ROLLBACK;
BEGIN; SELECT misused($$'minutes', 'id'$$, 'AFTER INSERT', 'STATEMENT'); ROLLBACK;
BEGIN; SELECT misused($$'minutes', 'odd "name'$$) AS works; SELECT used FROM purser.check_quota('9001', 'minutes'); ROLLBACK;
SELECT tried($$SELECT purser.enforce_quota()$$);
DROP TABLE project, recording, misuse;
DROP FUNCTION misused;
