-- When a key was last used, to the minute; null: never, or before this column existed.
ALTER TABLE api_keys ADD COLUMN used_at INTEGER;
