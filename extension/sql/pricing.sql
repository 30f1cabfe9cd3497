-- What pricing pages show: features, prices and plans side by side, with words fit for people.

CREATE FUNCTION purser.display_price(cents bigint, currency text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE currency WHEN 'usd' THEN '$' WHEN 'eur' THEN '€' WHEN 'gbp' THEN '£' ELSE upper(currency) || ' ' END
         || CASE WHEN cents % 100 = 0 THEN (cents / 100)::text
                 ELSE (cents / 100)::text || '.' || lpad((cents % 100)::text, 2, '0') END;
END;
COMMENT ON FUNCTION purser.display_price(bigint, text) IS 'A price for people: 2999 cents of usd is $29.99, 9900 is $99.';

CREATE FUNCTION purser.features()
  RETURNS TABLE (category text, feature text, kind text, name text, unit text, description text, definition jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT known.category, known.code, known.definition ->> 'kind', coalesce(known.definition ->> 'name', known.code),
         known.definition ->> 'unit', known.definition ->> 'description', known.definition
    FROM (SELECT f.code, f.definition, f.definition ->> 'category' AS category,
                 coalesce((f.definition ->> 'position')::integer, 2147483647) AS position
            FROM purser.feature AS f) AS known
   ORDER BY min(known.position) OVER (PARTITION BY known.category), known.category NULLS LAST,
            known.position, known.code;
END;
COMMENT ON FUNCTION purser.features() IS
  'The declared features, by category. A category stands where its first feature does; within it they follow their position, then their code; those without a position come last.';

CREATE FUNCTION purser._plan_document(plan text, version integer, definition jsonb) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT (definition - 'prices')
         || jsonb_build_object(
              'plan', plan,
              'version', version,
              'prices', (SELECT coalesce(jsonb_agg(price.value || jsonb_build_object(
                                  'display', purser.display_price((price.value ->> 'cents')::bigint,
                                                                  price.value ->> 'currency'))
                                ORDER BY price.ordinality), '[]')
                           FROM jsonb_array_elements(coalesce(nullif(definition -> 'prices', 'null'), '[]'))
                                WITH ORDINALITY AS price),
              'feature_list', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                        'feature', f.feature, 'category', f.category, 'name', f.name,
                                        'included', p.included, 'display', p.display) ORDER BY f.ordinality), '[]')
                                 FROM purser._plan_features(definition) AS p
                                 JOIN (SELECT * FROM purser.features() WITH ORDINALITY) AS f ON f.feature = p.feature));
END;
COMMENT ON FUNCTION purser._plan_document(text, integer, jsonb) IS
  'Internal. A published plan as pricing pages show it.';

CREATE FUNCTION purser._offered_plans()
  RETURNS TABLE (plan text, version integer, definition jsonb)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT p.plan, p.version, p.definition
    FROM (SELECT DISTINCT ON (v.plan) v.plan, v.version, v.definition
            FROM purser.plan_version AS v ORDER BY v.plan, v.version DESC) AS p
   WHERE coalesce((p.definition ->> 'public')::boolean, true) AND coalesce((p.definition ->> 'active')::boolean, true)
   ORDER BY coalesce((p.definition ->> 'position')::integer, 0), p.plan;
END;
COMMENT ON FUNCTION purser._offered_plans() IS
  'Internal. The latest version of every public, active plan, in their order.';

CREATE FUNCTION purser.pricing() RETURNS jsonb
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(jsonb_agg(purser._plan_document(p.plan, p.version, p.definition) ORDER BY p.ordinality), '[]')
    FROM purser._offered_plans() WITH ORDINALITY AS p;
END;
COMMENT ON FUNCTION purser.pricing() IS
  'The public, active plans in their order as one JSON document for a pricing page: prices with a display text, and feature_list, every feature with whether it is included and words for what the plan gives.';

CREATE FUNCTION purser.compare_plans(plans text[] DEFAULT NULL)
  RETURNS TABLE (category text, feature text, name text, unit text, description text, plan_values jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  unknown text;
BEGIN
  PERFORM purser._checked_id(p, 'plans') FROM unnest(compare_plans.plans) AS p;
  SELECT p INTO unknown FROM unnest(compare_plans.plans) AS p
   WHERE NOT EXISTS (SELECT FROM purser.plan_version AS v WHERE v.plan = p) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'plan "%" is not published', unknown
      USING ERRCODE = 'PU012', HINT = 'Publish it with purser.publish_plan().';
  END IF;
  RETURN QUERY
    WITH compared AS MATERIALIZED (
      SELECT o.plan, o.definition, o.ordinality FROM purser._offered_plans() WITH ORDINALITY AS o
       WHERE compare_plans.plans IS NULL
      UNION ALL
      SELECT asked.plan,
             (SELECT v.definition FROM purser.plan_version AS v WHERE v.plan = asked.plan ORDER BY v.version DESC LIMIT 1),
             asked.ordinality
        FROM unnest(compare_plans.plans) WITH ORDINALITY AS asked (plan, ordinality)
    ), given AS MATERIALIZED (
      SELECT c.plan, c.ordinality, c.definition ->> 'name' AS plan_name, p.*
        FROM compared AS c, LATERAL purser._plan_features(c.definition) AS p
    )
    SELECT f.category, f.feature, f.name, f.unit, f.description,
           (SELECT coalesce(jsonb_agg(jsonb_build_object('plan', g.plan, 'name', g.plan_name, 'value', g.value,
                                                         'included', g.included, 'display', g.display)
                                      ORDER BY g.ordinality), '[]')
              FROM given AS g WHERE g.feature = f.feature)
      FROM purser.features() WITH ORDINALITY AS f
     ORDER BY f.ordinality;
END
$$;
COMMENT ON FUNCTION purser.compare_plans(text[]) IS
  'Plans side by side: a row for every feature in the order of features(), with plan_values, one element for each plan: plan, name, value, included, and display, words for what it gives. The public, active plans in their order, or those asked for as given. PU012 for a plan that was never published.';
