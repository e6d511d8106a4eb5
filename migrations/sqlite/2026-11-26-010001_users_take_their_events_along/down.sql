DROP TRIGGER users_events_moved;
DROP TRIGGER users_events_deleted;
