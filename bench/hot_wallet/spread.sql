-- One charge, as an application makes it after transcribing an episode.
\set account random(100000000001, 100000000000 + :accounts)
\set seq :seq + 1
\set correlation :batch * 100000000000 + :client_id * 1000000000 + :seq
SELECT purser.charge_credits(:account, 1.5, 'transcription', :correlation, 'episode', :correlation);
