-- For engines that speak PostgreSQL's language without being PostgreSQL. Ids have the database's own
-- collation, indexes say their order, and nothing is said about storage. There are no triggers: the
-- library itself ends the sessions of users whom it disables or deletes.
CREATE TABLE users (
    id            TEXT NOT NULL PRIMARY KEY,
    username      TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_admin      BOOLEAN NOT NULL DEFAULT FALSE,
    disabled_at   TIMESTAMP,
    created_at    TIMESTAMP NOT NULL,
    updated_at    TIMESTAMP NOT NULL
);

-- An index in order, also for lists of users.
CREATE UNIQUE INDEX users_username ON users (username ASC);

CREATE TABLE sessions (
    id                  TEXT NOT NULL PRIMARY KEY,
    session_id          TEXT NOT NULL,
    token_hash          BYTEA NOT NULL CHECK (octet_length(token_hash) = 32),
    user_id             TEXT REFERENCES users (id) ON DELETE CASCADE,
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
