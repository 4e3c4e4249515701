/**
 * Event sources: events of topics or recipients that send notifications or trigger workflows.
 */
import { BellRow } from './bell-row.js';
import { Field, Form } from './form.js';
import { html, useState } from './html.js';
import { Definition } from './definition.js';
import { Edit, newLink } from './edit.js';
import { searchOf } from './filters.js';
import { parsed, toneOf } from './format.js';
import { requestSamples } from './code-samples.js';
import { Sample } from './code.js';
import { refresh } from './load.js';
import { Headline, Lines, Sign, To, stated, teaser } from './object-parts.js';
import { Card, Time, Type } from './parts.js';
import { BUILDERS, CONTENT } from './roles.js';
import { PickerField } from './picker.js';
import { sampleOf } from './sample-data.js';
import { ROOT, path, request, withQuery } from './server.js';
import { TenantField, firstTenant } from './tenant-field.js';
import { amountOf, useRecent, useRow } from './traffic.js';
import { LastSends } from './types.js';

const KIND = {
  name: 'source', path: '/sources', starter: { event: '', notification: { to: { var: 'event.recipient' }, title: '' } }, key: 'order-paid', form: ['event', 'topic', 'if'], parts: { Event: ['event', 'topic'], Condition: ['if'] }, nameOf: (one) => one.event,
  fields: [['event', 'The name of the event, such as order.paid.'], ['topic', 'Such as order-{id}. Without one: events to a recipient, not those on a topic.'], ['if', 'Without one, each such event sends.'], ['notification', 'The notification to send: to, title, body, type and more.'], ['workflow', 'The workflow to trigger instead.'], ['to', 'The recipient of the workflow.'], ['data', 'The data of the workflow.']],
  note: 'Each published event with this name sends the notification or triggers the workflow.',
};

/** Rows of the data of a test. */
const MAX_ROWS = 12;
/** Events that are shown. */
const MAX_EVENTS = 8;
/** How often and after which time a test looks for what was made. */
const LOOKS = 10, PAUSE_MS = 300;

/** What it sends, as a text with its variables. */
const effectOf = (one) => (one.workflow ? `workflow ${one.workflow}` : teaser(one.notification?.title));
const recipientOf = (one) => (one.workflow ? one.to : one.notification?.to);
/** The variables of a topic such as `account.{id}` are tags. */
const topicOf = (topic) => teaser(topic.replace(/\{(\w+)\}/g, '{{ $1 }}'));
/** What its events are published to. Without a topic, no event of a topic matches. */
const placeOf = ({ topic }) => (topic ? html`on ${topicOf(topic)}` : 'to a recipient');
/** Whether it could use its last event. */
const stateOf = ({ last_error_at: failed, recent_events: recent }) => (failed && !(Date.parse(recent?.last_at) > Date.parse(failed)) ? 'failing' : 'active');
/** The recipient; one that the event names in words, because it is none yet. */
function Receiver({ of }) {
  const [, name] = /^\{\{\s*(?:topic|event)\.([\w.]+)\s*\}\}$/.exec(of.var ? `{{ ${of.var} }}` : of) ?? [];
  return name ? `its ${name.split('.').pop()}` : html`<${To} of=${of} />`;
}

export const sources = {
  path: '/v1/sources', rows: 'sources', isTall: true, filters: [searchOf('event sources')], link: (one) => path`/sources/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: [
    { name: 'Source', kind: 'title', lead: (one) => html`<${Sign} icon=${one.workflow ? 'workflows' : 'sources'} tone=${toneOf(one.event)} />`, of: (one) => one.key, text: (one) => html`<${Type} of=${one.event} /> ${one.topic ? topicOf(one.topic) : placeOf(one)}`, isWrapped: (one) => Boolean(one.topic), width: 'minmax(10rem, 1.5fr)' }, { name: 'State', of: stateOf, show: stated, width: '6rem' },
    { name: 'Sends', of: (one) => html`<${Lines} isKept of=${effectOf(one)} note=${recipientOf(one) && html`to <${Receiver} of=${recipientOf(one)} />`} />`, show: (effect) => effect, width: 'minmax(10rem, 1fr)' }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    { name: 'Events, 24 h', kind: 'number', of: ({ recent_events: recent }) => recent && amountOf(recent), share: ({ recent_events: recent }) => recent?.value ?? 0, width: '9.5rem' }, { name: 'Last event', kind: 'time', of: ({ recent_events: recent }) => recent?.last_at },
  ],
  note: 'A source sends when your app publishes its event. Open one to try it.',
  none: { text: 'No event sources yet. A source turns an event that your app already publishes into a notification or a workflow.', command: 'bellcast source put order-paid.yaml', tools: (page) => newLink(page, KIND) },
};

export const EditSource = ({ page }) => html`<${Edit} page=${page} kind=${KIND} />`;

/** How many events it had in a day, and what it makes of each. The lines keep their places while the number is read. */
function Use({ of: one, setUsed }) {
  const row = useRow('sources', one, 'recent_events', setUsed), recent = row?.recent_events, what = html`Each <${Type} of=${one.event} /> ${placeOf(one)} ${one.workflow ? html`starts ${effectOf(one)}` : 'sends this'}${recipientOf(one) && html` to <${Receiver} of=${recipientOf(one)} />`}.`;
  if (stateOf({ ...one, recent_events: recent }) === 'failing') return html`<${Headline} kind="bad" note=${html`${one.last_error} <${Time} at=${one.last_error_at} />. ${what}`}>The last event could not be used<//>`;
  return html`<${Headline} kind=${recent?.value > 0 ? 'ok' : 'open'} note=${what}>${recent?.value === 0 ? html`No event in 24 hours${recent.last_at && html`, last <${Time} at=${recent.last_at} />`}` : row && !recent ? 'Active' : html`${recent ? amountOf(recent) : '…'} ${recent?.value === 1 ? 'event' : 'events'} in 24 hours${recent && html`, last <${Time} at=${recent.last_at} />`}`}<//>`;
}

export function Source({ page }) {
  const [isUsed, setUsed] = useState(null);
  return html`<${Definition} page=${page} kind=${KIND} headline=${(one) => html`<${Use} key=${one.key} of=${one} setUsed=${setUsed} />`}
  loss=${(one) => html`Events <code>${one.event}</code> no longer send anything by it.`} last=${(one, yaml) => isUsed !== null && html`<${Sent} key=${one.key} page=${page} of=${one} isUsed=${isUsed}>${yaml}<${Events} key=${one.event} page=${page} one=${one} /><//>`} facts=${(one) => [['Only if', one.if && 'its condition is true'], ['Workflow', one.workflow && html`<a href=${page.url(path`/workflows/${one.workflow}`)}>${one.workflow}</a>`]]}>${(one) => html`${one.notification && html`<${Card} title="As the recipient sees it"><${BellRow} of=${one.notification} /><//>`}<${FromApp} of=${one} /><${Try} key=${one.key} page=${page} one=${one} />`}<//>`;
}

/** How an app publishes the event of a source. */
function FromApp({ of: one }) {
  const address = one.topic ? { topic: one.topic.replace(/\{\w+\}/g, '4711') } : { recipient: 'alice' };
  const body = JSON.stringify({ ...address, name: one.event, data: exampleOf(one) });
  return html`<${Card} title="From your app"><${Sample} label="From your app" what="the request" text=${requestSamples({ method: 'POST', url: `${location.origin}${ROOT}${withQuery('/v1/events', { tenant: one.tenant })}`, headers: {}, variable: 'BELLCAST_SECRET', type: 'application/json', body }).curl} /><//>`;
}

/** The last sends of the type of a source, unless its event chooses the tenant, the list of what it sends, and what comes after them. */
function Sent({ page, of: one, isUsed, children }) {
  const type = typeOf(one), tenant = one.notification?.tenant ?? one.tenant;
  return html`<${LastSends} title="Last of this type" page=${page} of=${{ key: type, tenant }} isSent=${isUsed && Boolean(type) && !isChosen(tenant) && page.may(CONTENT)}><${ListOfSent} page=${page} of=${one} />${children}<//>`;
}

/** Whether the event chooses a value: it is a template. */
const isChosen = (value) => /\{[{%]/.test(value ?? '');
/** The type that a source sends, unless its event chooses it. */
const typeOf = ({ notification }) => notification?.type && !isChosen(notification.type) && notification.type;

/** Where what a source sends is listed, unless its event chooses the type. */
function ListOfSent({ page, of: { workflow, notification, tenant } }) {
  const [target, words] = workflow ? [withQuery('/runs', { workflow, tenant }), 'Runs of this workflow'] : [typeOf({ notification }) && withQuery('/notifications', { type: notification.type, tenant }), 'Notifications of this type'];
  return target && html`<nav class="links" aria-label="Of this source"><a href=${page.url(target)}>${words}</a></nav>`;
}

/** The last events with the name of a source, as far as a server has them in memory. They come last, so that nothing moves when they arrive. */
function Events({ page, one }) {
  const events = useRecent({ kind: 'publish', tenant: one.tenant ?? '*' }, (_, { detail }) => detail?.name === one.event, page.may(CONTENT), MAX_EVENTS);
  return events.length > 0 && html`<${Card} title="Last events"><ul class="rows-of">${events.map((event) => html`<li key=${event.detail.id}><code class="grow">${event.topic ?? event.recipient}</code><${Time} at=${event.at} /></li>`)}</ul><//>`;
}

/** An example of the data that a source reads from its events. */
const exampleOf = (one) => sampleOf(JSON.parse(JSON.stringify(one).replaceAll('event.data.', 'data.')));

/** The values of the placeholders in a topic such as `account.{id}`. */
const placeholdersOf = (pattern, topic) => new RegExp(`^${pattern.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{([a-z_][a-z0-9_]*)\}/g, '(?<$1>.+)')}$`).exec(topic)?.groups;

/** The recipient that an event sends to; null if there are several or none is known. */
function recipientIn(one, event) {
  const to = [recipientOf(one)].flat(), values = { event, topic: placeholdersOf(one.topic ?? '', event.topic ?? '') };
  const found = to.length === 1 && String(to[0].var ? `{{ ${to[0].var} }}` : to[0]).replace(/\{\{\s*([\w.]+)\s*\}\}/g, (text, name) => name.split('.').reduce((value, key) => value?.[key], values) ?? text);
  return found && !/\{\{|\[object/.test(found) ? found : null;
}

/** The newest run or notification of a recipient. */
async function newestOf(one, recipient, tenant) {
  const [rows, query] = one.workflow ? ['runs', { workflow: one.workflow }] : ['notifications', {}];
  const [newest] = (await request('GET', withQuery(`/v1/${rows}`, { ...query, recipient, tenant, limit: 1 })))[rows];
  return newest && { id: newest.id, href: withQuery(path`/${rows}/${newest.id}`, { tenant }), words: one.workflow ? `a run of ${one.workflow}` : `“${newest.title}”` };
}

/** Publish an event in a tenant, and return what the source made of it; undefined if that is nothing, or not known. */
async function tried(one, event, of) {
  const recipient = recipientIn(one, event), tenant = of || one.notification?.tenant;
  const before = recipient && await newestOf(one, recipient, tenant);
  await request('POST', withQuery('/v1/events', { tenant: of }), event);
  for (let look = 0; recipient && look < LOOKS; look++) {
    const newest = await newestOf(one, recipient, tenant);
    if (newest?.id !== before?.id) return { ...newest, recipient };
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
  return recipient ? undefined : {};
}

/** What became of a test: the notification or run that was made. */
const Made = ({ page, made }) => (made?.id ? html`The source made <a href=${page.url(made.href)}>${made.words}</a> for ${made.recipient}.` : made ? '' : 'The source has made nothing yet: its topic or its condition may not fit the event.');

/** Publishes an event as an app would: it reaches connected clients, and sends what the source sends. */
function Try({ page, one }) {
  const [result, setResult] = useState(null);
  const [tenant, setTenant] = useState(firstTenant()), of = one.tenant || tenant;
  if (!page.may(BUILDERS)) return null;
  const example = JSON.stringify(exampleOf(one), null, 2), place = one.topic ? 'topic' : 'recipient';
  return html`<details class="panel"><summary>Publish a test event</summary><p class="muted">As your app would: clients ${one.topic ? 'on the topic' : 'of the recipient'} receive the event, and the source sends.</p><${Form} button="Publish event" send=${async ({ data, ...entries }) => {
    setResult(null);
    const address = entries[place].trim();
    setResult({ address, made: await tried(one, { [place]: address, name: one.event, data: parsed(data) }, of) });
    refresh(); // it has one event more
  }}><div class="columns">${one.topic ? html`<${Field} label="Topic" name="topic" required defaultValue=${one.topic.includes('{') ? '' : one.topic} hint=${one.topic.includes('{') && html`Such as <code>${one.topic.replace(/\{\w+\}/g, '4711')}</code>.`} autocomplete="off" spellcheck=${false} />` : html`<${PickerField} key=${of} kind="recipient" label="Recipient" name="recipient" required tenant=${of} />`}${!one.tenant && html`<${TenantField} onChoose=${([key = '']) => setTenant(key)} />`}</div>
    <${Field} isLong label="Data as JSON" name="data" rows=${Math.min(MAX_ROWS, example.split('\n').length)} defaultValue=${example} /><//><p role="status">${result && html`Published to ${result.address}. <${Made} page=${page} made=${result.made} /> <a href=${withQuery(page.url('/live'), { text: one.event })}>Follow it live</a>`}</p></details>`;
}
