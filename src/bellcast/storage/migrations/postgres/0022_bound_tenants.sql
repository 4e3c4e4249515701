-- The tenants that an operator or a key is bound to, as a JSON array; null for all.
ALTER TABLE operators ADD COLUMN tenants TEXT COLLATE "C";
ALTER TABLE api_keys ADD COLUMN tenants TEXT COLLATE "C";

-- The audit of a tenant.
CREATE INDEX audit_entries_tenant ON audit_entries (tenant, id) WHERE tenant IS NOT NULL;
