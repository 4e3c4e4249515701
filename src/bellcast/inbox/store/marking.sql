-- name: marks_of_ids @sqlite
-- State of the existing rows among these ids.
SELECT id, first_revision, seen_at, read_at, archived_at, snoozed_until, return_by, tags FROM notifications
WHERE recipient = :inbox AND id {{in_ids}}

-- name: marks_of_ids @postgres
-- As on SQLite. Each row is found by its id: else PostgreSQL reads the whole inbox if most others are small.
SELECT n.* FROM (SELECT DISTINCT value FROM json_array_elements_text(:ids::json) ORDER BY value) i
CROSS JOIN LATERAL (
  SELECT id, first_revision, seen_at, read_at, archived_at, snoozed_until, return_by, tags FROM notifications
  WHERE recipient = :inbox AND id = i.value OFFSET 0
) n

-- fragment: in_parts
-- The rows of the parts from :first to :last, with a type and a tag unless null; of the last part, the archived or the snoozed.
recipient = :inbox AND part BETWEEN :first AND :last AND (type = :type OR :type IS NULL)
  AND (part < 2 OR (snoozed_until IS NOT NULL) = (:snoozed = 1))
  AND (CAST(:tag AS TEXT) IS NULL
    OR id IN (SELECT t.id FROM notification_tags t WHERE t.recipient = :inbox AND t.tag = CAST(:tag AS TEXT)))

-- name: marks_of_parts
-- State of the rows of the parts from :first to :last.
SELECT id, first_revision, seen_at, read_at, archived_at, snoozed_until, return_by, tags FROM notifications
WHERE {{in_parts}}
ORDER BY part, id LIMIT :limit

-- name: mark_row @sqlite
-- Write the new state of a row.
UPDATE notifications SET
  seen_at = :seen_at, read_at = :read_at, archived_at = :archived_at,
  snoozed_until = :snoozed_until, return_by = :return_by, revision = :revision,
  part = CASE WHEN :archived_at IS NOT NULL THEN 2 WHEN :read_at IS NOT NULL THEN 1 ELSE 0 END
WHERE recipient = :inbox AND id = :id

-- name: mark_row @postgres
-- Write the new state of a row.
UPDATE notifications SET
  seen_at = :seen_at, read_at = :read_at, archived_at = :archived_at,
  snoozed_until = :snoozed_until, return_by = :return_by, revision = :revision,
  part = CASE WHEN :archived_at::bigint IS NOT NULL THEN 2 WHEN :read_at::bigint IS NOT NULL THEN 1 ELSE 0 END
WHERE recipient = :inbox AND id = :id

-- fragment: marking_changes
-- The rows that a marking of whole parts changes.
{{in_parts}}
  AND (:seen * (CASE WHEN seen_at IS NULL THEN 1 ELSE -1 END) > 0
    OR :read * (CASE WHEN read_at IS NULL THEN 1 ELSE -1 END) > 0
    OR :archived * (CASE WHEN archived_at IS NULL THEN 1 ELSE -1 END) > 0
    OR (:archived <> 0 AND snoozed_until IS NOT NULL))

-- name: marking_tally
-- How many rows a marking of whole parts changes, by how much the counters change, and how many of the rows were never seen.
-- Each of :seen, :read and :archived is 1 to set it, -1 to clear it, 0 to leave it.
SELECT count(*),
  count(*) FILTER (WHERE
    (CASE WHEN :read = 0 THEN read_at IS NULL ELSE :read < 0 END)
    AND (CASE WHEN :archived = 0 THEN archived_at IS NULL ELSE :archived < 0 END)
  ) - count(*) FILTER (WHERE read_at IS NULL AND archived_at IS NULL),
  count(*) FILTER (WHERE
    (CASE WHEN :seen = 0 THEN seen_at IS NULL ELSE :seen < 0 END)
    AND (CASE WHEN :archived = 0 THEN archived_at IS NULL ELSE :archived < 0 END)
  ) - count(*) FILTER (WHERE seen_at IS NULL AND archived_at IS NULL),
  count(*) FILTER (WHERE seen_at IS NULL)
FROM notifications
WHERE {{marking_changes}}

-- name: mark_parts
-- Mark whole parts: the rows that `marking_tally` counted.
UPDATE notifications SET
  seen_at = CASE WHEN :seen = 0 THEN seen_at WHEN :seen = 1 THEN coalesce(seen_at, :now) END,
  read_at = CASE WHEN :read = 0 THEN read_at WHEN :read = 1 THEN coalesce(read_at, :now) END,
  archived_at = CASE
    WHEN :archived = 0 THEN archived_at
    WHEN :archived = 1 THEN CASE WHEN snoozed_until IS NULL THEN coalesce(archived_at, :now) ELSE :now END
  END,
  snoozed_until = CASE WHEN :archived = 0 THEN snoozed_until END,
  return_by = CASE WHEN :archived = 0 THEN return_by END,
  part = CASE
    WHEN :archived = 1 OR (:archived = 0 AND archived_at IS NOT NULL) THEN 2
    WHEN :read = 1 OR (:read = 0 AND read_at IS NOT NULL) THEN 1
    ELSE 0
  END,
  revision = :revision
WHERE {{marking_changes}}

-- name: deletion_tally
-- How many rows a deletion of whole parts removes, and by how much the counters change; it sees no row.
SELECT count(*),
  -count(*) FILTER (WHERE read_at IS NULL AND archived_at IS NULL),
  -count(*) FILTER (WHERE seen_at IS NULL AND archived_at IS NULL),
  0
FROM notifications
WHERE {{in_parts}}

-- name: tombstones_of_parts
-- Insert a tombstone for each row of whole parts.
INSERT INTO tombstones (recipient, revision, id, first_revision, deleted_at)
SELECT recipient, :revision, id, first_revision, :now FROM notifications
WHERE {{in_parts}}

-- name: untag_deleted
-- Delete the tags of the rows deleted at one revision. IS TRUE keeps the subquery a hash table: without statistics
-- PostgreSQL joins with a nested loop, 10,000 x 10,000 rows in 5 s.
DELETE FROM notification_tags
WHERE recipient = :inbox
  AND (id IN (SELECT id FROM tombstones WHERE recipient = :inbox AND revision = :revision)) IS TRUE

-- name: delete_parts
-- Delete the rows of whole parts.
DELETE FROM notifications
WHERE {{in_parts}}

-- name: tombstone_insert
-- Insert a tombstone for one row.
INSERT INTO tombstones (recipient, revision, id, first_revision, deleted_at)
VALUES (:inbox, :revision, :id, :first_revision, :now)

-- name: untag_row
-- Delete one tag of one row.
DELETE FROM notification_tags WHERE recipient = :inbox AND tag = :tag AND id = :id

-- name: delete_row
-- Delete one row.
DELETE FROM notifications WHERE recipient = :inbox AND id = :id

-- name: act_row
-- Record the action taken on a row, and mark it as read.
UPDATE notifications SET
  acted_key = :key, acted_at = :now, seen_at = coalesce(seen_at, :now), read_at = coalesce(read_at, :now),
  part = CASE WHEN archived_at IS NULL THEN 1 ELSE 2 END, revision = :revision
WHERE recipient = :inbox AND id = :id

-- name: due_snoozed
-- Rows to wake, the longest due first.
SELECT recipient, id FROM notifications
WHERE snoozed_until IS NOT NULL AND snoozed_until <= :now ORDER BY snoozed_until LIMIT :limit

-- name: until_back
-- Rows snoozed until the recipient is back.
SELECT id FROM notifications
WHERE recipient = :inbox AND return_by IS NOT NULL ORDER BY id LIMIT :limit

-- name: wake_row
-- A snoozed row returns to the inbox as a new one.
UPDATE notifications SET
  seen_at = NULL, read_at = NULL, archived_at = NULL, snoozed_until = NULL, return_by = NULL, place = :place,
  part = 0, revision = :revision
WHERE recipient = :inbox AND id = :id
