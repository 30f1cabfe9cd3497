-- Wallets with 200 live grants, and as many with three.
SELECT count(purser.grant_credits('many-' || a, 10000, 'purchased', 'g' || g, now() + (g + 30) * interval '1 day'))
  FROM generate_series(1, 500) AS a, generate_series(1, 200) AS g;
SELECT count(purser.grant_credits('few-' || a, 700000, 'purchased', 'g' || g, now() + (g + 30) * interval '1 day'))
  FROM generate_series(1, 500) AS a, generate_series(1, 3) AS g;
