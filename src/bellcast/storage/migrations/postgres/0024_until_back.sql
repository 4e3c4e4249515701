-- Snoozed until the recipient is back: the same time as `snoozed_until`, at which the row returns anyway. An older release that
-- snoozes the row again changes only the other column; then the two differ, and only the time ends the snooze.
ALTER TABLE notifications ADD COLUMN return_by BIGINT;
CREATE INDEX notifications_until_back ON notifications (recipient, id) WHERE return_by IS NOT NULL;
