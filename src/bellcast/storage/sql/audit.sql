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

-- name: audit_page
-- Entries between two ids, newest first.
SELECT {{audit_columns}} FROM audit_entries
WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT :limit

-- name: audit_page_of_tenant
-- Entries about a tenant between two ids, newest first.
SELECT {{audit_columns}} FROM audit_entries
WHERE tenant = :tenant AND id < :before AND id >= :since ORDER BY id DESC LIMIT :limit

-- name: audit_total
-- Number of entries between two ids, up to :limit.
SELECT count(*) FROM (SELECT 1 FROM audit_entries WHERE id < :before AND id >= :since LIMIT :limit) AS few

-- name: audit_total_of_tenant
-- Number of entries about a tenant between two ids, up to :limit.
SELECT count(*) FROM (
  SELECT 1 FROM audit_entries WHERE tenant = :tenant AND id < :before AND id >= :since LIMIT :limit
) AS few

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
