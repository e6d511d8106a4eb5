\set n random(1, 5000)
\set count random(1, 1000000)
UPDATE sessions SET data = '{"count":' || :count::text || '}', version = version + 1
WHERE id = lpad(:n::text, 24, 'x');
