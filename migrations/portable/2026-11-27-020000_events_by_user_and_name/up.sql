-- For lists of one kind of event of one user, and for the last sign-in.
CREATE INDEX IF NOT EXISTS session_events_user_event ON session_events (user_id ASC, event ASC, id ASC);
