ALTER TABLE sessions DROP COLUMN pending_login;
ALTER TABLE sessions DROP COLUMN actor;
ALTER TABLE sessions DROP COLUMN methods;
ALTER TABLE sessions DROP COLUMN authenticated_at;
ALTER TABLE sessions DROP COLUMN browser_session;
ALTER TABLE sessions DROP COLUMN absolute_timeout;
ALTER TABLE sessions DROP COLUMN idle_timeout;
ALTER TABLE sessions DROP COLUMN kind;
