/**
 * Connections, open and recently closed: close them, or trace one.
 */
import { confirmed, h, time } from './dom.js';
import { RANGE, RECIPIENT, listPage } from './list.js';
import { CONTENT, dialect, recipientLink, tenantOf } from './page.js';
import { path, request, withQuery } from './server.js';

export const connections = (page) => {
  const isClosed = page.query.get('state') === 'closed';
  return listPage(page, {
    title: 'Connections', path: '/v1/connections', rows: 'connections', fixed: isClosed ? { state: 'closed' } : {}, tools: stateTabs(page, isClosed),
    filters: [RECIPIENT, { name: 'topic', label: 'Topic' }, { name: 'protocol', label: 'Protocol', options: ['', 'native', 'pusher', 'socketio'] }, ...(page.query.get('node') ? [{ name: 'node', label: 'Node' }] : []), ...(isClosed ? [{ name: 'state', label: 'State', options: ['closed', 'open'] }] : []), RANGE],
    columns: [['Recipient', (one) => recipientLink(page, one.recipient, one) ?? 'anonymous'], ['Protocol', dialect], ['Topics', (one) => one.topics.join(', ')], ['Tenant', (one) => one.tenant], ['Address', (one) => one.address], ['Origin', (one) => one.origin],
      ...(isClosed
        ? [['Reason', (one) => `${one.reason ?? ''} (${one.code})`.trim()], ['Closed', (one) => time(one.closed_at)]]
        : [['Since', (one) => time(one.connected_at)]]),
      ['Connection', (one) => h('code', { class: 'wide' }, one.id)],
      ...(isClosed ? [] : [['', (one) => h('span', { class: 'actions' }, page.may(CONTENT) && trace(page, one), page.may(CONTENT) && closing(page, one))]])],
    none: isClosed ? 'No connection has been closed since the servers started. Closed connections appear here, with the reason.' : 'No page is connected. Browsers and apps appear here while they have a connection.',
    command: isClosed ? undefined : '<bellcast-bell server="…" token="…"></bellcast-bell>',
    note: isClosed ? 'The last 1,000 closed connections of each node, from memory.' : undefined, anyTenant: true,
  });
};

function stateTabs(page, isClosed) {
  const tabs = [['Open', {}, !isClosed], ['Recently closed', { state: 'closed' }, isClosed]];
  return h('nav', { class: 'tabs', 'aria-label': 'States' }, tabs.map(([name, query, isCurrent]) => h('a', { href: withQuery(page.url('/connections'), { ...query, ...tenantOf(page) }), 'aria-current': isCurrent && 'page' }, name)));
}

/** Events of this connection, live. */
const trace = (page, one) => h('a', { href: withQuery(page.url('/live'), { connection: one.id, tenant: one.tenant ?? '' }) }, 'Trace');

const closing = (page, one) => confirmed(`Close the connection ${one.id}`, 'Close', async () => {
  await request('DELETE', withQuery(path`/v1/connections/${one.id}`, { tenant: one.tenant ?? '' }));
  page.reload();
});
