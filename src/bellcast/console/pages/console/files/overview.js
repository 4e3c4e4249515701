/**
 * The Overview: what needs attention, the numbers against those before, and what is stored.
 */
import { Charts } from './charts.js';
import { html, useState } from './html.js';
import { count, number } from './format.js';
import { Loaded, Together, useLoad } from './load.js';
import { SetUpProvider, failureOf, simulatedText, simulationOf } from './outcomes.js';
import { Card, Heading, Icon, Time } from './parts.js';
import { BUILDERS, CONTENT } from './roles.js';
import { shownTenant } from './router.js';
import { get, withQuery } from './server.js';
import { readTenantNames, tenantName } from './tenant-names.js';

const HOUR_MS = 3_600_000;
const SHOWN = 6;

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

/** Rows without a list; inboxes also have the announcements that they received. */
const NOUNS = { notifications: 'inbox rows', tombstones: 'recent deletions' };
const nounOf = (kind, value) => (NOUNS[kind] ?? kind).slice(0, value === 1 ? -1 : undefined);
/** The numbers of stored rows, with links to their lists. */
export const StoredRows = ({ page, tenant, of: { store, at_least: atLeast }, children }) => html`<ul class="numbers">${Object.entries(store).filter(([kind, value]) => kind !== 'tombstones' || value > 0)
  .map(([kind, value]) => html`<li key=${kind}><a href=${NOUNS[kind] ? null : withQuery(page.url(`/${kind === 'subscriptions' ? 'topics' : kind}`), { tenant })} title=${kind === 'notifications' && 'Notifications and announcements in inboxes'}><b>${number(value)}${atLeast.includes(kind) && '+'}</b><span>${nounOf(kind, value)}</span></a></li>`)}${children}</ul>`;

/** The number of open connections, or undefined before the numbers are read. */
export const connectionsIn = (stats) => stats?.connections.reduce((sum, group) => sum + group.count, 0);

/** The notice that messages of a channel are simulated, if its newest one was. */
async function simulatedOf(page, rows, tenant, signal) {
  const read = async (query) => (await get(withQuery('/v1/messages', { limit: 1, from: ago(24), ...query }), signal)).messages[0];
  const one = await read({ tenant: rows, state: 'simulated' });
  const newest = one && await read({ tenant: one.tenant ?? '', channel: one.channel });
  const simulated = newest?.state === 'simulated' ? await simulationOf(newest, signal) : null;
  if (simulated === null) return [];
  const name = { email: 'E-mails', sms: 'SMS', push: 'Push messages', chat: 'Chat messages' }[one.channel];
  return [{
    kind: 'info', text: simulatedText({ channel: one.channel, simulated }), note: simulated === 'setting' ? `${name}, by the setting BELLCAST_SIMULATE` : `${name} are stored here, not sent`, at: newest.created_at, tenants: one.tenant ? [one.tenant] : [],
    link: withQuery(page.url('/messages'), { channel: one.channel, state: 'simulated', range: '24h', tenant }), fix: simulated === 'no_provider' && page.may(BUILDERS) && html`<${SetUpProvider} page=${page} channel=${one.channel} tenant=${{ tenant: one.tenant ?? '' }} />`,
  }];
}

/** Fewer refused sign-ins of operators are typing errors. */
const MIN_SIGN_INS = 5;
/** The refused requests of apps and of pages, and the refused sign-ins if they are many. */
function withoutTypingErrors(requests) {
  const refused = requests.filter(({ code, operator }) => code && !operator), isSignIn = (one) => one.method === 'POST' && one.path === '/v1/session';
  return refused.filter(isSignIn).length < MIN_SIGN_INS ? refused.filter((one) => !isSignIn(one)) : refused;
}

/** What failed, was refused or only simulated, the most frequent first. Each has a sentence, a time, and where it leads. */
async function attentionOf(page, tenant, signal) {
  const rows = tenant || page.me.tenants?.[0] || '*';
  const { causes } = await get(withQuery('/v1/failures/causes', { tenant: rows, from: ago(24) }), signal);
  const failed = Object.values(Object.groupBy(causes, (one) => causePath({ ...one, cause: '' }))).map((all) => { // those of one provider, workflow or webhook are one row
    const [one] = all.sort((first, second) => second.count - first.count), failures = all.reduce((sum, { count: some }) => sum + some, 0), several = new Set(all.map(({ cause }) => cause)).size;
    const linkWith = (more) => (all.length === 1 ? withQuery(page.url(causePath(one)), { range: '24h', tenant: one.tenant ?? '', scope: tenant ? '' : 'all', ...more })
      : withQuery(page.url('/failures'), { ...Object.fromEntries(FIELDS.slice(0, -1).map((name) => [name, one[name]])), range: '24h', tenant, ...more }));
    return {
      kind: 'bad', weight: failures, text: failureText({ ...one, count: failures }), note: `${several > 1 ? `${several} causes, most often: ` : ''}${failureOf(one.cause)}`, tenants: [...new Set(all.flatMap((each) => each.tenant ?? []))],
      at: all.map(({ newest }) => newest.created_at).sort().at(-1), link: linkWith({}), fix: page.may(BUILDERS) && (all.length === 1 || one.provider || one.workflow || one.job || one.webhook) && html`<a class="button" href=${linkWith({ retry: 'yes' })}>Retry ${number(failures)}…</a>`,
    };
  });
  if (!page.may(CONTENT)) return failed;
  const [{ requests }, { webhooks }, simulated] = await Promise.all([
    get(withQuery('/v1/requests', { tenant: rows, status: '4xx', from: ago(1), limit: 200 }), signal), get(withQuery('/v1/webhooks', { tenant: rows, limit: 200 }), signal),
    simulatedOf(page, rows, tenant, signal),
  ]);
  const refused = Object.entries(Object.groupBy(withoutTypingErrors(requests), ({ code }) => code)).map(([code, all]) => ({
    kind: 'warn', weight: all.length, text: `${count(all.length, 'request')} refused in an hour`, note: `${code} · ${all[0].method} ${all[0].route ?? all[0].path}`, at: all[0].at, tenants: [...new Set(all.flatMap((each) => each.tenant ?? []))],
    link: withQuery(page.url('/requests'), { status: String(all[0].status), range: '1h', tenant }),
  }));
  const broken = webhooks.filter((one) => one.failing_since).map((one) => ({
    kind: 'bad', weight: 1, text: 'A webhook fails', note: one.url, at: one.failing_since, tenants: one.tenant ? [one.tenant] : [], link: withQuery(page.url(`/webhooks/${one.id}`), { tenant: one.tenant ?? '' }),
  }));
  return [...broken, ...failed, ...refused].sort((one, other) => (one.kind === 'warn') - (other.kind === 'warn') || other.weight - one.weight).concat(simulated);
}

/** Whether nothing has been sent, as on a new server. */
const isUnused = (stats) => stats?.store.notifications === 0 && stats.store.announcements === 0;

export function Overview({ page }) {
  const { tenants } = page.me;
  const tenant = shownTenant() || tenants?.[0];
  const ready = useLoad(readiness);
  const attention = useLoad(async (signal) => {
    const rows = await attentionOf(page, shownTenant(), signal);
    await readTenantNames(rows.flatMap(({ tenants: keys }) => keys), signal);
    return rows;
  }, [shownTenant()]);
  const stats = useLoad((signal) => get(withQuery('/v1/stats', { tenant }), signal), [tenant]);
  const isNew = tenant === undefined && isUnused(stats.value);
  return html`<${Heading} title="Overview" /><${Together}>
    <section class="briefing" aria-label="Needs attention"><${Loaded} of=${ready}>${(reason) => html`<${Loaded} of=${attention}>${(rows) => html`<${Briefing} page=${page} reason=${reason} rows=${rows} isNew=${isNew} />`}<//>`}<//></section>
    ${isNew ? page.mayOpen('/setup') && html`<${NewServer} page=${page} />` : html`
    <div class="overview-charts"><${Charts} page=${page} tenant=${tenant} connections=${connectionsIn(stats.value)} /></div>
    <${Loaded} of=${stats}>${(value) => html`<${Card} title="Stored now"><${StoredRows} page=${page} of=${value} /><//>`}<//>`}<//>`;
}

/** What a server that has sent nothing needs first. */
function NewServer({ page }) {
  const setup = useLoad(() => import('./setup.js'), []);
  return html`<${Loaded} of=${setup}>${({ FirstSteps }) => html`<${FirstSteps} page=${page} />`}<//>`;
}

/** The first line says how much failed; each row below leads to its list, and can repeat what failed. */
function Briefing({ page, reason, rows, isNew }) {
  const [isWhole, setWhole] = useState(false), shown = rows.length > SHOWN + 1 ? SHOWN : rows.length; // a button for one row takes as much room
  const [problems, warnings, notices] = ['bad', 'warn', 'info'].map((kind) => rows.filter((one) => one.kind === kind).length);
  const parts = problems + warnings > 0 ? [[problems, 'problem'], [warnings, 'warning'], [notices, 'notice']].filter(([all]) => all > 0).map((part) => count(...part)) : [];
  const kind = reason || problems > 0 ? 'bad' : warnings > 0 ? 'warn' : 'ok', server = reason ? 'Server not ready' : 'Server ready';
  return html`<div class="headline"><b><span class=${kind}><${Icon} name=${kind} /></span> ${reason ?? (parts.length > 0 ? parts.join(' · ') : isNew ? 'Send the first notification.' : notices > 0 ? 'Nothing failed in 24 hours.' : 'All well: nothing failed in 24 hours.')}</b>${!reason && parts.length > 0 && html`<span class="muted">in 24 hours</span>`}
      ${page.mayOpen('/health') ? html`<a class="tag" href=${page.url('/health')}>${server}</a>` : html`<span class="tag">${server}</span>`}</div>
    ${rows.length > 0 && html`<ul>${rows.slice(0, isWhole ? rows.length : shown).map((one) => html`<li key=${one.link + one.text} class=${one.kind}><${Icon} name=${one.kind} /><a class="row-link" href=${one.link}>${one.text}</a><span class="note" dir="auto">${one.note}</span>${one.fix}
      <${Tenants} of=${one.tenants} /><${Time} at=${one.at} /></li>`)}</ul>`}
    ${rows.length > shown && html`<button type="button" class="quiet" aria-expanded=${isWhole} onClick=${() => setWhole(!isWhole)}>${isWhole ? 'Show fewer' : `Show ${rows.length - shown} more`}</button>`}`;
}

/** The first of several tenants, and how many more. */
export const Tenants = ({ of: [first, ...others] }) => first && html`<span class="muted" title=${first}>${tenantName(first)}</span>${others.length > 0 && html` <span class="muted" title=${others.map(tenantName).join(', ')}>+${others.length}</span>`}`;
