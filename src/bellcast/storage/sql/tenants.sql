-- name: tenant_first_seen
-- A tenant comes to be on first use.
INSERT INTO tenants (key, created_at) VALUES (:tenant, :now) ON CONFLICT (key) DO NOTHING

-- name: tenant_find
-- A tenant.
SELECT key, name, settings, created_at FROM tenants WHERE key = :tenant

-- name: tenant_write
-- A tenant as the app wrote it.
UPDATE tenants SET name = :name, settings = :settings WHERE key = :tenant
RETURNING key, name, settings, created_at
