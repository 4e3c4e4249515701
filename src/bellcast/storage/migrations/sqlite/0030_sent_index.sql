-- Lists and counts of sends read only this index. SQLite regards an index as covering only if it also has the column of
-- its own condition.
DROP INDEX notifications_direct;
CREATE INDEX notifications_direct ON notifications (id, announcement) WHERE announcement IS NULL;
