ALTER TABLE session_events DROP COLUMN actor_name;
