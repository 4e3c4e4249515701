/**
 * Event sources: events of topics that send notifications or trigger workflows.
 */
import { html } from './html.js';
import { Definition } from './definition.js';
import { Edit, newLink } from './edit.js';
import { State } from './parts.js';
import { path } from './server.js';
import { teaser } from './templates.js';

const KIND = {
  name: 'source', path: '/sources', starter: { event: '', notification: { to: '{{ event.data.customer }}', title: '' } }, key: 'order-paid', form: ['event', 'topic', 'if'],
  fields: [['event', 'The name of the event, such as order.paid.'], ['topic', 'Only of this topic, such as order-{id}. Empty: of every topic.'], ['if', 'Which data of the event must have.'], ['notification', 'What is sent: to, title, body, type …'], ['workflow', 'Or the workflow that is triggered.'], ['to', 'The recipient of the workflow.'], ['data', 'The data of the workflow.']],
  note: 'Each published event with this name sends the notification or triggers the workflow.',
};

const effectOf = (one) => (one.workflow ? `workflow ${one.workflow}` : teaser(one.notification?.title));
const stateOf = (one) => (one.last_error ? 'failed' : 'active');

export const sources = {
  path: '/v1/sources', rows: 'sources', link: (one) => path`/sources/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: [
    { name: 'State', kind: 'state', of: stateOf }, { name: 'Source', kind: 'title', of: (one) => one.key, text: (one) => one.last_error ?? effectOf(one) },
    { name: 'Event', kind: 'type', of: (one) => one.event, width: '10rem' }, { name: 'Topic', of: (one) => one.topic ?? 'any', width: '9rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '6rem' },
  ],
  none: { text: 'No event source exists. A source turns an event that your app already publishes into a notification or a workflow.', command: 'bellcast source put order-paid.yaml', tools: (page) => newLink(page, KIND) },
};

export const EditSource = ({ page }) => html`<${Edit} page=${page} kind=${KIND} />`;

export const Source = ({ page }) => html`<${Definition} page=${page} kind=${KIND} facts=${(one) => [['State', html`<${State} of=${stateOf(one)} />`], ['Error', one.last_error], ['Event', html`<code>${one.event}</code>`], ['Topic', one.topic ?? 'any'], ['Sends', effectOf(one)]]} />`;
