-- LED-5: somebody asks for a refund with a reason, somebody else decides, all or part; one open request for each charge.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET purser.now = '2026-03-10 12:00+00';
INSERT INTO purser.account (account_id, role, created_at) VALUES ('rq-admin', 'admin', purser.clock()), ('rq-user', 'user', purser.clock());
SELECT count(purser.grant_credits(a, 100, 'purchased', 'g')) FROM unnest('{rq-a, rq-b}'::text[]) AS a;
SELECT count(purser.charge_credits('rq-a', 10, 'render', 'c' || n, 'episode', 'e' || n % 2, 'Episode ' || n % 2)) FROM generate_series(1, 4) AS n;
SELECT count(purser.charge_credits('rq-b', 10, 'render', 'c1', 'episode', 'e1'));

-- For a resource: all its charges.
SELECT request_id, state, resource_id FROM purser.request_refund('rq-a', 'the voice was missing', 'anna', resource_type => 'episode', resource_id => 'e1', request_id => 'q1');
SELECT account_id, request_id, reason, charged, refundable, balances, earlier_requests,
       (SELECT string_agg(c ->> 'entry_id' || ' ' || (c ->> 'title'), ', ') FROM jsonb_array_elements(charges) AS c) AS charges
  FROM purser.refund_queue WHERE account_id = 'rq-a';
SELECT purser.credit_balance('rq-a') AS nothing_paid_back_yet;
-- The same again is the same; another one for the same charge is refused, and so is one for another's.
SELECT request_id, state FROM purser.request_refund('rq-a', 'the voice was missing', 'anna', resource_type => 'episode', resource_id => 'e1', request_id => 'q1');
SELECT tried($$SELECT purser.request_refund('rq-a', 'something else is wrong', 'anna', resource_type => 'episode', resource_id => 'e1', request_id => 'q1')$$);
SELECT tried($$SELECT purser.request_refund('rq-a', 'the voice was missing', 'anna', ARRAY['credits/2'])$$);
SELECT tried($$SELECT purser.request_refund('rq-b', 'give me theirs too', 'bert', ARRAY['credits/3'])$$);
SELECT tried($$SELECT purser.request_refund('rq-b', 'a grant is no charge', 'bert', ARRAY['credits/1'])$$);
SELECT reason, tried(format('SELECT purser.request_refund(''rq-b'', %L, ''bert'', ARRAY[''credits/2''])', reason))
  FROM unnest(ARRAY['too short', '         x', NULL, repeat('x', 5000)]) AS reason;
SELECT tried($$SELECT purser.request_refund('rq-b', 'neither this nor that', 'bert')$$);
SELECT tried($$SELECT purser.request_refund('rq-b', 'both of the two ways', 'bert', ARRAY['credits/2'], 'episode', 'e1')$$);
SELECT tried($$SELECT purser.request_refund('rq-b', 'no entry in the list', 'bert', '{}')$$);
SELECT tried($$SELECT purser.request_refund('rq-b', 'a resource unknown', 'bert', resource_type => 'episode', resource_id => 'none')$$);

-- Who may decide, and what is no decision.
SELECT tried($$SELECT purser.decide_refund('rq-a', 'q1', 'approve', 'rq-user')$$);
SELECT tried($$SELECT purser.decide_refund('rq-a', 'q1', 'perhaps', 'rq-admin')$$);
SELECT tried($$SELECT purser.decide_refund('rq-a', 'q1', 'deny', 'rq-admin')$$);
SELECT tried($$SELECT purser.decide_refund('rq-a', 'none', 'approve', 'rq-admin')$$);
SELECT tried(format('SELECT purser.decide_refund(''rq-a'', ''q1'', ''approve'', ''rq-admin'', %L)', a)) FROM unnest('{0, -1, NaN, 20.000001, 1e30}'::text[]) AS a;
SELECT purser.credit_balance('rq-a') AS unchanged, count(*) AS open_requests FROM purser.refund_queue WHERE account_id = 'rq-a';

-- Part of it: the latest charge first.
SELECT state, decided_by FROM purser.decide_refund('rq-a', 'q1', 'approve', 'rq-admin', 12, 'half of it was fine');
SELECT entry_no, open, refunded FROM purser.refund_request_entry WHERE account_id = 'rq-a' AND request_id = 'q1' ORDER BY entry_no;
SELECT purser.credit_balance('rq-a') AS balance;
SELECT reason, amount, resource_id FROM purser.ledger WHERE account_id = 'rq-a' AND refund_of IS NOT NULL ORDER BY entry_no;
-- A decision stands; the same again changes nothing.
SELECT state FROM purser.decide_refund('rq-a', 'q1', 'approve', 'rq-admin', 12);
SELECT tried($$SELECT purser.decide_refund('rq-a', 'q1', 'deny', 'rq-admin', reason => 'no')$$);
SELECT purser.credit_balance('rq-a') AS balance;
-- What is left can be asked for again; denied with a reason.
SELECT state FROM purser.request_refund('rq-a', 'the rest of it as well', 'anna', ARRAY['credits/2'], request_id => 'q2');
SELECT state, decision_reason FROM purser.decide_refund('rq-a', 'q2', 'deny', 'ops@example.com', reason => 'it was delivered');
SELECT tried($$SELECT purser.request_refund('rq-a', 'refunded in full before', 'anna', ARRAY['credits/4'])$$);
-- All that is left of it, over several charges.
SELECT state FROM purser.request_refund('rq-a', 'all of the other one', 'anna', ARRAY['credits/3', 'credits/5', 'credits/3'], request_id => 'q3');
SELECT count(purser.refund_credits('rq-a', 'credits/5', 4, 'at once', 'direct'));
SELECT state FROM purser.decide_refund('rq-a', 'q3', 'approve', 'rq-admin');
SELECT purser.credit_balance('rq-a') AS balance, (SELECT sum(refunded) FROM purser.refund_request_entry WHERE request_id = 'q3') AS refunded;
SELECT kind, count(*) FROM purser.event WHERE account_id = 'rq-a' AND kind LIKE 'refund.%' GROUP BY 1 ORDER BY 1;
SELECT action, count(*) FROM purser.audit_event WHERE account_id = 'rq-a' AND action LIKE 'refund.%' GROUP BY 1 ORDER BY 1;

-- A job that failed at 80 % is one call; the customer gets the last millionth.
SELECT amount, replayed FROM purser.refund_unfinished('rq-b', 'credits/2', 0.8, 'failed at 80 %', 'u1');
SELECT amount, replayed FROM purser.refund_unfinished('rq-b', 'credits/2', 0.8, 'failed at 80 %', 'u1');
SELECT amount FROM purser.refund_unfinished('rq-b', (SELECT entry_id FROM purser.charge_credits('rq-b', 0.000001, 'work', 'c2')), 0.5, 'half', 'u2');
SELECT completed, tried(format('SELECT purser.refund_unfinished(''rq-b'', ''credits/2'', %L, ''x'', ''u3'')', completed))
  FROM unnest('{1, -0.1, NaN, NULL, 0}'::text[]) AS completed;
SELECT tried($$SELECT purser.refund_unfinished('rq-b', 'credits/999999999999999999999', 0.5, 'x', 'u3')$$);
SELECT count(*) AS violations FROM (SELECT path FROM purser.verify_ledger() UNION ALL SELECT path FROM purser.reconcile()) AS v WHERE path LIKE 'rq-%';
