-- name: probe @postgres
-- Changes no row, for which nodes would wait for each other; fails if the database cannot be written.
UPDATE counters SET value = value WHERE name = ''

-- name: probe @sqlite
-- Changes a row: without that, it would succeed on a full disk.
INSERT INTO counters (name, value) VALUES ('probe', 0) ON CONFLICT (name) DO UPDATE SET value = 1 - counters.value
