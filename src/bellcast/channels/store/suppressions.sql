-- name: suppression_insert
-- An address that must not be used, as a provider reports. The app's own reason stays.
INSERT INTO suppressions (tenant, channel, address, reason, created_at)
VALUES (:tenant, :channel, :address, :reason, :created_at)
ON CONFLICT (tenant, channel, address) DO UPDATE SET reason = excluded.reason
WHERE suppressions.reason IN ('bounce', 'complaint', 'stop')

-- list: suppressions
-- Suppressed addresses, by channel and address.
SELECT tenant, channel, address, reason, created_at
FROM suppressions
FILTER CAST(:text AS TEXT) IS NULL OR lower(address) LIKE lower(:text) ESCAPE '\'
ORDER BY tenant, channel, address

-- name: suppression_write
-- Create a suppression or change its reason.
INSERT INTO suppressions (tenant, channel, address, reason, created_at)
VALUES (:tenant, :channel, :address, :reason, :created_at)
ON CONFLICT (tenant, channel, address) DO UPDATE SET reason = excluded.reason
RETURNING tenant, channel, address, reason, created_at

-- name: suppression_find
-- One suppression.
SELECT reason FROM suppressions WHERE tenant = :tenant AND channel = :channel AND address = :address

-- name: suppression_delete
-- Delete a suppression.
DELETE FROM suppressions WHERE tenant = :tenant AND channel = :channel AND address = :address RETURNING address

-- name: suppression_lift
-- Delete a suppression that STOP or a bounce caused.
DELETE FROM suppressions
WHERE tenant = :tenant AND channel = :channel AND address = :address AND reason IN ('stop', 'bounce')
RETURNING address

-- name: suppressions_find @sqlite
-- The given addresses that must not be used, in any channel.
SELECT s.tenant, s.channel, s.address, s.reason, s.created_at FROM json_each(:addresses) a
JOIN suppressions s ON s.tenant = :tenant AND s.channel IN ('email', 'sms', 'push', 'chat') AND s.address = a.value

-- name: suppressions_find @postgres
-- The given addresses that must not be used, in any channel.
SELECT tenant, channel, address, reason, created_at FROM suppressions
WHERE tenant = :tenant AND channel IN ('email', 'sms', 'push', 'chat')
  AND address = ANY(ARRAY(SELECT value FROM json_array_elements_text(:addresses::json)))

-- name: erase_suppressions
-- A tenant's suppressions.
DELETE FROM suppressions WHERE tenant = :tenant
