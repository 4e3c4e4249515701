-- name: audit_head
-- The newest entry of the chain.
SELECT number, mac FROM audit_entries WHERE number > 0 ORDER BY number DESC LIMIT 1

-- fragment: audit_columns
-- The columns of an entry.
id, at, actor, action, target, tenant, changes, outcome, address, request_id, number, previous, mac

-- name: audit_insert
-- The next entry of the chain.
INSERT INTO audit_entries ({{audit_columns}})
VALUES (:id, :at, :actor, :action, :target, :tenant, :changes, :outcome, :address, :request_id, :number, :previous, :mac)

-- list: audit
-- Entries, newest first.
SELECT {{audit_columns}}
FROM audit_entries
FILTER (CAST(:actor AS TEXT) IS NULL OR actor = :actor)
  AND (CAST(:outcome AS TEXT) IS NULL OR CASE WHEN outcome IN ('ok', 'password_required') THEN outcome ELSE 'refused' END = :outcome)
  AND (CAST(:text AS TEXT) IS NULL OR lower(actor || ' ' || target) LIKE lower(:text) ESCAPE '\')
ORDER BY id DESC

-- name: audit_chain
-- Entries after a number, in the order of the chain.
SELECT {{audit_columns}} FROM audit_entries
WHERE number > :after ORDER BY number LIMIT :limit

-- name: audit_oldest
-- The first entries of the chain that are kept.
SELECT number, at FROM audit_entries WHERE number > 0 ORDER BY number LIMIT :limit

-- name: audit_delete
-- The entries up to a number.
DELETE FROM audit_entries WHERE number <= :number RETURNING number
