-- Events to which a webhook was subscribed when they occurred, for delivery and replay. `body` is the request's body.
CREATE TABLE webhook_events (
  id TEXT COLLATE "C" PRIMARY KEY,
  tenant TEXT COLLATE "C" NOT NULL,
  recipient TEXT COLLATE "C",
  type TEXT COLLATE "C" NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX webhook_events_tenant ON webhook_events (tenant, id);
CREATE INDEX webhook_events_recipient ON webhook_events (tenant, recipient) WHERE recipient IS NOT NULL;
