DROP TRIGGER users_disabled ON users;
DROP FUNCTION end_sessions_of_user;
