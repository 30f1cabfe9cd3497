-- A hundred increments of a hundred random accounts in one call.
\set n random(1, 1000)
SELECT count(*) FILTER (WHERE d.allowed)
  FROM bench.batch AS b,
       LATERAL purser.check_and_increment_batch(b.account_ids, b.features) AS d
 WHERE b.n = :n;
