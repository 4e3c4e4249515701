/**
 * Requests: what was called, by whom, and why it was refused.
 */
import { Caller } from './caller.js';
import { CodeOf } from './code.js';
import { requestSamples } from './code-samples.js';
import { RANGE, findIn } from './filters.js';
import { dayName, duration, fullTime, hourOf, secondOf } from './format.js';
import { histogramOf } from './histogram.js';
import { html } from './html.js';
import { Refusal } from './live.js';
import { loadStyle, useLoad, useOpened } from './load.js';
import { Headline } from './object-parts.js';
import { Empty, Facts, Heading, Id, Moment, Opening, Snippet, prose } from './parts.js';
import { Named, nameOf, readNames } from './recipient-names.js';
import { LatestRequests, withShortIds } from './request-parts.js';
import { ROOT, get, path, withQuery } from './server.js';

await loadStyle('requests.css');

const HOUR_MS = 3_600_000;
/** A group has at least this number of rows on average. */
const ROWS_OF_GROUP = 5;

/** The heading of a row: its hour if enough other rows have the same one, else its day. The minute is in each row. */
function groupOf(rows) {
  const hours = (Date.parse(rows[0].at) - Date.parse(rows.at(-1).at)) / HOUR_MS;
  return hours * ROWS_OF_GROUP <= rows.length ? ({ at }) => `${dayName(at)}, ${hourOf(at).slice(0, 2)}:00` : ({ at }) => dayName(at);
}

const TONES = { 4: 'warn', 5: 'bad' };
/** That the console needs the password again before an important change is no failure. */
const Status = ({ of: { status, code } }) => html`<span class=${`chip status ${(code !== 'password_required' && TONES[Math.floor(status / 100)]) || 'tone-grey'}`}>${status}</span>`;

/** Why a request was refused, or what it sent: the beginning of its body. */
function aboutOf({ code, errors, detail, body, tenant }) {
  if (code) return prose(errors.map(({ field, message }) => `${field} ${message}`).join('; ') || detail || code.replaceAll('_', ' '));
  const what = ['title', 'workflow', 'name', 'topic', 'key'].map((field) => body?.[field]).find((value) => typeof value === 'string');
  return [what, typeof body?.to === 'string' && `to ${nameOf({ tenant, recipient: body.to })}`].filter(Boolean).join(' ');
}

/** The recipient that called, and the one to whom it sent. */
const peopleOf = ({ tenant, recipient, code, body }) => [recipient, !code && typeof body?.to === 'string' && body.to].filter(Boolean).map((one) => ({ tenant, recipient: one }));

export const requests = {
  path: '/v1/requests', rows: 'requests', scope: 'in memory', readMore: (rows) => readNames(rows.flatMap(peopleOf)), link: (one) => path`/requests/${one.id}`, isNewestFirst: true, pinsOpened: true, isDense: true, groupOf, histogram: histogramOf('requests', 'request', 'accent', { metric: 'refusals', word: 'refused' }), histograms: { status: { '4xx': histogramOf('refusals', 'refused request', 'warn') } },
  filters: [findIn('requests'), { name: 'status', label: 'Status', options: ['2xx', '4xx', '5xx', '401', '403', '404', '422', '429'] }, { name: 'route', label: 'Route' }, { name: 'key', label: 'API key' }, RANGE],
  views: [['Refused', { status: '4xx' }], ['Failed', { status: '5xx' }]],
  columns: [
    { name: 'Request', kind: 'title', of: (one) => html`<${Status} of=${one} /> <code class="muted method">${one.method}</code> <span title=${one.path}>${withShortIds(one.path)}</span>`, text: aboutOf },
    { name: 'By', kind: 'person', of: (one) => (one.key ?? one.operator ?? one.recipient) && one, show: (one) => (one.key ?? one.operator ? html`<${Caller} name=${one.operator} keyName=${one.key} />` : html`<${Named} of=${one} />`), width: '9.5rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    { name: 'Duration', kind: 'number', isLabeled: false, of: (one) => duration(one.ms), width: '5.5rem' }, { name: 'Time', kind: 'time', of: (one) => one.at, show: (at) => html`<time dateTime=${at} title=${fullTime(at)}>${secondOf(at)}</time>`, width: '4.5rem' },
  ],
  note: 'The list has the last 2,000 requests and 500 refusals of this node, from memory. The bars count those of all nodes.',
  none: { text: 'No requests yet. What the API serves after the start of the server appears here.', command: 'bellcast notify alice "Hello"' },
};

/** A request: what it did or why it was refused, by whom, and what was sent. */
export function Request({ page }) {
  const found = useLoad(async (signal) => {
    const { requests: [one] } = await get(withQuery('/v1/requests', { id: page.key, tenant: '*' }), signal);
    const [made] = one ? await Promise.all([madeBy(one, signal).catch(() => null), readNames(peopleOf(one))]) : [];
    return { one, made };
  }, [page.key]);
  useOpened(found.value?.one);
  return html`<${Opening} page=${page} of=${found}>${({ one, made }) => (one === undefined ? html`<${Heading} title="Request" /><${Empty} icon="requests" text="This request is no longer in the memory of this node. A node keeps its last 2,000 requests and 500 refusals."><a class="button" href=${page.url('/requests')}>All requests</a><//>` : html`<${Found} page=${page} one=${one} made=${made} />`)}<//>`;
}

/** What a request makes: the list in which it is found by its recipient and its time. */
const MADE = { '/v1/notifications': ['notifications', ({ title }, one) => one.title === title], '/v1/workflows/{key}/trigger': ['runs', () => true] };
/** Between the time of a request in the log and that of what it made, at most. */
const CLOCK_MS = 1000;

/** The path of the notification or the run that a request made, if it was for one recipient. */
async function madeBy({ at, ms, method, route, status, path: target, tenant, body }, signal) {
  const [list, isMade] = MADE[route] ?? [], end = Date.parse(at);
  if (method !== 'POST' || !list || !DONE.includes(status) || typeof body?.to !== 'string') return null;
  const query = { tenant: tenant ?? '', recipient: body.to, workflow: list === 'runs' ? decodeURIComponent(target.split('/').at(-2)) : null, from: new Date(end - ms - CLOCK_MS).toISOString(), to: new Date(end + CLOCK_MS).toISOString(), limit: 10 };
  const rows = (await get(withQuery(`/v1/${list}`, query), signal))[list].filter((one) => isMade(body, one));
  return rows.length === 1 ? path`/${list}/${rows[0].id}` : null;
}

/** The page of the object in the path of a request, if it is not gone: `/v1/messages/{id}/source` was about a message. */
function objectOf(page, { method, route, status, path: target }) {
  const [, list, more] = route?.match(/^\/v1(\/[\w-]+)\/\{\w+\}(\/\{)?/) ?? [];
  if (status >= 300 || method === 'DELETE' || !page.mayOpen(list)) return null;
  const parts = target.split('/').slice(2, more ? 5 : 4);
  return { link: parts.map((part) => `/${part}`).join(''), name: decoded(parts.at(-1)) };
}

/** A part of a path as it was sent, if it cannot be decoded. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What the server did with a request. */
const EFFECTS = { 201: 'Stored', 202: 'Accepted', 404: 'Not found' };
const effectOf = ({ code, status }) => (status >= 500 ? 'Failed' : code ? 'Refused' : EFFECTS[status] ?? (status >= 400 ? 'Refused' : 'Answered'));

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

function Found({ page, one, made }) {
  const inTenant = (target) => withQuery(page.url(target), { tenant: one.tenant ?? '' });
  const command = commandOf(one), object = objectOf(page, one);
  const to = !one.code && typeof one.body?.to === 'string' && one.body.to, about = aboutOf(one);
  const effect = `${effectOf(one)} in ${duration(one.ms)}`;
  const same = [['Same route', { route: one.route ?? one.path }], one.key && ['Same key', { key: one.key }], ['Same status', { status: String(one.status) }]].filter(Boolean);
  return html`<${Heading} title=${`${one.method} ${one.path}`} note=${html`<${Status} of=${one} />`} />${one.code ? html`<${Refusal} page=${page} of=${{ kind: 'refused', detail: one }} about=${html`${effect}.`} />`
    : html`<${Headline} kind=${TONES[Math.floor(one.status / 100)] ?? 'ok'} note=${about && (made ? html`<a href=${inTenant(made)}>${about}</a>` : about)}>${effect}<//>`}
    <${Facts} of=${[['Time', html`<${Moment} at=${one.at} />`], ['By', one.key ?? one.operator ? html`<${Caller} name=${one.operator} keyName=${one.key} />` : one.recipient && html`<${Named} of=${one} href=${inTenant(path`/recipients/${one.recipient}`)} />`], ['Operator', one.key && one.operator], ['To', to && html`<${Named} of=${{ tenant: one.tenant, recipient: to }} href=${inTenant(path`/recipients/${to}`)} />`], ['Tenant', one.tenant], ['Route', one.route !== one.path && html`<code>${one.route}</code>`], ['Object', object && html`<a href=${inTenant(object.link)}>${object.name}</a>`], ['Origin', one.origin], ['Network', one.address], ['Id', html`<${Id} of=${one.id} />`]]} />
    <nav class="choice" aria-label="More requests"><span class="muted">Show</span>${same.map(([word, filter]) => html`<a key=${word} class="button small" href=${withQuery(page.url('/requests'), { ...filter, tenant: one.tenant })}>${word}</a>`)}</nav>
    ${one.body === null ? one.status >= 400 && html`<p class="muted">Its body is not stored: the server keeps only small JSON bodies, of requests with a secret or an API key.</p>` : html`<h2>Body</h2><${CodeOf} what="the body" of=${one.body} />`}
    ${command && html`<details><summary>Repeat by terminal</summary><${Snippet} what="the command" of=${command} /></details>`}
    <${LatestRequests} page=${page} title=${one.key ? 'Latest with the same key' : 'Latest of the same route'} of=${{ ...one.key ? { key: one.key } : { route: one.route ?? one.path }, tenant: '*' }} shown=${one.id} />`;
}
