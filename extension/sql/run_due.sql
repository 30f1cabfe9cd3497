-- What is due, done by whoever calls: a daemon, pg_cron, or somebody by hand, any number of them at once. Nothing waits
-- for it: decisions and balances are right without. It writes down what time did, so that events and reports know, and
-- sends the warnings that only a clock can send.
-- Locks: accounts with their wallets, then wallets, each in key order; those that others are at are skipped.

CREATE TABLE purser.due_mark (
  job text COLLATE "C" PRIMARY KEY,
  done_until timestamptz NOT NULL
);
COMMENT ON TABLE purser.due_mark IS 'Up to which instant of what it looks for a step of run_due() has come.';

CREATE TABLE purser.expiry_warning (
  account_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  grant_id bigint NOT NULL,
  warned_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, wallet, grant_id)
);
COMMENT ON TABLE purser.expiry_warning IS 'Grants whose end was announced with the event credits.expiring.';

CREATE TYPE purser.due_job AS (job text, account_id text, due_at timestamptz);
COMMENT ON TYPE purser.due_job IS
  'One thing run_due() did. job: subscription (a change that time made was written down), wallet (an allowance began, a hold or a grant ended), expiry_warning. due_at: when it was due.';

CREATE FUNCTION purser._run_subscriptions(max_jobs integer) RETURNS SETOF purser.due_job
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  due record;
BEGIN
  FOR due IN
    SELECT a.account_id, first.turns_at
      FROM (SELECT s.account_id, s.turns_at FROM purser.subscription AS s
             WHERE s.ended_at IS NULL AND s.turns_at <= purser.clock()
             ORDER BY s.turns_at, s.account_id LIMIT max_jobs) AS first
      JOIN purser.account AS a USING (account_id)
     ORDER BY a.account_id
       FOR NO KEY UPDATE OF a SKIP LOCKED
  LOOP
    PERFORM purser._lock_account(due.account_id), purser._settle_subscription(due.account_id);
    RETURN NEXT ROW('subscription', due.account_id, due.turns_at)::purser.due_job;
  END LOOP;
END
$$;
COMMENT ON FUNCTION purser._run_subscriptions(integer) IS 'Internal. Step of run_due(): subscriptions that time has changed.';

CREATE FUNCTION purser._settle_due_wallets(account_ids text[], wallets text[], due timestamptz[]) RETURNS SETOF purser.due_job
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found_due record;
BEGIN
  FOR found_due IN
    SELECT w.account_id, w.wallet, d.due_at
      FROM unnest(account_ids, wallets, due) AS d (account_id, wallet, due_at)
      JOIN purser.wallet AS w USING (account_id, wallet)
     ORDER BY w.account_id, w.wallet
       FOR NO KEY UPDATE OF w SKIP LOCKED
  LOOP
    PERFORM purser._settle_wallet(found_due.account_id, found_due.wallet);
    RETURN NEXT ROW('wallet', found_due.account_id, found_due.due_at)::purser.due_job;
  END LOOP;
END
$$;
COMMENT ON FUNCTION purser._settle_due_wallets(text[], text[], timestamptz[]) IS
  'Internal. Brings wallets up to now, in key order, without waiting for any.';

CREATE FUNCTION purser._run_wallets(max_jobs integer) RETURNS SETOF purser.due_job
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  now_is timestamptz := purser.clock();
  due record;
BEGIN
  SELECT array_agg(account_id) AS account_ids, array_agg(wallet) AS wallets, array_agg(due_at) AS due_ats INTO due
    FROM (SELECT account_id, wallet, min(due_at) AS due_at
            FROM (SELECT * FROM (SELECT w.account_id, w.wallet, w.allowance_due AS due_at FROM purser.wallet AS w
                                  WHERE w.allowance_due <= now_is AND w.allowance_due < 'infinity'
                                  ORDER BY w.allowance_due LIMIT max_jobs) AS a
                  UNION ALL
                  SELECT * FROM (SELECT h.account_id, h.wallet, h.expires_at FROM purser.credit_hold AS h
                                  WHERE h.state = 'open' AND h.expires_at <= now_is ORDER BY h.expires_at LIMIT max_jobs) AS h) AS d
           GROUP BY 1, 2 ORDER BY 3, 1, 2 LIMIT max_jobs) AS firsts;
  RETURN QUERY SELECT * FROM purser._settle_due_wallets(due.account_ids, due.wallets, due.due_ats);
END
$$;
COMMENT ON FUNCTION purser._run_wallets(integer) IS 'Internal. Step of run_due(): wallets in which an allowance begins or a hold expires.';

CREATE FUNCTION purser._run_expiries(max_jobs integer) RETURNS SETOF purser.due_job
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  now_is timestamptz := purser.clock();
  mark timestamptz := (SELECT m.done_until FROM purser.due_mark AS m WHERE m.job = 'expiry');
  due record;
  settled purser.due_job[];
BEGIN
  -- A day behind the mark, for grants that were made in a transaction that took its time.
  SELECT array_agg(account_id) AS account_ids, array_agg(wallet) AS wallets, array_agg(due_at) AS due_ats, count(*) AS wallets_due INTO due
    FROM (SELECT g.account_id, g.wallet, min(g.expires_at) AS due_at
            FROM purser.credit_grant AS g
            JOIN purser._lots AS l USING (account_id, wallet, grant_id)
           WHERE g.expires_at > coalesce(mark - interval '1 day', '-infinity') AND g.expires_at <= now_is AND g.expires_at < 'infinity'
             AND l.remaining_micros > 0
           GROUP BY 1, 2 ORDER BY 3, 1, 2 LIMIT max_jobs) AS firsts;
  settled := ARRAY(SELECT j FROM purser._settle_due_wallets(due.account_ids, due.wallets, due.due_ats) AS j);
  -- All were found and none was left to somebody else: everything up to now is done.
  IF due.wallets_due < max_jobs AND cardinality(settled) = due.wallets_due THEN
    INSERT INTO purser.due_mark (job, done_until) VALUES ('expiry', now_is) ON CONFLICT DO NOTHING;
    PERFORM FROM purser.due_mark AS m WHERE m.job = 'expiry' AND m.done_until < now_is FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
      UPDATE purser.due_mark AS m SET done_until = now_is WHERE m.job = 'expiry';
    END IF;
  END IF;
  RETURN QUERY SELECT * FROM unnest(settled);
END
$$;
COMMENT ON FUNCTION purser._run_expiries(integer) IS 'Internal. Step of run_due(): wallets in which a grant has ended and something is left of it.';

CREATE FUNCTION purser._run_warnings(max_jobs integer) RETURNS SETOF purser.due_job
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  now_is timestamptz := purser.clock();
  ahead interval := make_interval(days => purser.setting('expiry_warning_days')::integer);
  ending record;
BEGIN
  FOR ending IN
    SELECT g.account_id, g.wallet, g.grant_id, g.kind, l.remaining_micros, announced.ends
      FROM purser.credit_grant AS g
      JOIN purser._lots AS l USING (account_id, wallet, grant_id),
           LATERAL (SELECT g.expires_at - make_interval(days => g.grace_days) AS ends) AS announced
     WHERE g.expires_at > now_is AND g.expires_at <= now_is + ahead + interval '1000 days'
       AND announced.ends <= now_is + ahead AND g.kind <> 'monthly' AND l.remaining_micros > 0
       AND NOT EXISTS (SELECT FROM purser.expiry_warning AS w
                        WHERE w.account_id = g.account_id AND w.wallet = g.wallet AND w.grant_id = g.grant_id)
     ORDER BY g.expires_at, g.account_id, g.wallet, g.grant_id
     LIMIT max_jobs
  LOOP
    INSERT INTO purser.expiry_warning (account_id, wallet, grant_id, warned_at)
    VALUES (ending.account_id, ending.wallet, ending.grant_id, now_is) ON CONFLICT DO NOTHING;
    IF FOUND THEN
      PERFORM purser._emit('credits.expiring', ending.account_id, jsonb_build_object(
        'wallet', ending.wallet, 'grant_id', ending.grant_id, 'kind', ending.kind,
        'remaining', trim_scale(ending.remaining_micros / 1000000.0), 'expires_at', ending.ends));
      RETURN NEXT ROW('expiry_warning', ending.account_id, ending.ends - ahead)::purser.due_job;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION purser._run_warnings(integer) IS
  'Internal. Step of run_due(): the event credits.expiring, once for each grant that is to end within expiry_warning_days and has something left. Credits of a month''s allowance are not announced: they end every month.';

CREATE FUNCTION purser.run_due(max_jobs integer DEFAULT 100) RETURNS SETOF purser.due_job
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  step text;
  done purser.due_job[] := '{}';
BEGIN
  IF max_jobs IS NULL OR max_jobs NOT BETWEEN 1 AND 10000 THEN
    RAISE EXCEPTION 'max_jobs must be between 1 and 10000, not %', coalesce(max_jobs::text, 'null') USING ERRCODE = 'PU014';
  END IF;
  -- In the order in which time acts: who is subscribed to what decides which allowance begins.
  FOREACH step IN ARRAY '{_run_subscriptions, _run_wallets, _run_expiries, _run_warnings}'::text[] LOOP
    EXIT WHEN cardinality(done) >= max_jobs;
    EXECUTE format('SELECT $1 || array_agg(j) FROM purser.%I($2) AS j', step) INTO done USING done, max_jobs - cardinality(done);
    done := coalesce(done, '{}');
  END LOOP;
  RETURN QUERY SELECT * FROM unnest(done);
END
$$;
COMMENT ON FUNCTION purser.run_due(integer) IS
  'Does what is due, at most about so many things, and says what it did: writes down what time has done to subscriptions and wallets (allowances, holds and grants that ended), effective from the instants at which it happened, and warns of grants that end soon. Call it again while it returns as many as it was allowed. Any number of callers at once; what one is at, the others leave out. Down for months and back gives the same books as never down. With pg_cron: SELECT cron.schedule(''purser'', ''* * * * *'', ''SELECT purser.run_due()''). PU014 for other numbers.';
