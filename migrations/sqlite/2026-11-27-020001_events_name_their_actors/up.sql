-- The name of the administrator who caused an event, as it was then: an account may be deleted before
-- its acts are forgotten. NULL where the actor is no user.
ALTER TABLE session_events ADD COLUMN actor_name TEXT;
