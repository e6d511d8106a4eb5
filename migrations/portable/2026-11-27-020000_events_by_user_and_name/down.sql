DROP INDEX session_events_user_event;
