-- PLAN-1, PLAN-2, PLAN-10, PLAN-11: the example catalogue, 29 features in 8 categories and two sets of plans, as
-- loaded from its JSON documents; and what pricing pages get to show. In a database of its own.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_purser_catalogue;
CREATE DATABASE regress_purser_catalogue;
\c regress_purser_catalogue
SET timezone = 'UTC';
SET purser.now = '2026-03-10 12:00+00';
CREATE EXTENSION purser;
\set set basic-pro
\i examples/catalogue/load.sql

-- PLAN-2: in the order of the document, by category.
SELECT count(*) AS features, count(DISTINCT category) AS categories FROM purser.features();
SELECT category, array_agg(feature ORDER BY n) AS features
  FROM purser.features() WITH ORDINALITY AS f (category, feature, kind, name, unit, description, definition, n)
 GROUP BY category ORDER BY min(n);
SELECT feature, kind, name, unit, description FROM purser.features() LIMIT 3;
-- What one feature needs of another keeps a plan from being published, both are named.
SELECT path, rule, message FROM purser.validate_plan('{"name": "Filler", "features": {"auto_filler_removal": true, "voice_cloning": true,
  "tts_voices": "standard", "collaborators": 2, "version_history": 4, "premium_voice_multiplier": 0.99}}') ORDER BY path;

-- PLAN-1: the pricing page.
SELECT p ->> 'plan' AS plan, string_agg(price ->> 'display' || ' a ' || (price ->> 'interval'), ', ' ORDER BY price ->> 'interval') AS prices,
       jsonb_array_length(p -> 'feature_list') AS features
  FROM jsonb_array_elements(purser.pricing()) WITH ORDINALITY AS plans (p, n), jsonb_array_elements(p -> 'prices') AS price
 GROUP BY n, p ORDER BY n;
SELECT jsonb_pretty(purser.pricing() #> '{2,feature_list,3}');

-- PLAN-10: the matrix of a pricing table.
SELECT category, name, string_agg(v ->> 'display', ' | ' ORDER BY o) AS "free | basic | pro | enterprise"
  FROM purser.compare_plans() WITH ORDINALITY AS c (category, feature, name, unit, description, plan_values, n),
       jsonb_array_elements(plan_values) WITH ORDINALITY AS p (v, o)
 GROUP BY n, category, name ORDER BY n;
SELECT feature, plan_values FROM purser.compare_plans('{pro,free}') WHERE feature IN ('storage', 'interviews', 'analytics', 'custom_domain', 'episodes');
SELECT count(*) AS features, count(*) FILTER (WHERE plan_values = '[]') AS without_plans FROM purser.compare_plans('{}');
\set VERBOSITY sqlstate
SELECT feature FROM purser.compare_plans('{pro,no-such-plan}');
SELECT feature FROM purser.compare_plans(ARRAY['pro', NULL]);
\set VERBOSITY default

-- PLAN-11: another set of plans over the same features; only pro gives auphonic.
\set set creator
\i examples/catalogue/load.sql
SELECT count(purser.subscribe(plan, plan, 'tester')) FROM unnest('{free, creator, pro, unlimited}'::text[]) AS plan;
SELECT plan, purser.feature_value(plan, 'audio_pipeline') AS pipeline FROM unnest('{free, creator, pro, unlimited}'::text[]) AS plan;
SELECT version, changes FROM purser.plan_history('pro');
\c contrib_regression
DROP DATABASE regress_purser_catalogue;
