DROP TABLE session_user_locks;
DROP TABLE sessions;
