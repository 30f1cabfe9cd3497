-- PLAN-13: variants are chosen by hash and weight, and stay; reports compare what became of them. Two
-- sessions at once: specs/experiment_first_use.
SET timezone = 'UTC';
SET purser.now = '2026-03-10 12:00+00';

SELECT purser.declare_experiment('price', '{"control": 70, "cheap": {"weight": 30, "plan": "pro"}, "never": 0}', 'tester');
CREATE TEMP TABLE seen AS
SELECT 'exp-' || n AS account, purser.experiment_variant('exp-' || n, 'price') AS variant FROM generate_series(1, 10000) AS n;
-- 3000 of 10,000 are expected cheap, with a standard deviation of sqrt(10000 * 0.3 * 0.7) = 45.8; five of them are 229.
SELECT count(*) FILTER (WHERE variant = 'cheap') BETWEEN 3000 - 229 AND 3000 + 229 AS by_weight,
       count(*) FILTER (WHERE variant NOT IN ('cheap', 'control')) AS others FROM seen;
-- The hash decides, not chance: forgotten, the same accounts fall the same way. Another experiment divides them otherwise:
-- of the cheap ones 30 % are expected, at most 5 * sqrt(n * 0.21) from it.
BEGIN;
DELETE FROM purser.experiment_assignment WHERE experiment = 'price';
SELECT count(*) AS different FROM seen WHERE variant <> purser.experiment_variant(account, 'price');
SELECT purser.declare_experiment('colour', '{"control": 70, "cheap": 30}', 'tester');
SELECT abs(count(*) FILTER (WHERE purser.experiment_variant(account, 'colour') = 'cheap') - 0.3 * count(*)) < 5 * sqrt(0.21 * count(*)) AS independent
  FROM seen WHERE variant = 'cheap';
ROLLBACK;
-- They stay when the weights change and when their variant goes; new ones follow the new weights.
SELECT purser.declare_experiment('price', '{"control": 0, "dear": 1}', 'tester');
SELECT count(*) AS moved FROM seen WHERE variant <> purser.experiment_variant(account, 'price');
SELECT count(*) FILTER (WHERE purser.experiment_variant('exp-new-' || n, 'price') = 'dear') AS dear FROM generate_series(1, 20) AS n;

-- The report.
SELECT purser.declare_experiment('plans', '{"a": 1, "b": {"weight": 1, "plan": "pro"}}', 'tester');
CREATE TEMP TABLE member AS
SELECT account, variant, row_number() OVER (PARTITION BY variant ORDER BY n) AS nth
  FROM (SELECT n, 'member-' || n AS account, purser.experiment_variant('member-' || n, 'plans') AS variant FROM generate_series(1, 60) AS n) AS m;
SET purser.now = '2026-03-11 12:00+00';
SELECT count(purser.subscribe(account, CASE WHEN nth = 1 THEN 'creator' ELSE 'pro' END, 'tester')) FROM member WHERE variant = 'b' AND nth <= 4;
SELECT count(purser.grant_credits(account, 10, 'purchased', 'g')), count(purser.charge_credits(account, 2.5, 'work', 'c')) FROM member WHERE nth <= 2;
SELECT variant, weight, plan, accounts = (SELECT count(*) FROM member AS m WHERE m.variant = r.variant) AS counted, subscribed,
       percent = round(100.0 * subscribed / accounts, 2) AS percent, by_plan - 'free' AS by_plan, credits_charged
  FROM purser.experiment_report('plans') AS r;
SELECT variant, weight, plan, accounts > 0 AS has_accounts, subscribed, percent, credits_charged FROM purser.experiment_report('price');

-- Closed, nobody is assigned any more; who was stays.
SELECT purser.close_experiment('plans', 'tester'), purser.close_experiment('plans', 'tester') AS again;
SELECT purser.experiment_variant('exp-late', 'plans') IS NULL AS nobody_new,
       purser.experiment_variant('member-1', 'plans') = (SELECT variant FROM member WHERE account = 'member-1') AS stays;
SELECT tried($$SELECT purser.declare_experiment('plans', '{"a": 1}', 'tester')$$);
SELECT action, details FROM purser.audit_event WHERE resource_type = 'experiment' AND resource_id = 'plans' ORDER BY action;

SELECT variants, tried(format('SELECT purser.declare_experiment(%L, %L)', 'wrong', variants)) AS answer
  FROM unnest(ARRAY[NULL, '[]', '{}', '{"a": -1}', '{"a": 0}', '{"a": 1.5}', '{"a": "1"}', '{"a": 1000001}', '{"": 1}', '{"a": null}',
                    '{"a": {"plan": "pro"}}', '{"a": {"weight": 1, "plan": "no-such-plan"}}', '{"a": {"weight": 1, "colour": "red"}}']) AS variants;
SELECT tried($$SELECT purser.experiment_variant('exp-1', 'no-such-experiment')$$);
SELECT tried($$SELECT purser.experiment_report('no-such-experiment')$$);
SELECT tried($$SELECT purser.close_experiment('no-such-experiment', 'tester')$$);
-- The files after this one look at every account.
DELETE FROM purser.experiment_assignment WHERE account_id LIKE 'exp-%';
