-- What was measured, what is compared, and how it is printed.

CREATE TABLE bench.slice (
  section text NOT NULL,
  round integer NOT NULL,  -- round 0 warms up and is not compared
  contender text NOT NULL,
  calls bigint NOT NULL,
  tps double precision NOT NULL,
  cpu_seconds double precision NOT NULL,  -- of the backends
  wal_bytes bigint NOT NULL,
  PRIMARY KEY (section, round, contender)
);

-- One line of the report: purser against a peer. A row without a target is there to be seen.
CREATE TABLE bench.comparison (
  position integer PRIMARY KEY,
  section text NOT NULL,
  peer text NOT NULL,
  described text NOT NULL,
  target double precision
);
INSERT INTO bench.comparison (position, section, peer, described, target) VALUES
  (11, 'quota', 'update', 'bare UPDATE by primary key', 0.80),
  (12, 'quota', 'plpgsql', 'PL/pgSQL, upsert', 1.3),
  (13, 'quota', 'plpgsql_update_first', 'PL/pgSQL, UPDATE before INSERT', NULL),
  (14, 'quota', 'round_trips', 'SELECT plan, SELECT usage, UPDATE', 4),
  (15, 'quota', 'purser_as_columns', 'itself as SELECT * FROM', NULL),
  (16, 'quota', 'select_1', 'SELECT 1, the floor', NULL),
  (21, 'refusal', 'plpgsql', 'PL/pgSQL, upsert', 3),
  (22, 'refusal', 'plpgsql_update_first', 'PL/pgSQL, UPDATE before INSERT', NULL),
  (23, 'refusal', 'select_1', 'SELECT 1, the floor', NULL),
  (25, 'batch', 'plpgsql', 'PL/pgSQL, upsert, 100 calls', 5),
  (26, 'batch', 'plpgsql_update_first', 'PL/pgSQL, UPDATE before INSERT', NULL),
  (27, 'hot', 'update', 'bare UPDATE of one row', 4),
  (28, 'hot', 'spread', 'itself spread over all accounts', 0.80),
  (29, 'hot', 'one_row', 'itself in one row', NULL),
  (31, 'charge', 'update_insert_in_one', 'UPDATE + INSERT, one statement', 0.80),
  (32, 'charge', 'update_insert', 'UPDATE + INSERT, one transaction', NULL),
  (33, 'charge', 'grant_rows', 'PL/pgSQL, grants as rows', 2),
  (34, 'charge', 'alike', 'PL/pgSQL, the same promises', NULL),
  (35, 'charge', 'pgledger', 'pgledger_create_transfer', 5),
  (36, 'charge', 'select_1', 'SELECT 1, the floor', NULL),
  (37, 'charge_200', 'few', 'itself with 3 grants', 0.90),
  (38, 'hot_wallet', 'update', 'UPDATE + INSERT on one row', NULL),
  (39, 'hot_wallet', 'spread', 'itself spread over all wallets', NULL),
  (40, 'hot_wallet', 'batch', 'itself, 20 charges a call', NULL),
  (41, 'rate', 'select_1', 'SELECT 1, the floor', 0.95),
  (42, 'rate', 'redis', 'Redis, token bucket in Lua', 1.4),
  (51, 'rate_key', 'select_1', 'SELECT 1, the floor', 0.95),
  (52, 'rate_key', 'row', 'a constant row of the same type', NULL),
  (53, 'rate_key', 'redis', 'Redis, token bucket in Lua', 1.4),
  (54, 'rate_key', 'redis_incr', 'Redis, a bare INCR', NULL);

-- Requests that the buckets in Redis have counted.
CREATE TABLE bench.redis_effects (effects bigint NOT NULL);

CREATE VIEW bench.per_call AS
SELECT section, round, contender, tps,
       cpu_seconds * 1e6 / calls AS cpu_micros,
       wal_bytes / calls::double precision AS wal_bytes
  FROM bench.slice
 WHERE round > 0;

-- Ratios are taken within a round, where both sides met the same machine.
CREATE VIEW bench.ratio AS
SELECT c.position, c.section, c.described, c.target, paired.*
  FROM bench.comparison AS c,
       LATERAL (
         SELECT count(*) AS rounds,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY ours.tps / theirs.tps) AS ratio,
                min(ours.tps / theirs.tps) AS lowest,
                max(ours.tps / theirs.tps) AS highest,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY theirs.cpu_micros / ours.cpu_micros) AS cpu_ratio,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY theirs.tps) AS tps,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY theirs.cpu_micros) AS cpu_micros,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY theirs.wal_bytes) AS wal_bytes
           FROM bench.per_call AS ours
           JOIN bench.per_call AS theirs USING (section, round)
          WHERE ours.section = c.section
            AND ours.contender = 'purser'
            AND theirs.contender = c.peer
       ) AS paired
 WHERE paired.rounds > 0;

CREATE FUNCTION bench.line(
  section text, described text, ratio text, spread text, target text, cpu_ratio text,
  tps double precision, cpu_micros double precision, wal_bytes double precision
) RETURNS text
  LANGUAGE sql
RETURN format('%-8s  %-44s %5s  %-11s %-14s %5s %9s %7s %6s', section, described, ratio, spread, target, cpu_ratio,
              round(tps), to_char(cpu_micros, 'FM99990.0'), round(wal_bytes));

CREATE VIEW bench.report AS
SELECT 0 AS position, p.section,
       bench.line(p.section, 'purser', '', '', '', '',
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY p.tps),
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY p.cpu_micros),
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY p.wal_bytes)) AS text
  FROM bench.per_call AS p
 WHERE p.contender = 'purser'
 GROUP BY p.section
UNION ALL
SELECT r.position, r.section,
       bench.line(r.section, 'against ' || r.described,
                  to_char(r.ratio, 'FM990.00'),
                  to_char(r.lowest, 'FM990.00') || '–' || to_char(r.highest, 'FM990.00'),
                  to_char(r.target, '"≥ "FM90.00') || CASE WHEN r.ratio >= r.target THEN ' reached' ELSE ' missed' END,
                  to_char(r.cpu_ratio, 'FM990.00'), r.tps, r.cpu_micros, r.wal_bytes)
  FROM bench.ratio AS r;
