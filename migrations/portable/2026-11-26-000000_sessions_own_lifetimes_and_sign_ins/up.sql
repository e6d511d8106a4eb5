-- Which kind of session it is, where an application has several; '' is the one without a name.
ALTER TABLE sessions ADD COLUMN kind TEXT NOT NULL DEFAULT '';
-- The session's own timeouts in seconds; NULL for those of the settings.
ALTER TABLE sessions ADD COLUMN idle_timeout BIGINT;
ALTER TABLE sessions ADD COLUMN absolute_timeout BIGINT;
-- Whether the cookie is to end with the browser.
ALTER TABLE sessions ADD COLUMN browser_session BOOLEAN NOT NULL DEFAULT FALSE;
-- When and how the user last signed in (a JSON list, as in OpenID Connect's amr), and who acts for
-- the user.
ALTER TABLE sessions ADD COLUMN authenticated_at TIMESTAMP;
ALTER TABLE sessions ADD COLUMN methods TEXT;
ALTER TABLE sessions ADD COLUMN actor TEXT;
-- A login that awaits a further factor, as JSON. The session is not signed in by it.
ALTER TABLE sessions ADD COLUMN pending_login TEXT;
