/**
 * Tenants, and one with its usage, limits, brand and retention.
 */
import { charts } from './charts.js';
import { field, form, h, id, moment, time } from './dom.js';
import { CREATED } from './filters.js';
import { empty, facts, heading, json } from './list.js';
import { BUILDERS, OWNERS, card, detail, many, number, part, storedRows } from './page.js';
import { get, path, request, withQuery } from './server.js';

const INHERITED = 'Empty: the setting of the server.';
/** The settings that the server uses, each with its name, label, unit and default. */
const LIMITS = [
  ['sends_per_second', 'Sends per second', `0: unlimited. ${INHERITED}`], ['sends_per_day', 'Sends per day', `Counted from midnight UTC. 0: unlimited. ${INHERITED}`],
  ['weight', 'Weight', 'Its share when tenants compete. 1 if empty.'], ['retention_days', 'Retention in days', `Older notifications are deleted. 0: never. ${INHERITED}`],
];
const BRAND = [['name', 'Name in e-mails'], ['logo_url', 'Logo', 'An https URL.'], ['color', 'Colour', 'Of links and buttons, such as #2b55cf.'], ['address', 'Postal address'], ['footer', 'Footer']];

/** Without a daily limit, the numbers are those of the statistics. */
const UNLIMITED_SENDS = 'Without a daily limit, each send counts, and there were at least (≥) as many: nodes report once a minute, and count their 100 busiest tenants only.';

const hasBudget = (one) => one.settings.sends_per_day > 0;
/** Today's sends as text: a lower bound unless the tenant has a daily limit; null if nothing was counted. */
function sentToday(one) {
  if (hasBudget(one)) return number(one.sends_today ?? 0);
  return one.sends_today ? `≥ ${number(one.sends_today)}` : null;
}

export const tenants = {
  path: '/v1/tenants', rows: 'tenants', link: (one) => path`/tenants/${one.key}`, isOfServer: true,
  filters: [{ name: 'prefix', label: 'Key begins with', isSearch: true }, CREATED],
  columns: [
    { name: 'Tenant', kind: 'title', of: (one) => one.key, text: (one) => one.name }, { name: 'Recipients', kind: 'number', of: (one) => many(one.recipients), width: '8rem' },
    { name: 'Sent today', kind: 'number', of: sentToday, width: '7rem' }, { name: 'Created', kind: 'time', of: (one) => one.created_at },
  ],
  note: `Sends are counted since midnight UTC. With a daily limit, each recipient counts. ${UNLIMITED_SENDS}`,
  none: { text: 'No tenant exists. The first send with a tenant creates it.', command: 'bellcast notify alice "Hello" --tenant acme' },
};

export function tenant(page) {
  return detail(page, path`/v1/tenants/${page.key}`, (one) => [
    heading(one.name ?? one.key),
    facts([['Key', id(one.key)], ['Name', one.name], ['Created', moment(one.created_at)]]),
    h('nav', { class: 'links', 'aria-label': 'About this tenant' }, [['Notifications', '/notifications'], ['Recipients', '/recipients'], ['Messages', '/messages'], ['Workflow runs', '/runs'], ['Connections', '/connections'], ['Topics', '/topics'], ['Live', '/live']]
      .map(([name, target]) => h('a', { href: withQuery(page.url(target), { tenant: one.key }) }, name))),
    card('Usage', usage(page, one)),
    charts(page, one.key),
    page.may(BUILDERS) && [limits(page, one), brand(page, one)],
    card('All settings', Object.keys(one.settings).length === 0 ? empty('No settings.') : json(one.settings)),
  ]);
}

function usage(page, one) {
  const today = part(page, withQuery('/v1/tenants', { tenant: one.key }), ({ tenants: [listed] }) => {
    const sent = sentToday({ ...one, sends_today: listed?.sends_today });
    return h('p', {}, 'Sent today, since midnight UTC: ', h('b', {}, sent ?? 'not counted'), hasBudget(one) ? ` of ${number(one.settings.sends_per_day)} recipients` : [' ', h('small', {}, UNLIMITED_SENDS)]);
  });
  return [today, part(page, withQuery('/v1/stats', { tenant: one.key }), (stats) => storedRows(stats, { connections: stats.connections.reduce((sum, group) => sum + group.count, 0) }))];
}

/** Merge into the tenant's current settings, because the API replaces all settings. */
async function change(page, one, changed) {
  const { name, settings } = await get(path`/v1/tenants/${one.key}`, page.signal);
  const merged = Object.fromEntries(Object.entries({ ...settings, ...changed }).filter(([, value]) => value !== null));
  await request('PUT', path`/v1/tenants/${one.key}`, { name, settings: merged });
  page.reload();
}

function limits(page, one) {
  if (page.me.tenants !== null) {
    const values = LIMITS.map(([name, label]) => [label, typeof one.settings[name] === 'number' ? number(one.settings[name]) : 'not set']);
    return card('Limits and retention', facts(values), h('p', { class: 'muted' }, 'Only operators that are not restricted to tenants can change them.'));
  }
  const open = LIMITS.filter(([name]) => name !== 'retention_days' || page.may(OWNERS));
  return card('Limits and retention', form(h('div', { class: 'columns' }, open.map(([name, label, hint]) => field(label, { name, type: 'number', min: 0, step: 'any', value: one.settings[name] ?? '' }, hint))), 'Save limits',
    (values) => change(page, one, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === '' ? null : Number(value)])))));
}

function brand(page, one) {
  const own = one.settings.brand ?? {};
  return card('Brand', form(h('div', { class: 'columns' }, BRAND.map(([name, label, hint]) => field(label, { name, value: own[name] ?? '', autocomplete: 'off' }, hint))), 'Save brand', (values) => {
    const filled = Object.fromEntries(Object.entries({ ...own, ...values }).filter(([, value]) => value !== ''));
    return change(page, one, { brand: Object.keys(filled).length > 0 ? filled : null });
  }));
}
