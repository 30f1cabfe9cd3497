-- Peer "PL/pgSQL": the quota function a good team would write for itself. One row a counter, limits in a
-- table, periods that start again by themselves, one composite answer, safe under concurrency. It has no
-- account status, no holds, no idempotency and no history: purser does more for its ratio, not less.

CREATE TABLE bench.plan_quota (
  plan text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  quota bigint,
  per text NOT NULL,
  PRIMARY KEY (plan, feature)
);
INSERT INTO bench.plan_quota (plan, feature, quota, per)
SELECT plan, feature, quota, 'month'
  FROM unnest(ARRAY['free', 'creator', 'pro', 'team']) AS plan,
       (VALUES ('chat_messages', 1000000000), ('batch_calls', 1000000000), ('exports', 5), ('minutes', 100), ('episodes', 10), ('members', 3))
         AS f (feature, quota);

CREATE TABLE bench.account (
  account_id text COLLATE "C" PRIMARY KEY,
  plan text COLLATE "C" NOT NULL
);
INSERT INTO bench.account SELECT account_id, plan FROM bench.customer;

CREATE TABLE bench.usage (
  account_id text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  used bigint NOT NULL,
  period_start timestamptz NOT NULL,
  PRIMARY KEY (account_id, feature)
) WITH (fillfactor = 50);
INSERT INTO bench.usage
SELECT account_id, feature, used, date_trunc('month', now(), 'UTC')
  FROM bench.customer, (VALUES ('chat_messages', 1), ('batch_calls', 1), ('exports', 5)) AS f (feature, used);

-- One table for each way of writing it.
CREATE TABLE bench.usage_update_first (LIKE bench.usage INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO bench.usage_update_first SELECT * FROM bench.usage;
CREATE TABLE bench.usage_round_trips (LIKE bench.usage INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO bench.usage_round_trips SELECT * FROM bench.usage;

CREATE TYPE bench.decision AS (
  allowed boolean,
  used bigint,
  quota bigint,
  remaining bigint,
  resets_at timestamptz
);

CREATE FUNCTION bench.check_and_increment(account_id text, feature text, amount bigint DEFAULT 1)
  RETURNS bench.decision
  LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  rule record;
  starts timestamptz;
  answer bench.decision;
BEGIN
  SELECT q.quota, q.per INTO rule
    FROM bench.account AS a
    JOIN bench.plan_quota AS q ON q.plan = a.plan AND q.feature = $2
   WHERE a.account_id = $1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'feature "%" is not in the plan of account "%"', $2, $1;
  END IF;
  starts := date_trunc(rule.per, now(), 'UTC');
  IF amount <= coalesce(rule.quota, amount) THEN
    INSERT INTO bench.usage AS u (account_id, feature, used, period_start)
    VALUES ($1, $2, amount, starts)
    ON CONFLICT (account_id, feature) DO UPDATE
       SET used = CASE WHEN u.period_start < starts THEN amount ELSE u.used + amount END,
           period_start = greatest(u.period_start, starts)
     WHERE rule.quota IS NULL
        OR u.period_start < starts
        OR u.used + amount <= rule.quota
    RETURNING u.used INTO answer.used;
  END IF;
  answer.allowed := answer.used IS NOT NULL;
  IF NOT answer.allowed THEN
    SELECT CASE WHEN u.period_start < starts THEN 0 ELSE u.used END INTO answer.used
      FROM bench.usage AS u
     WHERE u.account_id = $1 AND u.feature = $2;
  END IF;
  answer.quota := rule.quota;
  answer.remaining := greatest(rule.quota - answer.used, 0);
  answer.resets_at := starts + ('1 ' || rule.per)::interval;
  RETURN answer;
END
$$;

-- The same with UPDATE before INSERT: cheaper where the row is there, and a refusal writes nothing.
CREATE FUNCTION bench.check_and_increment_update_first(account_id text, feature text, amount bigint DEFAULT 1)
  RETURNS bench.decision
  LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  rule record;
  starts timestamptz;
  answer bench.decision;
BEGIN
  SELECT q.quota, q.per INTO rule
    FROM bench.account AS a
    JOIN bench.plan_quota AS q ON q.plan = a.plan AND q.feature = $2
   WHERE a.account_id = $1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'feature "%" is not in the plan of account "%"', $2, $1;
  END IF;
  starts := date_trunc(rule.per, now(), 'UTC');
  LOOP
    UPDATE bench.usage_update_first AS u
       SET used = CASE WHEN u.period_start < starts THEN amount ELSE u.used + amount END,
           period_start = greatest(u.period_start, starts)
     WHERE u.account_id = $1
       AND u.feature = $2
       AND (rule.quota IS NULL
            OR CASE WHEN u.period_start < starts THEN amount ELSE u.used + amount END <= rule.quota)
    RETURNING u.used INTO answer.used;
    answer.allowed := FOUND;
    EXIT WHEN FOUND;
    SELECT CASE WHEN u.period_start < starts THEN 0 ELSE u.used END INTO answer.used
      FROM bench.usage_update_first AS u
     WHERE u.account_id = $1 AND u.feature = $2;
    EXIT WHEN FOUND OR amount > rule.quota;
    INSERT INTO bench.usage_update_first (account_id, feature, used, period_start)
    VALUES ($1, $2, 0, starts)
    ON CONFLICT DO NOTHING;
  END LOOP;
  answer.used := coalesce(answer.used, 0);
  answer.quota := rule.quota;
  answer.remaining := greatest(rule.quota - answer.used, 0);
  answer.resets_at := starts + ('1 ' || rule.per)::interval;
  RETURN answer;
END
$$;
