-- The same in one statement, a call for each; in account order, or two of them would deadlock.
\set n random(1, 1000)
SELECT count(*) FILTER (WHERE (d.decision).allowed)
  FROM (SELECT bench.check_and_increment_update_first(account_id, 'batch_calls') AS decision
          FROM bench.batch AS b, LATERAL unnest(b.sorted_ids) AS account_id
         WHERE b.n = :n OFFSET 0) AS d;
