-- The sessions of an address, newest first, for operators.
-- Writes wait while it is built. On a large table, build it beforehand with CREATE INDEX CONCURRENTLY.
CREATE INDEX IF NOT EXISTS sessions_ip ON sessions (ip, session_id) WHERE ip IS NOT NULL;
