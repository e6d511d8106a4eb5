-- For lists of administrators and of disabled users, who are few among many.
CREATE INDEX users_is_admin ON users (username) WHERE is_admin;
CREATE INDEX users_disabled_at ON users (username) WHERE disabled_at IS NOT NULL;
