-- name: marks_of_ids @sqlite
-- What was done so far to those of the ids that are there.
SELECT id, first_revision, seen_at, read_at, archived_at, tags FROM notifications
WHERE recipient = :inbox AND id IN (SELECT value FROM json_each(:ids))

-- name: marks_of_parts
-- What was done so far to the rows of the parts from :first to :last.
SELECT id, first_revision, seen_at, read_at, archived_at, tags FROM notifications
WHERE recipient = :inbox AND part BETWEEN :first AND :last AND (:type IS NULL OR type = :type)
ORDER BY part, id LIMIT :limit

-- name: mark_row
-- Write what was done to one row.
UPDATE notifications SET
  seen_at = :seen_at, read_at = :read_at, archived_at = :archived_at, revision = :revision,
  part = CASE WHEN :archived_at IS NOT NULL THEN 2 WHEN :read_at IS NOT NULL THEN 1 ELSE 0 END
WHERE recipient = :inbox AND id = :id

-- name: marking_tally
-- How many rows a marking of whole parts will change, and what that does to the counters.
-- Each of :seen, :read and :archived is 1 to set it, -1 to clear it, 0 to leave it.
SELECT count(*),
  coalesce(sum(
    (CASE :read WHEN 0 THEN read_at IS NULL ELSE :read < 0 END)
    AND (CASE :archived WHEN 0 THEN archived_at IS NULL ELSE :archived < 0 END)
  ), 0) - coalesce(sum(read_at IS NULL AND archived_at IS NULL), 0),
  coalesce(sum(
    (CASE :seen WHEN 0 THEN seen_at IS NULL ELSE :seen < 0 END)
    AND (CASE :archived WHEN 0 THEN archived_at IS NULL ELSE :archived < 0 END)
  ), 0) - coalesce(sum(seen_at IS NULL AND archived_at IS NULL), 0)
FROM notifications
WHERE recipient = :inbox AND part BETWEEN :first AND :last AND (:type IS NULL OR type = :type)
  AND (:seen * (CASE WHEN seen_at IS NULL THEN 1 ELSE -1 END) > 0
    OR :read * (CASE WHEN read_at IS NULL THEN 1 ELSE -1 END) > 0
    OR :archived * (CASE WHEN archived_at IS NULL THEN 1 ELSE -1 END) > 0)

-- name: mark_parts
-- Mark whole parts: the rows that `marking_tally` counted.
UPDATE notifications SET
  seen_at = CASE :seen WHEN 0 THEN seen_at WHEN 1 THEN coalesce(seen_at, :now) END,
  read_at = CASE :read WHEN 0 THEN read_at WHEN 1 THEN coalesce(read_at, :now) END,
  archived_at = CASE :archived WHEN 0 THEN archived_at WHEN 1 THEN coalesce(archived_at, :now) END,
  part = CASE
    WHEN :archived = 1 OR (:archived = 0 AND archived_at IS NOT NULL) THEN 2
    WHEN :read = 1 OR (:read = 0 AND read_at IS NOT NULL) THEN 1
    ELSE 0
  END,
  revision = :revision
WHERE recipient = :inbox AND part BETWEEN :first AND :last AND (:type IS NULL OR type = :type)
  AND (:seen * (CASE WHEN seen_at IS NULL THEN 1 ELSE -1 END) > 0
    OR :read * (CASE WHEN read_at IS NULL THEN 1 ELSE -1 END) > 0
    OR :archived * (CASE WHEN archived_at IS NULL THEN 1 ELSE -1 END) > 0)

-- name: deletion_tally
-- How many rows a deletion of whole parts will take, and what that does to the counters.
SELECT count(*),
  -coalesce(sum(read_at IS NULL AND archived_at IS NULL), 0),
  -coalesce(sum(seen_at IS NULL AND archived_at IS NULL), 0)
FROM notifications
WHERE recipient = :inbox AND part BETWEEN :first AND :last AND (:type IS NULL OR type = :type)

-- name: bury_parts
-- Leave a tombstone for each row of whole parts.
INSERT INTO tombstones (recipient, revision, id, first_revision, deleted_at)
SELECT recipient, :revision, id, first_revision, :now FROM notifications
WHERE recipient = :inbox AND part BETWEEN :first AND :last AND (:type IS NULL OR type = :type)

-- name: untag_buried
-- Forget the tags of the rows buried at one revision.
DELETE FROM notification_tags
WHERE recipient = :inbox
  AND id IN (SELECT id FROM tombstones WHERE recipient = :inbox AND revision = :revision)

-- name: delete_parts
-- Erase the rows of whole parts.
DELETE FROM notifications
WHERE recipient = :inbox AND part BETWEEN :first AND :last AND (:type IS NULL OR type = :type)

-- name: bury_row
-- Leave a tombstone for one row.
INSERT INTO tombstones (recipient, revision, id, first_revision, deleted_at)
VALUES (:inbox, :revision, :id, :first_revision, :now)

-- name: untag_row
-- Forget one tag of one row.
DELETE FROM notification_tags WHERE recipient = :inbox AND tag = :tag AND id = :id

-- name: delete_row
-- Erase one row.
DELETE FROM notifications WHERE recipient = :inbox AND id = :id
