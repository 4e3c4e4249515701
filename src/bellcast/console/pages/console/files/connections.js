/**
 * Connections, open and recently closed: close them, or trace one.
 */
import { count, number } from './format.js';
import { html } from './html.js';
import { RANGE, RECIPIENT } from './filters.js';
import { loadStyle, refresh, useLoad } from './load.js';
import { Avatar, Confirm, Dialect, dialectName } from './parts.js';
import { CONTENT } from './roles.js';
import { shownTenant } from './router.js';
import { get, path, request, withQuery } from './server.js';

await loadStyle('connections.css');

const isClosed = (page) => page.query.get('state') === 'closed';

const close = async (one) => {
  await request('DELETE', withQuery(path`/v1/connections/${one.id}`, { tenant: one.tenant ?? '' }));
  refresh();
};

export const connections = {
  path: '/v1/connections', rows: 'connections', link: (one) => one.recipient && path`/recipients/${one.recipient}`, isNewestFirst: true, above: Protocols,
  filters: [RECIPIENT, { name: 'topic', label: 'Topic', of: (one) => one.topics }, { name: 'protocol', label: 'Protocol', options: ['native', 'pusher', 'socketio'], words: { native: 'Native', pusher: 'Pusher', socketio: 'Socket.IO' } }, { name: 'node', label: 'Node' }, { name: 'state', label: 'State', options: ['closed'], words: { closed: 'recently closed' }, isHidden: true }, RANGE],
  views: [['Native', { protocol: 'native' }], ['Socket.IO', { protocol: 'socketio' }], ['Pusher', { protocol: 'pusher' }], ['Recently closed', { state: 'closed' }]],
  columns: (page) => [
    { name: 'Recipient', kind: 'title', lead: (one) => html`<${Avatar} ...${one.recipient ? { of: one.recipient } : { of: '', icon: 'account', tone: 'grey' }} />`, of: (one) => one.recipient ?? 'anonymous', text: (one) => (isClosed(page) ? `${one.reason ?? ''} (${one.code})`.trim() : [one.origin, one.address].filter(Boolean).join(', ')) },
    { name: 'Protocol', of: (one) => html`<${Dialect} of=${one} />`, width: '13rem' }, { name: 'Topics', of: (one) => one.topics.join(', '), width: '11rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    isClosed(page) ? { name: 'Closed', kind: 'time', of: (one) => one.closed_at } : { name: 'Since', kind: 'time', of: (one) => one.connected_at },
  ],
  actions: (one, page) => !isClosed(page) && page.may(CONTENT) && html`<a class="option" href=${withQuery(page.url('/live'), { connection: one.id, tenant: one.tenant })}>Trace</a><${Confirm} label=${`Close the connection ${one.id}`} word="Close" act=${() => close(one)} />`,
  note: 'Recently closed are the last 1,000 of each node, from memory.',
  none: (page) => (isClosed(page) ? { text: 'No connection has been closed since the servers started. Closed connections appear here, with the reason.' }
    : { text: 'No page is connected. Browsers and apps appear here while they have a connection.', command: '<bellcast-bell server="…" token="…"></bellcast-bell>' }),
};

/** How the open connections are shared between protocols, as a bar with its legend. It counts all, so a filtered list has none. */
function Protocols({ page }) {
  const tenant = shownTenant() || '*';
  const found = useLoad((signal) => get(withQuery('/v1/stats', { tenant }), signal), [tenant]);
  if ([...connections.filters, { name: 'from' }].some(({ name }) => page.query.get(name))) return null;
  if (!found.value) return html`<div class="protocols"></div>`;
  const groups = found.value.connections.toSorted((one, other) => other.count - one.count);
  const nameOf = ({ protocol, transport }) => (protocol === 'native' ? transport : protocol);
  return html`<section class="protocols" aria-label="Open connections by protocol"><div class="stack" role="img" aria-label=${groups.map((one) => `${dialectName(one)}: ${count(one.count, 'connection')}`).join(', ') || 'No connection'}>${groups.map((one) => html`<span key=${dialectName(one)} class=${nameOf(one)} style=${{ flexGrow: one.count }}></span>`)}</div>
    <p class="muted">${groups.map((one) => html`<span key=${dialectName(one)}><${Dialect} of=${one} /> <b>${number(one.count)}</b></span>`)}</p></section>`;
}
