-- # A quota runs out, in the application's own transaction
-- Maya (user 42) is on the free plan: 50 chat messages a day. Her account needed no set-up: it exists from its
-- first use. Deciding, counting and storing her message are one transaction; they happen together or not at all.
BEGIN;
SELECT allowed, used, quota, remaining, level, resets_at
  FROM purser.check_and_increment('42', 'chat_messages');
INSERT INTO messages (conversation_id, role, body)
VALUES ('219dcfb8-63d5-4565-3e36-32b38548c411', 'user', 'Any idea for an opening?');
COMMIT;

-- If the application fails half-way and rolls back, the count goes with it: still 1 afterwards.
BEGIN;
SELECT allowed, used FROM purser.check_and_increment('42', 'chat_messages');
ROLLBACK;
SELECT used, remaining FROM purser.check_quota('42', 'chat_messages');

-- Maya keeps writing: 49 more messages, each in its own transaction, just as above.
DO $$
DECLARE
    decision purser.decision;
BEGIN
    FOR n IN 2..50 LOOP
        decision := purser.check_and_increment('42', 'chat_messages');
        IF decision.allowed THEN
            INSERT INTO messages (conversation_id, role, body)
            VALUES ('219dcfb8-63d5-4565-3e36-32b38548c411', 'user', 'Idea number ' || n);
        END IF;
        COMMIT;
    END LOOP;
END
$$;

-- Message 51. A refusal is an answer, not an exception: it carries the HTTP status and the body to send.
SELECT d.allowed, d.reason, d.used, d.quota, d.level,
       purser.http_status(d), jsonb_pretty(purser.http_body(d)) AS http_body
  FROM purser.check_and_increment('42', 'chat_messages') AS d \gx

--~
DO $$
BEGIN
    ASSERT (SELECT used = 50 AND NOT allowed FROM purser.check_quota('42', 'chat_messages')), 'used is not 50';
    ASSERT (SELECT count(*) = 50 FROM messages WHERE sent_at > now() - interval '1 hour'), 'not 50 messages';
END
$$;

-- She upgrades. Usage carries over, the new limit holds at once, and message 51 goes through.
SELECT purser.subscribe('42', 'creator', actor => 'checkout') AS subscription_no;
SELECT allowed, used, quota, remaining, level
  FROM purser.check_and_increment('42', 'chat_messages');

-- All of her meters, for the page that shows them.
SELECT feature, used, quota, remaining, level, resets_at FROM purser.usage('42');

-- Other features are looked up the same way: which audio service, may she publish automatically?
SELECT purser.feature_value('42', 'audio_pipeline') AS audio_pipeline,
       purser.has_feature('42', 'auto_publish') AS auto_publish;

-- How often is limited as well: ten logins an hour, as the default plan says; on Pro five times that.
SELECT allowed, "limit", remaining, retry_after, scope, per FROM purser.rate_limit('42', 'login');

-- Whoever is not signed in has an address. The fourth request of this hour has to wait.
SELECT request, to_jsonb(purser.rate_limit_key('ip:203.0.113.9', 3, '1 hour')) - '{resets_at, scope, per}'::text[] AS decision
  FROM generate_series(1, 4) AS request;

--~
DO $$
BEGIN
    ASSERT (SELECT NOT allowed FROM purser.rate_limit_key('ip:203.0.113.9', 3, '1 hour')), 'the fourth request passed';
END
$$;
