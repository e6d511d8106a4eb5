-- The events of a user are personal data: they go when the user is deleted, whoever does it.
CREATE TRIGGER users_events_deleted AFTER DELETE ON users
FOR EACH ROW
BEGIN
    DELETE FROM session_events WHERE user_id = OLD.id;
END;

CREATE TRIGGER users_events_moved AFTER UPDATE OF id ON users
FOR EACH ROW WHEN OLD.id IS NOT NEW.id
BEGIN
    UPDATE session_events SET user_id = NEW.id WHERE user_id = OLD.id;
END;
