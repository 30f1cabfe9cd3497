-- Rate cards: what operations cost, as immutable versions; and charging by them.
-- Lock order: for publishing the card's row; for charging see operations.cpp.

CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON purser.rate_card_version
  FOR EACH STATEMENT EXECUTE FUNCTION purser._catalog_changed();
ALTER TABLE purser.rate_card_version ENABLE ALWAYS TRIGGER catalog_changed;

CREATE FUNCTION purser.validate_rate_card(definition jsonb) RETURNS SETOF purser.violation
  LANGUAGE c IMMUTABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_validate_rate_card';
COMMENT ON FUNCTION purser.validate_rate_card(jsonb) IS
  'All that is wrong with a rate card; no row when it can be published.';

CREATE FUNCTION purser.replay_rate_card(
  definition jsonb,
  since timestamptz,
  until timestamptz DEFAULT NULL,
  account_id text DEFAULT NULL
) RETURNS TABLE (operation text, charges bigint, charged numeric, would_cost numeric, difference numeric, not_priced bigint)
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_replay_rate_card';
COMMENT ON FUNCTION purser.replay_rate_card(jsonb, timestamptz, timestamptz, text) IS
  'What the operations charged from since until (NULL: now), of one account or of all, would have cost under a rate card: quantities, modifiers and plan as they were, free units and tiers counted anew. Refunds are left out. not_priced: charges of operations that the card does not have or refuses, which count in charged alone. PU008 when the card is not valid.';

CREATE FUNCTION purser.recomputed_amount(breakdown jsonb) RETURNS numeric
  LANGUAGE c IMMUTABLE PARALLEL SAFE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_recomputed_amount';
COMMENT ON FUNCTION purser.recomputed_amount(jsonb) IS
  'The price that follows from the breakdown of a charge alone, without its rate card: (flat + added + sum of (rate + added rates) x quantity / per) x multipliers, at least minimum, rounded once to 6 decimals, half up. NULL for a document that is no such breakdown.';

CREATE FUNCTION purser._checked_rate_card(card text) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(card, 'card');
  IF NOT EXISTS (SELECT FROM purser.rate_card_version AS v WHERE v.rate_card = card) THEN
    RAISE EXCEPTION 'rate card "%" is not published', card
      USING ERRCODE = 'PU012', HINT = 'Publish it with purser.publish_rate_card().';
  END IF;
END
$$;
COMMENT ON FUNCTION purser._checked_rate_card(text) IS
  'Internal. PU012 for a rate card that was never published.';

CREATE FUNCTION purser._rate_card_version_at(card text, at timestamptz) RETURNS integer
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT v.version FROM purser.rate_card_version AS v
   WHERE v.rate_card = card AND v.effective_from <= at
   ORDER BY v.effective_from DESC, v.version DESC LIMIT 1;
END;
COMMENT ON FUNCTION purser._rate_card_version_at(text, timestamptz) IS
  'Internal. The version of a rate card in force at an instant; NULL when there is none.';

CREATE FUNCTION purser.rate_card(card text DEFAULT NULL, at timestamptz DEFAULT NULL) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  asked text := coalesce(rate_card.card, purser.setting('rate_card'));
BEGIN
  PERFORM purser._checked_rate_card(asked);
  RETURN (SELECT v.definition FROM purser.rate_card_version AS v
           WHERE v.rate_card = asked
             AND v.version = purser._rate_card_version_at(asked, coalesce(rate_card.at, purser.clock())));
END
$$;
COMMENT ON FUNCTION purser.rate_card(text, timestamptz) IS
  'The rate card in force at an instant (NULL: now), by default the one that prices operations (setting rate_card). NULL before its first version is effective. PU012 for a card that was never published.';

CREATE FUNCTION purser.rate_card_history(card text DEFAULT 'default')
  RETURNS TABLE (version integer, in_force boolean, effective_from timestamptz, published_at timestamptz, actor text, reason text,
                 definition jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_rate_card(card);
  RETURN QUERY
    SELECT v.version, v.version IS NOT DISTINCT FROM purser._rate_card_version_at(card, purser.clock()), v.effective_from,
           v.published_at, v.actor, v.reason, v.definition
      FROM purser.rate_card_version AS v WHERE v.rate_card = card ORDER BY v.version;
END
$$;
COMMENT ON FUNCTION purser.rate_card_history(text) IS
  'Every version of a rate card: from when it prices, when it was published, by whom and why. PU012 for a card that was never published.';

CREATE FUNCTION purser.rate_card_diff(card text, from_version integer, to_version integer)
  RETURNS TABLE (path text, change text, old jsonb, new jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  missing integer;
BEGIN
  PERFORM purser._checked_rate_card(card);
  FOREACH missing IN ARRAY ARRAY[from_version, to_version] LOOP
    IF NOT EXISTS (SELECT FROM purser.rate_card_version AS v WHERE v.rate_card = card AND v.version = missing) THEN
      RAISE EXCEPTION 'rate card "%" has no version %', card, coalesce(missing::text, 'null')
        USING ERRCODE = 'PU012', HINT = 'purser.rate_card_history() lists the versions of a card.';
    END IF;
  END LOOP;
  RETURN QUERY
    SELECT d.* FROM purser.rate_card_version AS a, purser.rate_card_version AS b,
           LATERAL purser._definition_diff(a.definition, b.definition) AS d
     WHERE a.rate_card = card AND a.version = from_version AND b.rate_card = card AND b.version = to_version;
END
$$;
COMMENT ON FUNCTION purser.rate_card_diff(text, integer, integer) IS
  'Where two versions of a rate card differ: path in the document, added, removed or changed, the old and the new value. PU012 for a version that does not exist.';

CREATE FUNCTION purser.publish_rate_card(
  card text,
  definition jsonb,
  actor text,
  reason text,
  effective_from timestamptz DEFAULT NULL,
  dry_run boolean DEFAULT false
) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wrong jsonb;
  latest purser.rate_card_version;
  changes jsonb;
  replayed jsonb;
  at timestamptz := purser.clock();
BEGIN
  PERFORM purser._checked_id(card, 'card'), purser._checked_id(actor, 'actor'), purser._checked_id(reason, 'reason');
  IF definition IS NULL OR dry_run IS NULL THEN
    RAISE EXCEPTION 'argument "%" is null', CASE WHEN definition IS NULL THEN 'definition' ELSE 'dry_run' END
      USING ERRCODE = 'PU014', HINT = 'Pass the rate card as a JSON object, and dry_run as true or false.';
  END IF;
  IF publish_rate_card.effective_from < at OR publish_rate_card.effective_from = 'infinity' THEN
    RAISE EXCEPTION 'a rate card cannot be effective from %', publish_rate_card.effective_from
      USING ERRCODE = 'PU014', DETAIL = 'What was charged stays as it was charged.',
            HINT = 'Pass an instant to come, or NULL for now.';
  END IF;
  SELECT jsonb_agg(to_jsonb(v)) INTO wrong FROM purser.validate_rate_card(definition) AS v;
  IF NOT dry_run THEN
    PERFORM purser._require_valid(format('rate card "%s"', card), wrong);
    INSERT INTO purser.rate_card (rate_card, created_at) VALUES (card, at) ON CONFLICT DO NOTHING;
    PERFORM FROM purser.rate_card AS c WHERE c.rate_card = card FOR UPDATE;
  END IF;
  SELECT * INTO latest FROM purser.rate_card_version AS v WHERE v.rate_card = card ORDER BY v.version DESC LIMIT 1;
  SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]') INTO changes
    FROM purser._definition_diff(coalesce(latest.definition, '{}'), definition) AS d;
  IF dry_run AND wrong IS NULL THEN
    SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') INTO replayed
      FROM purser.replay_rate_card(definition, at - interval '1 month', at) AS r;
  END IF;
  IF NOT dry_run THEN
    INSERT INTO purser.rate_card_version (rate_card, version, definition, effective_from, actor, reason, published_at)
    VALUES (card, coalesce(latest.version, 0) + 1, definition, coalesce(publish_rate_card.effective_from, at), actor, reason, at);
    PERFORM purser._audit(actor, 'rate_card.published', NULL, 'rate_card', card,
                          jsonb_build_object('version', coalesce(latest.version, 0) + 1, 'reason', reason,
                                             'effective_from', coalesce(publish_rate_card.effective_from, at)));
  END IF;
  RETURN jsonb_build_object(
    'rate_card', card,
    'version', coalesce(latest.version, 0) + 1,
    'published', NOT dry_run,
    'effective_from', coalesce(publish_rate_card.effective_from, at),
    'violations', coalesce(wrong, '[]'),
    'diff', changes,
    'last_month', replayed);
END
$$;
COMMENT ON FUNCTION purser.publish_rate_card(text, jsonb, text, text, timestamptz, boolean) IS
  'Publishes an immutable new version of a rate card, which prices operations from effective_from on (NULL: now); never back in time. Of several versions the one that became effective last is in force, the higher one of two at once. Returns version, violations and diff against the latest version; with dry_run it changes nothing and adds last_month: what the charges of the month past would have cost, as replay_rate_card() says. PU008 lists everything that is wrong with the document, PU014 for unusable arguments.';

CREATE FUNCTION purser.estimate_cost(
  account_id text,
  operation text,
  quantity numeric,
  modifiers jsonb DEFAULT '{}',
  wallet text DEFAULT 'credits'
) RETURNS jsonb
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_estimate_cost';
COMMENT ON FUNCTION purser.estimate_cost(text, text, numeric, jsonb, text) IS
  'What charge_operation() would take now: amount, breakdown, balance, affordable, shortfall and allocations (from which grants). Changes nothing. PU010 when the plan refuses so much, PU012 for an unknown operation, modifier or choice, PU013 and PU014 for unusable arguments.';

CREATE FUNCTION purser.estimate_cost_batch(
  account_id text,
  operation text,
  quantities numeric[],
  modifiers jsonb DEFAULT '{}',
  wallet text DEFAULT 'credits'
) RETURNS jsonb
  LANGUAGE c STABLE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_estimate_cost_batch';
COMMENT ON FUNCTION purser.estimate_cost_batch(text, text, numeric[], jsonb, text) IS
  'As estimate_cost(), for charge_operation_batch().';

CREATE FUNCTION purser.charge_operation(
  account_id text,
  operation text,
  quantity numeric,
  correlation_id text,
  modifiers jsonb DEFAULT '{}',
  resource_type text DEFAULT NULL,
  resource_id text DEFAULT NULL,
  resource_title text DEFAULT NULL,
  wallet text DEFAULT 'credits',
  notes text DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_charge_operation';
COMMENT ON FUNCTION purser.charge_operation(text, text, numeric, text, jsonb, text, text, text, text, text) IS
  'Charges an operation at the rate card in force and the account''s plan, with the breakdown in the entry. quantity is in the operation''s unit; modifiers names switches (true) and choices, for example {"audio": "advanced"}. The same correlation id and request returns the first answer, also after a new rate card. What costs nothing (free units, included) makes no entry: entry_id is NULL, amount 0, and the id is taken all the same. A refund does not give free units back. PU002 when credits do not suffice, PU003 when the account is not active, PU005 for an id used for another request, PU010 when the plan refuses so much, PU012 for an unknown operation, modifier or choice, PU013 and PU014 for unusable arguments.';

CREATE FUNCTION purser.charge_operation_batch(
  account_id text,
  operation text,
  quantities numeric[],
  correlation_id text,
  modifiers jsonb DEFAULT '{}',
  resource_type text DEFAULT NULL,
  resource_id text DEFAULT NULL,
  resource_title text DEFAULT NULL,
  wallet text DEFAULT 'credits',
  notes text DEFAULT NULL
) RETURNS purser.ledger_entry
  LANGUAGE c VOLATILE SECURITY DEFINER
  AS 'MODULE_PATHNAME', 'purser_charge_operation_batch';
COMMENT ON FUNCTION purser.charge_operation_batch(text, text, numeric[], text, jsonb, text, text, text, text, text) IS
  'As charge_operation(), for 1 to 1000 calls charged together: each quantity or their sum is rounded, as the rate card says, and what is included counts for each; flat fee and minimum count once.';
