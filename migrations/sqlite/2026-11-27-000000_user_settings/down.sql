DROP TRIGGER users_settings_moved;
DROP TRIGGER users_settings_deleted;
DROP TABLE user_settings;
