/**
 * Connections, topics with presence, and tenants.
 */
import { confirmed, h, id, time } from './dom.js';
import { empty, facts, heading, json, listPage, load } from './list.js';
import { get, path, request, withQuery } from './server.js';

const number = (value) => value.toLocaleString('en');
const tenantOf = (page) => ({ tenant: page.query.get('tenant') ?? '' });
const inTenant = (page, target) => withQuery(page.url(target), tenantOf(page));
const card = (title, ...children) => h('section', { class: 'panel' }, h('h2', {}, title), children);

export const connections = (page) => {
  const isClosed = page.query.get('state') === 'closed';
  return listPage(page, {
    title: 'Connections', path: '/v1/connections', rows: 'connections', fixed: isClosed ? { state: 'closed' } : {}, tools: stateTabs(page, isClosed),
    filters: [{ name: 'recipient', label: 'Recipient' }, { name: 'topic', label: 'Topic' }, { name: 'protocol', label: 'Protocol', options: ['', 'native', 'pusher', 'socketio'] }, ...(isClosed ? [{ name: 'state', label: 'State', options: ['closed', 'open'] }] : [])],
    columns: [['Connection', (one) => h('code', {}, one.id)], ['Recipient', (one) => recipientLink(page, one)], ['Protocol', (one) => `${one.protocol} over ${one.transport}`], ['Topics', (one) => one.topics.join(', ')], ['Address', (one) => one.address],
      ...(isClosed
        ? [['Reason', (one) => `${one.reason} (${one.code})`], ['Closed', (one) => time(one.closed_at)]]
        : [['Since', (one) => time(one.connected_at)], ['', (one) => page.may(['owner', 'developer']) && closing(page, one)]])],
    none: isClosed ? 'No connection was closed since the servers started.' : 'No page is connected in this tenant.',
    command: isClosed ? undefined : '<bellcast-bell server="…" token="…"></bellcast-bell>',
    note: isClosed ? 'The last 1,000 closed connections of each node, from memory.' : undefined,
  });
};

function stateTabs(page, isClosed) {
  const tabs = [['Open', {}, !isClosed], ['Recently closed', { state: 'closed' }, isClosed]];
  return h('nav', { class: 'tabs', 'aria-label': 'States' }, tabs.map(([name, query, isCurrent]) => h('a', { href: withQuery(page.url('/connections'), { ...query, ...tenantOf(page) }), 'aria-current': isCurrent && 'page' }, name)));
}

function recipientLink(page, one) {
  return one.recipient ? h('a', { href: withQuery(page.url(path`/recipients/${one.recipient}`), { tenant: one.tenant ?? '' }) }, one.recipient) : 'anonymous';
}

const closing = (page, one) => confirmed(`Close the connection ${one.id}`, 'Close', async () => {
  await request('DELETE', withQuery(path`/v1/connections/${one.id}`, { tenant: one.tenant ?? '' }));
  page.reload();
});

export const topics = (page) => listPage(page, {
  title: 'Topics', path: '/v1/topics', rows: 'topics', filters: [{ name: 'prefix', label: 'Name begins with' }],
  columns: [['Topic', (one) => one.topic], ['Subscribers', (one) => many(one.subscribers)], ['Connections', (one) => number(one.followers)], ['Present', (one) => number(one.present)]],
  link: (one) => inTenant(page, path`/topics/${one.topic}`),
  none: 'No topic of this tenant has subscribers or connections.', command: '<bellcast-bell topics="deploys" …></bellcast-bell>',
});

const many = (count) => (count >= 10_000 ? '10,000 or more' : number(count));

export function topic(page) {
  const tenant = tenantOf(page);
  const part = (url, show) => {
    const place = h('div');
    load(place, page.signal, (signal) => get(withQuery(url, tenant), signal), show);
    return place;
  };
  const base = path`/v1/topics/${page.key}`;
  return [
    heading(page.key),
    card('Present now', part(`${base}/presence`, ({ members }) => members.length === 0
      ? empty('No member is present. Topics have presence if BELLCAST_PRESENCE_TOPICS names them.')
      : h('ul', { class: 'members' }, members.map((one) => h('li', {}, h('a', { href: inTenant(page, path`/recipients/${one.recipient}`) }, one.name ?? one.recipient), one.connections > 1 && ` (${one.connections} connections)`))))),
    card('Subscribers', part(`${base}/subscriptions`, ({ subscriptions, next }) => subscriptions.length === 0
      ? empty('No recipient subscribes to this topic.', path`PUT /v1/topics/${page.key}/subscriptions/alice`)
      : [h('ul', { class: 'members' }, subscriptions.map((one) => h('li', {}, h('a', { href: inTenant(page, path`/recipients/${one.recipient}`) }, one.recipient)))), next && h('p', { class: 'muted' }, 'And more.')])),
    card('Kept live events', part(`${base}/events`, ({ events }) => events.length === 0
      ? empty('No live event is kept.')
      : events.map((one) => h('details', {}, h('summary', {}, one.name, ' ', time(one.at)), json(one.data))))),
    h('nav', { class: 'links', 'aria-label': 'About this topic' },
      h('a', { href: withQuery(page.url('/connections'), { topic: page.key, ...tenant }) }, 'Connections'),
      h('a', { href: withQuery(page.url('/live'), { topic: page.key, ...tenant }) }, 'Live')),
  ];
}

export const tenants = (page) => listPage(page, {
  title: 'Tenants', path: '/v1/tenants', rows: 'tenants', tenant: false, filters: [{ name: 'prefix', label: 'Key begins with' }],
  columns: [['Tenant', (one) => one.key], ['Name', (one) => one.name], ['Recipients', (one) => many(one.recipients)], ['Sent today', (one) => (one.sends_today === null ? '–' : number(one.sends_today))], ['Created', (one) => time(one.created_at)]],
  link: (one) => page.url(path`/tenants/${one.key}`),
  none: 'No tenant exists. The first send with a tenant creates it.', command: 'bellcast notify alice "Hello" --tenant acme',
});

export function tenant(page) {
  const place = h('div');
  load(place, page.signal, (signal) => get(path`/v1/tenants/${page.key}`, signal), (one) => [
    heading(one.name ?? one.key),
    facts([['Key', id(one.key)], ['Name', one.name], ['Created', time(one.created_at)]]),
    card('Settings', Object.keys(one.settings).length === 0 ? empty('No settings. weight, sends_per_second, sends_per_day and retention_days have a meaning to the server.') : json(one.settings)),
    h('nav', { class: 'links', 'aria-label': 'About this tenant' }, [['Notifications', '/notifications'], ['Recipients', '/recipients'], ['Connections', '/connections'], ['Topics', '/topics'], ['Live', '/live']]
      .map(([name, target]) => h('a', { href: withQuery(page.url(target), { tenant: one.key }) }, name))),
  ]);
  return place;
}
