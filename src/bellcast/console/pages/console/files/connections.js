/**
 * Connections, open and recently closed: close them, or trace one.
 */
import { html } from './html.js';
import { RANGE, RECIPIENT } from './filters.js';
import { refresh } from './load.js';
import { Confirm, Dialect } from './parts.js';
import { CONTENT } from './roles.js';
import { path, request, withQuery } from './server.js';

const isClosed = (page) => page.query.get('state') === 'closed';

const close = async (one) => {
  await request('DELETE', withQuery(path`/v1/connections/${one.id}`, { tenant: one.tenant ?? '' }));
  refresh();
};

export const connections = {
  path: '/v1/connections', rows: 'connections', link: (one) => one.recipient && path`/recipients/${one.recipient}`, isNewestFirst: true,
  filters: [RECIPIENT, { name: 'topic', label: 'Topic', of: (one) => one.topics }, { name: 'protocol', label: 'Protocol', options: ['native', 'pusher', 'socketio'], words: { native: 'Native', pusher: 'Pusher', socketio: 'Socket.IO' } }, { name: 'node', label: 'Node' }, { name: 'state', label: 'State', options: ['closed'], words: { closed: 'recently closed' }, isHidden: true }, RANGE],
  views: [['Native', { protocol: 'native' }], ['Socket.IO', { protocol: 'socketio' }], ['Pusher', { protocol: 'pusher' }], ['Recently closed', { state: 'closed' }]],
  columns: (page) => [
    { name: 'Recipient', kind: 'title', hasAvatar: true, of: (one) => one.recipient ?? 'anonymous', text: (one) => (isClosed(page) ? `${one.reason ?? ''} (${one.code})`.trim() : [one.origin, one.address].filter(Boolean).join(', ')) },
    { name: 'Protocol', of: (one) => html`<${Dialect} of=${one} />`, width: '13rem' }, { name: 'Topics', of: (one) => one.topics.join(', '), width: '11rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    isClosed(page) ? { name: 'Closed', kind: 'time', of: (one) => one.closed_at } : { name: 'Since', kind: 'time', of: (one) => one.connected_at },
  ],
  actions: (one, page) => !isClosed(page) && page.may(CONTENT) && html`<a class="option" href=${withQuery(page.url('/live'), { connection: one.id, tenant: one.tenant })}>Trace</a><${Confirm} label=${`Close the connection ${one.id}`} word="Close" act=${() => close(one)} />`,
  note: 'Recently closed are the last 1,000 of each node, from memory.',
  none: (page) => (isClosed(page) ? { text: 'No connection has been closed since the servers started. Closed connections appear here, with the reason.' }
    : { text: 'No page is connected. Browsers and apps appear here while they have a connection.', command: '<bellcast-bell server="…" token="…"></bellcast-bell>' }),
};
