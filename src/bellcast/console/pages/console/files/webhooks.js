/**
 * Webhooks: which fail, and one with its events, its secret and its deliveries.
 */
import { Choices, Field, Form, matching } from './form.js';
import { html, useState } from './html.js';
import { CodeOf } from './code.js';
import { Confirm, ask } from './dialogs.js';
import { findIn } from './filters.js';
import { count, fullTime, relativeTime } from './format.js';
import { apiPath, listUrl } from './definition.js';
import { Loaded, Together, loadStyle, refresh, useEvery, useLoad } from './load.js';
import { CancelEdit, cancel, edit, endEdit } from './new-object.js';
import { Headline, Lines, More, ShownOnce, Sign, Tags, stated } from './object-parts.js';
import { Card, Facts, Heading, Id, Moment, Opening, State, Time, once } from './parts.js';
import { BUILDERS } from './roles.js';
import { get, getTagged, path, request, sendIf, withQuery } from './server.js';
import { TenantField } from './tenant-field.js';
import { Pause, Resume, deleteObject, perform, say } from './toast.js';
import { amountOf } from './traffic.js';

await loadStyle('webhooks.css');

const KIND = { path: '/webhooks' };
const HOUR_MS = 3_600_000;
const stateOf = (one) => (!one.active ? 'paused' : one.failing_since ? 'failing' : 'active');
/** Types of events in a row of the list. */
const MAX_TYPES = 2;
/** The types of events of a webhook as tags. */
const Types = ({ of: events, ...most }) => html`<${Tags} of=${events.includes('*') ? ['every event'] : events} ...${most} />`;
/** The path of a URL, which is its name, and its host; of a URL without a path only the host. */
const namesOf = (url) => {
  const { host, pathname, search } = new URL(url);
  return [pathname + search, host].filter((one) => one !== '/');
};
/** Why a webhook fails, in a line. */
const troubleOf = (one) => one.failing_since && `${one.last_error} since ${relativeTime(one.failing_since)}`.replace(/^(.*) since (.*) ago$/, '$1 for $2');

export const webhooks = {
  path: '/v1/webhooks', rows: 'webhooks', isTall: true, filters: [findIn('webhooks')], link: (one) => path`/webhooks/${one.id}`, create: { form: NewWebhook, button: 'New webhook' },
  columns: [
    { name: 'URL', kind: 'title', lead: () => html`<${Sign} icon="webhooks" tone="grey" />`, of: (one) => namesOf(one.url)[0], text: (one) => namesOf(one.url)[1] }, { name: 'State', of: (one) => html`<${Lines} isKept of=${stated(stateOf(one))} note=${one.failing_since && html`<span class="bad">${troubleOf(one)}</span>`} />`, by: stateOf, show: (state) => state, width: '9rem' },
    { name: 'Events', of: (one) => one.events, show: (events) => html`<${Types} of=${events} max=${MAX_TYPES} few=${1} />`, width: '15rem' }, { name: 'Tenant', of: (one) => (one.tenant === '*' ? 'all tenants' : one.tenant), width: '6rem' }, { name: 'Events, 24 h', kind: 'number', of: ({ recent_events: recent }) => recent && amountOf(recent), by: ({ recent_events: recent }) => recent?.value, width: '6rem' }, { name: 'Last event', kind: 'time', of: ({ recent_events: recent }) => recent?.last_at },
  ],
  none: { text: 'No webhooks yet. A webhook tells one of your servers what happened: messages that bounced, notifications that were read.', command: 'bellcast webhook create https://app.example.com/hooks' },
};

/** The secret of a webhook, which is shown once. */
const Secret = ({ of }) => html`<${ShownOnce} what="the secret that signs its requests" secret=${of.secret} />`;

const GROUPS = { notification: 'Notifications', message: 'Messages', run: 'Workflow runs', preferences: 'Preferences' };
/** Types of events beside the name of their group. */
const EXAMPLES = 3;
const groupOf = (type) => type.split('.')[0];

/** A box for all types of events, or those of a group, which includes types that are added later. */
const All = ({ value, whole, setWhole, isPart = false, isDisabled, children }) => html`<label title="Also types that are added later"><input type="checkbox" name="events" value=${value} checked=${whole.includes(value)} indeterminate=${isPart} disabled=${isDisabled} onChange=${({ currentTarget: { checked } }) => setWhole(checked ? [...whole, value] : whole.filter((one) => one !== value))} /><span><b>${children}</b></span></label>`;

/** The types of events that the server declares, by group. What is chosen as a whole includes its types. */
function Events({ selected = [], first = selected, children }) {
  const [chosen, setChosen] = useState(first);
  const [whole, setWhole] = useState(first.filter((one) => one.endsWith('*')));
  const schema = useLoad((signal) => get('/v1/schemas/webhook', signal));
  const hasAll = whole.includes('*');
  return html`<${Loaded} of=${schema}>${({ $defs }) => {
    const hints = Object.fromEntries($defs.WebhookRequest.properties.events.items.oneOf.filter((one) => one.const).map((one) => [one.const, one.description]));
    const types = Object.keys(hints);
    const recount = ({ currentTarget }) => setChosen([...currentTarget.querySelectorAll(':checked')].map((one) => one.value));
    return html`<div class="event-groups" onChange=${recount}><fieldset class="choices"><legend>Events</legend><${All} value="*" ...${{ whole, setWhole }}>Every event<//><p class="muted">Or choose whole groups, also with types that are added later, or single types in them.</p></fieldset>${[...new Set(types.map(groupOf))].map((group) => {
      const own = types.filter((type) => groupOf(type) === group), name = GROUPS[group] ?? group, isWhole = hasAll || whole.includes(`${group}.*`), taken = own.filter((type) => chosen.includes(type)), named = !isWhole && taken.length > 0 ? taken : own;
      return html`<fieldset key=${group} class="event-group choices" aria-label=${name}><${All} value=${`${group}.*`} ...${{ whole, setWhole }} isPart=${!isWhole && taken.length > 0} isDisabled=${hasAll}>${name}<//>
        <details open=${own.some((type) => selected.includes(type))}><summary><span class="hidden">Events of ${name}: </span><small>${named.slice(0, EXAMPLES).map((type) => type.slice(group.length + 1)).join(', ')}${named.length > EXAMPLES && ', …'}</small><span>${isWhole ? 'all' : `${taken.length} of ${own.length}`}</span></summary><${Choices} label=${html`<span class="hidden">Events of ${name}</span>`} name="events" ...${{ hints, selected: first }} options=${own} isDisabled=${isWhole} /></details></fieldset>`;
    })}</div>${children?.(types.find((type) => hasAll || chosen.includes(type) || whole.includes(`${groupOf(type)}.*`)))}`;
  }}<//>`;
}

/** What an event has, by its group. */
const DATA = {
  notification: { id: '01890a5d…', recipient: 'alice' },
  message: { id: '01890a5d…', recipient: 'alice', notification: '01890a5c…', run: null, channel: 'email', to: 'alice@example.com', state: 'failed', reason: '550 No such user', provider: 'mail' },
  run: { id: '01890a5d…', trigger: '01890a5c…', recipient: 'alice', workflow: 'booking', version: 3, state: 'failed', reason: 'HTTP status 503' },
};
/** What some events have beside it. */
const MORE = { 'notification.created': { type: 'booking.created', title: 'New booking' }, 'notification.acted': { action: 'accept' } };
/** The body of the request for an event, as an example. */
const Payload = ({ of: type }) => {
  const [group, state] = type?.split('.') ?? [], data = DATA[group];
  return data && html`<details class="panel"><summary>What your URL receives for ${type}</summary><${CodeOf} what="the example" of=${{ type, timestamp: '2030-06-08T14:00:00Z', tenant: 'acme', data: { ...data, ...MORE[type], ...(data.state && { state, reason: ['failed', 'bounced'].includes(state) ? data.reason : null }) } }} /></details>`;
};
/** Events of a new webhook: what fails. */
const DEFAULT = ['message.bounced', 'message.failed', 'run.failed'];

/** The tenant that has the events, or all of them, which an operator of some tenants has no right to. */
const EVERY = { key: '*', name: 'All tenants', icon: 'tenants' };
const EventsOf = ({ page }) => html`<${TenantField} more=${page.me.tenants === null ? [EVERY] : []} hint=${page.me.tenants === null ? 'Sends the events of this tenant, or of all, also of those that are added later.' : 'Sends the events of this tenant.'} />`;

const UrlField = (attributes) => html`<${Field} label="URL" name="url" type="url" required autocomplete="off" placeholder="https://app.example.com/hooks" hint="Receives a signed POST request for each event." ...${attributes} />`;

/** The URL and the events of a form. */
function valuesOf(form) {
  const entered = new FormData(form), events = entered.getAll('events');
  if (events.length === 0) throw { errors: [], message: 'Choose at least one event.' };
  return { url: entered.get('url').trim(), events };
}

function NewWebhook({ page }) {
  const [made, setMade] = useState(null);
  if (made) return html`<${Heading} title="Webhook created" /><${Secret} of=${made} /><p><a href=${withQuery(page.url(path`/webhooks/${made.id}`), { tenant: made.tenant })}>Open the webhook</a></p>`;
  return html`<${Heading} title="New webhook" /><${Together}><${Form} isGuarded button="Create webhook" more=${cancel(page)} send=${async ({ tenant }, form) => {
    setMade(await request('POST', withQuery('/v1/webhooks', { tenant: tenant.trim() }), valuesOf(form)));
    refresh();
  }}><${UrlField} autofocus hint="Receives a signed POST request for each event. The secret that signs them is shown after “Create webhook”." />
    <${EventsOf} page=${page} /><${Events} first=${DEFAULT}>${(type) => html`<${Payload} of=${type} />`}<//><//><//>`;
}

export function Webhook({ page }) {
  const [secret, setSecret] = useState(null);
  const one = useLoad((signal) => getTagged(apiPath(page, KIND), signal), [page.path]);
  const isEdited = page.may(BUILDERS) && page.query.has('focus');
  // Changes nothing else, so that it needs no condition.
  const set = (active) => request('PATCH', apiPath(page, KIND), { active }).then(refresh);
  const saving = (tag) => async (_, form, isMine) => {
    await sendIf('PATCH', apiPath(page, KIND), valuesOf(form), matching(tag, isMine));
    refresh();
    endEdit();
    say('Saved the webhook');
  };
  return html`<${Opening} page=${page} of=${one}>${({ value, tag }) => html`<${Heading} title=${namesOf(value.url)[0]} note=${html`<small class="muted">${namesOf(value.url)[1]}</small>`}>${page.may(BUILDERS) && !isEdited && html`${!value.active && html`<${Resume} name="The webhook" set=${set} />`}<button type="button" onClick=${() => edit('url')}>Edit</button>
      <${More} of="this webhook">${value.active && html`<${Pause} name="The webhook" set=${set} />`}<${Confirm} label="Rotate secret" word="Rotate secret" about="Requests are signed with a new secret, which is shown once." act=${async () => setSecret(await request('POST', apiPath(page, KIND, '/rotate')))} />
        <${Confirm} isDanger label="Delete this webhook" word="Delete" about="The URL receives no further events, and its secret is deleted." act=${() => deleteObject(apiPath(page, KIND), 'the webhook', listUrl(page), { tag })} /><//>`}<//>
    ${secret && html`<${Secret} of=${secret} />`}
    ${isEdited ? html`<${Together}><${Form} isGuarded isEdit key=${value.url + value.events} button="Save" send=${saving(tag)} more=${html`<${CancelEdit} />`}><${UrlField} autofocus defaultValue=${value.url} /><${Events} selected=${value.events} /><//><//>` : html`
    <${Together}><${Deliveries} key=${value.id} page=${page} one=${value}><${Facts} of=${[['URL', html`<${Id} of=${value.url} />`], ['Events', html`<${Types} of=${value.events} />`], ['Tenant', value.tenant === '*' ? 'all tenants' : value.tenant], ['Created', html`<${Moment} at=${value.created_at} />`], ['Id', html`<${Id} of=${value.id} />`]]} /><//><//>`}`}<//>`;
}

/** How it is accepted, in a sentence. */
const HEADLINES = {
  failing: (one) => html`<${Headline} kind="bad" note=${html`${one.last_error}, since <${Moment} at=${one.failing_since} />. Each event is tried again up to nine times, over three days.`}>This URL does not accept events<//>`,
  paused: (one) => html`<${Headline} kind=${one.last_error ? 'bad' : 'wait'} note=${one.last_error}>${one.last_error ? 'Switched off, because it failed' : 'Paused: it receives no events'}<//>`,
  active: (one, isUsed) => html`<${Headline} kind=${isUsed ? 'ok' : 'open'}>${isUsed ? 'It accepts its events' : 'No event in the last 30 days'}<//>`,
};

/** How far back events are sent again, in hours. */
const SPANS = { 1: 'the last hour', 24: 'the last 24 hours', 168: 'the last 7 days', 720: 'the last 30 days' };

/** What is sent again is looked for in this time, and at most so long: an endpoint has 15 s, and another node stores its attempts every 5 s. */
const POLL_MS = 1000, WAIT_MS = 20_000;

/** How the URL accepts its events, the facts, and the last attempts, each event with a button that sends it again, and a way to send the events of some hours again. */
function Deliveries({ page, one, children }) {
  const [result, setResult] = useState(''), [awaited, setAwaited] = useState({ until: 0 });
  const tenant = page.query.get('tenant'), list = withQuery(page.url('/failures'), { webhook: page.key, tenant });
  const found = useLoad((signal) => Promise.all([get(apiPath(page, KIND, '/attempts'), signal), get(withQuery('/v1/failures', { webhook: page.key, tenant, limit: 1 }), signal)]), [page.path]);
  const newest = (id) => found.value?.[0].attempts.find(({ event }) => event === id)?.at;
  // Of a replay, which has many events, none is the last one.
  const resent = (event = null) => setAwaited({ event, since: newest(event), until: Date.now() + WAIT_MS });
  useEvery(POLL_MS, () => {
    if (Date.now() < awaited.until && !found.isLoading && newest(awaited.event) === awaited.since) found.reload();
  });
  return html`<${Loaded} of=${found}>${([{ attempts }, { total }]) => html`${HEADLINES[stateOf(one)](one, attempts.length > 0)}${children}<${Card} title="Last deliveries">${attempts.length > 0 ? html`<ul class="rows-of deliveries">${[...new Set(attempts.map(({ event }) => event))].map((event) => html`<${Delivery} key=${event} page=${page} of=${attempts.filter((attempt) => attempt.event === event)} isActive=${one.active} resent=${resent} />`)}</ul>` : html`<p class="muted">What is sent to the URL appears here.</p>`}
    ${total.value > 0 && html`<p><a href=${list}>${amountOf(total)} ${total.value === 1 ? 'event was' : 'events were'} given up</a></p>`}
    ${page.may(BUILDERS) && html`<${Form} isInline isSecondary button="Replay…" send=${async ({ hours }) => {
    const since = new Date(Date.now() - hours * HOUR_MS).toISOString(), replay = (query) => request('POST', withQuery(path`/v1/webhooks/${page.key}/replay`, { tenant, ...query }), { since });
    const { replayed: events } = await replay({ dry_run: true });
    setResult(events === 0 ? `There is no event of ${SPANS[hours]}.` : '');
    if (events > 0) ask({ label: `Replay ${count(events, 'event')}`, word: 'Replay', about: 'They keep their ids, so that a receiver can ignore those that it has.', act: async () => {
      const { replayed } = await replay({});
      setResult(`${count(replayed, 'event is', 'events are')} sent again.`);
      resent();
    } });
  }}><${Field} label="Events of" name="hours" options=${Object.keys(SPANS)} words=${SPANS} defaultValue="24" /><//><p role="status">${result}</p>`}<//>`}<//>`;
}

const Response = ({ of: one }) => html`<${State} of=${one.status ?? 'failed'} kind=${one.error ? 'bad' : 'ok'} />`;
const Took = ({ of: { ms } }) => html`<small class="muted">${ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`}</small>`;

/** An event: how the webhook responded to its last attempt, and when it is tried again; the earlier attempts are folded. */
function Delivery({ page, of: [one, ...earlier], isActive, resent }) {
  const isWaiting = Date.parse(one.next_at) > Date.now();
  const resend = async () => {
    await request('POST', apiPath(page, KIND, '/resend'), { event: one.event });
    resent(one.event);
  };
  const more = [!one.status && one.error, one.number > 1 && `Attempt ${one.number}`, isWaiting && `Next attempt ${relativeTime(one.next_at)}`].filter(Boolean).join(' · ');
  return html`<li><${Response} of=${one} /><code>${one.type}</code><${Took} of=${one} /><${Time} at=${one.at} />
    ${isActive && page.may(BUILDERS) && html`<button type="button" class="quiet" aria-label=${`Resend ${one.type} of ${fullTime(one.at)}`} onClick=${once(() => perform(resend, `${one.type} is sent again.`))}>Resend</button>`}
    ${earlier.length > 0 ? html`<details class="reason"><summary>${more || count(earlier.length, 'earlier attempt')}</summary><ul class="rows-of">${earlier.map((attempt) => html`<li key=${attempt.at + attempt.number}><${Response} of=${attempt} /><small class="muted">Attempt ${attempt.number}</small><${Took} of=${attempt} /><${Time} at=${attempt.at} /></li>`)}</ul></details>` : more && html`<small class="reason muted">${more}</small>`}</li>`;
}
