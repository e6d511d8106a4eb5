-- For applications with users of their own: a user id is any text, and no table is referred to.
-- Otherwise as in create_users_and_sessions.
CREATE TABLE sessions (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    session_id          TEXT COLLATE "C" NOT NULL UNIQUE,
    token_hash          BYTEA NOT NULL CHECK (octet_length(token_hash) = 32),
    user_id             TEXT COLLATE "C",
    data                TEXT NOT NULL,
    version             BIGINT NOT NULL DEFAULT 0,
    expires_at          TIMESTAMP NOT NULL,
    absolute_expires_at TIMESTAMP NOT NULL,
    last_seen_at        TIMESTAMP NOT NULL,
    user_agent          TEXT,
    ip                  TEXT,
    created_at          TIMESTAMP NOT NULL,
    updated_at          TIMESTAMP NOT NULL,
    CHECK (expires_at <= absolute_expires_at)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);

CREATE INDEX sessions_expires_at ON sessions (expires_at);
CREATE INDEX sessions_user_id ON sessions (user_id) WHERE user_id IS NOT NULL;

-- One row for each user who is being signed in while the number of a user's sessions is limited:
-- logins of one user wait for each other there. Swept after a day.
CREATE TABLE session_user_locks (
    user_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    locked_at TIMESTAMP NOT NULL
);
