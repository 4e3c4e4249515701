-- name: exists
-- Whether the tables exist.
SELECT to_regclass('bellcast_live.floors') IS NOT NULL

-- name: create
-- Create the tables. Processes that start together do it one at a time, by a lock of the number "bellcast" in ASCII.
SELECT pg_advisory_xact_lock(X'62656C6C63617374'::bigint);
CREATE SCHEMA IF NOT EXISTS bellcast_live;
CREATE TABLE IF NOT EXISTS bellcast_live.logs (
  project text, tenant text, server text NOT NULL, epoch bigint NOT NULL, last bigint NOT NULL, size bigint NOT NULL,
  forgotten bigint NOT NULL, PRIMARY KEY (project, tenant)
);
CREATE TABLE IF NOT EXISTS bellcast_live.events (
  project text, tenant text, stream text, number bigint, epoch bigint NOT NULL, at bigint NOT NULL,
  expires bigint NOT NULL, size integer NOT NULL, payload bytea NOT NULL,
  PRIMARY KEY (project, tenant, stream, number)
);
CREATE INDEX IF NOT EXISTS events_by_number ON bellcast_live.events (project, tenant, number);
CREATE TABLE IF NOT EXISTS bellcast_live.floors (
  project text, tenant text, stream text, number bigint NOT NULL, PRIMARY KEY (project, tenant, stream)
);

-- name: lock
-- Lock the log of a tenant, and begin a new one if there is none or it is of another server; return its size and whether it is new.
INSERT INTO bellcast_live.logs AS log (project, tenant, server, epoch, last, size, forgotten)
VALUES ($1, $2, {{server}}, $3, 0, 0, 0)
ON CONFLICT (project, tenant) DO UPDATE SET
  server = excluded.server,
  epoch = CASE WHEN log.server = excluded.server THEN log.epoch ELSE excluded.epoch END,
  last = CASE WHEN log.server = excluded.server THEN log.last ELSE 0 END,
  size = CASE WHEN log.server = excluded.server THEN log.size ELSE 0 END,
  forgotten = CASE WHEN log.server = excluded.server THEN log.forgotten ELSE 0 END
RETURNING size, epoch = $3 AS is_new

-- name: clear_events
-- Delete the events of a tenant.
DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2

-- name: clear_floors
-- Delete the floors of a tenant.
DELETE FROM bellcast_live.floors WHERE project = $1 AND tenant = $2

-- name: delete_log
-- Delete the log of a tenant.
DELETE FROM bellcast_live.logs WHERE project = $1 AND tenant = $2

-- name: append
-- Append events. One statement, so one round trip. It returns no row if the log does not exist or belongs to another server. Each
-- event is notified as `PostgresTransport.cut` does it, with its offset as the number. The arrays are selected to hide their
-- lengths from the planner: otherwise it plans each execution, which takes a third of PostgreSQL's time for one event.
WITH log AS (
  UPDATE bellcast_live.logs SET last = last + $3, size = size + $4
  WHERE project = $1 AND tenant = $2 AND server = {{server}} RETURNING epoch, last, size
), entry AS (
  SELECT log.epoch, log.last - $3 + one.ordinal AS number, one.*
  FROM log, unnest((SELECT $6::text[]), (SELECT $7::text[]), (SELECT $8::bigint[]), (SELECT $9::integer[]),
    (SELECT $10::bytea[])) WITH ORDINALITY one (stream, channel, duration, size, payload, ordinal)
), stored AS (
  INSERT INTO bellcast_live.events (project, tenant, stream, number, epoch, at, expires, size, payload)
  SELECT $1, $2, stream, number, epoch, $5, $5 + duration, size, payload FROM entry
)
SELECT epoch, last, size, (
  SELECT count(pg_notify(channel, number || ' ' || left_parts || ' ' || part)) FROM (
    SELECT channel, number, last_part - at AS left_parts, substr(text, 1 + at * {{bytes}}, {{bytes}}) AS part
    FROM entry, LATERAL (SELECT translate(encode(
      $11::bytea || convert_to(to_hex(epoch) || '.' || to_hex(number), 'UTF8') || '\x00'::bytea || payload, 'base64'), E'\n', '') AS text) message,
    LATERAL (SELECT (length(text) - 1) / {{bytes}} AS last_part) cut, generate_series(0, last_part) at
    ORDER BY number, at) notice)
FROM log

-- fragment: raise_floors
-- Raise the floors of the streams of the events that are gone, and reduce the size of the log; return it.
raised AS (
  INSERT INTO bellcast_live.floors AS floor (project, tenant, stream, number)
  SELECT $1, $2, stream, max(number) FROM gone GROUP BY stream
  ON CONFLICT (project, tenant, stream) DO UPDATE SET number = greatest(floor.number, excluded.number)
)
UPDATE bellcast_live.logs SET size = size - (SELECT coalesce(sum(size), 0) FROM gone)
WHERE project = $1 AND tenant = $2
RETURNING size

-- name: trim
-- Remove the events of streams ($3) beyond the number kept of each ($4). It reads a stream from its floor on, because index
-- entries of deleted events stay until a vacuum. Comparing and ordering by (stream, number) permits the primary key only: for
-- `stream = …`, a planner without statistics may choose `events_by_number` and read the events of all streams. The lock on the
-- log keeps a `ctid` valid. The arrays are selected as in `append`: planning took 0.9 ms, more than the execution.
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE ctid = ANY(ARRAY(
    SELECT held.place FROM unnest((SELECT $3::text[]), (SELECT $4::integer[])) rule (name, most)
    CROSS JOIN LATERAL (
      SELECT ctid AS place, row_number() OVER (ORDER BY stream, number) AS ordinal, count(*) OVER () AS total
      FROM bellcast_live.events
      WHERE project = $1 AND tenant = $2 AND stream <= rule.name AND (stream, number) > (rule.name, coalesce((
        SELECT floor.number FROM bellcast_live.floors floor
        WHERE floor.project = $1 AND floor.tenant = $2 AND floor.stream = rule.name), 0))) held
    WHERE held.ordinal <= held.total - rule.most))
  RETURNING stream, number, size
), {{raise_floors}}

-- name: shrink
-- Remove the oldest events with a total size of more than $3.
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2 AND number <= (
    SELECT number FROM (
      SELECT number, sum(size) OVER (ORDER BY number) AS total FROM bellcast_live.events
      WHERE project = $1 AND tenant = $2) oldest
    WHERE total >= $3 ORDER BY number LIMIT 1)
  RETURNING stream, number, size
), {{raise_floors}}

-- name: clear_stream
-- Remove the events of one stream.
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2 AND stream = $3 RETURNING stream, number, size
), {{raise_floors}}

-- name: sweep
-- Remove the expired events of streams ($4; NULL: of all).
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2 AND expires <= $3
    AND ($4::text[] IS NULL OR stream = ANY($4)) RETURNING stream, number, size
), {{raise_floors}}

-- name: tenants
-- The tenants with events.
SELECT tenant FROM bellcast_live.logs WHERE project = $1 AND size > 0

-- name: forget_floors
-- Forget the lowest floors beyond a number ($3): positions below the highest of them become unknown.
WITH old AS (
  SELECT stream, number FROM bellcast_live.floors WHERE project = $1 AND tenant = $2 ORDER BY number DESC OFFSET $3
), gone AS (
  DELETE FROM bellcast_live.floors floor USING old
  WHERE floor.project = $1 AND floor.tenant = $2 AND floor.stream = old.stream
)
UPDATE bellcast_live.logs SET forgotten = greatest(forgotten, (SELECT max(number) FROM old))
WHERE project = $1 AND tenant = $2 AND EXISTS (SELECT FROM old)

-- fragment: streams
-- A log with streams ($3), and whether the position of a client ($4, $5: epoch and number of an id) is complete in each. A read is
-- one statement, so one snapshot.
SELECT log.epoch, log.last, stream.ordinal, state.is_complete, event.number, event.at, event.expires, event.payload
FROM bellcast_live.logs log
LEFT JOIN unnest($3::text[]) WITH ORDINALITY stream (name, ordinal) ON true
LEFT JOIN LATERAL (
  SELECT log.epoch = $4 AND $5 <= log.last AND $5 >= coalesce((
    SELECT floor.number FROM bellcast_live.floors floor
    WHERE floor.project = $1 AND floor.tenant = $2 AND floor.stream = stream.name), log.forgotten) AS is_complete
) state ON true

-- fragment: events_of_stream
-- The events of a stream.
SELECT number, at, expires, payload FROM bellcast_live.events WHERE project = $1 AND tenant = $2 AND stream = stream.name

-- fragment: own_log
-- The log of a tenant, unless it belongs to another server.
log.project = $1 AND log.tenant = $2 AND log.server = {{server}}

-- name: read_missed
-- The first events ($6: limit) after the position, of streams in which it is complete.
{{streams}}
LEFT JOIN LATERAL (
  {{events_of_stream}} AND state.is_complete AND number > $5 ORDER BY number LIMIT $6
) event ON true
WHERE {{own_log}}

-- name: read_newest
-- The last events of streams.
{{streams}}
LEFT JOIN LATERAL ({{events_of_stream}} ORDER BY number DESC LIMIT $6) event ON true
WHERE {{own_log}}

-- name: read_page
-- The first events after the position, or of all that a stream has if it is not complete.
{{streams}}
LEFT JOIN LATERAL (
  {{events_of_stream}} AND (number > $5 OR NOT state.is_complete) ORDER BY number LIMIT $6
) event ON true
WHERE {{own_log}}
