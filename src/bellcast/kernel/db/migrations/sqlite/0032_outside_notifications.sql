-- Notifications that are not in their recipient's inbox, because they were sent to other channels only or its preferences
-- exclude the inbox: the server's lists show them, with the decisions and messages of their id.
CREATE TABLE outside_notifications (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  recipient INTEGER NOT NULL,
  type TEXT NOT NULL,
  title TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outside_notifications_tenant ON outside_notifications (tenant, id);
CREATE INDEX outside_notifications_recipient ON outside_notifications (recipient, id);
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('outside_notifications', 'outside_notifications', '100000 1'),
  ('outside_notifications', 'outside_notifications_tenant', '100000 10000 1'),
  ('outside_notifications', 'outside_notifications_recipient', '100000 10 1');
