/**
 * Requests: what was called, by whom, and why it was refused.
 */
import { Caller } from './caller.js';
import { requestSamples } from './code-samples.js';
import { RANGE } from './filters.js';
import { dayName, duration, fullTime, hourOf, secondOf } from './format.js';
import { histogramOf } from './histogram.js';
import { html } from './html.js';
import { Refusal } from './live.js';
import { Loaded, loadStyle, useLoad } from './load.js';
import { Card, Copy, Empty, Facts, Heading, Id, Json, Moment } from './parts.js';
import { Named, nameOf, readNames } from './recipient-names.js';
import { ROOT, get, path, withQuery } from './server.js';

await loadStyle('requests.css');

const MINUTE_MS = 60_000, HOUR_MS = 60 * MINUTE_MS;
/** Groups of rows, the shortest first: their length and heading. */
const GROUPS = [[MINUTE_MS, ({ at }) => `${dayName(at)}, ${hourOf(at)}`], [HOUR_MS, ({ at }) => `${dayName(at)}, ${hourOf(at).slice(0, 2)}:00`]];
/** A group has at least this number of rows on average. */
const ROWS_OF_GROUP = 5;

/** The heading of a row: its minute or hour if enough other rows have the same one, else its day. */
function groupOf(rows) {
  const span = Date.parse(rows[0].at) - Date.parse(rows.at(-1).at);
  return GROUPS.find(([length]) => span / length * ROWS_OF_GROUP <= rows.length)?.[1] ?? (({ at }) => dayName(at));
}

const TONES = { 4: 'warn', 5: 'bad' };
const Status = ({ of: { status } }) => html`<span class=${`chip status ${TONES[Math.floor(status / 100)] ?? 'tone-grey'}`}>${status}</span>`;

/** Why a request was refused, or what it sent: the beginning of its body. */
function aboutOf({ code, errors, detail, body, tenant }) {
  if (code) return errors.map(({ field, message }) => `${field} ${message}`).join('; ') || detail || code.replaceAll('_', ' ');
  const what = ['title', 'workflow', 'name', 'topic', 'key'].map((field) => body?.[field]).find((value) => typeof value === 'string');
  return [what, typeof body?.to === 'string' && `to ${nameOf({ tenant, recipient: body.to })}`].filter(Boolean).join(' ');
}

/** The recipient that called, and the one to whom it sent. */
const peopleOf = ({ tenant, recipient, code, body }) => [recipient, !code && typeof body?.to === 'string' && body.to].filter(Boolean).map((one) => ({ tenant, recipient: one }));

export const requests = {
  path: '/v1/requests', rows: 'requests', scope: 'In the memory of this node', readMore: (rows) => readNames(rows.flatMap(peopleOf)), link: (one) => path`/requests/${one.id}`, isNewestFirst: true, isDense: true, groupOf, histogram: histogramOf('requests', 'request', 'accent', { metric: 'refusals', word: 'refused' }), histograms: { status: { '4xx': histogramOf('refusals', 'refused request', 'warn') } },
  filters: [{ name: 'status', label: 'Status', options: ['2xx', '4xx', '5xx', '401', '403', '404', '422', '429'] }, { name: 'route', label: 'Route' }, { name: 'key', label: 'API key' }, RANGE],
  views: [['Refused', { status: '4xx' }], ['Failed', { status: '5xx' }]],
  columns: [
    { name: 'Request', kind: 'title', of: (one) => html`<${Status} of=${one} /> <code class="muted method">${one.method}</code> ${one.path}`, text: aboutOf },
    { name: 'By', kind: 'person', of: (one) => (one.key ?? one.operator ?? one.recipient) && one, show: (one) => (one.key ?? one.operator ? html`<${Caller} name=${one.operator} keyName=${one.key} />` : html`<${Named} of=${one} />`), width: '9.5rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    { name: 'Duration', kind: 'number', isLabeled: false, of: (one) => duration(one.ms), share: ({ ms }) => Math.sqrt(ms), width: '9.5rem' }, { name: 'Time', kind: 'time', of: (one) => one.at, show: (at) => html`<time dateTime=${at} title=${fullTime(at)}>${secondOf(at)}</time>`, width: '4.5rem' },
  ],
  note: 'The list has the last 2,000 requests and 500 refusals of this node, from memory. The bars count those of all nodes.',
  none: { text: 'No requests yet. What the API serves after the start of the server appears here.', command: 'bellcast notify alice "Hello"' },
};

/** A request: what it did or why it was refused, by whom, and what was sent. */
export function Request({ page }) {
  const found = useLoad((signal) => get(withQuery('/v1/requests', { id: page.key, tenant: '*' }), signal), [page.key]);
  return html`<${Loaded} of=${found}>${({ requests: [one] }) => (one === undefined ? html`<${Heading} title="Request" /><${Empty} icon="requests" text="This request is no longer in the memory of this node. A node keeps its last 2,000 requests and 500 refusals."><a class="button" href=${page.url('/requests')}>All requests</a><//>` : html`<${Found} page=${page} one=${one} />`)}<//>`;
}

/** Requests that path, tenant and body describe: the rest of the query is not kept. */
const REPEATABLE = ['/v1/notifications', '/v1/events', '/v1/workflows/{key}/trigger'];
/** The status of those that had an effect; a dry run is answered with 200. */
const DONE = [201, 202];
/** Parts of a body that were redacted, cut or omitted. */
const INCOMPLETE = /\[redacted\]|…"/;

/** The command that sends a request again, if it does the same. */
function commandOf({ method, route, status, path: target, tenant, body }) {
  const data = JSON.stringify(body);
  if (method !== 'POST' || !REPEATABLE.includes(route) || !DONE.includes(status) || body === null || INCOMPLETE.test(data)) return null;
  return requestSamples({ method, url: `${location.origin}${ROOT}${withQuery(target, { tenant })}`, headers: {}, variable: 'BELLCAST_SECRET', type: 'application/json', body: data }).curl;
}

function Found({ page, one }) {
  const inTenant = (target) => withQuery(page.url(target), { tenant: one.tenant ?? '' });
  const same = (filter) => withQuery(page.url('/requests'), { ...filter, tenant: one.tenant });
  const command = commandOf(one);
  const to = !one.code && typeof one.body?.to === 'string' && one.body.to;
  return html`<${Heading} title=${`${one.method} ${one.path}`} note=${html`<${Status} of=${one} /><span class="muted">${duration(one.ms)}</span>`} /><${Refusal} page=${page} of=${{ kind: one.code ? 'refused' : '', detail: one }} />
    <${Facts} of=${[['Time', html`<${Moment} at=${one.at} />`], ['By', (one.key || one.operator) && html`<${Caller} name=${one.operator} keyName=${one.key} />`], ['Recipient', one.recipient && html`<${Named} of=${one} href=${inTenant(path`/recipients/${one.recipient}`)} />`], ['To', to && html`<${Named} of=${{ tenant: one.tenant, recipient: to }} href=${inTenant(path`/recipients/${to}`)} />`], ['Tenant', one.tenant], ['Route', one.route !== one.path && html`<code>${one.route}</code>`], ['Origin', one.origin], ['Network', one.address], ['Id', html`<${Id} of=${one.id} />`]]} />
    <p class="links"><a href=${same({ route: one.route ?? one.path })}>Requests of this route</a>${one.key && html`<a href=${same({ key: one.key })}>Requests with this key</a>`}<a href=${same({ status: String(one.status) })}>Requests with status ${one.status}</a></p>
    ${command && html`<details><summary>Repeat by terminal</summary><div class="snippet"><pre tabIndex="0"><code>${command}</code></pre><${Copy} what="the command" text=${command} /></div></details>`}
    <${Card} title="Body">${one.body === null ? html`<p class="muted">Not stored. The server keeps only small JSON bodies, of requests with a secret or an API key.</p>` : html`<${Json} of=${one.body} />`}<//>`;
}
