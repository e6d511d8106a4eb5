-- Usage by the hour, kept after the sessions' rows are gone. Every instance adds to it.
CREATE TABLE session_stats (
    hour           TIMESTAMP NOT NULL PRIMARY KEY,
    created        BIGINT NOT NULL,
    ended_logout   BIGINT NOT NULL,
    ended_revoked  BIGINT NOT NULL,
    ended_replaced BIGINT NOT NULL,
    ended_expired  BIGINT NOT NULL,
    ended_cleared  BIGINT NOT NULL,
    peak_active    BIGINT NOT NULL,
    users          BIGINT NOT NULL
);

-- Who was seen in an hour that is not over, so that several instances count a user once. Folded into
-- session_stats.users later.
CREATE TABLE session_stats_users (
    hour    TIMESTAMP NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (hour, user_id)
);

CREATE TABLE session_sweeps (
    id         TEXT NOT NULL PRIMARY KEY,
    started_at TIMESTAMP NOT NULL,
    elapsed_ms BIGINT NOT NULL,
    deleted    BIGINT NOT NULL,
    error      TEXT
);

CREATE INDEX session_sweeps_started_at ON session_sweeps (started_at ASC);
