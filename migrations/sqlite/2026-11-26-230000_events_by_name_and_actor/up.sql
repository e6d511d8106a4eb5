-- For lists of one kind of event, and of what one administrator has done. Few events have an actor.
CREATE INDEX session_events_event ON session_events (event, id);
CREATE INDEX session_events_actor ON session_events (actor, id) WHERE actor IS NOT NULL;
