/**
 * Failures: messages, runs and jobs that failed permanently, by cause; those of one cause, and retries with their progress.
 */
import { Confirm, Dialog } from './dialogs.js';
import { CHANNEL, PROVIDER, RANGE, WORKFLOW, chosenRange, findIn, startOf } from './filters.js';
import { count, number } from './format.js';
import { histogramOf } from './histogram.js';
import { html, useEffect, useState } from './html.js';
import { Loaded, Paged, loadStyle, Skeleton, refresh, useEvery, useLoad } from './load.js';
import { Channel, Sign } from './object-parts.js';
import { CHANNEL_NAMES, failureOf, missingOf } from './outcomes.js';
import { FIELDS, Tenants, causePath, failureText } from './overview.js';
import { Heading, Icon, State, Time } from './parts.js';
import { nameOf, readNames } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { BASE, go, here, inTenant, shownTenant } from './router.js';
import { get, path, request, withQuery } from './server.js';
import { tenantName } from './tenant-names.js';

await loadStyle('failures.css');

/** Number of recent retries on the page. */
const SHOWN_RETRIES = 5;
const KINDS = { message: ['messages', 'Message'], run: ['runs', 'Run'], job: ['jobs', 'Job'] };
const KindOf = ({ of: { kind, channel } }) => (channel ? html`<${Channel} of=${channel} />` : html`<span class="person"><${Sign} icon=${KINDS[kind][0]} tone="grey" /><span class="name">${KINDS[kind][1]}</span></span>`);
/** A cause as a title: some providers end theirs with a full stop. */
const titleOf = (cause) => failureOf(cause)?.replace(/(?<!\.)\.$/, '');
/** The server retries several thousand failures in this time. */
const POLL_MS = 1000;

const placeOf = ({ provider, workflow, webhook, job }) => (provider && `through ${provider}`) || (workflow && `in ${workflow}`) || (webhook && 'to a webhook') || job;

/** What frequent causes of messages mean, what helps, and what to change before a retry can succeed. */
const MEANINGS = [
  [/greylist/i, 'The receiving server accepts a message only after a pause: retry it.'],
  [/\b5\.1\.1\b|no such user|user unknown/i, 'The mailbox does not exist: correct the address of the recipient first, or the retry fails too.', 'address'],
  [/\b[45]\.2\.2\b|mailbox full|over quota/i, 'The mailbox is full: a retry helps only when it has room again.'],
  [/\b5\.7\.\d|refused by policy|spam/i, 'The receiving server does not trust the sender: check SPF, DKIM and DMARC of your domain before you retry.', 'provider'],
  [/\btls\b|certificate/i, 'The provider’s encryption or certificate does not match its URL: test the provider, then retry.', 'provider'],
  [/timed? ?out|unreachable|connection refused/i, 'The provider did not answer: retry when its test succeeds.'],
];
/** The same for runs. */
const RUN_MEANINGS = [
  [/^HTTP status 5/, 'The server that the step calls could not answer: retry when it works again.'],
  [/^HTTP status 4/, 'The server refused what the step sends: correct the step first, or the retry fails too.', 'workflow'],
];
/** A text that reads a variable which the data of its runs does not have. */
const LACKING = /\bis (missing|undefined)\b/;

/** What a cause means, and what to change first if a retry must fail again. */
function adviceOf({ kind, cause }) {
  if (kind === 'run' && LACKING.test(cause)) return { meaning: `A retry fails again until the text has a default for ${missingOf(cause)?.[0] ?? 'it'}: a run keeps its data.`, first: 'workflow' };
  const [, meaning, first] = ({ message: MEANINGS, run: RUN_MEANINGS }[kind] ?? []).find(([pattern]) => pattern.test(cause)) ?? [];
  return { meaning, first };
}

/** A link to what is wrong, if that is one object: the primary button where a retry must fail again, and the second one of runs, which only their workflow explains. */
function FirstFix({ page, of: { first }, group, failures }) {
  const recipients = new Set(failures.map((one) => one.recipient)), [one] = failures, tenant = one?.tenant ?? '';
  const [word, target, more] = {
    workflow: ['Open the workflow', path`/workflows/${group.workflow}`, { edit: 'yes' }],
    provider: group.provider && ['Open the provider', path`/providers/${group.provider}`],
    address: recipients.size === 1 && one.recipient && ['Correct the address', path`/recipients/${one.recipient}`, { focus: 'address' }],
  }[first ?? (group.kind === 'run' && 'workflow')] || [];
  return word && html`<a class=${first ? 'button primary' : 'button'} href=${withQuery(page.url(target), { tenant, ...more })}>${word}</a>`;
}

/** Rows of the same cause in several tenants as one, the most frequent first. */
function join(causes) {
  const groups = Object.values(Object.groupBy(causes, causePath)).map((all) => ({
    ...all[0], tenant: all.length > 1 ? '*' : all[0].tenant, tenants: all.flatMap((one) => one.tenant ?? []), count: all.reduce((sum, one) => sum + one.count, 0),
    oldest_at: all.map((one) => one.oldest_at).sort()[0], newest: all.map((one) => one.newest).sort((one, other) => (one.created_at < other.created_at ? 1 : -1))[0],
  }));
  return groups.sort((one, other) => other.count - one.count);
}

const Bars = histogramOf('failures', 'failure', 'bad');
/** The bars above the list, with the number of failures that are listed: the statistics also count requests that failed, and what was retried since. */
function OverTime(props) {
  const { range, chosen } = props, tenant = shownTenant() || '*';
  const found = useLoad((signal) => get(withQuery('/v1/failures', { tenant, limit: 1, from: startOf(range || '24h'), ...chosen }), signal), [tenant, range, chosen]);
  return html`<${Bars} counted=${found.isLoading && !found.value ? null : found.value?.total?.value} ...${props} />`;
}

export const failures = {
  histogram: OverTime, path: '/v1/failures/causes', rows: 'causes', fixed: { limit: '' }, join, link: causePath, tools: (page, rows) => page.may(BUILDERS) && html`<${Retry} word="Retry all…" title="Retry all failures" isDisabled=${!rows || page.query.has('find')} isFirst=${page.query.has('retry')} tenants=${shownTenant() ? [shownTenant()] : undefined} body=${{ filter: filterOf(page, Object.fromEntries(FIELDS.map((name) => [name, page.query.get(name)]))) }} />`, above: Retries,
  filters: [findIn('causes'), { name: 'kind', label: 'Kind', options: ['message', 'run', 'job'] }, CHANNEL, PROVIDER, WORKFLOW, { name: 'job', label: 'Job' }, { name: 'webhook', label: 'Webhook' }, RANGE],
  views: [['Today', { range: '24h' }], ['Messages', { kind: 'message' }], ['Runs', { kind: 'run' }]],
  columns: [
    { name: 'Kind', of: (one) => one, show: (one) => html`<${KindOf} of=${one} />`, by: (one) => CHANNEL_NAMES[one.channel] ?? KINDS[one.kind][1], width: '6.5rem' }, { name: 'Cause', kind: 'title', of: (one) => titleOf(one.cause), text: placeOf }, { name: 'Failures', kind: 'number', of: (one) => html`<b>${number(one.count)}</b>`, by: (one) => one.count, width: '5rem' },
    { name: 'Tenant', of: (one) => one.tenants.length > 0 && one.tenants, show: (tenants) => html`<${Tenants} of=${tenants} />` }, { name: 'Newest', kind: 'time', of: (one) => one.newest.created_at },
  ],
  note: 'Messages that failed or bounced after all attempts, failed runs and dead jobs, by their reason without addresses and ids.',
  none: { icon: 'ok', text: 'No failures. Messages, runs and jobs that fail permanently appear here by their cause, with a button that retries them.' },
};

/** The filter of a retry: fields, and the time range in the URL. */
function filterOf(page, fields) {
  const range = page.query.get('range');
  return Object.fromEntries(Object.entries({ ...fields, from: startOf(range), ...(!range && chosenRange(page.query)) }).filter(([, value]) => value));
}

/** The failures of a cause: how many, and buttons that retry all or some. */
export function Cause({ page }) {
  const fields = Object.fromEntries(new URLSearchParams(page.key)), tenant = { tenant: page.query.get('tenant') ?? '' };
  const filter = filterOf(page, fields);
  const read = async (after, signal) => {
    const found = await get(withQuery('/v1/failures', { ...filter, ...tenant, after }), signal);
    await readNames(found.failures);
    return found;
  };
  const group = useLoad(async (signal) => join((await get(withQuery('/v1/failures/causes', { ...filter, ...tenant }), signal)).causes).find((one) => one.cause === fields.cause) ?? null, [page.href]);
  const found = useLoad((signal) => read('', signal), [page.href]);
  const [selected, setSelected] = useState(new Map());
  const mayRetry = page.may(BUILDERS);
  const select = (some) => ({ currentTarget: { checked } }) => setSelected((last) => new Map([...[...last].filter(([id]) => some.every((one) => one.id !== id)), ...(checked ? some.map((one) => [one.id, one.tenant ?? '']) : [])]));
  const linkOf = (one) => ({ message: path`/messages/${one.id}`, run: path`/runs/${one.id}` })[one.kind === 'job' ? one.job : one.kind];
  return html`<${Heading} title=${titleOf(fields.cause)} /><${Loaded} of=${group}>${(one) => {
    const advice = one && adviceOf(one), fix = one && html`<${FirstFix} page=${page} of=${advice} group=${one} failures=${found.value?.failures ?? []} />`;
    return html`<section class=${`verdict ${one ? 'bad' : 'ok'}`} aria-label="Outcome"><${Icon} name=${one ? 'bad' : 'ok'} /><div><h2>${one ? failureText(one) : 'Nothing fails with this cause now'}</h2>
      ${one && html`<p>The last one <${Time} at=${one.newest.created_at} />${one.count > 1 && html`, the first <${Time} at=${one.oldest_at} />`}. ${advice.meaning}</p>${mayRetry && html`<div class="fixes">${advice.first && fix}<${Retry} isPrimary=${!advice.first} isFirst=${page.query.has('retry')} word=${one.count > 1 ? 'Retry all…' : 'Retry…'} title=${`Retry ${count(one.count, 'failure')}`} tenants=${tenant.tenant === '*' ? undefined : [tenant.tenant]} body=${{ filter }} />${!advice.first && fix}</div>`}`}</div></section>`;
  }}<//>
    <${Loaded} of=${found} skeleton=${html`<${Skeleton} />`}>${(response) => response.failures.length > 0 && html`<section class="panel failed"><${Paged} of=${response} rows="failures" read=${read}>${(all) => html`<header>${mayRetry && all.length > 1 && html`<input type="checkbox" class="check" aria-label=${`Select all ${number(all.length)}`} checked=${all.every(({ id }) => selected.has(id))} onChange=${select(all)} />`}<h2>Failures</h2>
      ${selected.size > 1 && !mayRetry ? html`<span class="muted">Select one to retry.</span>` : (selected.size > 0 || (mayRetry && all.length > 1)) && html`<${Retry} word=${selected.size > 0 ? `Retry ${number(selected.size)} selected…` : 'Retry selected…'} isDisabled=${selected.size === 0} title="Retry the selected failures" tenants=${[...new Set(selected.values())]} body=${{ ids: [...selected.keys()] }} />`}</header>
      <ul class="rows-of">${all.map((one) => html`<li key=${one.id}>${page.may(CONTENT) && html`<input type="checkbox" class="check" aria-label=${`Select ${one.recipient ?? one.id}`} checked=${selected.has(one.id)} onChange=${select([one])} />`}
        ${linkOf(one) && page.may(CONTENT) ? html`<a class="plain" title=${one.recipient} href=${inTenant(page, linkOf(one), one)}>${nameOf(one) ?? one.id}</a>` : html`<code>${one.recipient ?? one.id}</code>`}<span class="muted grow">${[tenant.tenant === '*' && tenantName(one.tenant), one.reason !== fields.cause && failureOf(one.reason)].filter(Boolean).join(' · ')}</span><${Time} at=${one.created_at} /></li>`)}</ul>`}<//></section>`}<//>`;
}

/** The tenants with the most failures whose retries one dialog starts: each is a request. */
const MAX_TENANTS = 20;

/** A button that shows how many failures would be retried, and the side effects, and starts on request. Without `tenants`, those of all tenants. `isFirst` shows it at once. */
function Retry({ word, title, tenants, body, isPrimary = false, isFirst = false, isDisabled = false }) {
  const [isOpen, setOpen] = useState(isFirst);
  const close = () => setOpen(false);
  return html`<button type="button" class=${isPrimary ? 'primary' : null} disabled=${isDisabled} onClick=${() => setOpen(true)}>${word}</button>${isOpen && html`<${Dialog} label=${title} close=${close}>${tenants === undefined ? html`<${OfTenants} body=${body} close=${close} />` : html`<${Plan} tenants=${tenants} body=${body} close=${close} />`}<//>`}`;
}

/** The tenants whose failures match, to choose from. */
function OfTenants({ body, close }) {
  const loaded = useLoad(async (signal) => {
    const counts = new Map();
    for (const { tenant, count: amount } of (await get(withQuery('/v1/failures/causes', { ...body.filter, tenant: '*' }), signal)).causes) counts.set(tenant ?? '', (counts.get(tenant ?? '') ?? 0) + amount);
    return [...counts].sort(([, one], [, other]) => other - one);
  });
  const [left, setLeft] = useState([]);
  const choose = (tenant) => ({ currentTarget: { checked } }) => setLeft(checked ? left.filter((one) => one !== tenant) : [...left, tenant]);
  return html`<${Loaded} of=${loaded}>${(found) => {
    const all = found.slice(0, MAX_TENANTS), chosen = all.map(([tenant]) => tenant).filter((one) => !left.includes(one));
    return html`${all.length > 1 && html`<fieldset class="choices"><legend>Tenants</legend>${all.map(([tenant, amount]) => html`<label key=${tenant}><input type="checkbox" checked=${!left.includes(tenant)} onChange=${choose(tenant)} /><span>${tenantName(tenant) || 'Without a tenant'} <small>${count(amount, 'failure')}</small></span></label>`)}${found.length > all.length && html`<p class="muted">These ${MAX_TENANTS} have the most failures: retry the others afterwards.</p>`}</fieldset>`}<${Plan} key=${chosen.join()} tenants=${chosen} body=${body} close=${close} />`;
  }}<//>`;
}

/** What retries of these tenants do, as one. */
function merged(plans) {
  const effects = new Map();
  for (const effect of plans.flatMap((one) => one.effects)) {
    const { count: amount, ...kind } = effect, key = JSON.stringify(kind);
    effects.set(key, { ...kind, count: amount + (effects.get(key)?.count ?? 0) });
  }
  return { matched: plans.reduce((sum, one) => sum + one.matched, 0), exact: plans.every((one) => one.exact), effects: [...effects.values()] };
}

function Plan({ tenants: given, body, close }) {
  const [tenants, setTenants] = useState(given), [isSending, setSending] = useState(false);
  const post = (tenant, values, signal) => request('POST', withQuery('/v1/replays', { tenant }), values, signal);
  const plan = useLoad(async (signal) => merged(await Promise.all(tenants.map((tenant) => post(tenant, { ...body, dry_run: true }, signal)))), [tenants.join()]);
  const [problem, setProblem] = useState('');
  const start = async () => {
    setProblem('');
    setSending(true);
    const results = await Promise.allSettled(tenants.map((tenant) => post(tenant, body)));
    setSending(false);
    const failed = tenants.filter((_, index) => results[index].status === 'rejected');
    if (failed.length === 0) {
      close();
      go(withQuery(`${BASE}/failures`, { range: here.value.searchParams.get('range'), tenant: shownTenant() })); // shows the progress
      return refresh();
    }
    setTenants(failed); // the others have begun
    return setProblem(`${failed.length < tenants.length ? `Not started for ${failed.map((one) => one || 'those without a tenant').join(', ')}: ` : ''}${results.find(({ status }) => status === 'rejected').reason.message}`);
  };
  const { matched, exact, effects = [] } = plan.value ?? {};
  return html`${tenants.length === 1 && html`<p class="muted">${tenants[0] ? `Failures of ${tenantName(tenants[0])}.` : 'Failures without a tenant.'}</p>`}<div class="steps"><${Loaded} of=${plan}>${() => (matched === 0 ? html`<p>${tenants.length === 0 ? 'Choose a tenant.' : 'No failures match now: they were retried or deleted.'}</p>` : html`<ul class="effects">${effects.map((effect) => html`<li key=${JSON.stringify(effect)}>${sentence(effect)}</li>`)}</ul>
      ${effects.some(({ kind }) => kind === 'message') && html`<p class="muted">Messages that arrived although the attempt failed will arrive twice. Those to addresses that do not exist will fail again.</p>`}${!exact && html`<p class="muted">These are the newest failures; the others are retried too.</p>`}`)}<//></div><p class="error" role="alert">${problem}</p>
    <div class="choice">${matched > 0 && html`<button type="button" class="primary" disabled=${isSending} onClick=${start}>${exact ? wordsOf(effects, matched) : `Retry ${number(matched)} or more`}</button>`}<button type="button" onClick=${close}>Cancel</button></div>`;
}

const MESSAGES = { email: ['e-mail'], sms: ['SMS', 'SMS'], push: ['push message'], chat: ['chat message'] };
/** Kinds of effects in the words of the button. */
const MAX_KINDS = 2;

/** What the button of a retry does. */
function wordsOf(effects, matched) {
  const kinds = new Map();
  for (const { kind, channel, job, count: amount } of effects) {
    const name = kind === 'message' ? channel : kind === 'job' && job === 'webhook' ? job : kind;
    kinds.set(name, amount + (kinds.get(name) ?? 0));
  }
  if (kinds.size === 0 || kinds.size > MAX_KINDS) return `Retry ${number(matched)}`;
  const words = [...kinds].map(([name, amount]) => (MESSAGES[name] ? `send ${count(amount, ...MESSAGES[name])}` : { run: `continue ${count(amount, 'run')}`, job: `repeat ${count(amount, 'job')}`, webhook: `deliver ${count(amount, 'event')}` }[name])).join(', ');
  return words[0].toUpperCase() + words.slice(1);
}

function sentence({ kind, channel, workflow, job, count: amount }) {
  if (kind === 'run') return `Continues ${count(amount, 'run')} of ${workflow} at the step that failed`;
  if (kind === 'job') return job === 'webhook' ? `Delivers ${count(amount, 'event')} to webhooks again` : `Repeats ${count(amount, 'job')} of the kind ${job}`;
  return `Sends ${count(amount, ...MESSAGES[channel])} again`;
}

/** The recent retries, with their progress while they run. */
function Retries({ page }) {
  const found = useLoad((signal) => get(withQuery('/v1/replays', { limit: SHOWN_RETRIES, tenant: shownTenant() || '*' }), signal), [shownTenant()]);
  const all = found.value?.replays ?? [], isRunning = all.some((one) => one.state === 'running');
  useEvery(POLL_MS, () => isRunning && found.reload());
  const [wasRunning, setWasRunning] = useState(false);
  useEffect(() => {
    setWasRunning(isRunning);
    if (wasRunning && !isRunning) refresh();
  }, [isRunning]);
  if (all.length === 0) return null;
  return html`<details class="panel replays" open=${isRunning}><summary>${isRunning ? 'Retries: running' : html`Last retry: ${count(all[0].retried, 'failure')} retried <${Time} at=${all[0].ended_at ?? all[0].created_at} />`}</summary><ul>${all.map((one) => html`<li key=${one.id}><div><${State} of=${one.state} /> <b>${summary(one)}</b>${one.tenant && ` of ${tenantName(one.tenant)}`} <${Time} at=${one.created_at} /></div>
    ${one.state === 'running' && html`<progress max=${one.matched} value=${one.exact ? one.examined : undefined} aria-label=${`Progress of ${summary(one)}`}></progress>`}
    <div class="choice"><span class="muted" role=${one.state === 'running' ? 'status' : null}>${number(one.retried)} of ${number(one.matched)}${one.exact ? '' : ' or more'} retried${one.examined > one.retried && `, ${number(one.examined - one.retried)} had changed`}</span>
      ${one.state === 'running' && page.may(BUILDERS) && html`<${Confirm} label=${`Cancel retry: ${summary(one)}`} word="Cancel retry" about="What was retried stays retried." act=${() => request('DELETE', withQuery(path`/v1/replays/${one.id}`, { tenant: one.tenant ?? '' })).then(found.reload)} />`}</div></li>`)}</ul></details>`;
}

/** The filter of a retry in words. */
function summary({ filter, ids }) {
  if (filter === null) return `${count(ids, 'selected failure')}`;
  return [filter.workflow ?? filter.job ?? CHANNEL_NAMES[filter.channel] ?? filter.kind, filter.cause].filter(Boolean).join(': ') || 'All failures';
}
