\set account random(1, 500)
\set seq :seq + 1
\set correlation :batch * 100000000000 + :client_id * 1000000000 + :seq
SELECT purser.charge_credits('few-' || :account, 1.5, 'transcription', :correlation, 'episode', :correlation);
