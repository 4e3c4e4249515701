-- Events to which a webhook was subscribed when they occurred, for delivery and replay. `body` is the request's body.
CREATE TABLE webhook_events (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  recipient TEXT,
  type TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_events_tenant ON webhook_events (tenant, id);
CREATE INDEX webhook_events_recipient ON webhook_events (tenant, recipient) WHERE recipient IS NOT NULL;
