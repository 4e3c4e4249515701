/**
 * The search of the palette: objects of the server by their keys, names and ids.
 */
import { number } from './format.js';
import { shownTenant } from './router.js';
import { get, withQuery } from './server.js';
import { me } from './session.js';
import { ownPages, pageUrl } from './shell.js';
import { readTenantNames, tenantName } from './tenant-names.js';

const SUGGESTED = 5;
/** Short lists of definitions are read once each time the palette is opened, and searched here. */
const MAX_DEFINITIONS = 200;
const lists = Object.assign(new Map(), { opening: 0 });
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-/;
const REQUEST_ID = /^[0-9a-f]{16}$/;
async function readOnce(url, rows) {
  if (!lists.has(url)) lists.set(url, get(url));
  return (await lists.get(url))[rows];
}

const definitions = (list, rows, query = { tenant: '*', limit: MAX_DEFINITIONS }) => ({ list, isInherited: true, search: async (text) => (await readOnce(withQuery(`/v1${list}`, query), rows)).filter((one) => [one.key, one.name, one.url].some((name) => name?.toLowerCase().includes(text.toLowerCase()))) });
const begin = (list, parameter, text, signal) => get(withQuery(`/v1${list}`, { tenant: '*', limit: SUGGESTED, [parameter]: text }), signal);
const byPrefix = (list, rows, parameter) => ({ list, search: async (text, signal) => (await begin(list, parameter, text, signal))[rows] });
/** By the beginning of their keys, which finds each of many, and by a part of their names and addresses, of which there can be more. */
async function people(text, signal) {
  const [byKey, { recipients, total }] = await Promise.all(['search', 'text'].map((parameter) => begin('/recipients', parameter, text, signal))), found = [...byKey.recipients, ...recipients];
  const all = found.filter((one, index) => index === found.findIndex(({ key, tenant }) => key === one.key && tenant === one.tenant));
  return total?.value > SUGGESTED ? Object.assign(all, { total }) : all;
}
/** The id after this one: a list that begins after it begins with this one. */
const idAfter = (id) => (BigInt(`0x${id.replaceAll('-', '')}`) + 1n).toString(16).padStart(32, '0').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
/** By its id, of any tenant: an id from a log does not name the tenant. */
const byId = (list, rows) => ({ list, only: ID, search: async (text, signal) => (await get(withQuery(`/v1${list}`, { tenant: '*', limit: 1, after: idAfter(text) }), signal))[rows].filter(({ id }) => id === text) });

/** Where objects are found. Each source asks the server, so that only what exists is offered. */
const SOURCES = [
  { list: '/recipients', search: people, noun: 'Recipient' },
  { ...byPrefix('/topics', 'topics', 'prefix'), noun: 'Topic' },
  { ...byPrefix('/tenants', 'tenants', 'prefix'), noun: 'Tenant', isOfAll: true },
  { ...definitions('/workflows', 'workflows'), noun: 'Workflow' },
  { ...definitions('/templates', 'templates'), noun: 'Template' },
  { ...definitions('/types', 'types'), noun: 'Type' },
  { ...definitions('/schedules', 'schedules'), noun: 'Schedule' },
  { ...definitions('/sources', 'sources'), noun: 'Event source' },
  { ...definitions('/providers', 'providers'), noun: 'Provider' },
  { ...definitions('/webhooks', 'webhooks'), noun: 'Webhook' },
  { ...definitions('/operators', 'operators', { limit: MAX_DEFINITIONS }), noun: 'Operator', isOfAll: true },
  { list: '/settings', search: async (text) => (await import('./setting-names.js')).findSettings(await readOnce('/v1/settings', 'settings'), text), noun: 'Setting', isOfAll: true, queryOf: ({ name }) => ({ find: name }) },
  { ...byId('/notifications', 'notifications'), noun: 'Notification' },
  { ...byId('/announcements', 'announcements'), noun: 'Announcement' },
  { ...byId('/messages', 'messages'), noun: 'Message' },
  { ...byId('/runs', 'runs'), noun: 'Run' },
  { list: '/requests', only: REQUEST_ID, noun: 'Request', search: async (text, signal) => (await get(withQuery('/v1/requests', { id: text, tenant: '*' }), signal)).requests },
];

const titleOf = (one) => one.title ?? one.key ?? one.topic ?? one.to ?? one.url ?? (one.method ? `${one.method} ${one.path}` : one.workflow ?? one.name ?? one.id);
const idOf = (one) => one.key ?? one.topic ?? one.id;

/** An object as an option; viewers cannot open objects. One of the project opens in the tenant that is shown, another one without a tenant in the default tenant. */
function optionOf({ list, noun, isOfAll, isInherited, queryOf }, one) {
  const name = (one.key && one.name) || titleOf(one), target = queryOf ? list : `${list}/${encodeURIComponent(idOf(one))}`;
  const query = queryOf?.(one) ?? { tenant: isOfAll ? '' : one.tenant ?? (isInherited ? shownTenant() : '') };
  const section = ownPages().find(({ path: page }) => page === list).title;
  return { icon: list.slice(1), section, name, kind: noun, note: [one.key, one.name, isOfAll ? null : tenantName(one.tenant)].filter((text) => text && text !== name).join(' · '), url: withQuery(pageUrl(target).split('?')[0], query) };
}

/** How well an object fits a text: its name or key is it, begins with it, has a word that does, or another part of it matches, such as an address. */
function rankOf(one, text) {
  const names = [one.key, one.name, titleOf(one)].map((name) => String(name ?? '').toLowerCase()), typed = text.toLowerCase();
  return [names.includes(typed), names.some((name) => name.startsWith(typed)), names.some((name) => name.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(typed)))].indexOf(true) >>> 0;
}

/** Objects that fit a text, as options. The lists that are read once are those of this opening of the palette. */
export async function search(text, opening, signal) {
  if (lists.opening !== opening) lists.clear();
  lists.opening = opening;
  const sources = SOURCES.filter((one) => ownPages().some(({ path: page }) => page === one.list) && me.value.role !== 'viewer' && (one.only ? one.only.test(text) : !ID.test(text)));
  const found = await Promise.all(sources.map(async (source) => {
    try {
      const rows = await source.search(text, signal), { total } = rows;
      await readTenantNames(rows.map(({ tenant }) => tenant), signal);
      const options = rows.map((one) => ({ rank: rankOf(one, text), ...optionOf(source, one) })).sort((one, other) => one.rank - other.rank).slice(0, SUGGESTED);
      return total ? [...options, { icon: 'search', section: 'Recipients', name: `Show all ${number(total.value)}${total.exact ? '' : '+'} in Recipients`, url: withQuery(pageUrl('/recipients').split('?')[0], { text }) }] : options;
    } catch {
      return []; // not found, or not permitted
    }
  }));
  return [...found.filter(({ length }) => length > 0).sort(([one], [other]) => one.rank - other.rank).flat(), ...await connectionsOf(text, signal)];
}

async function connectionsOf(text, signal) {
  const url = (query) => withQuery('/v1/connections', { tenant: '*', limit: 1, ...query });
  try {
    const { connections } = await get(url({ recipient: text }), signal);
    return connections.length > 0 ? [{ icon: 'connections', section: 'Connections', kind: 'Connections of', name: text, url: withQuery(pageUrl('/connections').split('?')[0], { recipient: text }) }] : [];
  } catch {
    return [];
  }
}
