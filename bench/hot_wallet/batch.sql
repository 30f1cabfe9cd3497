-- Twenty charges in one statement, as a worker makes them that collects for a moment.
\set seq :seq + 1
\set correlation :batch * 100000000000 + :client_id * 1000000000 + :seq
SELECT count(purser.charge_credits('hot-wallet', 0.000001, 'call', :correlation || '-' || n, 'call', :correlation || '-' || n))
  FROM generate_series(1, 20) AS n;
