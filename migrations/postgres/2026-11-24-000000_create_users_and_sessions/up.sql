-- Ids compare byte by byte (COLLATE "C"): as fast as a native uuid, in the same order everywhere.
CREATE TABLE users (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username      TEXT COLLATE "C" NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    is_admin      BOOLEAN NOT NULL DEFAULT FALSE,
    disabled_at   TIMESTAMP,
    created_at    TIMESTAMP NOT NULL,
    updated_at    TIMESTAMP NOT NULL
);

-- Mostly updated, in columns that no index covers: room left in each page keeps such an update
-- within its page (HOT), and vacuum comes after a share of the table that does not grow with it.
CREATE TABLE sessions (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    session_id          TEXT COLLATE "C" NOT NULL UNIQUE,
    token_hash          BYTEA NOT NULL CHECK (octet_length(token_hash) = 32),
    user_id             TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
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
