/**
 * Topics, and one with its presence, followers, subscribers and stored events; publishing to it.
 */
import { area, confirmed, field, form, h, time } from './dom.js';
import { empty, heading, json, load, pagedList, readAll } from './list.js';
import { BUILDERS, card, count, dialect, inTenant, many, number, parsed, part, recipientLink, tenantOf } from './page.js';
import { get, path, request, withQuery } from './server.js';

/** Maximum connections on the page of a topic. */
const FEW = 20;
const MANY = 50;
/** Events in a response. */
const MAX_EVENTS = 1000;

export const topics = {
  path: '/v1/topics', rows: 'topics', link: (one) => path`/topics/${one.topic}`,
  filters: [{ name: 'prefix', label: 'Name begins with', isSearch: true }],
  columns: [
    { name: 'Topic', kind: 'title', of: (one) => one.topic }, { name: 'Tenant', of: (one) => one.tenant, width: '7rem' }, { name: 'Subscribers', kind: 'number', of: (one) => many(one.subscribers), width: '7rem' },
    { name: 'Connected', kind: 'number', of: (one) => number(one.followers), width: '6rem' }, { name: 'Present', kind: 'number', of: (one) => number(one.present), width: '5rem' },
  ],
  none: { text: 'No topic has subscribers or connections. A topic appears here when a recipient subscribes to it, or a page follows it.', command: '<bellcast-bell topics="deploys" …></bellcast-bell>' },
};

export function topic(page) {
  const tenant = tenantOf(page);
  const url = (more, query = {}) => withQuery(path`/v1/topics/${page.key}` + more, { ...tenant, ...query });
  const events = h('div');
  const showEvents = () => load(events, page.signal, (signal) => readAll((after) => url('/events', { after, limit: MAX_EVENTS }), 'events', signal), (stored) => history(page, stored.reverse(), url, showEvents));
  showEvents();
  return [
    heading(page.key, h('a', { class: 'button', href: withQuery(page.url('/live'), { topic: page.key, ...tenant }) }, 'Trace in Live')),
    card('Present now', part(page, url('/presence'), ({ members }) => members.length === 0
      ? empty('No member is present. Topics have presence if BELLCAST_PRESENCE_TOPICS names them.')
      : [h('p', { class: 'muted' }, count(members.length, 'member')), inPages(page, h('ul', { class: 'members' }), members, (one) => h('li', {}, h('a', { href: inTenant(page, path`/recipients/${one.recipient}`) }, one.name ?? one.recipient), one.connections > 1 && ` (${one.connections} connections)`))])),
    card('Connected', followers(page, tenant)),
    card('Subscribers', part(page, url('/subscriptions'), (response) => response.subscriptions.length === 0
      ? empty('No recipient subscribes to this topic.', path`PUT /v1/topics/${page.key}/subscriptions/alice`)
      : pagedList(page, h('ul', { class: 'members' }), response, (after) => get(url('/subscriptions', { after }), page.signal), ({ subscriptions }) => subscriptions.map((one) => h('li', {}, recipientLink(page, one.recipient)))))),
    page.may(BUILDERS) && publishing(page, tenant, showEvents),
    card('Event history', events),
  ];
}

/** Rows that have already been read, a few at a time. */
function inPages(page, list, rows, show) {
  const at = (start) => ({ rows: rows.slice(start, start + MANY), next: start + MANY < rows.length ? start + MANY : null });
  return pagedList(page, list, at(0), async (start) => at(Number(start)), (some) => some.rows.map(show));
}

function followers(page, tenant) {
  const all = { topic: page.key, ...tenant };
  return part(page, withQuery('/v1/connections', { ...all, limit: FEW }), ({ connections, next, total }) => connections.length === 0
    ? empty('No connection follows this topic.')
    : [h('ul', { class: 'rows-of' }, connections.map((one) => h('li', {}, recipientLink(page, one.recipient, one) ?? 'anonymous', dialect(one), time(one.connected_at)))),
      h('a', { href: withQuery(page.url('/connections'), all) }, next ? `All ${number(total.value)} connections` : 'Connections')]);
}

function publishing(page, tenant, done) {
  const result = h('p', { role: 'status' });
  return card('Publish', form([
    field('Event', { name: 'name', required: true, maxlength: 200, autocomplete: 'off', placeholder: 'lead.assigned' }),
    area('Data as JSON', { name: 'data', value: '{}' }),
  ], 'Publish', async ({ name, data }) => {
    await request('POST', withQuery('/v1/events', tenant), { topic: page.key, name: name.trim(), data: parsed(data) });
    result.textContent = 'Published.';
    await done();
  }), result);
}

function history(page, stored, url, done) {
  if (stored.length === 0) return empty('The history has no event. BELLCAST_TOPIC_HISTORY sets how long events are stored.');
  return [
    inPages(page, h('div'), stored, (one) => h('details', {}, h('summary', {}, one.name, ' ', time(one.at)), json(one.data))),
    page.may(BUILDERS) && confirmed('Delete these events', 'Delete these events', async () => {
      await request('DELETE', url('/events'));
      await done();
    }),
  ];
}
