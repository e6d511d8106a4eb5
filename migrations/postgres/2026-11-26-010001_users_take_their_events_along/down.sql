DROP TRIGGER users_events_moved ON users;
DROP TRIGGER users_events_deleted ON users;
DROP FUNCTION move_events_of_user();
DROP FUNCTION forget_events_of_user();
