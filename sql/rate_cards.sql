-- RATE-1 to RATE-4, RATE-6: rate cards as immutable, effective-dated versions; the example cards compute
-- every figure exactly; past operations priced again under another card.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';

-- The examples, as load.sql loads them.
\set seconds `cat examples/rate_cards/seconds.json`
\set minutes `cat examples/rate_cards/minutes.json`
\set cents `cat examples/rate_cards/cents.json`
SELECT purser.publish_plan(p, jsonb_build_object('name', p, 'public', false), 'tester', 'x') ->> 'version' AS version
  FROM unnest('{starter, executive, enterprise}'::text[]) AS p;
SELECT purser.publish_rate_card(name, document, 'tester', 'example') - 'diff' AS published
  FROM (VALUES ('seconds', :'seconds'::jsonb), ('minutes', :'minutes'), ('cents', :'cents')) AS example (name, document);
SELECT count(purser.subscribe('card-' || p, p)) FROM unnest('{starter, creator, pro, executive, enterprise}'::text[]) AS p;
SELECT count(purser.grant_credits('card-' || p, 100000, 'purchased', 'g')) FROM unnest('{starter, creator, pro, executive, enterprise}'::text[]) AS p;

-- Card A, by the second.
SELECT purser.set_setting('rate_card', 'seconds');
SELECT plan, purser.estimate_cost('card-' || plan, 'premium_tts', 0.2) -> 'amount' AS premium_second,
       purser.estimate_cost_batch('card-' || plan, 'premium_tts', '{1.2, 1.2, 1.2}') -> 'amount' AS three_clips,
       tried(format('SELECT purser.estimate_cost(%L, %L, 5400)', 'card-' || plan, 'overlength')) LIKE 'PU010%' AS ninety_minutes_refused
  FROM unnest('{starter, creator, pro, executive, enterprise}'::text[]) AS plan;
SELECT amount, balance_after FROM purser.charge_operation_batch('card-pro', 'premium_tts', '{1.2, 1.2, 1.2}', 'clips');
SELECT amount, breakdown FROM purser.charge_operation('card-creator', 'overlength', 5400, 'long');
SELECT tried($$SELECT purser.charge_operation('card-starter', 'overlength', 5400, 'long')$$);
SELECT operation, purser.estimate_cost('card-pro', operation, quantity, modifiers) -> 'amount' AS amount
  FROM (VALUES ('transcription', 90, '{}'::jsonb), ('transcription', 90, '{"audio": "advanced"}'), ('assembly', 60, '{}'),
               ('tts', 1.25, '{}'), ('storage', 2.5, '{}'), ('overlength', 7260, '{}')) AS o (operation, quantity, modifiers);

-- Card B, by the minute: 26.75 standard, 55 premium.
SELECT purser.set_setting('rate_card', 'minutes');
SELECT kind, sum((purser.charge_operation('card-pro', operation, quantity, kind || n, CASE kind WHEN 'premium' THEN modifiers ELSE '{}' END, 'episode', kind)).amount) AS episode
  FROM unnest('{standard, premium}'::text[]) AS kind,
       (VALUES (1, 'processing', 10, '{"pipeline": "advanced"}'::jsonb), (2, 'tts', 0.5, '{"voice": "premium"}'),
               (3, 'tts', 0.5, '{"voice": "premium"}'), (4, 'assembly', 10.5, '{"pipeline": "advanced"}')) AS o (n, operation, quantity, modifiers)
 GROUP BY kind ORDER BY kind DESC;
SET purser.now = '2026-03-11 12:00+00';
-- The base was wrong: a dry run says what that does, a new version corrects it, old entries stay.
SELECT jsonb_set(jsonb_set(:'minutes', '{operations,processing,rate}', '1.0'), '{operations,tts,rate}', '1.0') AS corrected \gset
SELECT r -> 'published' AS published, r -> 'version' AS version, r #>> '{diff,0,path}' AS changed,
       jsonb_path_query(r, '$.last_month[*] ? (@.operation == "processing")') AS last_month
  FROM purser.publish_rate_card('minutes', :'corrected', 'tester', 'base', dry_run => true) AS r;
SELECT purser.publish_rate_card('minutes', :'corrected', 'tester', 'base was 1.5', '2026-04-01') -> 'version' AS version;
SELECT purser.estimate_cost('card-pro', 'processing', 10) #> '{breakdown,version}' AS version, purser.estimate_cost('card-pro', 'processing', 10) -> 'amount' AS amount;
SET purser.now = '2026-03-31 23:59:59.999999+00';
SELECT amount, breakdown -> 'version' AS version FROM purser.charge_operation('card-pro', 'processing', 10, 'march');
SET purser.now = '2026-04-01 00:00+00';
SELECT amount, breakdown -> 'version' AS version FROM purser.charge_operation('card-pro', 'processing', 10, 'april');
SELECT sum(amount) AS standard_episode FROM purser.ledger WHERE account_id = 'card-pro' AND resource_id = 'standard';
SELECT * FROM purser.replay_rate_card(:'corrected', '2026-03-01', '2026-04-01', 'card-pro');
-- A retry of before returns the first answer.
SELECT amount, breakdown -> 'version' AS version, replayed FROM purser.charge_operation('card-pro', 'processing', 10, 'march');
SELECT version, in_force, effective_from, actor, reason FROM purser.rate_card_history('minutes');
SELECT * FROM purser.rate_card_diff('minutes', 1, 2);
SELECT purser.rate_card('minutes', '2026-03-20') #> '{operations,tts,rate}' AS march, purser.rate_card() #> '{operations,tts,rate}' AS now,
       purser.rate_card('minutes', '2020-01-01') AS before;
SELECT tried($$SELECT purser.rate_card_diff('minutes', 1, 9)$$);
SELECT tried($$SELECT purser.rate_card_history('nothing')$$);
SELECT tried($$SELECT purser.publish_rate_card('minutes', '{"operations": {}}', 'tester', 'x', '2026-03-01')$$);

-- Card C, in cents; the first 5,000 characters of a month are free.
SELECT purser.set_setting('rate_card', 'cents');
SELECT sum((purser.charge_operation('card-pro', operation, quantity, 'cents-' || operation)).amount) AS episode
  FROM (VALUES ('assembly', 30), ('transcription', 30), ('title', 1), ('description', 1)) AS o (operation, quantity);
SELECT operation, purser.estimate_cost('card-pro', operation, quantity) -> 'amount' AS amount
  FROM (VALUES ('assembly', 1), ('transcription', 60), ('cleanup', 60), ('tags', 1), ('metadata', 1), ('site', 1), ('section', 1), ('tts', 6000)) AS o (operation, quantity);
SELECT purser.estimate_cost('card-pro', 'metadata', 1) #> '{breakdown,bundle}' AS bundle;

-- Every charge by a rate card can be computed from its entry alone.
SELECT count(*) > 10 AS charges, count(*) FILTER (WHERE purser.recomputed_amount(breakdown) IS DISTINCT FROM amount) AS wrong
  FROM purser.ledger WHERE breakdown ? 'rate_card';

-- All that is wrong at once.
SELECT rule, path, message FROM purser.validate_rate_card('{"operations": {"a": {"rate": -1}, "b": {"unit": "s", "rate": 1, "free": 5, "colour": "red",
  "rounding": {"mode": "down"}, "bundle": ["b", "c"]}, "c": {"unit": "s", "tiers": {"mode": "graduated", "steps": [{"up_to": 5, "rate": 1}, {"up_to": 4, "rate": 2}]}}}}');
SELECT tried($$SELECT purser.publish_rate_card('bad', '{"operations": {"a": {"unit": "s"}}}', 'tester', 'x')$$);
SELECT rule FROM purser.validate_rate_card(NULL);
SELECT tried(format('SELECT purser.publish_rate_card(%L, %L, %L, %L)', 'bad', document, 'tester', 'x')) AS answer
  FROM unnest(ARRAY[NULL, 'null', '[]', '{}', '{"operations": []}']) AS document;
SELECT tried($$SELECT purser.validate_rate_card(jsonb_build_object('operations', '{}'::jsonb, 'description', repeat('x', 1100000)))$$);
SELECT tried($$SELECT purser.set_setting('rate_card', 'nothing')$$);
SELECT action, resource_id, details ->> 'version' AS version FROM purser.audit_event WHERE action = 'rate_card.published' AND resource_id IN ('seconds', 'minutes', 'cents') ORDER BY at, 2;
