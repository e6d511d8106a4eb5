-- What users have set for themselves: it belongs to the account, so it outlives every session. NULL is
-- what was never set.
CREATE TABLE user_settings (
    user_id      TEXT COLLATE "C" NOT NULL PRIMARY KEY
                 REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE,
    display_name TEXT,
    theme        TEXT,
    updated_at   TIMESTAMP NOT NULL
);
