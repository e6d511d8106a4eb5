-- SQLite enforces foreign keys only on connections that ask for it, which the sqlite3 shell and most
-- other programs do not. Triggers hold for all of them.
CREATE TRIGGER users_deleted AFTER DELETE ON users
FOR EACH ROW
BEGIN
    DELETE FROM sessions WHERE user_id = OLD.id;
END;

CREATE TRIGGER users_id_changed AFTER UPDATE OF id ON users
FOR EACH ROW WHEN OLD.id IS NOT NEW.id
BEGIN
    DELETE FROM sessions WHERE user_id = OLD.id;
END;

-- INSERT OR REPLACE is an insert to a trigger. A user whom it replaces by one with another id is
-- noticed only by foreign keys or PRAGMA recursive_triggers: no trigger learns of the former row
-- without taking INSERT OR IGNORE for a replacement as well.
CREATE TRIGGER users_added_disabled AFTER INSERT ON users
FOR EACH ROW WHEN NEW.disabled_at IS NOT NULL
BEGIN
    DELETE FROM sessions WHERE user_id = NEW.id;
END;
