-- Plan and price experiments: who sees which variant, and what came of it. An assignment locks the
-- experiment's row FOR KEY SHARE, nothing else.

CREATE TABLE purser.experiment (
  experiment text COLLATE "C" PRIMARY KEY,
  variants jsonb NOT NULL,
  actor text NOT NULL,
  created_at timestamptz NOT NULL,
  closed_at timestamptz
);
COMMENT ON TABLE purser.experiment IS 'Experiments: variants is {"name": {"weight", "plan"}}. A closed one assigns nobody any more.';

CREATE TABLE purser.experiment_assignment (
  account_id text COLLATE "C" NOT NULL,
  experiment text COLLATE "C" NOT NULL,
  variant text COLLATE "C" NOT NULL,
  assigned_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, experiment)
);
COMMENT ON TABLE purser.experiment_assignment IS 'Which variant of an experiment an account was given; it stays, whatever becomes of the weights.';

CREATE FUNCTION purser.declare_experiment(name text, variants jsonb, actor text DEFAULT session_user) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  variant record;
  problem text;
  normal jsonb := '{}';
BEGIN
  PERFORM purser._checked_id(name, 'name'), purser._checked_id(actor, 'actor');
  IF variants IS NULL OR jsonb_typeof(variants) <> 'object' OR variants = '{}' THEN
    RAISE EXCEPTION 'variants must be a JSON object of variant and weight'
      USING ERRCODE = 'PU014', HINT = 'For example {"control": 50, "cheap": {"weight": 50, "plan": "pro-cheap"}}.';
  END IF;
  FOR variant IN
    SELECT purser._checked_id(v.key, 'variant') AS name,
           CASE jsonb_typeof(v.value) WHEN 'object' THEN v.value ELSE jsonb_build_object('weight', v.value) END AS terms
      FROM jsonb_each(variants) AS v
  LOOP
    problem := CASE
      WHEN variant.terms - '{weight,plan}'::text[] <> '{}' THEN 'has weight and plan, and nothing else'
      WHEN NOT purser._is_number(variant.terms -> 'weight', 0, 1000000, 0) THEN 'weight must be an integer from 0 to 1000000'
      WHEN variant.terms ? 'plan' AND NOT EXISTS (SELECT FROM purser.plan_version AS p WHERE p.plan = variant.terms ->> 'plan')
        THEN format('plan %s is not published', left(coalesce((variant.terms -> 'plan')::text, 'null'), 60)) END;
    IF problem IS NOT NULL THEN
      RAISE EXCEPTION 'variant "%": %', variant.name, problem
        USING ERRCODE = 'PU014', HINT = 'For example {"control": 50, "cheap": {"weight": 50, "plan": "pro-cheap"}}.';
    END IF;
    normal := normal || jsonb_build_object(variant.name, variant.terms);
  END LOOP;
  IF (SELECT sum((v.value ->> 'weight')::bigint) FROM jsonb_each(normal) AS v) = 0 THEN
    RAISE EXCEPTION 'every variant has weight 0' USING ERRCODE = 'PU014', HINT = 'Give at least one a weight above 0.';
  END IF;
  INSERT INTO purser.experiment AS e (experiment, variants, actor, created_at)
  VALUES (name, normal, actor, purser.clock())
  ON CONFLICT (experiment) DO UPDATE SET variants = excluded.variants, actor = excluded.actor
   WHERE e.closed_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'experiment "%" is closed', name USING ERRCODE = 'PU014', HINT = 'Begin another under a name of its own.';
  END IF;
  PERFORM purser._audit(actor, 'experiment.declared', NULL, 'experiment', name, jsonb_build_object('variants', normal));
END
$$;
COMMENT ON FUNCTION purser.declare_experiment(text, jsonb, text) IS
  'Begins an experiment, or changes its weights for accounts not yet assigned. variants: {"control": 50, "cheap": {"weight": 50, "plan": "pro-cheap"}}; plan names what the variant offers, for the report and for whoever asks. PU014 for weights that are no integers from 0 to 1000000, unpublished plans, closed experiments.';

CREATE FUNCTION purser.experiment_variant(account_id text, name text) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  chosen text;
  running purser.experiment;
  point numeric;
BEGIN
  PERFORM purser._checked_id(experiment_variant.account_id, 'account_id'), purser._checked_id(name, 'name');
  SELECT a.variant INTO chosen FROM purser.experiment_assignment AS a
   WHERE a.account_id = experiment_variant.account_id AND a.experiment = name;
  IF FOUND THEN
    RETURN chosen;
  END IF;
  SELECT * INTO running FROM purser.experiment AS e WHERE e.experiment = name FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown experiment "%"', name USING ERRCODE = 'PU012', HINT = 'Begin it with purser.declare_experiment().';
  END IF;
  IF running.closed_at IS NOT NULL THEN
    RETURN NULL;
  END IF;
  -- The same account always falls on the same point of [0, 1), in a different order for each experiment.
  point := ('x' || left(encode(sha256(convert_to(jsonb_build_array(name, experiment_variant.account_id)::text, 'UTF8')), 'hex'), 12))
           ::bit(48)::bigint / 281474976710656.0;
  SELECT v.variant INTO chosen
    FROM (SELECT w.key AS variant, (w.value ->> 'weight')::bigint AS weight,
                 sum((w.value ->> 'weight')::bigint) OVER (ORDER BY w.key COLLATE "C") AS up_to,
                 sum((w.value ->> 'weight')::bigint) OVER () AS total
            FROM jsonb_each(running.variants) AS w) AS v
   WHERE v.weight > 0 AND v.up_to > point * v.total
   ORDER BY v.up_to LIMIT 1;
  INSERT INTO purser.experiment_assignment (account_id, experiment, variant, assigned_at)
  VALUES (experiment_variant.account_id, name, chosen, purser.clock()) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    SELECT a.variant INTO chosen FROM purser.experiment_assignment AS a
     WHERE a.account_id = experiment_variant.account_id AND a.experiment = name;
  END IF;
  RETURN chosen;
END
$$;
COMMENT ON FUNCTION purser.experiment_variant(text, text) IS
  'The variant of an experiment an account sees: chosen by a hash of both at first asking, by weight, and kept. NULL when the experiment closed before the account was assigned. PU012 for an unknown experiment.';

CREATE FUNCTION purser.close_experiment(name text, actor text DEFAULT session_user) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(name, 'name'), purser._checked_id(actor, 'actor');
  IF NOT EXISTS (SELECT FROM purser.experiment AS e WHERE e.experiment = name) THEN
    RAISE EXCEPTION 'unknown experiment "%"', name USING ERRCODE = 'PU012', HINT = 'Begin it with purser.declare_experiment().';
  END IF;
  UPDATE purser.experiment AS e SET closed_at = purser.clock() WHERE e.experiment = name AND e.closed_at IS NULL;
  IF FOUND THEN
    PERFORM purser._audit(actor, 'experiment.closed', NULL, 'experiment', name, '{}');
    RETURN true;
  END IF;
  RETURN false;
END
$$;
COMMENT ON FUNCTION purser.close_experiment(text, text) IS
  'Ends an experiment: nobody is assigned any more, who is assigned stays. False when it was closed. PU012 for an unknown experiment.';

CREATE FUNCTION purser.experiment_report(name text)
  RETURNS TABLE (variant text, weight bigint, plan text, accounts bigint, subscribed bigint, percent numeric, by_plan jsonb,
                 credits_charged numeric)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(name, 'name');
  IF NOT EXISTS (SELECT FROM purser.experiment AS e WHERE e.experiment = name) THEN
    RAISE EXCEPTION 'unknown experiment "%"', name USING ERRCODE = 'PU012', HINT = 'Begin it with purser.declare_experiment().';
  END IF;
  RETURN QUERY
    WITH variants AS (
      SELECT v.key AS variant, (v.value ->> 'weight')::bigint AS weight, v.value ->> 'plan' AS plan
        FROM purser.experiment AS e, jsonb_each(e.variants) AS v WHERE e.experiment = name
    ), assigned AS MATERIALIZED (
      SELECT a.variant,
             EXISTS (SELECT FROM purser.subscription AS s
                      WHERE s.account_id = a.account_id AND s.started_at >= a.assigned_at) AS converted,
             coalesce((SELECT CASE WHEN s.turns_at <= purser.clock() THEN (purser.subscription(a.account_id)).plan ELSE s.plan END
                         FROM purser.subscription AS s WHERE s.account_id = a.account_id AND s.ended_at IS NULL),
                      purser.setting('default_plan')) AS plan,
             (SELECT sum(l.amount) FROM purser.ledger AS l
               WHERE l.account_id = a.account_id AND l.direction = 'DEBIT' AND l.correlation_id IS NOT NULL
                 AND l.created_at >= a.assigned_at) AS charged
        FROM purser.experiment_assignment AS a WHERE a.experiment = name
    )
    SELECT n.variant, v.weight, v.plan, count(a.variant), count(*) FILTER (WHERE a.converted),
           round(100.0 * count(*) FILTER (WHERE a.converted) / nullif(count(a.variant), 0), 2),
           coalesce((SELECT jsonb_object_agg(p.plan, p.accounts)
                       FROM (SELECT b.plan, count(*) AS accounts FROM assigned AS b WHERE b.variant = n.variant GROUP BY b.plan) AS p), '{}'),
           coalesce(trim_scale(sum(a.charged)), 0)
      FROM (SELECT o.variant FROM variants AS o UNION SELECT b.variant FROM assigned AS b) AS n
      LEFT JOIN variants AS v ON v.variant = n.variant
      LEFT JOIN assigned AS a ON a.variant = n.variant
     GROUP BY n.variant, v.weight, v.plan ORDER BY n.variant COLLATE "C";
END
$$;
COMMENT ON FUNCTION purser.experiment_report(text) IS
  'What became of each variant: accounts assigned, how many subscribed since and in percent, their plans today, credits they were charged since. A variant that is no longer declared has no weight. PU012 for an unknown experiment.';
