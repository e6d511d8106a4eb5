-- What users have set for themselves: it belongs to the account, so it outlives every session. NULL is
-- what was never set.
CREATE TABLE user_settings (
    user_id      TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE,
    display_name TEXT,
    theme        TEXT,
    updated_at   TIMESTAMP NOT NULL
);

-- For connections that do not enforce foreign keys.
CREATE TRIGGER users_settings_deleted AFTER DELETE ON users
FOR EACH ROW
BEGIN
    DELETE FROM user_settings WHERE user_id = OLD.id;
END;

CREATE TRIGGER users_settings_moved AFTER UPDATE OF id ON users
FOR EACH ROW WHEN OLD.id IS NOT NEW.id
BEGIN
    UPDATE user_settings SET user_id = NEW.id WHERE user_id = OLD.id;
END;
