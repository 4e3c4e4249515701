-- name: tenant_find
-- A tenant.
SELECT key, name, settings, created_at, erasing_since FROM tenants WHERE key = :tenant

-- name: tenant_write
-- Write the record of a tenant.
UPDATE tenants SET name = :name, settings = :settings, ruled = :ruled WHERE key = :tenant
RETURNING key, name, settings, created_at, erasing_since

-- name: tenant_erase_begin
-- Mark a tenant as being erased, among those with rules of their own.
UPDATE tenants SET erasing_since = coalesce(erasing_since, :now), ruled = 1 WHERE key = :tenant
RETURNING key, name, settings, created_at, erasing_since

-- name: tenant_await @sqlite
-- A row if a tenant exists: there is one writer.
SELECT 1 FROM tenants WHERE key = :tenant

-- name: tenant_await @postgres
-- Wait for the transactions that hold a tenant. Later ones find that it is being erased.
SELECT 1 FROM tenants WHERE key = :tenant FOR UPDATE

-- list: tenants
-- Tenants by key, with the numbers of their recipients up to 10,000.
SELECT key, name, settings, created_at, erasing_since,
  (SELECT count(*) FROM (SELECT 1 FROM recipients r WHERE r.tenant = tenants.key LIMIT 10000) AS few)
FROM tenants
FILTER created_at >= :since AND created_at < :until
ORDER BY key

-- name: tenant_settings
-- The settings of tenants that have some of those Bellcast understands.
SELECT key, settings, erasing_since FROM tenants WHERE ruled = 1

-- name: erase_announcements
-- Delete the announcements of a tenant without inboxes.
DELETE FROM announcements WHERE tenant = :tenant

-- name: erase_last_events
-- Delete the last events of the topics of a tenant.
DELETE FROM last_events WHERE tenant = :tenant

-- name: erase_tenant
-- Delete the record of a tenant.
DELETE FROM tenants WHERE key = :tenant

-- name: erase_budgets
-- Delete the numbers of sends of a tenant.
DELETE FROM budgets WHERE tenant = :tenant

-- name: budget_spend
-- Add to the number of sends of a tenant on a day.
INSERT INTO budgets (tenant, day, sends) VALUES (:tenant, :day, :sends)
ON CONFLICT (tenant, day) DO UPDATE SET sends = budgets.sends + excluded.sends
RETURNING sends

-- name: budgets_of_day
-- The numbers of sends on a day, of tenants with a budget.
SELECT tenant, sends FROM budgets WHERE day = :day

-- name: budget_forget
-- Delete past days.
DELETE FROM budgets WHERE day < :day - 1

-- fragment: documents_of_tenant
-- The objects and overrides of a tenant, in each kind that tenants have.
WHERE tenant = :tenant AND kind IN (
  'types', 'templates', 'preference-defaults', 'providers', 'webhooks', 'webhook-attempts', 'workflows', 'workflows-drafts', 'templates-drafts',
  'managed', 'schedules', 'schedule-progress', 'schedule-cancel', 'sources', 'source-errors', 'source-uses', 'awaited-events', 'pusher-apps', 'replays'
)

-- name: erase_documents
-- A tenant's objects and overrides.
DELETE FROM documents {{documents_of_tenant}}

-- name: tenant_has_documents
-- Whether a tenant, which may have no record, has objects.
SELECT 1 FROM documents {{documents_of_tenant}} LIMIT 1
