/**
 * The Overview: what needs attention, the numbers against those before, and what is stored.
 */
import { Charts } from './charts.js';
import { html } from './html.js';
import { count, number, toneOf } from './format.js';
import { Loaded, Together, useLoad } from './load.js';
import { Card, Dialect, Empty, Heading, Icon, State, Time } from './parts.js';
import { CONTENT } from './roles.js';
import { shownTenant } from './router.js';
import { get, withQuery } from './server.js';

const HOUR_MS = 3_600_000;
const SHOWN = 5;

const ago = (hours) => new Date(Date.now() - hours * HOUR_MS).toISOString();

/** Fields that are equal within a group of failures, and that a retry's filter supports. */
export const FIELDS = ['kind', 'channel', 'provider', 'workflow', 'job', 'webhook', 'cause'];

/** The path of a cause's page. */
export const causePath = (group) => `/failures/${encodeURIComponent(new URLSearchParams(FIELDS.filter((name) => group[name]).map((name) => [name, group[name]])))}`;

/** How many of what failed, and where. */
export function failureText({ kind, channel, provider, workflow, job, webhook, count: failed }) {
  const [one, several] = { email: ['e-mail', 'e-mails'], sms: ['SMS', 'SMS'], push: ['push message', 'push messages'], chat: ['chat message', 'chat messages'] }[channel] ?? ['message'];
  if (kind === 'run') return `${count(failed, 'run')} of ${workflow} failed`;
  if (kind === 'message') return `${count(failed, one, several)} failed${provider ? ` through ${provider}` : ''}`;
  return webhook ? `${count(failed, 'delivery', 'deliveries')} to a webhook failed` : `${count(failed, 'job')} of the kind ${job} failed`;
}

/** The reason why the server is not ready, or null. */
export async function readiness(signal) {
  try {
    await get('/readyz', signal);
    return null;
  } catch (problem) {
    if (problem.status === 503) return problem.message;
    throw problem;
  }
}

/** The numbers of stored rows, followed by others. */
export const StoredRows = ({ of: { store, at_least: atLeast }, others = {} }) => html`<ul class="numbers">${Object.entries({ ...store, ...others })
  .map(([kind, value]) => html`<li key=${kind}><b>${number(value)}${atLeast.includes(kind) && '+'}</b><span>${kind === 'tombstones' ? 'deletion markers' : kind.replaceAll('_', ' ')}</span></li>`)}</ul>`;

/** What failed or was refused, the most frequent first. Each has a sentence, a time, and where it leads. */
async function attentionOf(page, tenant, signal) {
  const rows = tenant || page.me.tenants?.[0] || '*';
  const failed = (await get(withQuery('/v1/failures/causes', { tenant: rows, from: ago(24) }), signal)).causes.map((one) => ({
    kind: 'bad', weight: one.count, text: failureText(one), note: one.cause, at: one.newest.created_at, tenant: one.tenant,
    link: withQuery(page.url(causePath(one)), { range: '24h', tenant: one.tenant ?? '', scope: tenant ? '' : 'all' }), word: 'Open',
  }));
  if (!page.may(CONTENT)) return failed;
  const [{ requests }, { webhooks }] = await Promise.all([
    get(withQuery('/v1/requests', { tenant: rows, status: '4xx', from: ago(1), limit: 200 }), signal), get(withQuery('/v1/webhooks', { tenant: rows, limit: 200 }), signal),
  ]);
  const refused = Object.entries(Object.groupBy(requests.filter(({ code }) => code), ({ code }) => code)).map(([code, all]) => ({
    kind: 'warn', weight: all.length, text: `${count(all.length, 'request')} refused in an hour`, note: `${code} · ${all[0].method} ${all[0].route ?? all[0].path}`, at: all[0].at, tenant: all[0].tenant,
    link: withQuery(page.url('/requests'), { status: String(all[0].status), range: '1h', tenant }), word: 'Open',
  }));
  const broken = webhooks.filter((one) => one.failing_since).map((one) => ({
    kind: 'bad', weight: 1, text: 'A webhook fails', note: one.url, at: one.failing_since, tenant: one.tenant, link: withQuery(page.url(`/webhooks/${one.id}`), { tenant: one.tenant ?? '' }), word: 'Open',
  }));
  return [...broken, ...failed, ...refused].sort((one, other) => (one.kind === 'warn') - (other.kind === 'warn') || other.weight - one.weight);
}

export function Overview({ page }) {
  const { tenants } = page.me;
  const tenant = shownTenant() || tenants?.[0];
  const ready = useLoad(readiness);
  const attention = useLoad((signal) => attentionOf(page, shownTenant(), signal), [shownTenant()]);
  const stats = useLoad((signal) => get(withQuery('/v1/stats', { tenant }), signal), [tenant]);
  return html`<${Heading} title="Overview" /><${Together}>
    <section class="briefing" aria-label="Needs attention"><${Loaded} of=${ready}>${(reason) => html`<${Loaded} of=${attention}>${(rows) => html`<${Briefing} page=${page} reason=${reason} rows=${rows} />`}<//>`}<//></section>
    <div class="overview-charts"><${Charts} page=${page} tenant=${tenant} /></div>
    <div class="overview-numbers"><${Loaded} of=${stats}>${(value) => html`<${Card} title="Connections">${value.connections.length === 0
    ? html`<${Empty} text="No page is connected. Connections appear here by protocol." command=${'<bellcast-bell server="…" token="…"></bellcast-bell>'} />`
    : html`<ul class="numbers">${value.connections.map((one) => html`<li key=${`${one.protocol}${one.transport}`}><b>${number(one.count)}</b><${Dialect} of=${one} /></li>`)}</ul>`}<//>
      <${Card} title="Stored">${value.store.notifications === 0 && value.store.announcements === 0 && html`<${Empty} text=${html`Nothing has been sent yet.${page.mayOpen('/setup') && html` <a href=${page.url('/setup')}>Setup</a> leads to the first notification, step by step.`}`} command='bellcast notify alice "Hello"' />`}<${StoredRows} of=${value} /><//>`}<//></div><//>`;
}

/** The first line says whether all is well; each row below needs someone. */
function Briefing({ reason, rows }) {
  const urgent = rows.filter(({ kind }) => kind === 'bad').length;
  return html`<p class="headline"><${State} of=${reason ? 'not ready' : 'ready'} /> <b>${reason ?? (rows.length === 0 ? 'All well: nothing failed in 24 hours.' : urgent > 0 ? `${count(urgent, 'thing needs', 'things need')} you.` : 'Nothing failed in 24 hours.')}</b></p>
    ${rows.length > 0 && html`<ul>${rows.slice(0, SHOWN).map((one) => html`<li key=${one.text + one.note + one.tenant} class=${one.kind}><${Icon} name=${one.kind === 'bad' ? 'bad' : 'failures'} /><a class="row-link" href=${one.link}>${one.text}</a><span class="note" dir="auto">${one.note}</span>
      ${one.tenant && html`<span class=${`chip tone-${toneOf(one.tenant)}`}>${one.tenant}</span>`}<${Time} at=${one.at} /></li>`)}</ul>`}
    ${rows.length > SHOWN && html`<p class="muted">and ${count(rows.length - SHOWN, 'other cause')}</p>`}`;
}
