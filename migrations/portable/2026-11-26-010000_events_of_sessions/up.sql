-- What happened to the sessions of users, for as long as `events_retention` says. An id is a UUIDv7 with
-- the event's time, so the order of ids is that of time, also for pages and for the end of the
-- retention. No table is referred to: a session is usually gone when its events are read.
CREATE TABLE session_events (
    id         TEXT NOT NULL PRIMARY KEY,
    at         TIMESTAMP NOT NULL,
    event      TEXT NOT NULL,
    reason     TEXT,
    session    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT,
    actor      TEXT,
    ip         TEXT,
    user_agent TEXT,
    request_id TEXT
);

-- In order, where a primary key is not: the retention deletes from the beginning.
CREATE INDEX session_events_id ON session_events (id ASC);
CREATE INDEX session_events_user_id ON session_events (user_id ASC, id ASC);
