-- Messages: notifications rendered for an address outside the inbox. `attempts` and `content` are JSON; `rounds` counts
-- failed rounds of attempts. `unless` drops a message
-- if its inbox item was `seen` or `read` before it was due.
CREATE TABLE messages (
  id TEXT COLLATE "C" PRIMARY KEY,
  tenant TEXT COLLATE "C" NOT NULL,
  recipient TEXT COLLATE "C" NOT NULL,
  notification TEXT COLLATE "C",
  run TEXT COLLATE "C",
  channel TEXT COLLATE "C" NOT NULL,
  type TEXT NOT NULL,
  priority TEXT NOT NULL,
  address TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  reason TEXT,
  unless TEXT,
  due_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  provider TEXT,
  reference TEXT COLLATE "C",
  content TEXT NOT NULL,
  attempts TEXT NOT NULL DEFAULT '[]',
  rounds BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX messages_tenant ON messages (tenant, id);
CREATE INDEX messages_recipient ON messages (tenant, recipient, id);
CREATE INDEX messages_notification ON messages (tenant, notification) WHERE notification IS NOT NULL;
CREATE INDEX messages_run ON messages (tenant, run) WHERE run IS NOT NULL;
CREATE INDEX messages_state ON messages (tenant, state, id);
CREATE INDEX messages_reference ON messages (reference) WHERE reference IS NOT NULL;

-- The decision for one channel of one notification, and its rule; the release of a held message adds another decision. `due_at` is
-- set for held messages.
CREATE TABLE decisions (
  tenant TEXT COLLATE "C" NOT NULL,
  notification TEXT COLLATE "C" NOT NULL,
  recipient TEXT COLLATE "C" NOT NULL,
  channel TEXT COLLATE "C" NOT NULL,
  outcome TEXT NOT NULL,
  rule TEXT,
  source TEXT,
  message TEXT,
  due_at BIGINT,
  decided_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, notification, recipient, channel, decided_at)
);
CREATE INDEX decisions_recipient ON decisions (tenant, recipient);
CREATE INDEX decisions_age ON decisions (decided_at);

-- Addresses that must not be used: hard bounces, complaints, STOP, or added manually. E-mail addresses are in lower case.
CREATE TABLE suppressions (
  tenant TEXT COLLATE "C" NOT NULL,
  channel TEXT COLLATE "C" NOT NULL,
  address TEXT COLLATE "C" NOT NULL,
  reason TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, channel, address)
);

-- Objects that the app defines by key, as JSON: types, templates, workflows, preference defaults and others. The empty tenant
-- is the project; a tenant's row overrides it.
CREATE TABLE documents (
  kind TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (kind, tenant, key)
);

-- A recipient's own preferences as JSON; null: none. `switches_inbox` is 1 if they turn off the inbox for any type:
-- sends to a tenant without such a recipient read no preferences.
ALTER TABLE recipients ADD COLUMN preferences TEXT;
ALTER TABLE recipients ADD COLUMN switches_inbox BIGINT NOT NULL DEFAULT 0;
CREATE INDEX recipients_switching ON recipients (tenant) WHERE switches_inbox = 1;
