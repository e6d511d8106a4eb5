DROP INDEX users_disabled_at;
DROP INDEX users_is_admin;
