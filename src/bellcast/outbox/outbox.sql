-- name: rows
-- The first rows that are due, locked until the transaction ends.
SELECT id, key::text, kind, payload::text FROM bellcast.outbox
WHERE due_at <= now() ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED

-- name: refuse
-- Move rows to those that were refused. A number that a refused row has, after TRUNCATE … RESTART IDENTITY, is replaced by a free one.
WITH refusal AS (SELECT * FROM unnest($1::bigint[], $2::text[]) r (id, error)), deleted AS (
  DELETE FROM bellcast.outbox o USING refusal r WHERE o.id = r.id RETURNING o.*, r.error
)
INSERT INTO bellcast.refused (id, key, kind, payload, written_at, error)
SELECT CASE WHEN EXISTS (SELECT 1 FROM bellcast.refused r WHERE r.id = d.id)
    THEN greatest((SELECT max(id) FROM bellcast.refused), (SELECT max(id) FROM deleted)) + row_number() OVER (ORDER BY d.id)
    ELSE d.id END,
  key, kind, payload, written_at, error FROM deleted d

-- name: postpone
-- Send rows later, each by its number of seconds.
UPDATE bellcast.outbox o SET due_at = now() + make_interval(secs => r.seconds)
FROM unnest($1::bigint[], $2::int[]) r (id, seconds) WHERE o.id = r.id

-- name: backlog
-- The number of due rows, the age of the oldest in seconds, and the number of postponed rows.
SELECT count(*) FILTER (WHERE due_at <= now()),
  extract(epoch FROM now() - min(greatest(written_at, due_at)) FILTER (WHERE due_at <= now()))::float8,
  count(*) FILTER (WHERE due_at > now())
FROM bellcast.outbox

-- name: discard
-- Delete one refused row, or all; return how many.
WITH deleted AS (DELETE FROM bellcast.refused WHERE id = $1 OR $1 IS NULL RETURNING 1) SELECT count(*) FROM deleted

-- name: retry
-- Put one refused row, or all, back at the end of the outbox; return how many.
WITH deleted AS (DELETE FROM bellcast.refused WHERE id = $1 OR $1 IS NULL RETURNING *), restored AS (
  INSERT INTO bellcast.outbox (key, kind, payload, written_at)
  SELECT key, kind, payload, written_at FROM deleted ORDER BY id RETURNING 1
) SELECT count(*) FROM restored

-- name: refusals
-- The last refused rows.
SELECT id, kind, payload::text, written_at, error FROM bellcast.refused ORDER BY id DESC LIMIT $1

-- name: table
-- A table of the app: its name, schema and kind, its columns, and those of its primary key.
SELECT c.oid::regclass::text, n.nspname, c.relname, c.relkind::text,
  ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (number, place)
        JOIN pg_attribute a ON a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid ORDER BY k.place)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)

-- name: watched
-- The tables that have these triggers, and the argument of their triggers.
SELECT DISTINCT t.tgrelid::regclass::text,
  convert_from(substring(t.tgargs FOR position('\000'::bytea IN t.tgargs) - 1), getdatabaseencoding())
FROM pg_trigger t WHERE t.tgname = ANY ($1) AND t.tgparentid = 0
  AND t.tgfoid IN (to_regproc('bellcast.changed'), to_regproc('bellcast.emptied'))
ORDER BY 1
