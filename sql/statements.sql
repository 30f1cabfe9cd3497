-- LED-3, LED-4, LED-6: summaries by month, charges apart from any resource, the list of invoices, and one page for support.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2026-01-15 10:00+00';
SELECT purser.publish_plan('st_plan', '{"name": "Statements", "credits": {"credits": {"allowance": 100, "rollover": {"percent": 50, "days": 60}}}}', 'tester', 'test') ->> 'version' AS version;
SELECT purser.subscribe('st-a', 'st_plan', 'tester'), count(purser.grant_credits('st-a', 20, 'promotional', 'welcome', '2026-02-01'));
SELECT count(purser.charge_credits('st-a', amount, reason, id, type, resource, title))
  FROM (VALUES (3.0, 'transcription', 'c1', 'episode', 'e1', 'Pilot'), (4.5, 'assembly', 'c2', 'episode', 'e1', 'Pilot, recut'),
               (7.5, 'speech', 'c3', 'episode', 'e1', NULL), (10, 'transcription', 'c4', 'episode', 'e2', 'Second'),
               (6, 'storage', 'c5', NULL, NULL, NULL), (2, 'storage', 'c6', NULL, NULL, NULL)) AS c (amount, reason, id, type, resource, title);
SELECT count(purser.refund_credits('st-a', e.entry_id, NULL, 'failed', 'r-' || e.correlation_id))
  FROM purser.ledger_entries AS e WHERE e.account_id = 'st-a' AND e.correlation_id IN ('c4', 'c6');

-- One episode with 3.0 + 4.5 + 7.5 shows 15.0; what belongs to no resource is listed apart.
SELECT number, title, charged, refunded, net, lines FROM purser.invoices('st-a');
SELECT number FROM purser.invoices('st-a', before => 'credits/6');
SELECT number FROM purser.invoices('st-a', max_rows => 1);
SELECT count(purser.refund_credits('st-a', l ->> 'entry_id', NULL, 'all of it', 'all-' || (l ->> 'correlation_id')))
  FROM jsonb_array_elements(purser.invoice('st-a', 'episode', 'e1') -> 'lines') AS l;
SELECT title, charged, refunded, net FROM purser.invoices('st-a');
SELECT entry_id, reason, charged, refunded, net, running_net FROM purser.account_charges('st-a');
SELECT count(*) AS later FROM purser.account_charges('st-a', '2026-01-16');

-- Three months on, nobody having looked: each month adds up.
SET purser.now = '2026-03-20 00:00+00';
SELECT amount FROM purser.charge_credits('st-a', 5, 'speech', 'c7');
SELECT m ->> 'period_start' AS "from", m ->> 'opening' AS opening, m ->> 'granted' AS granted, m ->> 'used' AS used, m ->> 'refunded' AS refunded,
       m ->> 'expired' AS expired, m ->> 'rolled_over' AS rolled_over, m ->> 'closing' AS closing, m -> 'granted_by_kind' AS kinds, m -> 'by_category' AS by_category,
       (m ->> 'opening')::numeric + (m ->> 'granted')::numeric - (m ->> 'used')::numeric + (m ->> 'refunded')::numeric - (m ->> 'expired')::numeric
         = (m ->> 'closing')::numeric AS adds_up
  FROM jsonb_array_elements(purser.ledger_summary('st-a', 3) -> 'months') AS m;
SELECT purser.ledger_summary('st-a') - 'months' AS summary;
-- The event comes with the end of the month, once, and says the same.
SELECT e.payload ->> 'period_start' AS "from", e.payload ->> 'closing' AS closing,
       e.payload - 'wallet' = (SELECT m FROM jsonb_array_elements(purser.ledger_summary('st-a', 3) -> 'months') AS m
                                WHERE m -> 'period_start' = e.payload -> 'period_start') AS same
  FROM purser.event AS e WHERE e.account_id = 'st-a' AND e.kind = 'credits.statement' ORDER BY 1;
SELECT purser._settle_wallets('st-a');
SELECT count(*) AS statements FROM purser.event WHERE account_id = 'st-a' AND kind = 'credits.statement';

-- Support's page.
SELECT count(purser.hold_credits('st-a', 1, 'slow', '1 day', 'h'));
SELECT jsonb_pretty(purser.account_overview('st-a') - 'last_charges') AS page;
SELECT c ->> 'entry_id' AS entry_id, c ->> 'reason' AS reason, c ->> 'charged' AS charged, c ->> 'refunded' AS refunded, c ->> 'title' AS title
  FROM jsonb_array_elements(purser.account_overview('st-a') -> 'last_charges') AS c;
SELECT jsonb_array_length(purser.account_overview('st-nobody') -> 'last_charges') AS charges, purser.account_overview('st-nobody') ->> 'balance' AS balance;

-- What the plan gives, now and next.
SELECT * FROM purser.allowance('st-a');
SELECT allowance, period_start FROM purser.allowance('st-a', at => '2027-01-15 10:00+00');
SELECT allowance, rollover, subscribed FROM purser.allowance('st-nobody');

-- What cannot be asked.
SELECT m, tried(format('SELECT purser.ledger_summary(''st-a'', %L)', m)) FROM unnest('{0, 13, -1, NULL}'::integer[]) AS m;
SELECT tried($$SELECT purser.invoices('st-a', before => 'first')$$), tried($$SELECT purser.invoices('st-a', max_rows => 0)$$);
SELECT tried($$SELECT purser.allowance('st-a', at => 'infinity')$$);
