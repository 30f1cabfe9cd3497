-- Import of old balances and their history. The rows come from a table of the caller's, which is read with the caller's
-- rights, or as a document; nothing is ever built into a statement but the name of that table. Locks: one wallet a row, in
-- the order account, wallet, time.

CREATE TYPE purser.import_row AS (
  row_key text,
  account_id text,
  wallet text,
  at timestamptz,
  quantity numeric,
  rate numeric,
  credits numeric,
  status text,
  entry_id text,
  code text,
  message text
);
COMMENT ON TYPE purser.import_row IS
  'What became of one row of an import. credits: quantity × rate, rounded to 6 places, negative for credits that were used. status: imported, replayed (it had been imported before, nothing was changed), or rejected, with the SQLSTATE and the message of the reason in code and message.';

CREATE FUNCTION purser._import_entry(
  account_id text,
  wallet text,
  correlation_id text,
  credits numeric,
  kind text,
  reason text,
  at timestamptz,
  expires_at timestamptz,
  resource_type text,
  resource_id text,
  resource_title text,
  breakdown jsonb,
  notes text,
  OUT status text,
  OUT entry_id text,
  OUT code text,
  OUT message text
) LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'purser_import_entry';
COMMENT ON FUNCTION purser._import_entry(text, text, text, numeric, text, text, timestamptz, timestamptz, text, text, text, jsonb, text) IS
  'Internal. Writes one imported entry in force from an instant of the past, or says why it cannot be.';

CREATE FUNCTION purser._read_import(source jsonb, rate numeric, wallet text, OUT parsed purser.import_row, OUT expires_at timestamptz)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  parsed.row_key := source ->> 'row_key';
  parsed.account_id := source ->> 'account_id';
  parsed.wallet := coalesce(source ->> 'wallet', _read_import.wallet);
  parsed.quantity := source ->> 'quantity';
  parsed.rate := coalesce((source ->> 'rate')::numeric, _read_import.rate);
  parsed.credits := trim_scale(round(parsed.quantity * parsed.rate, 6));
  parsed.at := source ->> 'at';
  expires_at := source ->> 'expires_at';
EXCEPTION WHEN data_exception THEN
  parsed.status := 'rejected';
  parsed.code := 'PU014';
  parsed.message := SQLERRM;
END
$$;
COMMENT ON FUNCTION purser._read_import(jsonb, numeric, text) IS
  'Internal. One row of an import with its types, rejected already when it cannot be read.';

CREATE FUNCTION purser.import_credit_rows(
  source jsonb,
  batch text,
  actor text,
  rate numeric DEFAULT 1,
  unit text DEFAULT 'credit',
  wallet text DEFAULT 'credits',
  kind text DEFAULT 'purchased',
  dry_run boolean DEFAULT false
) RETURNS SETOF purser.import_row
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $$
DECLARE
  found record;
  result purser.import_row;
  results purser.import_row[];
BEGIN
  PERFORM purser._checked_id(import_credit_rows.batch, 'batch'), purser._checked_id(import_credit_rows.actor, 'actor'),
          purser._checked_id(import_credit_rows.unit, 'unit'), purser._checked_id(import_credit_rows.wallet, 'wallet'),
          purser._checked_id(import_credit_rows.kind, 'kind');
  IF coalesce(jsonb_typeof(import_credit_rows.source) <> 'array', true) THEN
    RAISE EXCEPTION 'rows to import must be an array of objects, not %', coalesce(jsonb_typeof(import_credit_rows.source), 'null')
      USING ERRCODE = 'PU014', HINT = 'Pass (SELECT jsonb_agg(to_jsonb(r)) FROM your_rows AS r).';
  END IF;
  IF NOT coalesce(import_credit_rows.rate > 0 AND import_credit_rows.rate < 'Infinity', false) THEN
    RAISE EXCEPTION 'rate must be a positive number of credits for one %, not %', import_credit_rows.unit,
                    coalesce(import_credit_rows.rate::text, 'null')
      USING ERRCODE = 'PU013';
  END IF;
  -- A dry run does everything and takes it back; what it found outlives that.
  BEGIN
    FOR found IN
      SELECT r.value, p.parsed, p.expires_at
        FROM jsonb_array_elements(import_credit_rows.source) AS r,
             LATERAL purser._read_import(r.value, import_credit_rows.rate, import_credit_rows.wallet) AS p
       ORDER BY (p.parsed).account_id COLLATE "C", (p.parsed).wallet COLLATE "C", (p.parsed).at NULLS LAST, (p.parsed).row_key COLLATE "C"
    LOOP
      result := found.parsed;
      IF result.status IS NULL AND coalesce(result.row_key, '') = '' THEN
        result.status := 'rejected';
        result.code := 'PU014';
        result.message := 'row_key is missing';
      END IF;
      IF result.status IS NULL THEN
        SELECT e.status, e.entry_id, e.code, e.message INTO result.status, result.entry_id, result.code, result.message
          FROM purser._import_entry(
                 result.account_id, result.wallet, 'import:' || import_credit_rows.batch || ':' || result.row_key, result.credits,
                 coalesce(found.value ->> 'kind', import_credit_rows.kind), coalesce(found.value ->> 'reason', 'import'),
                 result.at, found.expires_at, found.value ->> 'resource_type', found.value ->> 'resource_id',
                 found.value ->> 'resource_title',
                 jsonb_build_object('import', import_credit_rows.batch, 'row', result.row_key, 'unit', import_credit_rows.unit,
                                    'quantity', abs(result.quantity), 'rate', result.rate, 'credits', abs(result.credits)),
                 found.value ->> 'notes') AS e;
      END IF;
      results := results || result;
    END LOOP;
    IF import_credit_rows.dry_run THEN
      RAISE EXCEPTION USING ERRCODE = 'PU000';
    END IF;
    PERFORM purser._audit(import_credit_rows.actor, 'credits.imported', NULL, 'import', import_credit_rows.batch, (
      SELECT jsonb_build_object('rows', count(*), 'quantity', coalesce(sum(r.quantity), 0), 'credits', coalesce(sum(r.credits), 0),
                                'imported', count(*) FILTER (WHERE r.status = 'imported'),
                                'replayed', count(*) FILTER (WHERE r.status = 'replayed'),
                                'rejected', count(*) FILTER (WHERE r.status = 'rejected'),
                                'rejected_credits', coalesce(sum(r.credits) FILTER (WHERE r.status = 'rejected'), 0))
        FROM unnest(results) AS r));
  EXCEPTION WHEN SQLSTATE 'PU000' THEN
    NULL;
  END;
  RETURN QUERY SELECT * FROM unnest(results);
END
$$;
COMMENT ON FUNCTION purser.import_credit_rows(jsonb, text, text, numeric, text, text, text, boolean) IS
  'Imports balances and history, one ledger entry a row, and says what became of each; as import_credits(), for rows in a document: (SELECT jsonb_agg(to_jsonb(r)) FROM … AS r).';

CREATE FUNCTION purser.import_credits(
  source regclass,
  batch text,
  actor text,
  rate numeric DEFAULT 1,
  unit text DEFAULT 'credit',
  wallet text DEFAULT 'credits',
  kind text DEFAULT 'purchased',
  dry_run boolean DEFAULT false
) RETURNS SETOF purser.import_row
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  source_rows jsonb;
BEGIN
  IF import_credits.source IS NULL THEN
    RAISE EXCEPTION 'argument "source" is null' USING ERRCODE = 'PU014', HINT = 'Pass the table the rows are in.';
  END IF;
  EXECUTE format('SELECT coalesce(jsonb_agg(to_jsonb(s)), ''[]'') FROM %s AS s', import_credits.source) INTO source_rows;
  RETURN QUERY SELECT * FROM purser.import_credit_rows(source_rows, import_credits.batch, import_credits.actor, import_credits.rate,
                                                       import_credits.unit, import_credits.wallet, import_credits.kind,
                                                       import_credits.dry_run);
END
$$;
COMMENT ON FUNCTION purser.import_credits(regclass, text, text, numeric, text, text, text, boolean) IS
  'Imports old balances and history from a table, temporary or not, which is read with the caller''s rights, and says what became of each row. Columns, of any type that reads as what they are: account_id, row_key (unique within the batch) and quantity, above zero for credits that came in, below for credits used; and if there are such columns at (NULL: now), rate, wallet, kind, expires_at, reason, resource_type, resource_id, resource_title, notes, which come before the arguments. credits are quantity × rate; quantity, unit and rate stay in the breakdown of the entry, which is in force from its own instant (effective_at). Within a wallet rows are taken in the order of time, and none may lie before an entry that is there already: history comes first. A row is rejected, with the reason, and the others are imported. The same batch and row_key are imported once, however often they are sent. dry_run answers the same and changes nothing. Audited. PU013 for an unusable rate, PU014 for other unusable arguments.';

CREATE FUNCTION purser.import_report(
  batch text,
  OUT source_rows bigint,
  OUT source_credits numeric,
  OUT rejected_rows bigint,
  OUT rejected_credits numeric,
  OUT ledger_rows bigint,
  OUT ledger_credits numeric,
  OUT credits_in numeric,
  OUT credits_out numeric,
  OUT accounts bigint,
  OUT agrees boolean
) LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM purser._checked_id(import_report.batch, 'batch');
  SELECT (e.details ->> 'rows')::bigint, (e.details ->> 'credits')::numeric, (e.details ->> 'rejected')::bigint,
         (e.details ->> 'rejected_credits')::numeric
    INTO source_rows, source_credits, rejected_rows, rejected_credits
    FROM purser.audit_event AS e
   WHERE e.action = 'credits.imported' AND e.resource_id = import_report.batch
   ORDER BY e.at DESC LIMIT 1;
  SELECT count(*), coalesce(sum(CASE l.direction WHEN 'CREDIT' THEN l.amount ELSE -l.amount END), 0),
         coalesce(sum(l.amount) FILTER (WHERE l.direction = 'CREDIT'), 0),
         coalesce(sum(l.amount) FILTER (WHERE l.direction = 'DEBIT'), 0), count(DISTINCT l.account_id)
    INTO ledger_rows, ledger_credits, credits_in, credits_out, accounts
    FROM purser.ledger AS l
   WHERE l.breakdown ->> 'import' = import_report.batch
     AND starts_with(l.correlation_id, 'import:' || import_report.batch || ':');
  agrees := source_rows = ledger_rows + rejected_rows AND source_credits = ledger_credits + rejected_credits;
END
$$;
COMMENT ON FUNCTION purser.import_report(text) IS
  'Compares what the last run of a batch was given with what the ledger has of the batch: agrees when rows and credits of the source are those of the ledger and of the rejected rows together. NULLs for a batch that never ran. Each run is expected to be given the whole batch.';
