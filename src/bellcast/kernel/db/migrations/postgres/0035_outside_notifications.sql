-- Notifications that are not in their recipient's inbox, because they were sent to other channels only or its preferences
-- exclude the inbox: the server's lists show them, with the decisions and messages of their id.
CREATE TABLE outside_notifications (
  id TEXT COLLATE "C" PRIMARY KEY,
  tenant TEXT COLLATE "C" NOT NULL,
  recipient BIGINT NOT NULL,
  type TEXT NOT NULL,
  title TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX outside_notifications_tenant ON outside_notifications (tenant, id);
CREATE INDEX outside_notifications_recipient ON outside_notifications (recipient, id);
