/**
 * What recipients see of a type, a schedule or an event source, beside the form that defines it.
 */
import { BellRow } from './bell-row.js';
import { Code } from './code.js';
import { NextTimes } from './cron-times.js';
import { html } from './html.js';
import { To, isRequired } from './object-parts.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Icon } from './parts.js';

/** Titles that are shown until one is written. */
const EXAMPLES = { source: 'Your order is paid', schedule: 'Your weekly report', type: 'New bookings' };

/** The notification, or the workflow that sends its own. */
function Sent({ of: { notification, workflow, to }, example }) {
  const recipient = notification?.to ?? to;
  if (!notification) return html`<p>${workflow ? html`Starts the workflow <b>${workflow}</b>` : 'Starts a workflow'}${recipient && html` for <${To} of=${recipient} />`}.</p>`;
  return html`<p>To ${recipient ? html`<${To} of=${recipient} />` : html`<span class="muted">Alice Andersen</span>`}</p><${BellRow} of=${notification} example=${example} />`;
}

/** The row of a type in the preferences of recipients. */
function Preference({ of, example }) {
  const { name, channels = [] } = of;
  const shown = Object.keys(CHANNEL_NAMES).filter((channel) => isRequired(of, channel) || channels.some((one) => (one.channel ?? one) === channel));
  return html`<div class="preference"><p>${name || html`<span class="muted">${example}</span>`}</p><ul>${shown.map((channel) => html`<li key=${channel}>${CHANNEL_NAMES[channel]}${isRequired(of, channel) ? html`<span class="muted"><${Icon} name="lock" /> always</span>` : html`<span class="ok"><${Icon} name="ok" /> on</span>`}</li>`)}</ul></div>
    ${shown.length === 0 && html`<p class="muted">Each send names its channels.</p>`}`;
}

/** The names of the event's data in the texts of a source, each with a value. */
const dataIn = (values) => Object.fromEntries([...JSON.stringify(values).matchAll(/event\.data\.(\w+)/g)].map(([, name]) => [name, name === 'customer' ? 'alice' : '…']));

/** What the event of an example is sent to: a topic or, for a source without one, a recipient. */
const addressOf = ({ topic }) => (topic ? { topic: topic.replace(/\{(\w+)\}/g, '42') } : { recipient: 'alice' });

/** The event that an app publishes for it. */
const Published = ({ of: values }) => html`<p>Your app publishes</p><${Code} label="The event" text=${`POST /v1/events\n${JSON.stringify({ ...addressOf(values), name: values.event || 'order.paid', data: dataIn(values) }, null, 2)}`} />`;

/** When a schedule sends next. */
const Times = ({ of: { cron, timezone = 'UTC' } }) => cron && html`<p><${NextTimes} cron=${cron} zone=${timezone} /></p>`;

const PARTS = { type: ['In the preferences of recipients', Preference], schedule: ['What it sends', Sent, Times], source: ['From the event to the notification', Published, Sent] };

/** @param {{kind: {name: string}, values: any}} of */
export function DefinitionPreview({ kind, values }) {
  const [title, ...parts] = PARTS[kind.name];
  return html`<aside class="definition-preview" aria-label="Preview"><h2>${title}</h2>${parts.map((Part, index) => html`<${Part} key=${index} of=${values} example=${EXAMPLES[kind.name]} />`)}</aside>`;
}
