-- 400 users and what they made, the same on every machine: no random(), no now(). Loads in a few seconds.
-- User 42, Maya Lindgren, is the one the story follows.

-- A number from 0 to n - 1 that looks random and depends on the key alone.
CREATE FUNCTION pg_temp.pick(key text, n integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT (('x' || substr(md5(key), 1, 7))::bit(28)::integer) % n $$;

CREATE FUNCTION pg_temp.one_of(key text, choices text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT choices[1 + pg_temp.pick(key, cardinality(choices))] $$;

-- So many words of plausible prose, different for each key.
CREATE FUNCTION pg_temp.prose(key text, words integer) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(pg_temp.one_of(key || i, '{the,guest,story,sound,river,listener,question,answer,winter,city,radio,night,voice,memory,letter,garden,music,quiet,market,journey}'), ' ' ORDER BY i)
    FROM generate_series(1, words) AS i
$$;

CREATE FUNCTION pg_temp.moment(key text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$ SELECT timestamptz '2025-01-01 08:00:00+00' + pg_temp.pick(key, 300 * 24 * 60) * interval '1 minute' $$;

INSERT INTO users (email, display_name, password_hash, locale, time_zone, created_at, last_seen_at)
SELECT CASE n WHEN 42 THEN 'maya@northlight.example' ELSE lower(first_name || '.' || last_name) || n || '@mail.example' END,
       CASE n WHEN 42 THEN 'Maya Lindgren' ELSE first_name || ' ' || last_name END,
       'argon2id$' || md5('password' || n),
       pg_temp.one_of('locale' || n, '{en,en,en,de,fr,es,sv}'),
       pg_temp.one_of('zone' || n, '{UTC,Europe/Berlin,America/New_York,Asia/Tokyo,America/Sao_Paulo}'),
       timestamptz '2024-06-01 09:00:00+00' + n * interval '11 hours',
       pg_temp.moment('seen' || n)
FROM generate_series(1, 400) AS n,
     pg_temp.one_of('first' || n, '{Ada,Bilal,Chiara,Dmitri,Elif,Femi,Grace,Hugo,Ines,Jonas,Kaya,Leila,Mats,Nadia,Omar,Priya,Quentin,Rosa,Sven,Tomas}') AS first_name,
     pg_temp.one_of('last' || n, '{Abara,Bergman,Costa,Dupont,Eriksen,Fischer,Garcia,Hansen,Ivanova,Jensen,Kowalski,Larsen,Moreau,Novak,Okafor,Petrov,Rossi,Silva,Tanaka,Weber}') AS last_name
ORDER BY n;

INSERT INTO verifications (id, user_id, purpose, code_hash, expires_at, verified_at)
SELECT md5('verification' || id || '-' || n)::uuid, id,
       CASE n WHEN 1 THEN 'email' ELSE 'password_reset' END,
       md5('code' || id || '-' || n),
       created_at + interval '1 day' * n,
       CASE WHEN (id + n) % 9 <> 0 THEN created_at + interval '1 day' * n - interval '23 hours' END
FROM users, generate_series(1, 2) AS n
WHERE n = 1 OR id % 3 = 0;

INSERT INTO terms_acceptance (user_id, terms_version, accepted_at, ip_address)
SELECT id, version, created_at + age, ('203.0.113.' || id % 250 + 1)::inet
FROM users, (VALUES ('2024-05', interval '0'), ('2025-03', interval '200 days')) AS terms (version, age)
WHERE age = interval '0' OR id % 2 = 0;

INSERT INTO subscriptions (user_id, provider_reference, status, started_at, ended_at)
SELECT id, 'sub_' || substr(md5('subscription' || id || n), 1, 14),
       CASE n WHEN 1 THEN 'canceled' ELSE pg_temp.one_of('paid' || id, '{active,active,active,past_due}') END,
       created_at + interval '90 days' * n,
       CASE n WHEN 1 THEN created_at + interval '90 days' * (n + 1) END
FROM users, generate_series(1, 2) AS n
WHERE id % 3 = 1 OR (n = 1 AND id % 5 = 2);

INSERT INTO podcasts (id, user_id, title, description, language, feed_slug, created_at)
SELECT md5('podcast' || id || '-' || n)::uuid, id,
       CASE id WHEN 42 THEN (ARRAY['Northern Light', 'Letters from the Coast'])[n]
            ELSE initcap(pg_temp.prose('title' || id || n, 2)) || ' ' || pg_temp.one_of('show' || id || n, '{Hour,Stories,Talks,Weekly,Diaries}') END,
       pg_temp.prose('about' || id || n, 18),
       locale, 'show-' || id || '-' || n, created_at + interval '3 days' * n
FROM users, generate_series(1, 2) AS n
WHERE n = 1 OR id % 7 = 0;

INSERT INTO templates (user_id, name, layout, created_at)
SELECT id, name, jsonb_build_object('sections', jsonb_build_array('intro', 'talk', pg_temp.one_of('layout' || id, '{advert,talk}'), 'outro')), created_at + interval '2 days'
FROM users, unnest('{Interview,Solo,Round table}'::text[]) WITH ORDINALITY AS t (name, n)
WHERE n = 1 OR id % 2 = 0
ORDER BY id, n;

INSERT INTO episodes (id, podcast_id, template_id, number, title, status, duration_seconds, published_at, created_at)
SELECT md5('episode' || p.id || n)::uuid, p.id,
       CASE WHEN n % 3 > 0 THEN (SELECT min(t.id) FROM templates t WHERE t.user_id = p.user_id) END,
       n, initcap(pg_temp.prose('episode' || p.id || n, 4)),
       CASE WHEN n < latest THEN 'published' ELSE pg_temp.one_of('status' || p.id, '{draft,processing,published}') END,
       600 + pg_temp.pick('length' || p.id || n, 4200),
       CASE WHEN n < latest THEN p.created_at + interval '7 days' * n END,
       p.created_at + interval '7 days' * n - interval '2 days'
FROM podcasts p, LATERAL (SELECT 6 + pg_temp.pick('episodes' || p.id, 15)) AS l (latest), generate_series(1, latest) AS n;

INSERT INTO media (id, episode_id, kind, storage_path, bytes, uploaded_at)
SELECT md5(kind || e.id)::uuid, e.id, kind,
       'users/' || p.user_id || '/episodes/' || e.id || '/' || kind || CASE kind WHEN 'cover' THEN '.png' ELSE '.mp3' END,
       CASE kind WHEN 'audio' THEN e.duration_seconds * 16000::bigint ELSE 200000 + pg_temp.pick('bytes' || e.id, 900000) END,
       e.created_at + interval '1 hour'
FROM episodes e JOIN podcasts p ON p.id = e.podcast_id, unnest('{audio,intro,cover}'::text[]) AS kind
WHERE kind = 'audio' OR (kind = 'intro' AND e.number % 2 = 0) OR (kind = 'cover' AND e.number % 3 = 0);

INSERT INTO sections (episode_id, position, kind, media_id, script)
SELECT e.id, n, part,
       CASE WHEN part = 'talk' THEN md5('audio' || e.id)::uuid WHEN part = 'intro' AND e.number % 2 = 0 THEN md5('intro' || e.id)::uuid END,
       CASE WHEN part IN ('intro', 'outro') THEN pg_temp.prose('script' || e.id || n, 8) ELSE '' END
FROM episodes e, unnest('{intro,talk,advert,outro}'::text[]) WITH ORDINALITY AS s (part, n)
WHERE part <> 'advert' OR e.number % 4 = 0;

INSERT INTO transcripts (media_id, language, body, word_count, created_at)
SELECT m.id, p.language, pg_temp.prose('transcript' || m.id, 40), 40, m.uploaded_at + interval '10 minutes'
FROM media m JOIN episodes e ON e.id = m.episode_id JOIN podcasts p ON p.id = e.podcast_id
WHERE m.kind = 'audio' AND e.status = 'published';

INSERT INTO conversations (id, user_id, podcast_id, topic, started_at)
SELECT md5('conversation' || u.id || '-' || n)::uuid, u.id,
       CASE WHEN n % 3 > 0 THEN md5('podcast' || u.id || '-1')::uuid END,
       pg_temp.one_of('topic' || u.id || n, '{Ideas for the next episode,A better opening,Questions for a guest,Show notes,Finding listeners}'),
       pg_temp.moment('conversation' || u.id || n)
FROM users u, generate_series(1, 2 + pg_temp.pick('talks' || u.id, 5)) AS n;

INSERT INTO messages (conversation_id, role, body, sent_at)
SELECT c.id, CASE n % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, pg_temp.prose('message' || c.id || n, 9), c.started_at + n * interval '40 seconds'
FROM conversations c, generate_series(1, 2 * (3 + pg_temp.pick('turns' || c.id, 6))) AS n
ORDER BY c.id, n;

INSERT INTO guidance (episode_id, conversation_id, advice, accepted, created_at)
SELECT e.id, CASE WHEN e.number % 6 > 0 THEN md5('conversation' || p.user_id || '-1')::uuid END,
       pg_temp.prose('advice' || e.id, 14), (ARRAY[true, false, NULL])[1 + pg_temp.pick('accepted' || e.id, 3)], e.created_at
FROM episodes e JOIN podcasts p ON p.id = e.podcast_id
WHERE e.number % 3 = 0;

INSERT INTO websites (podcast_id, domain, theme, published_at)
SELECT id, feed_slug || '.pods.example', pg_temp.one_of('theme' || id, '{paper,night,studio}'), created_at + interval '30 days'
FROM podcasts
WHERE pg_temp.pick('site' || id, 2) = 0 OR user_id = 42;

-- Never by the owner of the episode, so that each comment has two people to think of when one of them leaves.
INSERT INTO comments (episode_id, author_id, body, written_at)
SELECT e.id, 1 + (p.user_id + pg_temp.pick('author' || e.id || n, 399)) % 400, pg_temp.prose('comment' || e.id || n, 12), e.published_at + n * interval '5 hours'
FROM episodes e JOIN podcasts p ON p.id = e.podcast_id, generate_series(1, pg_temp.pick('comments' || e.id, 5)) AS n
WHERE e.published_at IS NOT NULL
ORDER BY e.published_at, e.id, n;

-- Every third comment answers the one written just before it under the same episode.
UPDATE comments c
SET reply_to = earlier.id
FROM comments earlier
WHERE earlier.episode_id = c.episode_id AND earlier.id = c.id - 1 AND c.id % 3 = 0;

INSERT INTO notifications (user_id, episode_id, kind, read_at, created_at)
SELECT p.user_id, e.id, 'published', e.published_at + interval '2 hours', e.published_at
FROM episodes e JOIN podcasts p ON p.id = e.podcast_id
WHERE e.published_at IS NOT NULL
UNION ALL
SELECT u.id, NULL, 'tip', NULL, pg_temp.moment('tip' || u.id || n)
FROM users u, generate_series(1, 3) AS n
ORDER BY 5, 1;

ANALYZE;
