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

CREATE FUNCTION purser._feature_dependencies() RETURNS SETOF purser.violation
  LANGUAGE c STABLE
  AS 'MODULE_PATHNAME', 'purser_feature_dependencies';
COMMENT ON FUNCTION purser._feature_dependencies() IS
  'Internal. All that is wrong with what the declared features require of each other.';

CREATE FUNCTION purser._plan_features(definition jsonb)
  RETURNS TABLE (feature text, value jsonb, quota bigint, included boolean, display text)
  LANGUAGE c STABLE
  AS 'MODULE_PATHNAME', 'purser_plan_features';
COMMENT ON FUNCTION purser._plan_features(jsonb) IS
  'Internal. What a valid plan document gives for every declared feature, its limit where it is a quota, and the words for it. PU008 when the document is not valid.';

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
  SELECT jsonb_agg(to_jsonb(v) ORDER BY v.path) INTO wrong FROM purser._feature_dependencies() AS v;
  PERFORM purser._require_valid('the feature catalogue', wrong);
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
  'Declares features, or changes their text, default and bounds; the kind never changes, and every published version must stay valid. Takes {"code": {"kind": "quota" | "switch" | "number" | "choice", "name", "unit", "category", "description", "position", "default", "per", "requires", …}}. requires names what a plan that turns the feature on must give of others: {"audio_pipeline": "auphonic" or a list, "exports": true, "minutes": {"minimum": 100}}; circles are refused. Returns how many were new or changed. PU008 lists everything that is wrong.';

CREATE FUNCTION purser._plan_leaves(definition jsonb) RETURNS TABLE (path text, value jsonb)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  -- A quota may be written short (50, -1) or long ({"quota": 50}); both are compared as long.
  WITH RECURSIVE features (members) AS (
    SELECT jsonb_object_agg(f.key, CASE
             WHEN known.definition ->> 'kind' <> 'quota' OR known.code IS NULL THEN f.value
             WHEN f.value = '-1' OR f.value -> 'quota' = '-1'
               THEN (CASE jsonb_typeof(f.value) WHEN 'object' THEN f.value ELSE '{}' END) || '{"quota": null}'
             WHEN jsonb_typeof(f.value) <> 'object' THEN jsonb_build_object('quota', f.value)
             ELSE f.value END)
      FROM jsonb_each(CASE jsonb_typeof(definition -> 'features') WHEN 'object' THEN definition -> 'features' END) AS f
      LEFT JOIN purser.feature AS known ON known.code = f.key
  ), document (value) AS (
    SELECT CASE WHEN jsonb_typeof(definition) <> 'object' THEN '{}'
                WHEN members IS NULL THEN definition
                ELSE jsonb_set(definition, '{features}', members) END
      FROM features
  ), node (path, value) AS (
    SELECT m.key, m.value FROM document AS d, jsonb_each(d.value) AS m
    UNION ALL
    SELECT n.path || m.path, m.value
      FROM node AS n,
           LATERAL (SELECT '.' || o.key, o.value
                      FROM jsonb_each(CASE jsonb_typeof(n.value) WHEN 'object' THEN n.value END) AS o
                    UNION ALL
                    SELECT '[' || (a.ordinality - 1) || ']', a.value
                      FROM jsonb_array_elements(CASE jsonb_typeof(n.value) WHEN 'array' THEN n.value END)
                           WITH ORDINALITY AS a) AS m (path, value)
  )
  SELECT path, value FROM node WHERE jsonb_typeof(value) NOT IN ('object', 'array') OR value IN ('{}', '[]');
END;
COMMENT ON FUNCTION purser._plan_leaves(jsonb) IS
  'Internal. Every single value of a plan document with its path.';

CREATE FUNCTION purser._definition_diff(old_definition jsonb, new_definition jsonb)
  RETURNS TABLE (path text, change text, old jsonb, new jsonb)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(a.path, b.path),
         CASE WHEN a.path IS NULL THEN 'added' WHEN b.path IS NULL THEN 'removed' ELSE 'changed' END,
         a.value, b.value
    FROM purser._plan_leaves(old_definition) AS a
    FULL JOIN purser._plan_leaves(new_definition) AS b ON b.path = a.path
   WHERE a.value IS DISTINCT FROM b.value OR a.path IS NULL OR b.path IS NULL
   ORDER BY coalesce(a.path, b.path) COLLATE "C";
END;
COMMENT ON FUNCTION purser._definition_diff(jsonb, jsonb) IS
  'Internal. Where two plan documents differ.';

CREATE FUNCTION purser._plan_followers(code text) RETURNS SETOF text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
    SELECT s.account_id FROM purser.subscription AS s
     WHERE s.plan = code AND s.ended_at IS NULL AND s.pinned_version IS NULL
       AND coalesce(s.turns_at > purser.clock(), true);
  -- What time has done and nobody has written down yet; also that it left an account on the default plan.
  RETURN QUERY
    SELECT s.account_id FROM purser.subscription AS s, LATERAL purser.subscription(s.account_id) AS turned
     WHERE s.ended_at IS NULL AND s.turns_at <= purser.clock()
       AND turned.plan = code AND turned.pinned_version IS NULL;
  RETURN QUERY
    SELECT a.account_id FROM purser.account AS a
     WHERE code = purser.setting('default_plan') AND a.status <> 'deleted'
       AND NOT EXISTS (SELECT FROM purser.subscription AS s WHERE s.account_id = a.account_id AND s.ended_at IS NULL);
END
$$;
COMMENT ON FUNCTION purser._plan_followers(text) IS
  'Internal. The accounts that a new version of the plan reaches: subscribed and not pinned; on the default plan also those without a subscription.';

CREATE FUNCTION purser._plan_impact(code text, definition jsonb) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  -- An override stands above the plan, so those accounts are not over because of it.
  WITH follower AS MATERIALIZED (
    SELECT f AS account_id FROM purser._plan_followers(code) AS f
  ), over_limit AS (
    SELECT e.feature, e.account_id
      FROM purser._plan_features(definition) AS p
      JOIN purser.entitlement AS e ON e.feature = p.feature
      JOIN follower ON follower.account_id = e.account_id
     WHERE p.quota IS NOT NULL AND e.override IS NULL
       AND e.period_end > purser.clock()
       AND e.used - e.carried + (SELECT coalesce(sum(s.used), 0) FROM purser.entitlement_stripe AS s
                                  WHERE s.account_id = e.account_id AND s.feature = e.feature) > p.quota
  )
  SELECT jsonb_build_object(
    'accounts', (SELECT count(*) FROM follower),
    'over', jsonb_build_object(
      'accounts', (SELECT count(DISTINCT o.account_id) FROM over_limit AS o),
      'features', (SELECT coalesce(jsonb_object_agg(c.feature, c.accounts), '{}')
                     FROM (SELECT o.feature, count(*) AS accounts FROM over_limit AS o GROUP BY o.feature) AS c)));
END;
COMMENT ON FUNCTION purser._plan_impact(text, jsonb) IS
  'Internal. How many accounts a valid definition reaches, and how many of them have used more in their running period than it gives.';

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
  latest purser.plan_version;
  changes jsonb;
  impact jsonb;
BEGIN
  PERFORM purser._checked_id(code, 'code'), purser._checked_id(actor, 'actor'), purser._checked_id(reason, 'reason');
  IF definition IS NULL OR dry_run IS NULL THEN
    RAISE EXCEPTION 'argument "%" is null', CASE WHEN definition IS NULL THEN 'definition' ELSE 'dry_run' END
      USING ERRCODE = 'PU014', HINT = 'Pass the plan as a JSON object, and dry_run as true or false.';
  END IF;
  SELECT jsonb_agg(to_jsonb(v)) INTO wrong FROM purser.validate_plan(definition) AS v;
  IF NOT dry_run THEN
    PERFORM purser._require_valid(format('plan "%s"', code), wrong);
    INSERT INTO purser.plan (plan, created_at) VALUES (code, purser.clock()) ON CONFLICT DO NOTHING;
    PERFORM FROM purser.plan AS p WHERE p.plan = code FOR UPDATE;
  END IF;
  SELECT * INTO latest FROM purser.plan_version AS v WHERE v.plan = code ORDER BY v.version DESC LIMIT 1;
  SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]') INTO changes
    FROM purser._definition_diff(coalesce(latest.definition, '{}'), definition) AS d;
  IF wrong IS NULL THEN
    impact := purser._plan_impact(code, definition);
  END IF;
  IF NOT dry_run THEN
    INSERT INTO purser.plan_version (plan, version, definition, actor, reason, published_at)
    VALUES (code, coalesce(latest.version, 0) + 1, definition, actor, reason, purser.clock());
    PERFORM purser._audit(actor, 'plan.published', NULL, 'plan', code,
                          jsonb_build_object('version', coalesce(latest.version, 0) + 1, 'reason', reason));
  END IF;
  RETURN jsonb_build_object(
    'plan', code,
    'version', coalesce(latest.version, 0) + 1,
    'published', NOT dry_run,
    'violations', coalesce(wrong, '[]'),
    'diff', changes,
    'accounts', (SELECT count(*) FROM purser._plan_followers(code)),
    'over', impact -> 'over');
END
$$;
COMMENT ON FUNCTION purser.publish_plan(text, jsonb, text, text, boolean) IS
  'Publishes an immutable new version of a plan, in force everywhere with the commit. Returns plan, version, violations, diff against the latest version, accounts (how many follow it; for the default plan also those without a subscription) and over: how many of them have used more in their running period than it gives, in total and by feature (null while there are violations). dry_run says the same and changes nothing. PU008 lists everything that is wrong with the document.';

CREATE FUNCTION purser._published(code text, version integer) RETURNS jsonb
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found_definition jsonb;
BEGIN
  PERFORM purser._checked_id(code, 'code');
  SELECT v.definition INTO found_definition
    FROM purser.plan_version AS v WHERE v.plan = code AND v.version = _published.version;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'plan "%" has no version %', code, coalesce(_published.version::text, 'null')
      USING ERRCODE = 'PU012', HINT = 'purser.plan_history() lists the versions of a plan.';
  END IF;
  RETURN found_definition;
END
$$;
COMMENT ON FUNCTION purser._published(text, integer) IS
  'Internal. The document of a published version. PU012 when there is none.';

CREATE FUNCTION purser.plan_history(code text)
  RETURNS TABLE (version integer, in_force boolean, published_at timestamptz, actor text, reason text, changes bigint,
                 definition jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(code, 'code');
  IF NOT EXISTS (SELECT FROM purser.plan_version AS v WHERE v.plan = code) THEN
    RAISE EXCEPTION 'plan "%" is not published', code
      USING ERRCODE = 'PU012', HINT = 'Publish it with purser.publish_plan().';
  END IF;
  RETURN QUERY
    SELECT v.version, v.version = max(v.version) OVER (), v.published_at, v.actor, v.reason,
           (SELECT count(*) FROM purser._definition_diff(
              coalesce((SELECT o.definition FROM purser.plan_version AS o
                         WHERE o.plan = v.plan AND o.version = v.version - 1), '{}'), v.definition)),
           v.definition
      FROM purser.plan_version AS v WHERE v.plan = code ORDER BY v.version;
END
$$;
COMMENT ON FUNCTION purser.plan_history(text) IS
  'Every version of a plan: when, by whom, why, and in how many values it differs from the version before. PU012 for a plan that was never published.';

CREATE FUNCTION purser.plan_diff(code text, from_version integer, to_version integer)
  RETURNS TABLE (path text, change text, old jsonb, new jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT * FROM purser._definition_diff(purser._published(code, from_version), purser._published(code, to_version));
END;
COMMENT ON FUNCTION purser.plan_diff(text, integer, integer) IS
  'Where two versions of a plan differ: path in the document, added, removed or changed, the old and the new value. However a quota is written, it is compared by what it means. PU012 for a version that does not exist.';

CREATE FUNCTION purser.rollback_plan(code text, version integer, actor text, reason text, dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT purser.publish_plan(code, purser._published(code, version), actor, reason, dry_run);
END;
COMMENT ON FUNCTION purser.rollback_plan(text, integer, text, text, boolean) IS
  'Publishes a new version equal to an old one, held against today''s features. Returns what publish_plan() does. PU012 for a version that does not exist.';

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
