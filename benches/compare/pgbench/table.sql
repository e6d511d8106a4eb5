-- 5,000 sessions in a table with the columns and indexes of ours.
CREATE TABLE sessions (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    session_id          TEXT COLLATE "C" NOT NULL UNIQUE,
    token_hash          BYTEA NOT NULL,
    user_id             TEXT COLLATE "C",
    data                TEXT NOT NULL,
    version             BIGINT NOT NULL DEFAULT 0,
    expires_at          TIMESTAMP NOT NULL,
    absolute_expires_at TIMESTAMP NOT NULL,
    last_seen_at        TIMESTAMP NOT NULL,
    user_agent          TEXT,
    ip                  TEXT,
    created_at          TIMESTAMP NOT NULL,
    updated_at          TIMESTAMP NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX sessions_expires_at ON sessions (expires_at);
CREATE INDEX sessions_user_id ON sessions (user_id) WHERE user_id IS NOT NULL;

INSERT INTO sessions
SELECT lpad(n::text, 24, 'x'), gen_random_uuid()::text, sha256(n::text::bytea), NULL,
       '{"count":1}', 0, now() + interval '1 day', now() + interval '30 days', now(), NULL,
       '127.0.0.1', now(), now()
FROM generate_series(1, 5000) AS n;
