/**
 * The pages, in the order of the menu. Each module is loaded when one of its pages opens.
 */
import * as overview from './overview.js';
import { ALL, BUILDERS, CONTENT, OWNERS } from './roles.js';
import { Problem } from './server.js';

/** A part of a module that is loaded on demand. */
const from = (module, name, kind) => ({ load: () => import(module).catch(refuse), name, kind });

/** Browsers report a module that cannot be loaded as a TypeError that says so. */
export function refuse(failed) {
  throw failed instanceof TypeError && /import(ed|ing)/i.test(failed.message) ? new Problem(0, { detail: 'The page appears as soon as the server can be reached.' }, null) : failed;
}

/** A component, or the declaration of a list. */
const view = (module, name) => from(module, name, 'view');
const list = (module, name) => from(module, name, 'list');

/**
 * Pages by path. `within` is the page whose entry of the menu leads to it, `show` is the page itself, `detail` that of an object, whose key follows the path, `pane` an object beside its list, `edit` a new object, `editor` the page that changes one and keeps its own place in the URL. `roles` may open the page; builders create its `noun` there. The API
 * refuses the requests of an `isOfServer` page to operators that are restricted to tenants.
 */
export const PAGES = [
  { path: '/', icon: 'overview', title: 'Overview', show: { load: async () => overview, name: 'Overview', kind: 'view' }, roles: ALL, letter: 'o' },
  { path: '/live', icon: 'live', group: 'Now', title: 'Live', show: view('./live.js', 'Live'), roles: CONTENT, letter: 'l' },
  { path: '/health', icon: 'health', group: 'Now', title: 'Health', show: view('./health.js', 'Health'), roles: ALL, isOfServer: true, letter: 'h' },
  { path: '/requests', icon: 'requests', group: 'Now', title: 'Requests', show: list('./requests.js', 'requests'), pane: view('./requests.js', 'Request'), roles: CONTENT },
  { path: '/connections', icon: 'connections', group: 'Now', title: 'Connections', show: list('./connections.js', 'connections'), pane: view('./connections.js', 'Connection'), roles: ALL },
  { path: '/topics', icon: 'topics', within: '/connections', group: 'Now', title: 'Topics', show: list('./topics.js', 'topics'), pane: view('./topics.js', 'Topic'), roles: ALL },
  { path: '/notifications', icon: 'notifications', group: 'Activity', title: 'Notifications', show: list('./activity.js', 'notifications'), pane: view('./activity.js', 'Notification'), roles: ALL, letter: 'n' },
  { path: '/announcements', icon: 'announcements', group: 'Activity', title: 'Announcements', show: list('./activity.js', 'announcements'), pane: view('./activity.js', 'Notification'), roles: ALL },
  { path: '/messages', icon: 'messages', group: 'Activity', title: 'Messages', show: list('./messages.js', 'messages'), pane: view('./messages.js', 'Message'), roles: ALL, letter: 'm' },
  { path: '/mail', icon: 'mail', within: '/messages', group: 'Activity', title: 'Mail', show: list('./messages.js', 'mails'), pane: view('./messages.js', 'Message'), roles: CONTENT },
  { path: '/runs', icon: 'runs', group: 'Activity', title: 'Workflow runs', show: list('./runs.js', 'runs'), pane: view('./runs.js', 'Run'), roles: ALL },
  { path: '/failures', icon: 'failures', group: 'Activity', title: 'Failures', show: list('./failures.js', 'failures'), pane: view('./failures.js', 'Cause'), roles: ALL, letter: 'f' },
  { path: '/jobs', icon: 'jobs', within: '/failures', group: 'Activity', title: 'Dead jobs', show: list('./jobs.js', 'jobs'), pane: view('./jobs.js', 'Job'), roles: CONTENT },
  { path: '/suppressions', icon: 'suppressions', group: 'Activity', title: 'Suppressions', show: list('./suppressions.js', 'suppressions'), pane: view('./suppressions.js', 'Suppression'), roles: CONTENT, noun: 'suppression' },
  { path: '/recipients', icon: 'recipients', group: 'People', title: 'Recipients', show: list('./recipients.js', 'recipients'), pane: view('./recipients.js', 'Recipient'), roles: ALL, letter: 'r', noun: 'recipient' },
  { path: '/tenants', icon: 'tenants', group: 'People', title: 'Tenants', show: list('./tenants.js', 'tenants'), detail: view('./tenants.js', 'Tenant'), roles: ALL, letter: 't', noun: 'tenant' },
  { path: '/workflows', icon: 'workflows', group: 'Content', title: 'Workflows', show: list('./workflows.js', 'workflows'), detail: view('./workflow-page.js', 'Workflow'), edit: view('./workflow-editor.js', 'NewWorkflow'), editor: view('./workflow-editor.js', 'WorkflowEditor'), roles: ALL, letter: 'w', noun: 'workflow' },
  { path: '/templates', icon: 'templates', group: 'Content', title: 'Templates', show: list('./templates.js', 'templates'), detail: view('./template-page.js', 'Template'), edit: view('./template-editor.js', 'NewTemplate'), editor: view('./template-editor.js', 'TemplateEditor'), roles: ALL, noun: 'template' },
  { path: '/types', icon: 'types', group: 'Content', title: 'Types', show: list('./types.js', 'types'), pane: view('./types.js', 'NotificationType'), edit: view('./types.js', 'EditType'), roles: CONTENT, noun: 'type' },
  { path: '/preference-defaults', icon: 'preferences', within: '/types', group: 'Content', title: 'Preference defaults', show: view('./preference-defaults.js', 'PreferenceDefaults'), roles: CONTENT },
  { path: '/schedules', icon: 'schedules', group: 'Content', title: 'Schedules', show: list('./schedules.js', 'schedules'), pane: view('./schedules.js', 'Schedule'), edit: view('./schedules.js', 'EditSchedule'), roles: CONTENT, noun: 'schedule' },
  { path: '/sources', icon: 'sources', group: 'Content', title: 'Event sources', show: list('./sources.js', 'sources'), pane: view('./sources.js', 'Source'), edit: view('./sources.js', 'EditSource'), roles: CONTENT, noun: 'event source' },
  { path: '/playground', icon: 'playground', group: 'Content', title: 'Playground', show: view('./playground.js', 'Playground'), roles: OWNERS },
  { path: '/setup', icon: 'setup', group: 'Configure', title: 'Setup', show: view('./setup.js', 'Setup'), detail: view('./setup.js', 'Troubleshooting'), roles: BUILDERS, isOfServer: true },
  { path: '/settings', icon: 'settings', group: 'Configure', title: 'Settings', show: view('./settings.js', 'Settings'), roles: BUILDERS, isOfServer: true, letter: 's' },
  { path: '/providers', icon: 'providers', group: 'Configure', title: 'Providers', show: list('./providers.js', 'providers'), pane: view('./providers.js', 'Provider'), roles: ALL, letter: 'p', noun: 'provider' },
  { path: '/pusher-apps', icon: 'app', group: 'Configure', title: 'Pusher apps', show: list('./pusher-apps.js', 'pusherApps'), pane: view('./pusher-apps.js', 'PusherApp'), roles: BUILDERS, isOfServer: true },
  { path: '/git', icon: 'branch', group: 'Configure', title: 'Git', show: view('./git.js', 'Git'), roles: BUILDERS, isOfServer: true },
  { path: '/webhooks', icon: 'webhooks', group: 'Configure', title: 'Webhooks', show: list('./webhooks.js', 'webhooks'), pane: view('./webhooks.js', 'Webhook'), roles: CONTENT, noun: 'webhook' },
  { path: '/keys', icon: 'keys', group: 'Access', title: 'API keys', show: list('./access.js', 'keys'), pane: view('./access.js', 'ApiKey'), roles: BUILDERS, letter: 'k', noun: 'API key' },
  { path: '/operators', icon: 'operators', group: 'Access', title: 'Operators', show: list('./access.js', 'operators'), pane: view('./access.js', 'Operator'), roles: OWNERS, noun: 'operator' },
  { path: '/secrets', icon: 'secrets', group: 'Access', title: 'Encryption keys', show: view('./secrets.js', 'EncryptionKeys'), roles: OWNERS },
  { path: '/audit', icon: 'audit', group: 'Access', title: 'Audit', show: list('./audit.js', 'audit'), pane: view('./audit.js', 'AuditEntry'), roles: OWNERS, letter: 'a' },
  // In the menu of the operator.
  { path: '/account', icon: 'account', title: 'Account', show: view('./access.js', 'Account'), roles: ALL, isPersonal: true },
];

/** The page of a path within the console. */
export const pageOf = (local) => PAGES.find((one) => one.path === local) ?? PAGES.find((one) => (one.detail || one.pane) && local.startsWith(`${one.path}/`));
