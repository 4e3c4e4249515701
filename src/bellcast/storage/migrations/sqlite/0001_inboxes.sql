-- Everything the embedded store keeps. Times are UTC milliseconds; JSON is compact text.

-- Counters that only increase. `announcements` numbers every change of any announcement.
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('announcements', 0);

CREATE TABLE tenants (
  key TEXT PRIMARY KEY,
  name TEXT,
  settings TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A recipient and its inbox. AUTOINCREMENT: an erased inbox's number never names another.
-- `watermark`: announcements changed up to it are taken in. `floor`: tombstones up to this revision are swept.
CREATE TABLE recipients (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  revision INTEGER NOT NULL DEFAULT 0,
  unread INTEGER NOT NULL DEFAULT 0,
  unseen INTEGER NOT NULL DEFAULT 0,
  floor INTEGER NOT NULL DEFAULT 0,
  watermark INTEGER NOT NULL,
  revoked_before INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  name TEXT,
  email TEXT,
  phone TEXT,
  locale TEXT,
  timezone TEXT,
  roles TEXT NOT NULL DEFAULT '[]',
  data TEXT NOT NULL DEFAULT '{}',
  UNIQUE (tenant, key)
) STRICT;

-- `seq` is the counter's value at the send, `changed` at the last send, edit or recall. Tenant '*' is every tenant.
CREATE TABLE announcements (
  seq INTEGER PRIMARY KEY,
  changed INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  topic TEXT,
  type TEXT NOT NULL,
  title TEXT NOT NULL,
  body TEXT,
  priority TEXT NOT NULL,
  action_url TEXT,
  action_text TEXT,
  icon TEXT,
  actor TEXT,
  data TEXT,
  tags TEXT,
  "group" TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  edited_at INTEGER,
  recalled_at INTEGER
) STRICT;
CREATE INDEX announcements_changed ON announcements (tenant, changed);
CREATE INDEX announcements_expiry ON announcements (expires_at) WHERE expires_at IS NOT NULL AND recalled_at IS NULL;
CREATE INDEX announcements_recalled ON announcements (recalled_at) WHERE recalled_at IS NOT NULL;

-- A row of an inbox. A row of an announcement copies the immutable fields; the others are read through `entries`.
-- `part`: 0 unread, 1 read, 2 archived; the view all is the parts 0 and 1. It is checked rather than generated: an index
-- on a generated column never covers a query.
CREATE TABLE notifications (
  recipient INTEGER NOT NULL,
  id TEXT NOT NULL,
  announcement INTEGER,
  first_revision INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  type TEXT NOT NULL,
  title TEXT,
  body TEXT,
  priority TEXT,
  action_url TEXT,
  action_text TEXT,
  icon TEXT,
  actor TEXT,
  data TEXT,
  tags TEXT,
  "group" TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  edited_at INTEGER,
  seen_at INTEGER,
  read_at INTEGER,
  archived_at INTEGER,
  part INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (recipient, id),
  CHECK (part = CASE WHEN archived_at IS NOT NULL THEN 2 WHEN read_at IS NOT NULL THEN 1 ELSE 0 END)
) STRICT, WITHOUT ROWID;
-- One index for every view, its counts and its types: each further index costs one more page write per send.
CREATE INDEX notifications_part ON notifications (recipient, part, id, type);
CREATE INDEX notifications_revision ON notifications (recipient, revision);
CREATE INDEX notifications_direct ON notifications (id) WHERE announcement IS NULL;
CREATE INDEX notifications_announced ON notifications (announcement) WHERE announcement IS NOT NULL;
CREATE INDEX notifications_expiry ON notifications (expires_at) WHERE expires_at IS NOT NULL;

-- Notifications as clients see them, followed by the internal columns.
CREATE VIEW entries AS
SELECT
  n.id, n.type, coalesce(n.title, a.title) AS title, coalesce(n.body, a.body) AS body,
  coalesce(n.priority, a.priority) AS priority, coalesce(n.action_url, a.action_url) AS action_url,
  coalesce(n.action_text, a.action_text) AS action_text, coalesce(n.icon, a.icon) AS icon,
  coalesce(n.actor, a.actor) AS actor, coalesce(n.data, a.data) AS data, n.tags, n."group", n.created_at,
  coalesce(n.expires_at, a.expires_at) AS expires_at, n.seen_at, n.read_at, n.archived_at,
  n.first_revision, n.revision, n.recipient, n.part, n.edited_at
FROM notifications n LEFT JOIN announcements a ON a.seq = n.announcement;

CREATE TABLE notification_tags (
  recipient INTEGER NOT NULL,
  tag TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (recipient, tag, id)
) STRICT, WITHOUT ROWID;

-- Deletions, for clients that resume. A tombstone contains no content.
CREATE TABLE tombstones (
  recipient INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  id TEXT NOT NULL,
  first_revision INTEGER NOT NULL,
  deleted_at INTEGER NOT NULL,
  PRIMARY KEY (recipient, revision, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_deleted ON tombstones (deleted_at);

-- `joined` is the announcement counter at the time of joining: earlier announcements do not reach this recipient.
CREATE TABLE subscriptions (
  tenant TEXT NOT NULL,
  topic TEXT NOT NULL,
  recipient INTEGER NOT NULL,
  key TEXT NOT NULL,
  joined INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (recipient, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_topic ON subscriptions (tenant, topic, key);

CREATE TABLE idempotency (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  answer BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_created ON idempotency (created_at);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  digest BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- The changes that inboxes need to catch up with the announcements: rows to add, to change or to remove.
-- An announcement that was recalled or expired before it was added is skipped; an existing row is removed.
CREATE VIEW pending AS
SELECT
  r.id AS inbox, r.tenant, r.key, r.epoch, r.revision, r.unread, r.unseen, a.seq, a.changed, n.first_revision,
  a.recalled_at, a.expires_at, n.seen_at, n.read_at, n.archived_at
FROM recipients r
CROSS JOIN announcements a ON a.tenant IN (r.tenant, '*') AND a.changed > r.watermark
LEFT JOIN notifications n ON n.recipient = r.id AND n.id = a.id
WHERE n.id IS NOT NULL OR (
  a.seq > r.watermark AND a.recalled_at IS NULL AND (a.topic IS NULL OR EXISTS (
    SELECT 1 FROM subscriptions s WHERE s.recipient = r.id AND s.topic = a.topic AND s.joined < a.seq
  ))
);

-- Fixed statistics for the planner, which would otherwise guess while the tables are empty: the number of rows, then the number
-- that share the first column of an index, the first two, and so on. ANALYZE never runs, so every store has the plans that
-- were tested.
ANALYZE sqlite_schema;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('notifications', 'notifications', '1000000 100 1'),
  ('notifications', 'notifications_part', '1000000 100 30 1 1'),
  ('notifications', 'notifications_revision', '1000000 100 1'),
  ('notifications', 'notifications_direct', '900000 1'),
  ('notifications', 'notifications_announced', '100000 1000'),
  ('notifications', 'notifications_expiry', '10000 10'),
  ('notification_tags', 'notification_tags', '1000000 100 10 1'),
  ('tombstones', 'tombstones', '100000 10 2 1'),
  ('tombstones', 'tombstones_deleted', '100000 10'),
  ('recipients', 'sqlite_autoindex_recipients_1', '100000 10000 1'),
  ('subscriptions', 'subscriptions', '100000 10 1'),
  ('subscriptions', 'subscriptions_topic', '100000 10000 100 1'),
  ('announcements', 'sqlite_autoindex_announcements_1', '10000 1'),
  ('announcements', 'announcements_changed', '10000 1000 1'),
  ('announcements', 'announcements_expiry', '1000 1'),
  ('announcements', 'announcements_recalled', '1000 1'),
  ('idempotency', 'idempotency', '100000 10000 1'),
  ('idempotency', 'idempotency_created', '100000 2');
