-- To disable a user ends all of the user's sessions, whoever does it, as to delete one does.
CREATE TRIGGER users_disabled AFTER UPDATE ON users
FOR EACH ROW WHEN OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL
BEGIN
    DELETE FROM sessions WHERE user_id = NEW.id;
END;
