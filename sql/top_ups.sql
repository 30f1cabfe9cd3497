-- CRD-8, CRD-10: told once when credits run low, topped up once however slow the payment is, and packs that never expire.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2026-03-01 00:00+00';
CREATE FUNCTION pg_temp.events(account_id text) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(replace(e.kind, 'credits.', '') || coalesce(' ' || (e.payload ->> 'balance'), ''), ', ' ORDER BY e.at, e.payload ->> 'balance' DESC)
          FROM purser.event AS e WHERE e.account_id = events.account_id AND e.kind LIKE 'credits.%');

-- 100 by default: once for each crossing, again after the balance has recovered.
SELECT count(purser.grant_credits('tu-a', 150, 'purchased', 'g1'));
SELECT count(purser.charge_credits('tu-a', 50, 'work', 'c1'));
SELECT pg_temp.events('tu-a') AS at_100_nothing;
SELECT count(purser.charge_credits('tu-a', 1, 'work', 'c' || n)) FROM generate_series(2, 4) AS n;
SELECT pg_temp.events('tu-a') AS once;
SELECT count(purser.grant_credits('tu-a', 10, 'purchased', 'g2')), count(purser.charge_credits('tu-a', 8, 'work', 'c5'));
SELECT pg_temp.events('tu-a') AS armed_again_and_told_again;
-- A hold takes it below as well, and so does the end of a grant; a refused or replayed charge tells nothing.
SELECT count(purser.grant_credits('tu-b', 110, 'promotional', 'g', '2026-03-05'));
SELECT count(purser.hold_credits('tu-b', 20, 'work', '1 hour', 'h')), tried($$SELECT purser.charge_credits('tu-b', 91, 'work', 'no')$$);
SELECT count(purser.release_credits('tu-b', 'h')), count(purser.charge_credits('tu-b', 5, 'work', 'c'));
SELECT pg_temp.events('tu-b') AS by_a_hold;
SET purser.now = '2026-03-06 00:00+00';
SELECT count(purser.grant_credits('tu-b', 50, 'purchased', 'late'));
SELECT pg_temp.events('tu-b') AS by_time;
-- An own threshold, and none.
SELECT purser.set_low_balance_alert('tu-c', 5, actor => 'tester'), purser.set_low_balance_alert('tu-d', 0, actor => 'tester');
SELECT count(purser.grant_credits(a, 200, 'purchased', 'g')), count(purser.charge_credits(a, 190, 'work', 'c1')), count(purser.charge_credits(a, 6, 'work', 'c2'))
  FROM unnest('{tu-c, tu-d}'::text[]) AS a;
SELECT pg_temp.events('tu-c') AS five, pg_temp.events('tu-d') AS never;
SELECT purser.set_setting('low_balance', '0', 'tester');
SELECT count(purser.grant_credits('tu-e', 200, 'purchased', 'g')), count(purser.charge_credits('tu-e', 190, 'work', 'c1'));
SELECT pg_temp.events('tu-e') AS never;
SELECT purser.set_setting('low_balance', '100', 'tester');

-- A top-up is requested once for a crossing, whatever else is charged while the payment takes its time.
SELECT count(purser.grant_credits('tu-t', 60, 'purchased', 'g')), purser.set_low_balance_alert('tu-t', 0, actor => 'tester');
SELECT purser.set_top_up('tu-t', 50, 100, 2, '1 hour', actor => 'tester');
SELECT count(purser.charge_credits('tu-t', 11, 'work', 'c' || n)) FROM generate_series(1, 4) AS n;
SELECT state, amount, balance FROM purser.top_up_request WHERE account_id = 'tu-t';
SELECT pg_temp.events('tu-t') AS events;
SELECT request_id AS first FROM purser.top_up_request WHERE account_id = 'tu-t' \gset
SELECT kind, amount, balance_after, replayed FROM (SELECT * FROM purser.complete_top_up('tu-t', :'first', 'pi_1')) AS e, LATERAL (SELECT e.allocations #>> '{0,kind}' AS kind) AS k;
SELECT amount, replayed FROM purser.complete_top_up('tu-t', :'first', 'pi_1');
SELECT replace(tried(format('SELECT purser.complete_top_up(''tu-t'', %L, ''pi_2'')', :'first')), :'first', '<first>');
SELECT replace(tried(format('SELECT purser.fail_top_up(''tu-t'', %L, ''declined'')', :'first')), :'first', '<first>');
-- Below again within the cool-down: not yet. After it: one, and that fails; tried again after the next cool-down.
SELECT count(purser.charge_credits('tu-t', 80, 'work', 'd1'));
SELECT count(*) AS requests FROM purser.top_up_request WHERE account_id = 'tu-t';
SET purser.now = '2026-03-06 02:00+00';
SELECT count(purser.charge_credits('tu-t', 1, 'work', 'd2'));
SELECT request_id AS second FROM purser.top_up_request WHERE account_id = 'tu-t' AND state = 'requested' \gset
SELECT purser.fail_top_up('tu-t', :'second', 'card declined'), purser.fail_top_up('tu-t', :'second', 'card declined');
SELECT count(purser.charge_credits('tu-t', 1, 'work', 'd3'));
SELECT state, count(*) FROM purser.top_up_request WHERE account_id = 'tu-t' GROUP BY 1 ORDER BY 1;
SET purser.now = '2026-03-06 03:30+00';
SELECT count(purser.charge_credits('tu-t', 1, 'work', 'd4'));
SELECT state, count(*) FROM purser.top_up_request WHERE account_id = 'tu-t' GROUP BY 1 ORDER BY 1;
-- The payment of a request that was given up comes after all: it counts, and arms nothing twice.
SELECT amount FROM purser.complete_top_up('tu-t', :'second', 'pi_late');
-- The cap of the month: two were begun that did not fail.
SELECT state, failure, count(*) FROM purser.top_up_request WHERE account_id = 'tu-t' GROUP BY 1, 2 ORDER BY 1, 2;
SET purser.now = '2026-03-20 00:00+00';
SELECT count(purser.charge_credits('tu-t', 100, 'work', 'e1'));
SELECT count(*) FILTER (WHERE state = 'requested') AS capped FROM purser.top_up_request WHERE account_id = 'tu-t';
SET purser.now = '2026-04-01 00:00+00';
SELECT count(purser.charge_credits('tu-t', 1, 'work', 'e2'));
SELECT count(*) FILTER (WHERE state = 'requested') AS next_month FROM purser.top_up_request WHERE account_id = 'tu-t';
SELECT purser.set_top_up('tu-t', NULL, NULL, actor => 'tester');
SELECT count(*) AS left_over, (SELECT top_up_micros FROM purser.wallet WHERE account_id = 'tu-t') AS below FROM purser.top_up WHERE account_id = 'tu-t';
-- Set up while the balance is low already: at once.
SELECT count(purser.grant_credits('tu-u', 5, 'purchased', 'g')), purser.set_top_up('tu-u', 10, 100, actor => 'tester');
SELECT state, balance FROM purser.top_up_request WHERE account_id = 'tu-u';

-- Packs.
SELECT purser.declare_credit_packs('{"tu_small": {"name": "Small", "credits": 500, "cents": 1000, "currency": "usd", "position": 901},
  "tu_big": {"credits": 5000, "cents": 8000, "currency": "usd", "position": 902, "stripe_price_id": "price_1"},
  "tu_old": {"credits": 10, "cents": 100, "currency": "usd", "active": false}}', 'tester');
SELECT * FROM purser.credit_packs() WHERE pack LIKE 'tu_%';
SELECT amount, balance_after FROM purser.grant_pack('tu-p', 'tu_small', 'pi_9', 3);
SELECT g.kind, g.remaining, g.expires_at, l.notes FROM purser.grants AS g JOIN purser.ledger_entries AS l USING (account_id, entry_id) WHERE g.account_id = 'tu-p';
SELECT replayed FROM purser.grant_pack('tu-p', 'tu_small', 'pi_9', 3);
SELECT tried($$SELECT purser.grant_pack('tu-p', 'tu_small', 'pi_9', 2)$$), tried($$SELECT purser.grant_pack('tu-p', 'none', 'x')$$), tried($$SELECT purser.grant_pack('tu-p', 'tu_old', 'x', 0)$$);
SELECT amount FROM purser.grant_pack('tu-p', 'tu_old', 'late payment');
SELECT p, tried(format('SELECT purser.declare_credit_packs(%L)', p)) FROM unnest(ARRAY['{}', '[]', '{"tu_x": 1}', '{"tu_x": {"credits": 0, "cents": 1, "currency": "usd"}}', '{"tu_x": {"credits": 1, "cents": 1.5, "currency": "usd"}}',
  '{"tu_x": {"credits": 1, "cents": 1, "currency": "USD"}}', '{"tu_x": {"credits": 1, "cents": 1, "currency": "usd", "colour": 1}}', '{"tu_x": {"credits": 0.0000001, "cents": 1, "currency": "usd"}}']) AS p;
SELECT count(*) AS undone FROM purser.credit_pack WHERE pack = 'tu_x';

-- What cannot be set.
SELECT t, tried(format('SELECT purser.set_low_balance_alert(''tu-a'', %L)', t)) FROM unnest('{-1, NaN, 1e30, 0.0000001}'::text[]) AS t;
SELECT tried($$SELECT purser.set_top_up('tu-a', 10, 0)$$), tried($$SELECT purser.set_top_up('tu-a', 10, NULL)$$), tried($$SELECT purser.set_top_up('tu-a', 10, 5, 0)$$), tried($$SELECT purser.set_top_up('tu-a', 10, 5, 1, '-1 hour')$$);
SELECT tried($$SELECT purser.complete_top_up('tu-a', 'none', 'pi')$$), tried($$SELECT purser.set_setting('low_balance', 'NaN')$$), tried($$SELECT purser.set_setting('expiry_grace_days', '-1')$$);
SELECT count(*) AS violations FROM (SELECT path FROM purser.verify_ledger() UNION ALL SELECT path FROM purser.reconcile()) AS v WHERE path LIKE 'tu-%';
