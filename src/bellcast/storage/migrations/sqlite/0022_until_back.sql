-- Snoozed until the recipient is back: the same time as `snoozed_until`, at which the row returns anyway. An older release that
-- snoozes the row again changes only the other column; then the two differ, and only the time ends the snooze.
ALTER TABLE notifications ADD COLUMN return_by INTEGER;
CREATE INDEX notifications_until_back ON notifications (recipient, id) WHERE return_by IS NOT NULL;

-- As in the first step: estimates instead of ANALYZE, so that plans do not depend on when it ran.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('notifications', 'notifications_until_back', '1000 2 1');
