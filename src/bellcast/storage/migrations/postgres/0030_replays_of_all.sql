-- Replays of all tenants, newest first.
CREATE INDEX documents_replays ON documents (kind, key) WHERE kind = 'replays';
