-- The sessions of an address, newest first, for operators.
CREATE INDEX IF NOT EXISTS sessions_ip ON sessions (ip ASC, session_id ASC);
