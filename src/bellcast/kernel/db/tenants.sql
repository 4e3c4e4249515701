-- name: tenant_first_seen
-- Create a tenant on first use.
INSERT INTO tenants (key, created_at) VALUES (:tenant, :now) ON CONFLICT (key) DO NOTHING

-- name: tenant_hold @sqlite
-- A row if a tenant exists: there is one writer.
SELECT 1 FROM tenants WHERE key = :tenant

-- name: tenant_hold @postgres
-- Let the erasure of a tenant, but no other change of its record, wait for the end of the transaction. The default tenant cannot
-- be erased.
SELECT 1 FROM tenants WHERE key = :tenant AND key <> '' FOR KEY SHARE

-- name: tenant_erased
-- A row if a tenant is being erased, or if its erasure ended between two times.
SELECT 1 FROM tenants WHERE key = :tenant AND erasing_since IS NOT NULL
UNION ALL
SELECT 1 FROM erased WHERE digest = :digest AND sessions_before > :now AND sessions_before < :until
