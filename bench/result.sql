-- What was measured, what is compared, and how it is printed.

CREATE TABLE bench.slice (
  section text NOT NULL,
  round integer NOT NULL,  -- round 0 warms up and is not compared
  contender text NOT NULL,
  calls bigint NOT NULL,
  tps double precision NOT NULL,
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
  (31, 'charge', 'update_insert_in_one', 'UPDATE + INSERT, one statement', 0.80),
  (32, 'charge', 'update_insert', 'UPDATE + INSERT, one transaction', NULL),
  (33, 'charge', 'grant_rows', 'PL/pgSQL, grants as rows', 2),
  (34, 'charge', 'select_1', 'SELECT 1, the floor', NULL);

-- Ratios are taken within a round, where both sides met the same machine.
CREATE VIEW bench.ratio AS
SELECT c.position, c.section, c.peer, c.described, c.target,
       median.ratio, lowest, highest, rounds, tps, wal_bytes_per_call
  FROM bench.comparison AS c,
       LATERAL (
         SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ours.tps / theirs.tps) AS ratio,
                min(ours.tps / theirs.tps) AS lowest,
                max(ours.tps / theirs.tps) AS highest,
                count(*) AS rounds,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY theirs.tps) AS tps,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY theirs.wal_bytes / theirs.calls::float8)
                  AS wal_bytes_per_call
           FROM bench.slice AS ours
           JOIN bench.slice AS theirs USING (section, round)
          WHERE ours.section = c.section AND ours.contender = 'purser'
            AND theirs.contender = c.peer AND round > 0
       ) AS median
 WHERE rounds > 0;

CREATE VIEW bench.report AS
SELECT 10 * (row_number() OVER (ORDER BY min(position))) - 9 AS line, section,
       format('%-8s  %-44s %5s  %-11s %-14s %9s %9s', section, 'purser', '', '', '',
              (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY s.tps))
                 FROM bench.slice AS s
                WHERE s.section = r.section AND s.contender = 'purser' AND s.round > 0),
              (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY s.wal_bytes / s.calls::float8))
                 FROM bench.slice AS s
                WHERE s.section = r.section AND s.contender = 'purser' AND s.round > 0)) AS text
  FROM bench.ratio AS r
 GROUP BY section
UNION ALL
SELECT 10 * (dense_rank() OVER (ORDER BY position / 10)) - 9 + position % 10, section,
       format('%-8s  %-44s %5s  %-11s %-14s %9s %9s', section, 'against ' || described,
              to_char(ratio, 'FM990.00'),
              '(' || to_char(lowest, 'FM990.00') || '–' || to_char(highest, 'FM990.00') || ')',
              CASE WHEN target IS NULL THEN ''
                   WHEN ratio >= target THEN to_char(target, '"≥ "FM90.00') || ' reached'
                   ELSE to_char(target, '"≥ "FM90.00') || ' missed' END,
              round(tps), round(wal_bytes_per_call))
  FROM bench.ratio;
