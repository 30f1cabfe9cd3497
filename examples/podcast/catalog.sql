-- # Plans are data
-- Features are declared once, in one document: what kind each is, what a plan gives that does not mention it, and what
-- it needs of others. A metered feature is a quota; the rest are switches, numbers and choices.
\set features `cat examples/catalogue/features.json`
SELECT purser.declare_features(:'features', actor => 'demo') AS features_declared;
SELECT category, string_agg(name, ', ') AS features FROM purser.features() GROUP BY category;

-- Four plans. A number is a quota, null is unlimited, 0 is not included. Rate limits are those of the default plan, times a
-- factor. Each publication is a new, immutable version, in force on every connection from its commit on.
\set plans `cat examples/catalogue/plans-creator.json`
SELECT code, published ->> 'version' AS version, published -> 'violations' AS violations
  FROM jsonb_each(:'plans') AS plan (code, document),
       LATERAL purser.publish_plan(code, document, actor => 'demo', reason => 'first catalogue') AS published
 ORDER BY document -> 'position';

-- A plan that makes no sense cannot be published. Everything that is wrong with it is said at once.
SELECT path, rule, message
  FROM purser.validate_plan('{
           "name": "Broken", "features": {"chat_messages": -5, "premium_voice_multiplier": 0.5,
                                         "auto_filler_removal": true, "teleport": true}
       }'::jsonb);

-- Where the answer to a refused request sends people.
SELECT purser.set_setting('upgrade_url', 'https://podcasts.example/upgrade', actor => 'demo');

-- One call feeds the pricing page, another the table below it.
SELECT plan ->> 'name' AS plan, plan ->> 'description' AS description,
       (SELECT string_agg(price ->> 'display' || ' a ' || (price ->> 'interval'), ', ')
          FROM jsonb_array_elements(plan -> 'prices') AS price) AS prices
  FROM jsonb_array_elements(purser.pricing()) AS plan;
SELECT name, string_agg(v ->> 'display', ' | ' ORDER BY n) AS "free | creator | pro | unlimited"
  FROM purser.compare_plans() AS c, jsonb_array_elements(c.plan_values) WITH ORDINALITY AS element (v, n)
 WHERE feature IN ('chat_messages', 'transcription_minutes', 'audio_pipeline', 'custom_domain', 'storage')
 GROUP BY name;
