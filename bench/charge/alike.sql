\set account random(100000000001, 100000000000 + :accounts)
\set seq :seq + 1
\set correlation :batch * 100000000000 + :client_id * 1000000000 + :seq
SELECT bench.charge_credits_alike(:account, 1.5, 'transcription', :correlation, 'episode', :correlation);
