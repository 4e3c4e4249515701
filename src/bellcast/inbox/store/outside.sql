-- name: outside_insert @sqlite
-- A notification that is not in the inbox of its recipient, unless an earlier step of its run has put it there.
INSERT INTO outside_notifications (id, tenant, recipient, type, title, created_at)
SELECT :id, :tenant, r.id, :type, :title, :created_at FROM recipients r
WHERE r.tenant = :tenant AND r.key = :key
  AND NOT EXISTS (SELECT 1 FROM notifications n WHERE n.id = :id AND n.announcement IS NULL)
ON CONFLICT DO NOTHING

-- name: outside_insert @postgres
-- Notifications that are not in the inboxes of their recipients, unless an earlier step of a run has put one there.
INSERT INTO outside_notifications (id, tenant, recipient, type, title, created_at)
SELECT o.id, o.tenant, r.id, o.type, o.title, o.created_at
FROM unnest(
  :id::text[], :tenant::text[], :key::text[], :type::text[], :title::text[], :created_at::bigint[]
) o (id, tenant, key, type, title, created_at)
CROSS JOIN LATERAL (SELECT id FROM recipients WHERE tenant = o.tenant AND key = o.key OFFSET 0) r
WHERE NOT EXISTS (SELECT 1 FROM notifications n WHERE n.id = o.id AND n.announcement IS NULL)
ON CONFLICT DO NOTHING

-- fragment: outside_of_all
-- The notifications of all tenants in a range of ids.
outside_notifications o WHERE o.id < :before AND o.id >= :since

-- fragment: outside_of_tenant
-- The notifications of a tenant in a range of ids.
outside_notifications o WHERE o.tenant = :tenant AND o.id < :before AND o.id >= :since

-- fragment: outside_of_recipient
-- The notifications of a recipient in a range of ids.
outside_notifications o
WHERE o.recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient)
  AND o.id < :before AND o.id >= :since

-- fragment: outside_columns
-- The columns of a page.
SELECT o.id, o.type, o.title, o.created_at, o.tenant, (SELECT r.key FROM recipients r WHERE r.id = o.recipient) AS key

-- fragment: outside_filter
-- The filter of a list. A null filter matches everything.
(CAST(:type AS TEXT) IS NULL OR o.type = :type)

-- name: outside_find
-- A notification of one tenant that is not in an inbox.
{{outside_columns}} FROM outside_notifications o WHERE o.id = :id AND o.tenant = :tenant

-- name: outside_last
-- The last notification of all tenants that one page compares with its filter.
SELECT o.id FROM {{outside_of_all}} ORDER BY o.id DESC LIMIT 1 OFFSET :skipped

-- name: outside_page
-- Notifications of all tenants that are not in an inbox, newest first.
{{outside_columns}} FROM {{outside_of_all}} AND {{outside_filter}} ORDER BY o.id DESC LIMIT :limit

-- name: outside_total
-- Number of notifications of all tenants that are not in an inbox.
SELECT count(*) FROM {{outside_of_all}} AND {{outside_filter}}

-- name: outside_of_tenant_last
-- The last notification of a tenant that one page compares with its filter.
SELECT o.id FROM {{outside_of_tenant}} ORDER BY o.id DESC LIMIT 1 OFFSET :skipped

-- name: outside_of_tenant_page
-- Notifications of a tenant that are not in an inbox, newest first.
{{outside_columns}} FROM {{outside_of_tenant}} AND {{outside_filter}} ORDER BY o.id DESC LIMIT :limit

-- name: outside_of_tenant_total
-- Number of notifications of a tenant that are not in an inbox.
SELECT count(*) FROM {{outside_of_tenant}} AND {{outside_filter}}

-- name: outside_of_recipient_last
-- The last notification of a recipient that one page compares with its filter.
SELECT o.id FROM {{outside_of_recipient}} ORDER BY o.id DESC LIMIT 1 OFFSET :skipped

-- name: outside_of_recipient_page
-- Notifications of a recipient that are not in an inbox, newest first.
{{outside_columns}} FROM {{outside_of_recipient}} AND {{outside_filter}} ORDER BY o.id DESC LIMIT :limit

-- name: outside_of_recipient_total
-- Number of notifications of a recipient that are not in an inbox.
SELECT count(*) FROM {{outside_of_recipient}} AND {{outside_filter}}

-- name: outside_delete
-- A recalled notification.
DELETE FROM outside_notifications WHERE tenant = :tenant AND id = :id

-- name: outside_forget
-- Notifications that are older than the id :before, at most :limit.
DELETE FROM outside_notifications WHERE id IN (
  SELECT id FROM outside_notifications WHERE id < :before ORDER BY id LIMIT :limit
)
RETURNING id

-- name: erase_outside
-- The notifications of one recipient that are not in its inbox.
DELETE FROM outside_notifications WHERE recipient = :inbox
