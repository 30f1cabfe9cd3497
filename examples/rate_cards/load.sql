-- Publishes one of the example rate cards and prices operations by it. Run at the top of the repository:
--   psql -v card=seconds -f examples/rate_cards/load.sql        (or card=minutes, card=cents)
\set file examples/rate_cards/ :card .json
\set document `cat :file`
SELECT purser.publish_rate_card(:'card', :'document', actor => 'example', reason => 'example rate card') ->> 'version' AS version;
SELECT purser.set_setting('rate_card', :'card');
