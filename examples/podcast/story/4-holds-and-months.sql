-- # Work that may fail, and time that needs nobody
-- Rendering is done by a service outside the database. Its credits are set aside before, in a transaction of its own ...
SELECT hold_id, state, amount, expires_at - created_at AS for_at_most
  FROM purser.hold_credits('42', 120, 'rendering', '30 minutes', 'render-501', 'episode', '5caadcfb-10a1-138a-92c6-c9a150b8eb6e');
SELECT purser.credit_balance('42') AS can_be_spent;

-- ... and charged after, for what was really used. The rest goes back to the grants it came from.
SELECT entry_id, amount, balance_after FROM purser.capture_credits('42', 'render-501', 90);
SELECT purser.credit_balance('42') AS can_be_spent;

-- A hold ends once. The worker that comes too late is told.
--! PU006
SELECT purser.release_credits('42', 'render-501');

-- A plan can give credits with each month and say what becomes of those not used.
SELECT purser.publish_plan('studio', '{"name": "Studio", "credits": {"credits": {"allowance": 1000, "rollover": {"percent": 10, "days": 30}}}}',
                           'demo', 'credits every month') ->> 'version' AS version;
SELECT purser.subscribe('studio-1', 'studio', 'demo') AS subscription;
SELECT purser.credit_balance('studio-1');
SELECT entry_id, amount, balance_after FROM purser.charge_credits('studio-1', 400, 'production', 'job-1');

-- Two months from now, although nothing ran: a tenth of what was not used rolled over, and lives for 30 days.
SELECT at::date - current_date AS days_from_now, purser.credit_balance('studio-1', at => at)
  FROM (SELECT period_end AS first FROM purser.allowance('studio-1')) AS month,
       unnest(ARRAY[first - interval '1 second', first, first + interval '1 month']) AS at;

-- One function proves that balances, grants, holds and refunds agree, while everybody goes on working.
SELECT count(*) AS violations FROM purser.reconcile();

--~
DO $$
BEGIN
    ASSERT purser.credit_balance('42') = 450, 'the balance is not 450';
    ASSERT purser.credit_balance('studio-1', at => (SELECT period_end FROM purser.allowance('studio-1'))) = 1060, 'a tenth of 600 did not roll over';
    ASSERT NOT EXISTS (SELECT FROM purser.reconcile()), 'the books do not agree';
END
$$;
