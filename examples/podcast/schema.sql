-- A podcast platform as an application team would write it, before purser is there.
-- Nothing here knows of purser, and no foreign key says ON DELETE CASCADE: deletion is purser's to work out.
-- Every referencing column has an index but one (guidance.conversation_id), as happens in real life.

CREATE TABLE users (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         text NOT NULL UNIQUE,
    display_name  text NOT NULL,
    password_hash text NOT NULL,
    locale        text NOT NULL DEFAULT 'en',
    time_zone     text NOT NULL DEFAULT 'UTC',
    created_at    timestamptz NOT NULL,
    last_seen_at  timestamptz
);

CREATE TABLE verifications (
    id          uuid PRIMARY KEY,
    user_id     bigint NOT NULL REFERENCES users,
    purpose     text NOT NULL CHECK (purpose IN ('email', 'password_reset')),
    code_hash   text NOT NULL,
    expires_at  timestamptz NOT NULL,
    verified_at timestamptz
);
CREATE INDEX ON verifications (user_id);

CREATE TABLE terms_acceptance (
    user_id       bigint NOT NULL REFERENCES users,
    terms_version text NOT NULL,
    accepted_at   timestamptz NOT NULL,
    ip_address    inet NOT NULL,
    PRIMARY KEY (user_id, terms_version)
);

-- What the payment provider said; what an account may do is purser's business.
CREATE TABLE subscriptions (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id            bigint NOT NULL REFERENCES users,
    provider_reference text NOT NULL UNIQUE,
    status             text NOT NULL CHECK (status IN ('active', 'canceled', 'past_due')),
    started_at         timestamptz NOT NULL,
    ended_at           timestamptz
);
CREATE INDEX ON subscriptions (user_id);

CREATE TABLE podcasts (
    id          uuid PRIMARY KEY,
    user_id     bigint NOT NULL REFERENCES users,
    title       text NOT NULL,
    description text NOT NULL DEFAULT '',
    language    text NOT NULL DEFAULT 'en',
    feed_slug   text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL
);
CREATE INDEX ON podcasts (user_id);

CREATE TABLE templates (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users,
    name       text NOT NULL,
    layout     jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (user_id, name)
);

CREATE TABLE episodes (
    id               uuid PRIMARY KEY,
    podcast_id       uuid NOT NULL REFERENCES podcasts,
    template_id      bigint REFERENCES templates,
    number           integer NOT NULL CHECK (number > 0),
    title            text NOT NULL,
    status           text NOT NULL CHECK (status IN ('draft', 'processing', 'published')),
    duration_seconds integer CHECK (duration_seconds > 0),
    published_at     timestamptz,
    created_at       timestamptz NOT NULL,
    UNIQUE (podcast_id, number)
);
CREATE INDEX ON episodes (template_id);

CREATE TABLE media (
    id           uuid PRIMARY KEY,
    episode_id   uuid NOT NULL REFERENCES episodes,
    kind         text NOT NULL CHECK (kind IN ('audio', 'intro', 'outro', 'cover')),
    storage_path text NOT NULL UNIQUE,
    bytes        bigint NOT NULL CHECK (bytes > 0),
    uploaded_at  timestamptz NOT NULL
);
CREATE INDEX ON media (episode_id);

-- The parts an episode is put together from; a part may play a file.
CREATE TABLE sections (
    episode_id uuid NOT NULL REFERENCES episodes,
    position   integer NOT NULL CHECK (position > 0),
    kind       text NOT NULL CHECK (kind IN ('intro', 'talk', 'advert', 'outro')),
    media_id   uuid REFERENCES media,
    script     text NOT NULL DEFAULT '',
    PRIMARY KEY (episode_id, position)
);
CREATE INDEX ON sections (media_id);

CREATE TABLE transcripts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    media_id   uuid NOT NULL REFERENCES media,
    language   text NOT NULL,
    body       text NOT NULL,
    word_count integer NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (media_id, language)
);

-- The assistant that helps to plan an episode: what was said, and what it advised.
CREATE TABLE conversations (
    id         uuid PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users,
    podcast_id uuid REFERENCES podcasts,
    topic      text NOT NULL,
    started_at timestamptz NOT NULL
);
CREATE INDEX ON conversations (user_id);
CREATE INDEX ON conversations (podcast_id);

CREATE TABLE messages (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id uuid NOT NULL REFERENCES conversations,
    role            text NOT NULL CHECK (role IN ('user', 'assistant')),
    body            text NOT NULL,
    sent_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON messages (conversation_id, sent_at);

CREATE TABLE guidance (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    episode_id      uuid NOT NULL REFERENCES episodes,
    conversation_id uuid REFERENCES conversations,  -- the index that was forgotten
    advice          text NOT NULL,
    accepted        boolean,
    created_at      timestamptz NOT NULL
);
CREATE INDEX ON guidance (episode_id);

CREATE TABLE websites (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    podcast_id   uuid NOT NULL UNIQUE REFERENCES podcasts,
    domain       text NOT NULL UNIQUE,
    theme        text NOT NULL,
    published_at timestamptz
);

-- Written by other users under someone's episode. A reply outlives the comment that it answers, and an episode
-- may go while what its listeners wrote stays on their own profile pages.
CREATE TABLE comments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    episode_id uuid REFERENCES episodes,
    author_id  bigint NOT NULL REFERENCES users,
    reply_to   bigint REFERENCES comments ON DELETE SET NULL,
    body       text NOT NULL,
    written_at timestamptz NOT NULL
);
CREATE INDEX ON comments (episode_id);
CREATE INDEX ON comments (author_id);
CREATE INDEX ON comments (reply_to);

CREATE TABLE notifications (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users,
    episode_id uuid REFERENCES episodes,
    kind       text NOT NULL CHECK (kind IN ('comment', 'published', 'tip')),
    read_at    timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX ON notifications (user_id, created_at);
CREATE INDEX ON notifications (episode_id);

-- For the support desk, and for counting by hand: whose row is it?
CREATE VIEW row_owners AS
    SELECT 'users' AS table_name, id AS owner_id FROM users
    UNION ALL SELECT 'verifications', user_id FROM verifications
    UNION ALL SELECT 'terms_acceptance', user_id FROM terms_acceptance
    UNION ALL SELECT 'subscriptions', user_id FROM subscriptions
    UNION ALL SELECT 'podcasts', user_id FROM podcasts
    UNION ALL SELECT 'templates', user_id FROM templates
    UNION ALL SELECT 'episodes', p.user_id FROM episodes e JOIN podcasts p ON p.id = e.podcast_id
    UNION ALL SELECT 'media', p.user_id FROM media m JOIN episodes e ON e.id = m.episode_id JOIN podcasts p ON p.id = e.podcast_id
    UNION ALL SELECT 'sections', p.user_id FROM sections s JOIN episodes e ON e.id = s.episode_id JOIN podcasts p ON p.id = e.podcast_id
    UNION ALL SELECT 'transcripts', p.user_id FROM transcripts t JOIN media m ON m.id = t.media_id JOIN episodes e ON e.id = m.episode_id JOIN podcasts p ON p.id = e.podcast_id
    UNION ALL SELECT 'conversations', user_id FROM conversations
    UNION ALL SELECT 'messages', c.user_id FROM messages m JOIN conversations c ON c.id = m.conversation_id
    UNION ALL SELECT 'guidance', p.user_id FROM guidance g JOIN episodes e ON e.id = g.episode_id JOIN podcasts p ON p.id = e.podcast_id
    UNION ALL SELECT 'websites', p.user_id FROM websites w JOIN podcasts p ON p.id = w.podcast_id
    UNION ALL SELECT 'comments', author_id FROM comments
    UNION ALL SELECT 'notifications', user_id FROM notifications;
