/**
 * Event sources: events of topics that send notifications or trigger workflows.
 */
import { html, useState } from './html.js';
import { Definition } from './definition.js';
import { Edit, newLink } from './edit.js';
import { parsed, toneOf } from './format.js';
import { Headline, Lines, Sign, To, teaser } from './object-parts.js';
import { Card, Field, Form, Type } from './parts.js';
import { BUILDERS } from './roles.js';
import { shownTenant } from './router.js';
import { sampleOf } from './sample-data.js';
import { path, request, withQuery } from './server.js';

const KIND = {
  name: 'source', path: '/sources', starter: { event: '', notification: { to: '{{ event.data.customer }}', title: '' } }, key: 'order-paid', form: ['event', 'topic', 'if'],
  fields: [['event', 'The name of the event, such as order.paid.'], ['topic', 'Only of this topic, such as order-{id}. Empty: of every topic.'], ['if', 'Which data of the event must have.'], ['notification', 'What is sent: to, title, body, type …'], ['workflow', 'Or the workflow that is triggered.'], ['to', 'The recipient of the workflow.'], ['data', 'The data of the workflow.']],
  note: 'Each published event with this name sends the notification or triggers the workflow.',
};

/** Rows of the data of a test. */
const MAX_ROWS = 12;

/** What it sends, as a text with its variables. */
const effectOf = (one) => (one.workflow ? `workflow ${one.workflow}` : teaser(one.notification?.title));
const recipientOf = (one) => (one.workflow ? one.to : one.notification?.to);
/** The variables of a topic such as `account.{id}` are tags. */
const topicOf = (topic) => teaser(topic.replace(/\{(\w+)\}/g, '{{ $1 }}'));

export const sources = {
  path: '/v1/sources', rows: 'sources', isTall: true, link: (one) => path`/sources/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: [
    { name: 'Source', kind: 'title', lead: (one) => html`<${Sign} icon=${one.workflow ? 'workflows' : 'sources'} tone=${toneOf(one.event)} />`, of: (one) => one.key, text: (one) => (one.last_error ? html`<span class="bad">${one.last_error}</span>` : html`<${Type} of=${one.event} /> ${one.topic ? html`on ${topicOf(one.topic)}` : 'on any topic'}`) },
    { name: 'Sends', of: (one) => html`<${Lines} of=${effectOf(one)} note=${one.workflow ? 'starts a run' : one.notification?.type} />`, show: (effect) => effect, width: 'minmax(10rem, 1fr)' },
    { name: 'To', of: (one) => recipientOf(one) && html`<${To} of=${recipientOf(one)} />`, show: (to) => to, width: '9rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
  ],
  none: { text: 'No event source exists. A source turns an event that your app already publishes into a notification or a workflow.', command: 'bellcast source put order-paid.yaml', tools: (page) => newLink(page, KIND) },
};

export const EditSource = ({ page }) => html`<${Edit} page=${page} kind=${KIND} />`;

export const Source = ({ page }) => html`<${Definition} page=${page} kind=${KIND} headline=${(one) => (one.last_error ? html`<${Headline} kind="bad" note=${one.last_error}>The last event could not be used<//>` : html`<${Headline} kind="ok" note=${html`To ${recipientOf(one) && html`<${To} of=${recipientOf(one)} />`}`}>Each <${Type} of=${one.event} /> ${one.topic && html`on ${topicOf(one.topic)}`} ${one.workflow ? 'starts' : 'sends'} ${one.workflow ? effectOf(one) : html`“${effectOf(one)}”`}<//>`)}
  facts=${(one) => [['Event', html`<code>${one.event}</code>`], ['Topic', html`<code>${one.topic ?? 'any'}</code>`], ['Only if', one.if && 'its condition is true'], ['Type', one.notification?.type && html`<${Type} of=${one.notification.type} />`], ['Workflow', one.workflow && html`<a href=${page.url(path`/workflows/${one.workflow}`)}>${one.workflow}</a>`]]}>${(one) => html`<${Try} key=${one.key} page=${page} one=${one} />`}<//>`;

/** An example of the data that a source reads from its events. */
const exampleOf = (one) => sampleOf(JSON.parse(JSON.stringify(one).replaceAll('event.data.', 'data.')));

/** Publishes an event as an app would: it reaches connected clients, and sends what the source sends. */
function Try({ page, one }) {
  const [result, setResult] = useState('');
  if (!page.may(BUILDERS)) return null;
  const example = JSON.stringify(exampleOf(one), null, 2);
  return html`<${Card} title="Publish a test event"><p class="muted">As your app would: clients on the topic receive the event, and the source sends.</p><${Form} button="Publish event" send=${async ({ topic, tenant, data }) => {
    await request('POST', '/v1/events', { topic: topic.trim(), name: one.event, data: parsed(data), ...(tenant?.trim() && { tenant: tenant.trim() }) });
    setResult(topic.trim());
  }}><div class="columns"><${Field} label="Topic" name="topic" required defaultValue=${one.topic?.includes('{') === false ? one.topic : ''} placeholder=${one.topic ?? 'orders'} autocomplete="off" spellcheck=${false} />${!one.tenant && html`<${Field} label="Tenant" name="tenant" defaultValue=${shownTenant()} placeholder="none" autocomplete="off" />`}</div>
    <${Field} isLong label="Data as JSON" name="data" rows=${Math.min(MAX_ROWS, example.split('\n').length)} defaultValue=${example} /><//><p role="status">${result && html`Published to ${result}. <a href=${withQuery(page.url('/live'), { text: one.event })}>Follow it live</a>`}</p><//>`;
}
