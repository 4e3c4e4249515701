-- Everything the embedded store keeps. Times are UTC milliseconds; JSON is compact text.

-- Counters that only increase. `announcements` numbers every change of any announcement.
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
  key TEXT PRIMARY KEY,
  name TEXT,
  settings TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL,
  ruled INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX tenants_ruled ON tenants (key) WHERE ruled = 1;

-- A recipient and its inbox. AUTOINCREMENT: an erased inbox's number never names another. `watermark`: announcements
-- changed up to it are taken in. `floor`: tombstones up to this revision are swept. `preferences`: the recipient's own,
-- as JSON; null: none. `switches_inbox` is 1 if they turn off the inbox for any type: sends to a tenant without such a
-- recipient read no preferences. `opened`: 0 until the recipient first opens its inbox, which then receives earlier
-- announcements. `member_since`: the app's time (UTC milliseconds) from which announcements are for this recipient.
-- `chat`: addresses as JSON; null: none. `preferences_updated_at`: when they last changed; null: never, or before this
-- column existed.
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
  preferences TEXT,
  switches_inbox INTEGER NOT NULL DEFAULT 0,
  opened INTEGER NOT NULL DEFAULT 1,
  member_since INTEGER,
  chat TEXT,
  preferences_updated_at INTEGER,
  UNIQUE (tenant, key)
) STRICT;
CREATE INDEX recipients_switching ON recipients (tenant) WHERE switches_inbox = 1;

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
  recalled_at INTEGER,
  body_format TEXT,
  actions TEXT
) STRICT;
CREATE INDEX announcements_changed ON announcements (tenant, changed);
CREATE INDEX announcements_expiry ON announcements (expires_at) WHERE expires_at IS NOT NULL AND recalled_at IS NULL;
CREATE INDEX announcements_recalled ON announcements (recalled_at) WHERE recalled_at IS NOT NULL;
CREATE INDEX announcements_created ON announcements (tenant, created_at);

-- A row of an inbox. A row of an announcement copies the immutable fields; the others are read through `entries`.
-- `part`: 0 unread, 1 read, 2 archived; the view all is the parts 0 and 1. It is checked rather than generated: an
-- index on a generated column never covers a query. A snoozed row also has `archived_at`: it is not counted, and an
-- older release shows it in the archive. `place` is set when the row wakes: it sorts there instead of at its id. `run`
-- is the run that is woken by changes of the row. `return_by`: snoozed until the recipient is back; the time of
-- `snoozed_until`, at which the row returns anyway. An older release that snoozes the row again changes only the other
-- column; then the two differ, and only the time ends the snooze.
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
  body_format TEXT,
  actions TEXT,
  acted_key TEXT,
  acted_at INTEGER,
  snoozed_until INTEGER,
  place TEXT,
  run TEXT,
  return_by INTEGER,
  PRIMARY KEY (recipient, id),
  CHECK (part = CASE WHEN archived_at IS NOT NULL THEN 2 WHEN read_at IS NOT NULL THEN 1 ELSE 0 END)
) STRICT, WITHOUT ROWID;
-- One index for every view, its counts and its types: each further index costs one more page write per send.
CREATE INDEX notifications_part ON notifications (recipient, part, id, type);
CREATE INDEX notifications_revision ON notifications (recipient, revision);
CREATE INDEX notifications_announced ON notifications (announcement) WHERE announcement IS NOT NULL;
CREATE INDEX notifications_expiry ON notifications (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX notifications_snoozed ON notifications (snoozed_until) WHERE snoozed_until IS NOT NULL;
CREATE INDEX notifications_woken ON notifications (recipient, place) WHERE place IS NOT NULL;
CREATE INDEX notifications_until_back ON notifications (recipient, id) WHERE return_by IS NOT NULL;
-- Lists and counts of sends read only this index. SQLite regards an index as covering only if it also has the column of
-- its own condition.
CREATE INDEX notifications_direct ON notifications (id, announcement) WHERE announcement IS NULL;

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

-- `tenants`: those that the key is bound to, as a JSON array; null for all. `used_at`: when it was last used, to the
-- minute; null: never, or before this column existed.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  digest BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  tenants TEXT,
  used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE last_events (
  tenant TEXT NOT NULL,
  topic TEXT NOT NULL,
  name TEXT NOT NULL,
  data TEXT NOT NULL,
  told_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX last_events_told ON last_events (told_at);

-- `device` is a digest. One row per connection: a device that returns is replayed from the lowest of its rows that are
-- offline.
CREATE TABLE devices (
  inbox INTEGER NOT NULL,
  device BLOB NOT NULL,
  connection TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  heard_at INTEGER NOT NULL,
  PRIMARY KEY (inbox, device, connection)
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_heard ON devices (heard_at);

-- Jobs by priority (0 urgent, 1 others, 2 fan-out), tenant and kind. `lease` identifies the current lease, null: none.
-- `crashes` counts unforeseen errors and leases that ended without an outcome, in a row. A dead job has a `run_at` in
-- the infinite future, so that older releases ignore it; they lease the other jobs by `jobs_due`.
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  run_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  tenant TEXT NOT NULL DEFAULT '',
  priority INTEGER NOT NULL DEFAULT 1,
  state TEXT NOT NULL DEFAULT 'ready',
  lease TEXT,
  crashes INTEGER NOT NULL DEFAULT 0,
  error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_due ON jobs (run_at);
CREATE INDEX jobs_ready ON jobs (priority, tenant, kind, run_at) WHERE state = 'ready';
CREATE INDEX jobs_dead ON jobs (tenant, id) WHERE state = 'dead';
CREATE INDEX jobs_dead_of_all ON jobs (id) WHERE state = 'dead';

-- Erased recipients that valid sessions may still name: a digest, and the time before which sessions are refused.
CREATE TABLE erased (
  digest TEXT PRIMARY KEY,
  sessions_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX erased_before ON erased (sessions_before);

-- Numbers of sends by tenant and day (days since 1970, UTC), for the daily budgets; and the tenants with their own
-- rules.
CREATE TABLE budgets (
  tenant TEXT NOT NULL,
  day INTEGER NOT NULL,
  sends INTEGER NOT NULL,
  PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_day ON budgets (day);

-- Topics that live connections joined, for connection state recovery.
CREATE TABLE joined_topics (
  inbox INTEGER NOT NULL,
  connection TEXT NOT NULL,
  topics TEXT NOT NULL,
  saved_at INTEGER NOT NULL,
  PRIMARY KEY (inbox, connection)
) STRICT, WITHOUT ROWID;
CREATE INDEX joined_topics_saved ON joined_topics (saved_at);

-- Messages: notifications rendered for an address outside the inbox. `attempts` and `content` are JSON; `rounds` counts
-- failed rounds of attempts. `unless` drops a message if its inbox item was `seen` or `read` before it was due.
-- `digest` is the digest that the message is part of; a digest has its own id here.
CREATE TABLE messages (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  recipient TEXT NOT NULL,
  notification TEXT,
  run TEXT,
  channel TEXT NOT NULL,
  type TEXT NOT NULL,
  priority TEXT NOT NULL,
  address TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  unless TEXT,
  due_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  provider TEXT,
  reference TEXT,
  content TEXT NOT NULL,
  attempts TEXT NOT NULL DEFAULT '[]',
  rounds INTEGER NOT NULL DEFAULT 0,
  digest TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_tenant ON messages (tenant, id);
CREATE INDEX messages_recipient ON messages (tenant, recipient, id);
CREATE INDEX messages_notification ON messages (tenant, notification) WHERE notification IS NOT NULL;
CREATE INDEX messages_run ON messages (tenant, run) WHERE run IS NOT NULL;
CREATE INDEX messages_state ON messages (tenant, state, id);
CREATE INDEX messages_reference ON messages (reference) WHERE reference IS NOT NULL;
CREATE INDEX messages_digest ON messages (digest) WHERE digest IS NOT NULL;
-- Failures of all tenants, newest first.
CREATE INDEX messages_failed ON messages (state, id) WHERE state IN ('failed', 'bounced');

-- The decision for one channel of one notification, and its rule; the release of a held message adds another decision.
-- `due_at` is set for held messages.
CREATE TABLE decisions (
  tenant TEXT NOT NULL,
  notification TEXT NOT NULL,
  recipient TEXT NOT NULL,
  channel TEXT NOT NULL,
  decided_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  rule TEXT,
  source TEXT,
  message TEXT,
  due_at INTEGER,
  PRIMARY KEY (tenant, notification, recipient, channel, decided_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX decisions_recipient ON decisions (tenant, recipient);
CREATE INDEX decisions_age ON decisions (decided_at);

-- Addresses that must not be used: hard bounces, complaints, STOP, or added manually. E-mail addresses are in lower
-- case.
CREATE TABLE suppressions (
  tenant TEXT NOT NULL,
  channel TEXT NOT NULL,
  address TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, channel, address)
) STRICT, WITHOUT ROWID;

-- Objects that the app defines by key, as JSON: types, templates, workflows, preference defaults and others. The empty
-- tenant is the project; a tenant's row overrides it.
CREATE TABLE documents (
  kind TEXT NOT NULL,
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (kind, tenant, key)
) STRICT, WITHOUT ROWID;
-- Replays of all tenants, newest first.
CREATE INDEX documents_replays ON documents (kind, key) WHERE kind = 'replays';

-- Where browsers and apps get push messages. `kind` is web, fcm or apns; `address` the endpoint's URL or the device's
-- token. `p256dh` and `auth` are a browser's keys. `registered_at` is the time of the last registration: the oldest
-- endpoint is replaced first.
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
CREATE INDEX push_endpoints_recipient ON push_endpoints (recipient, registered_at);
CREATE UNIQUE INDEX push_endpoints_address ON push_endpoints (address);

-- Runs of workflows. `body` is the state as JSON, `owner` the tenant that has the workflow. `revision` grows with each
-- commit, `woken` with each event that the run may wait for. A run that has not ended has a job of its id.
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  "trigger" TEXT NOT NULL,
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  recipient TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  cancel_key TEXT,
  wakes_at INTEGER,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  revision INTEGER NOT NULL DEFAULT 0,
  woken INTEGER NOT NULL DEFAULT 0,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_tenant ON runs (tenant, id);
CREATE INDEX runs_workflow ON runs (tenant, workflow, id);
CREATE INDEX runs_recipient ON runs (tenant, recipient, id);
CREATE INDEX runs_state ON runs (tenant, state, id);
CREATE INDEX runs_paused ON runs (owner, workflow, id) WHERE state = 'paused';
CREATE INDEX runs_cancel ON runs (tenant, workflow, cancel_key) WHERE cancel_key IS NOT NULL AND ended_at IS NULL;
-- The counts of a trigger's runs by state are read from the index alone.
CREATE INDEX runs_trigger ON runs (tenant, "trigger", id, state);
CREATE INDEX runs_failed ON runs (id) WHERE state = 'failed';

-- Triggers for an audience. Their runs are added in pages by key; `position` is the last key. `excluded`: recipients,
-- as a JSON array, for whom a fan-out adds no run: theirs were cancelled while it ran.
CREATE TABLE fanouts (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  audience TEXT NOT NULL,
  body TEXT NOT NULL,
  cancel_key TEXT,
  created_at INTEGER NOT NULL,
  position TEXT NOT NULL,
  state TEXT NOT NULL,
  excluded TEXT NOT NULL DEFAULT '[]'
) STRICT, WITHOUT ROWID;
CREATE INDEX fanouts_tenant ON fanouts (tenant);
CREATE INDEX fanouts_cancel ON fanouts (tenant, workflow, cancel_key) WHERE cancel_key IS NOT NULL AND state = 'running';

-- Counters of throttles and digests for a recipient and a key, as JSON. `run` is the run that closes a digest.
CREATE TABLE step_counters (
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  step TEXT NOT NULL,
  recipient TEXT NOT NULL,
  "by" TEXT NOT NULL,
  run TEXT,
  body TEXT NOT NULL,
  revision INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, workflow, step, recipient, "by")
) STRICT, WITHOUT ROWID;
CREATE INDEX step_counters_run ON step_counters (run) WHERE run IS NOT NULL;
CREATE INDEX step_counters_recipient ON step_counters (tenant, recipient);
CREATE INDEX step_counters_age ON step_counters (expires_at);

-- Definitions as JSON; runs keep their version after the workflow is changed or deleted.
CREATE TABLE workflow_versions (
  owner TEXT NOT NULL,
  workflow TEXT NOT NULL,
  version INTEGER NOT NULL,
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (owner, workflow, version)
) STRICT, WITHOUT ROWID;

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

-- Live events that runs wait for, from the start of the run. `target` is the stream of the topic or recipient; `event`
-- is the first event that matched, as JSON.
CREATE TABLE event_waits (
  run TEXT NOT NULL,
  step TEXT NOT NULL,
  tenant TEXT NOT NULL,
  recipient TEXT NOT NULL,
  name TEXT NOT NULL,
  target TEXT NOT NULL,
  event TEXT,
  PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_waits_open ON event_waits (tenant, name, target, run) WHERE event IS NULL;
CREATE INDEX event_waits_recipient ON event_waits (tenant, recipient);

-- Operators of the console. `password` is an Argon2id hash. `mfa_secret`, `mfa_pending`, `mfa_step`: the encrypted
-- secret of the authenticator app, a new one that is not confirmed yet, and the period of the last accepted code, so
-- that none is accepted twice. `tenants`: those that the operator is bound to, as a JSON array; null for all.
-- `subject`: of an operator of an identity provider, its issuer and the subject there; only the provider signs it in.
CREATE TABLE operators (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  password TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER,
  mfa_secret TEXT,
  mfa_pending TEXT,
  mfa_step INTEGER,
  tenants TEXT,
  subject TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX operators_owner ON operators (role) WHERE role = 'owner';
CREATE UNIQUE INDEX operators_subject ON operators (subject) WHERE subject IS NOT NULL;

-- Sessions of operators, by the SHA-256 digest of their token. `verified_at`: when the operator last entered the
-- password in it.
CREATE TABLE operator_sessions (
  digest BLOB PRIMARY KEY,
  operator TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  verified_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX operator_sessions_operator ON operator_sessions (operator);
CREATE INDEX operator_sessions_created ON operator_sessions (created_at);

-- Codes for the first setup, by their SHA-256 digest.
CREATE TABLE setup_codes (
  digest BLOB PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Failed sign-ins and setups by account and by address.
CREATE TABLE sign_in_failures (
  id TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_failures_subject ON sign_in_failures (subject, at);
CREATE INDEX sign_in_failures_at ON sign_in_failures (at, id);

-- Never written: `audit_entries` replaces it.
CREATE TABLE audit (
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  operator TEXT NOT NULL,
  role TEXT,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,
  address TEXT,
  request_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit log of operators, as a chain: `mac` authenticates the entry and `previous`, the `mac` of the entry with the
-- number before. Ids are in chronological order.
CREATE TABLE audit_entries (
  id TEXT PRIMARY KEY,
  number INTEGER NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  tenant TEXT,
  changes TEXT NOT NULL,
  outcome TEXT NOT NULL,
  address TEXT,
  request_id TEXT NOT NULL,
  previous BLOB NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- The audit of a tenant.
CREATE INDEX audit_entries_tenant ON audit_entries (tenant, id) WHERE tenant IS NOT NULL;

-- Recovery codes, by their SHA-256 digest.
CREATE TABLE recovery_codes (
  digest BLOB PRIMARY KEY,
  operator TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_operator ON recovery_codes (operator);

-- Statistics of the nodes, as JSON, in intervals of `step` milliseconds that begin at `at`.
CREATE TABLE stats_points (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  node TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (step, at, node)
) STRICT, WITHOUT ROWID;

-- Sign-ins that returned from the provider, by a digest of their state, so that none is used twice.
CREATE TABLE used_sign_ins (
  digest BLOB PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_sign_ins_expiry ON used_sign_ins (expires_at);

-- Passkeys of operators: the id that the authenticator chose, and its public key. `counter` is that of the last
-- sign-in.
CREATE TABLE passkeys (
  id TEXT PRIMARY KEY,
  operator TEXT NOT NULL,
  credential BLOB NOT NULL UNIQUE,
  public_key BLOB NOT NULL,
  name TEXT NOT NULL,
  counter INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_operator ON passkeys (operator);

INSERT INTO counters (name, value) VALUES ('announcements', 0);

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

-- The changes that inboxes need to catch up with the announcements: rows to add, to change or to remove. An
-- announcement that was recalled or expired before it was added is skipped; an existing row is removed. It excludes
-- announcements made before the recipient was a member; a topic has its subscription's time. Older releases read it.
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
  )) AND (r.member_since IS NULL OR a.created_at >= r.member_since OR (a.topic IS NOT NULL AND a.topic NOT LIKE 'role.%'))
);

-- As `entries`, which older releases read, with all columns.
CREATE VIEW inbox_entries AS
SELECT
  n.id, n.type, coalesce(n.title, a.title) AS title, coalesce(n.body, a.body) AS body,
  coalesce(n.priority, a.priority) AS priority, coalesce(n.action_url, a.action_url) AS action_url,
  coalesce(n.action_text, a.action_text) AS action_text, coalesce(n.icon, a.icon) AS icon,
  coalesce(n.actor, a.actor) AS actor, coalesce(n.data, a.data) AS data, n.tags, n."group", n.created_at,
  coalesce(n.expires_at, a.expires_at) AS expires_at, n.seen_at, n.read_at,
  CASE WHEN n.snoozed_until IS NULL THEN n.archived_at END AS archived_at,
  coalesce(n.body_format, a.body_format) AS body_format, coalesce(n.actions, a.actions) AS actions,
  n.acted_key, n.acted_at, CASE WHEN n.archived_at IS NOT NULL THEN n.snoozed_until END AS snoozed_until, n.place,
  n.first_revision, n.revision, n.recipient, n.part, n.edited_at
FROM notifications n LEFT JOIN announcements a ON a.seq = n.announcement;

CREATE TRIGGER notifications_watched AFTER UPDATE OF seen_at, read_at, archived_at, acted_at ON notifications
WHEN NEW.run IS NOT NULL BEGIN
  UPDATE runs SET woken = woken + 1 WHERE id = NEW.run AND ended_at IS NULL;
  UPDATE jobs SET run_at = 0, attempts = 0, lease = NULL, crashes = 0
  WHERE id = NEW.run AND state = 'ready' AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run AND state = 'waiting');
END;

-- As `pending`, which older releases read, with all columns. A topic such as `Role.x` is not a role's: LIKE ignores the
-- case on SQLite.
CREATE VIEW pending_entries AS
SELECT
  r.id AS inbox, r.tenant, r.key, r.epoch, r.revision, r.unread, r.unseen, a.seq, a.changed, n.first_revision,
  a.recalled_at, a.expires_at, n.seen_at, n.read_at, n.archived_at, n.acted_key, n.acted_at, n.snoozed_until, n.place
FROM recipients r
CROSS JOIN announcements a ON a.tenant IN (r.tenant, '*') AND a.changed > r.watermark
LEFT JOIN notifications n ON n.recipient = r.id AND n.id = a.id
WHERE n.id IS NOT NULL OR (
  a.seq > r.watermark AND a.recalled_at IS NULL AND (a.topic IS NULL OR EXISTS (
    SELECT 1 FROM subscriptions s WHERE s.recipient = r.id AND s.topic = a.topic AND s.joined < a.seq
  )) AND (r.member_since IS NULL OR a.created_at >= r.member_since OR substr(a.topic, 1, 5) <> 'role.')
);

-- Fixed statistics for the planner, which would otherwise guess while the tables are empty: the number of rows, then
-- the number that share the first column of an index, the first two, and so on. ANALYZE never runs, so every store has
-- the plans that were tested.
ANALYZE sqlite_schema;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('notifications', 'notifications', '1000000 100 1'),
  ('notifications', 'notifications_part', '1000000 100 30 1 1'),
  ('notifications', 'notifications_revision', '1000000 100 1'),
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
  ('idempotency', 'idempotency_created', '100000 2'),
  ('announcements', 'announcements_created', '10000 1000 1'),
  ('notifications', 'notifications_snoozed', '1000 2'),
  ('notifications', 'notifications_woken', '1000 5 1'),
  ('notifications', 'notifications_until_back', '1000 2 1');
