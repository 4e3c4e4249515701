-- name: device_connections
-- The last position sent to each connection of a device.
SELECT connection, epoch, revision FROM devices WHERE inbox = :inbox AND device = :device

-- name: device_connect
-- A connection of a device.
INSERT INTO devices (inbox, device, connection, epoch, revision, heard_at)
VALUES (:inbox, :device, :connection, :epoch, :revision, :now)
ON CONFLICT (inbox, device, connection)
DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision, heard_at = excluded.heard_at

-- name: device_trim
-- Keep the most recently heard connections of a recipient's devices.
DELETE FROM devices WHERE inbox = :inbox AND connection NOT IN (
  SELECT connection FROM devices WHERE inbox = :inbox ORDER BY heard_at DESC, connection LIMIT :limit
)

-- name: device_disconnect
-- A connection that resumed under another id.
DELETE FROM devices WHERE inbox = :inbox AND device = :device AND connection = :connection

-- name: device_forget
-- Connections last updated before a time.
DELETE FROM devices WHERE heard_at < :before
