-- name: inboxes_of_names @postgres
-- The numbers of those recipients that exist.
SELECT r.id, w.tenant, w.key FROM unnest(:tenants::text[], :keys::text[]) w (tenant, key)
CROSS JOIN LATERAL (SELECT id FROM recipients WHERE tenant = w.tenant AND key = w.key OFFSET 0) r

-- name: lock_inboxes @postgres
-- Lock inboxes until the transaction ends. All processes lock them in the same order, so there is no deadlock.
-- The statement is simple because PostgreSQL evaluates it again for each row whose lock it waited for.
SELECT id FROM recipients WHERE id = ANY(:numbers::bigint[]) ORDER BY id FOR NO KEY UPDATE

-- name: lock_names @postgres
-- Lock recipients that do not exist yet, so that no other transaction creates them. Same order as above.
SELECT pg_advisory_xact_lock(n.number) FROM (
  SELECT DISTINCT hashtextextended(w.tenant || chr(31) || w.key, 0) number
  FROM unnest(:tenants::text[], :keys::text[]) w (tenant, key) ORDER BY 1
) n
