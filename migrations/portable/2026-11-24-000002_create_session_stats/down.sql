DROP TABLE session_sweeps;
DROP TABLE session_stats_users;
DROP TABLE session_stats;
