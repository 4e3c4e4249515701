-- When the erasure of a tenant began (UTC milliseconds). A tenant with this time accepts no data.
ALTER TABLE tenants ADD COLUMN erasing_since bigint;

-- In the order in which the open runs of a key are cancelled, page by page.
DROP INDEX runs_cancel;
CREATE INDEX runs_cancel ON runs (tenant, workflow, cancel_key, id) WHERE cancel_key IS NOT NULL AND ended_at IS NULL;
