-- When the erasure of a tenant began (UTC milliseconds). A tenant with this time accepts no data.
ALTER TABLE tenants ADD COLUMN erasing_since INTEGER;
