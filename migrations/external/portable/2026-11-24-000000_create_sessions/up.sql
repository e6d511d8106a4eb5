-- For applications with users of their own: a user id is any text, and no table is referred to.
-- Otherwise as in create_users_and_sessions.
CREATE TABLE sessions (
    id                  TEXT NOT NULL PRIMARY KEY,
    session_id          TEXT NOT NULL,
    token_hash          BYTEA NOT NULL CHECK (octet_length(token_hash) = 32),
    user_id             TEXT,
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
);

CREATE UNIQUE INDEX sessions_session_id ON sessions (session_id ASC);
CREATE INDEX sessions_expires_at ON sessions (expires_at ASC);
CREATE INDEX sessions_user_id ON sessions (user_id ASC);

-- One row for each user who is being signed in while the number of a user's sessions is limited:
-- logins of one user wait for each other there. Swept after a day.
CREATE TABLE session_user_locks (
    user_id   TEXT NOT NULL PRIMARY KEY,
    locked_at TIMESTAMP NOT NULL
);
