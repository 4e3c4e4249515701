/**
 * The pages, in the order of the menu. Each module is loaded when one of its pages opens.
 */
import { h } from './dom.js';
import { load } from './list.js';
import { overview } from './overview.js';
import { ALL, BUILDERS, CONTENT, OWNERS, count } from './page.js';

/** A page whose module is loaded on demand. */
function lazy(module, name) {
  return (page) => {
    const place = h('div');
    load(place, page.signal, () => import(module), (loaded) => loaded[name](page), page.title);
    return place;
  };
}

/**
 * Pages by path. `detail` shows an object, whose key follows the path. `roles` may open the page. The API refuses the
 * requests of an `isOfServer` page to operators that are restricted to tenants.
 */
export const PAGES = [
  { path: '/', title: 'Overview', show: overview, roles: ALL, letter: 'o' },
  { path: '/live', group: 'Now', title: 'Live', show: lazy('./live.js', 'live'), roles: CONTENT, letter: 'l' },
  { path: '/health', group: 'Now', title: 'Health', show: lazy('./health.js', 'health'), roles: ALL, isOfServer: true, letter: 'h' },
  { path: '/requests', group: 'Now', title: 'Requests', show: lazy('./live.js', 'requests'), detail: lazy('./live.js', 'request'), roles: CONTENT, letter: 'q' },
  { path: '/connections', group: 'Now', title: 'Connections', show: lazy('./connections.js', 'connections'), roles: ALL, letter: 'c' },
  { path: '/topics', group: 'Now', title: 'Topics', show: lazy('./topics.js', 'topics'), detail: lazy('./topics.js', 'topic'), roles: ALL, letter: 't' },
  { path: '/notifications', group: 'Activity', title: 'Notifications', show: lazy('./activity.js', 'notifications'), detail: lazy('./activity.js', 'notification'), roles: ALL, letter: 'n' },
  { path: '/announcements', group: 'Activity', title: 'Announcements', show: lazy('./activity.js', 'announcements'), roles: ALL, letter: 'b' },
  { path: '/messages', group: 'Activity', title: 'Messages', show: lazy('./messages.js', 'messages'), detail: lazy('./messages.js', 'message'), roles: ALL, letter: 'm' },
  { path: '/mail', group: 'Activity', title: 'Mail', show: lazy('./messages.js', 'mails'), detail: lazy('./messages.js', 'message'), roles: CONTENT, letter: 'v' },
  { path: '/runs', group: 'Activity', title: 'Workflow runs', show: lazy('./runs.js', 'runs'), detail: lazy('./runs.js', 'run'), roles: ALL, letter: 'u' },
  { path: '/failures', group: 'Activity', title: 'Failures', show: lazy('./failures.js', 'failures'), roles: ALL, letter: 'x' },
  { path: '/recipients', group: 'People', title: 'Recipients', show: lazy('./recipients.js', 'recipients'), detail: lazy('./recipients.js', 'recipient'), roles: ALL, letter: 'r' },
  { path: '/tenants', group: 'People', title: 'Tenants', show: lazy('./tenants.js', 'tenants'), detail: lazy('./tenants.js', 'tenant'), roles: ALL, letter: 'f' },
  { path: '/workflows', group: 'Content', title: 'Workflows', show: lazy('./workflows.js', 'workflows'), detail: lazy('./workflows.js', 'workflow'), roles: ALL, letter: 'w' },
  { path: '/templates', group: 'Content', title: 'Templates', show: lazy('./templates.js', 'templates'), detail: lazy('./templates.js', 'template'), roles: ALL, letter: 'd' },
  { path: '/playground', group: 'Content', title: 'Playground', show: lazy('./playground.js', 'playground'), roles: OWNERS, letter: 'y' },
  { path: '/setup', group: 'Set up', title: 'Setup', show: lazy('./setup.js', 'setup'), detail: lazy('./setup.js', 'troubleshooting'), roles: BUILDERS, isOfServer: true, letter: 'z' },
  { path: '/settings', group: 'Set up', title: 'Settings', show: lazy('./settings.js', 'settings'), roles: BUILDERS, isOfServer: true, letter: 'i' },
  { path: '/providers', group: 'Set up', title: 'Providers', show: lazy('./providers.js', 'providers'), roles: ALL, letter: 'p' },
  { path: '/keys', group: 'Access', title: 'API keys', show: lazy('./access.js', 'keys'), roles: BUILDERS, letter: 'k' },
  { path: '/operators', group: 'Access', title: 'Operators', show: lazy('./access.js', 'operators'), roles: OWNERS, letter: 'e' },
  { path: '/secrets', group: 'Access', title: 'Encryption keys', show: lazy('./secrets.js', 'secrets'), roles: OWNERS, letter: 'j' },
  { path: '/audit', group: 'Access', title: 'Audit', show: lazy('./access.js', 'audit'), roles: OWNERS, letter: 'a' },
  { path: '/account', group: 'Access', title: 'Account', show: lazy('./access.js', 'account'), roles: ALL, letter: 's' },
];

/** Why an operator may not open a page, or with `isObject` one of its objects, as a sentence; null if it may. */
export function refusalOf({ roles, isOfServer }, me, isObject = false) {
  if (!roles.includes(me.role) || (isObject && !CONTENT.includes(me.role))) return `Your role, ${me.role}, does not permit this page.`;
  if (!isOfServer || !me.tenants) return null;
  return `This page is about the server and all of its tenants. Your account is restricted to ${count(me.tenants.length, 'tenant')}: ${me.tenants.join(', ')}.`;
}
