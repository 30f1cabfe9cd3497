-- Features and plans: declared, validated, published as immutable versions.
-- Lock order: the plan row, then its versions.

CREATE FUNCTION purser._catalog_changed() RETURNS trigger
  LANGUAGE c
  AS 'MODULE_PATHNAME', 'purser_catalog_changed';
COMMENT ON FUNCTION purser._catalog_changed() IS
  'Internal. Tells every session to read the catalog again once this transaction commits.';

CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON purser.setting
  FOR EACH STATEMENT EXECUTE FUNCTION purser._catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON purser.feature
  FOR EACH STATEMENT EXECUTE FUNCTION purser._catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON purser.plan_version
  FOR EACH STATEMENT EXECUTE FUNCTION purser._catalog_changed();
-- A replica that applies rows runs no function; it must forget too.
ALTER TABLE purser.setting ENABLE ALWAYS TRIGGER catalog_changed;
ALTER TABLE purser.feature ENABLE ALWAYS TRIGGER catalog_changed;
ALTER TABLE purser.plan_version ENABLE ALWAYS TRIGGER catalog_changed;

CREATE FUNCTION purser.validate_plan(definition jsonb) RETURNS SETOF purser.violation
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_validate_plan';
COMMENT ON FUNCTION purser.validate_plan(jsonb) IS
  'All that is wrong with a plan document; no row when it can be published.';

CREATE FUNCTION purser._validate_feature(code text, definition jsonb) RETURNS SETOF purser.violation
  LANGUAGE c STABLE
  AS 'MODULE_PATHNAME', 'purser_validate_feature';
COMMENT ON FUNCTION purser._validate_feature(text, jsonb) IS
  'Internal. All that is wrong with the declaration of one feature.';

CREATE FUNCTION purser._require_valid(what text, violations jsonb) RETURNS void
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF violations IS NOT NULL THEN
    RAISE EXCEPTION '% has % violation(s): %', what, jsonb_array_length(violations), violations -> 0 ->> 'message'
      USING ERRCODE = 'PU008', DETAIL = violations::text,
            HINT = 'Every violation is listed in the detail, as JSON with path, rule and message.';
  END IF;
END
$$;
COMMENT ON FUNCTION purser._require_valid(text, jsonb) IS
  'Internal. Raises PU008 with all violations, or does nothing when there are none (NULL).';

CREATE FUNCTION purser.declare_features(features jsonb, actor text DEFAULT session_user) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wrong jsonb;
  declared integer;
BEGIN
  IF features IS NULL OR jsonb_typeof(features) <> 'object' THEN
    RAISE EXCEPTION 'features must be a JSON object of feature code and declaration'
      USING ERRCODE = 'PU014', HINT = 'For example {"chat_messages": {"kind": "quota", "per": "day"}}.';
  END IF;
  SELECT jsonb_agg(jsonb_build_object('path', concat_ws('.', f.code, nullif(v.path, '')), 'rule', v.rule,
                     'message', format('feature "%s": %s', f.code, v.message))
                   ORDER BY f.code, v.path) INTO wrong
    FROM jsonb_each(features) AS f (code, definition),
         LATERAL purser._validate_feature(f.code, f.definition) AS v;
  PERFORM purser._require_valid('the feature catalogue', wrong);
  SELECT jsonb_agg(jsonb_build_object('path', f.code, 'rule', 'kind_changed', 'message',
                     format('feature "%s" is a %s and cannot become a %s', f.code,
                            old.definition ->> 'kind', f.definition ->> 'kind'))) INTO wrong
    FROM jsonb_each(features) AS f (code, definition)
    JOIN purser.feature AS old ON old.code = f.code
   WHERE old.definition ->> 'kind' IS DISTINCT FROM f.definition ->> 'kind';
  PERFORM purser._require_valid('the feature catalogue', wrong);
  INSERT INTO purser.feature AS known (code, definition)
  SELECT purser._checked_id(f.code, 'feature'), f.definition
    FROM jsonb_each(features) AS f (code, definition)
   ORDER BY f.code
  ON CONFLICT (code) DO UPDATE SET definition = excluded.definition
   WHERE known.definition <> excluded.definition;
  GET DIAGNOSTICS declared = ROW_COUNT;
  SELECT jsonb_agg(jsonb_build_object('path', format('%s/%s/%s', p.plan, p.version, v.path), 'rule', v.rule,
                     'message', format('published version %s of plan "%s": %s', p.version, p.plan, v.message))
                   ORDER BY p.plan, p.version, v.path) INTO wrong
    FROM purser.plan_version AS p, LATERAL purser.validate_plan(p.definition) AS v;
  PERFORM purser._require_valid('the feature catalogue', wrong);
  PERFORM purser._audit(purser._checked_id(actor, 'actor'), 'features.declared', NULL, 'feature', NULL,
                        jsonb_build_object('features', (SELECT jsonb_agg(k) FROM jsonb_object_keys(features) AS k)));
  RETURN declared;
END
$$;
COMMENT ON FUNCTION purser.declare_features(jsonb, text) IS
  'Declares features, or changes their text, default and bounds; the kind never changes, and every published version must stay valid. Takes {"code": {"kind": "quota" | "switch" | "number" | "choice", "name", "unit", "category", "description", "default", "per", …}}. Returns how many were new or changed. PU008 lists everything that is wrong.';

CREATE FUNCTION purser.publish_plan(
  code text,
  definition jsonb,
  actor text,
  reason text,
  dry_run boolean DEFAULT false
) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wrong jsonb;
  next_version integer;
BEGIN
  PERFORM purser._checked_id(code, 'code'), purser._checked_id(actor, 'actor'), purser._checked_id(reason, 'reason');
  IF definition IS NULL THEN
    RAISE EXCEPTION 'argument "definition" is null' USING ERRCODE = 'PU014', HINT = 'Pass the plan as a JSON object.';
  END IF;
  SELECT jsonb_agg(to_jsonb(v)) INTO wrong FROM purser.validate_plan(definition) AS v;
  IF NOT dry_run THEN
    PERFORM purser._require_valid(format('plan "%s"', code), wrong);
    INSERT INTO purser.plan (plan, created_at) VALUES (code, purser.clock()) ON CONFLICT DO NOTHING;
    PERFORM FROM purser.plan AS p WHERE p.plan = code FOR UPDATE;
  END IF;
  SELECT coalesce(max(v.version), 0) + 1 INTO next_version FROM purser.plan_version AS v WHERE v.plan = code;
  IF NOT dry_run THEN
    INSERT INTO purser.plan_version (plan, version, definition, actor, reason, published_at)
    VALUES (code, next_version, definition, actor, reason, purser.clock());
    PERFORM purser._audit(actor, 'plan.published', NULL, 'plan', code,
                          jsonb_build_object('version', next_version, 'reason', reason));
  END IF;
  RETURN jsonb_build_object(
    'plan', code,
    'version', next_version,
    'published', NOT dry_run,
    'violations', coalesce(wrong, '[]'),
    'accounts', (SELECT count(*) FROM purser.subscription AS s
                  WHERE s.plan = code AND s.ended_at IS NULL AND s.pinned_version IS NULL));
END
$$;
COMMENT ON FUNCTION purser.publish_plan(text, jsonb, text, text, boolean) IS
  'Publishes an immutable new version of a plan, in force everywhere with the commit. Returns plan, version, violations and how many subscriptions follow it. dry_run changes nothing. PU008 lists everything that is wrong with the document.';

CREATE FUNCTION purser.display_price(cents bigint, currency text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE currency WHEN 'usd' THEN '$' WHEN 'eur' THEN '€' WHEN 'gbp' THEN '£' ELSE upper(currency) || ' ' END
         || CASE WHEN cents % 100 = 0 THEN (cents / 100)::text
                 ELSE (cents / 100)::text || '.' || lpad((cents % 100)::text, 2, '0') END;
END;
COMMENT ON FUNCTION purser.display_price(bigint, text) IS 'A price for people: 2999 cents of usd is $29.99, 9900 is $99.';

CREATE FUNCTION purser.pricing() RETURNS jsonb
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(jsonb_agg(p.document ORDER BY p.position, p.plan), '[]')
    FROM (SELECT DISTINCT ON (v.plan)
                 v.plan,
                 coalesce((v.definition ->> 'position')::integer, 0) AS position,
                 coalesce((v.definition ->> 'public')::boolean, true)
                   AND coalesce((v.definition ->> 'active')::boolean, true) AS offered,
                 (v.definition - 'prices')
                   || jsonb_build_object(
                        'plan', v.plan,
                        'version', v.version,
                        'prices', (SELECT coalesce(jsonb_agg(price.value || jsonb_build_object(
                                            'display', purser.display_price((price.value ->> 'cents')::bigint,
                                                                            price.value ->> 'currency'))
                                          ORDER BY price.ordinality), '[]')
                                     FROM jsonb_array_elements(coalesce(nullif(v.definition -> 'prices', 'null'), '[]'))
                                          WITH ORDINALITY AS price)) AS document
            FROM purser.plan_version AS v
           ORDER BY v.plan, v.version DESC) AS p
   WHERE p.offered;
END;
COMMENT ON FUNCTION purser.pricing() IS
  'The public, active plans in their order as one JSON document for a pricing page, prices with a display text.';

CREATE FUNCTION purser.feature_value(account_id text, feature text) RETURNS jsonb
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_feature_value';
COMMENT ON FUNCTION purser.feature_value(text, text) IS
  'What the account''s plan gives for a feature: a quota''s limit (null when unlimited), true or false, a number, a choice. PU012 for an unknown feature.';

CREATE FUNCTION purser.has_feature(account_id text, feature text) RETURNS boolean
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_has_feature';
COMMENT ON FUNCTION purser.has_feature(text, text) IS
  'Whether the account may use a feature at all: it is active, and its plan has the switch on or a quota other than 0.';
