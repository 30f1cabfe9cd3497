\set seq :seq + 1
\set correlation :batch * 100000000000 + :client_id * 1000000000 + :seq
SELECT purser.charge_credits('hot-wallet', 0.000001, 'call', :correlation, 'call', :correlation);
