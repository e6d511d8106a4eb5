DROP TRIGGER users_added_disabled;
DROP TRIGGER users_id_changed;
DROP TRIGGER users_deleted;
