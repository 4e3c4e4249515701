-- name: inboxes_of_names @postgres
-- The numbers of those recipients that are there.
SELECT r.id, w.tenant, w.key FROM unnest(:tenants::text[], :keys::text[]) w (tenant, key)
CROSS JOIN LATERAL (SELECT id FROM recipients WHERE tenant = w.tenant AND key = w.key OFFSET 0) r

-- name: hold_inboxes @postgres
-- Nobody else writes to these inboxes until the end. All processes take them in one order, so none waits in a circle.
-- It is so plain because PostgreSQL runs it again for every row it had to wait for.
SELECT id FROM recipients WHERE id = ANY(:numbers::bigint[]) ORDER BY id FOR NO KEY UPDATE

-- name: hold_names @postgres
-- Nobody else makes these recipients until the end; in one order, as above.
SELECT pg_advisory_xact_lock(n.number) FROM (
  SELECT DISTINCT hashtextextended(w.tenant || chr(31) || w.key, 0) number
  FROM unnest(:tenants::text[], :keys::text[]) w (tenant, key) ORDER BY 1
) n
