-- The events of a user are personal data: they go when the user is deleted, whoever does it. The
-- functions name the schema of the users table, so that they work whatever the caller's search_path is.
CREATE FUNCTION forget_events_of_user() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('DELETE FROM %I.session_events WHERE user_id = $1', TG_TABLE_SCHEMA)
    USING OLD.id;
    RETURN NULL;
END
$$;

CREATE FUNCTION move_events_of_user() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('UPDATE %I.session_events SET user_id = $1 WHERE user_id = $2', TG_TABLE_SCHEMA)
    USING NEW.id, OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_events_deleted AFTER DELETE ON users
FOR EACH ROW EXECUTE FUNCTION forget_events_of_user();

CREATE TRIGGER users_events_moved AFTER UPDATE OF id ON users
FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id) EXECUTE FUNCTION move_events_of_user();
