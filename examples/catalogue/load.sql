-- Loads the example catalogue and one set of plans. Run at the top of the repository:
--   psql -v set=basic-pro -f examples/catalogue/load.sql        (or set=creator)
\set features `cat examples/catalogue/features.json`
\set file examples/catalogue/plans- :set .json
\set plans `cat :file`
SELECT purser.declare_features(:'features', actor => 'catalogue') AS features_declared;
SELECT purser.publish_plan(code, document, actor => 'catalogue', reason => 'example catalogue') ->> 'version' AS version, code
  FROM jsonb_each(:'plans') AS plan (code, document)
 ORDER BY document -> 'position';
