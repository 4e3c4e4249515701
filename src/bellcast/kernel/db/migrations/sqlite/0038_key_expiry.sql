-- When an API key ends. Null: when it is revoked.
ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
