DROP INDEX session_events_actor;
DROP INDEX session_events_event;
