-- Where browsers and apps get push messages. `kind` is web, fcm or apns; `address` the endpoint's URL or the device's token.
-- `p256dh` and `auth` are a browser's keys. `registered_at` is the time of the last registration: the oldest endpoint is replaced first.
CREATE TABLE push_endpoints (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  recipient INTEGER NOT NULL,
  kind TEXT NOT NULL,
  address TEXT NOT NULL,
  p256dh TEXT,
  auth TEXT,
  registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX push_endpoints_address ON push_endpoints (tenant, address);
CREATE INDEX push_endpoints_recipient ON push_endpoints (recipient, registered_at);

-- Chat addresses of recipients as JSON; null: none.
ALTER TABLE recipients ADD COLUMN chat TEXT;
