-- name: hold_inboxes @postgres
-- Nobody else writes to these inboxes until the end. All processes take them in one order, so none waits in a circle.
SELECT r.id, r.tenant, r.key FROM recipients r WHERE r.id IN (
  SELECT unnest(:numbers::bigint[])
  UNION ALL
  SELECT k.id FROM unnest(:tenants::text[], :keys::text[]) w (tenant, key)
  JOIN recipients k ON k.tenant = w.tenant AND k.key = w.key
)
ORDER BY r.id FOR NO KEY UPDATE

-- name: hold_names @postgres
-- Nobody else makes these recipients until the end; in one order, as above.
SELECT pg_advisory_xact_lock(n.number) FROM (
  SELECT DISTINCT hashtextextended(w.tenant || chr(31) || w.key, 0) number
  FROM unnest(:tenants::text[], :keys::text[]) w (tenant, key) ORDER BY 1
) n
