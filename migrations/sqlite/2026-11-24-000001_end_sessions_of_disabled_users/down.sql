DROP TRIGGER users_disabled;
