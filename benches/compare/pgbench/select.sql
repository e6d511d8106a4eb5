\set n random(1, 5000)
SELECT id, session_id, token_hash, user_id, data, version, expires_at, absolute_expires_at,
       last_seen_at, user_agent, ip, created_at, updated_at
FROM sessions WHERE id = lpad(:n::text, 24, 'x');
