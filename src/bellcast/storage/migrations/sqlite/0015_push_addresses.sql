-- A device has one endpoint: it moves with the person who signs in on it, also to another tenant.
DELETE FROM push_endpoints WHERE id NOT IN (SELECT max(id) FROM push_endpoints GROUP BY address);
DROP INDEX push_endpoints_address;
CREATE UNIQUE INDEX push_endpoints_address ON push_endpoints (address);
