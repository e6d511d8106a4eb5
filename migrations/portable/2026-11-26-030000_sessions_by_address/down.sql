DROP INDEX IF EXISTS sessions_ip;
