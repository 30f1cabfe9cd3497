-- A row of the same type made of constants: what it costs to send the answer alone.
\set account random(100000000001, 100000000000 + :accounts)
SELECT ROW(true, :account, 1, '0', '2030-01-01', 'ok', NULL, '366 days')::purser.rate_decision;
