-- name: joined_topics_save
-- The topics of a connection, while its recipient exists.
INSERT INTO joined_topics (inbox, connection, topics, saved_at)
SELECT id, :connection, :topics, CAST(:now AS BIGINT) FROM recipients WHERE id = :inbox
ON CONFLICT (inbox, connection) DO UPDATE SET topics = excluded.topics, saved_at = excluded.saved_at

-- name: joined_topics_trim
-- Keep the most recently saved connections of a recipient.
DELETE FROM joined_topics WHERE inbox = :inbox AND connection NOT IN (
  SELECT connection FROM joined_topics WHERE inbox = :inbox ORDER BY saved_at DESC, connection LIMIT :limit
)

-- name: joined_topics_get
-- The topics of a connection.
SELECT topics, saved_at FROM joined_topics WHERE inbox = :inbox AND connection = :connection

-- name: joined_topics_refresh
-- Restart the lifetime of the topics of a connection.
UPDATE joined_topics SET saved_at = :now WHERE inbox = :inbox AND connection = :connection

-- name: joined_topics_sweep
-- Topics of connections that ended before a time.
DELETE FROM joined_topics WHERE (inbox, connection) IN (
  SELECT inbox, connection FROM joined_topics WHERE saved_at < :before ORDER BY saved_at LIMIT :limit
)
RETURNING connection

-- name: erase_joined_topics
-- The topics that connections of a recipient joined.
DELETE FROM joined_topics WHERE inbox = :inbox
