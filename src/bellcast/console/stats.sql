-- name: stats_find
-- The numbers of a node in one interval.
SELECT body FROM stats_points WHERE step = :step AND at = :at AND node = :node

-- name: stats_write
-- New numbers of a node in one interval.
INSERT INTO stats_points (step, at, node, body) VALUES (:step, :at, :node, :body)
ON CONFLICT (step, at, node) DO UPDATE SET body = excluded.body

-- name: stats_page
-- Intervals of a step by time, of one node or all.
SELECT at, body FROM stats_points
WHERE step = :step AND at >= :since AND at < :until AND (CAST(:node AS TEXT) IS NULL OR node = :node)
ORDER BY at, node LIMIT :limit

-- name: stats_sweep
-- Old intervals of a step, at most :limit.
DELETE FROM stats_points WHERE (step, at, node) IN (
  SELECT step, at, node FROM stats_points WHERE step = :step AND at < :before ORDER BY at LIMIT :limit
)
