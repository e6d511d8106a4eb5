-- For lists of administrators and of disabled users, who are few among many.
CREATE INDEX users_is_admin ON users (is_admin ASC, username ASC);
CREATE INDEX users_disabled_at ON users (disabled_at ASC, username ASC);
