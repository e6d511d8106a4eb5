-- For lists of one kind of event, and of what one administrator has done. Few events have an actor.
CREATE INDEX session_events_event ON session_events (event ASC, id ASC);
CREATE INDEX session_events_actor ON session_events (actor ASC, id ASC);
