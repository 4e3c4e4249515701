/**
 * Types of notifications: their names, channels, and what recipients may turn off.
 */
import { html } from './html.js';
import { DataSchema } from './data-schema.js';
import { Definition, Uses } from './definition.js';
import { Edit, newLink } from './edit.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { path } from './server.js';
import { Channels } from './templates.js';

const KIND = {
  name: 'type', path: '/types', starter: { channels: ['inbox', 'email'] }, key: 'booking.created', form: ['name', 'channels', 'template'],
  fields: [['name', 'What recipients see in their preferences, such as “New bookings”.'], ['channels', 'inbox, email, sms, push, chat'], ['template', 'The texts of its notifications, by channel and language.'], ['required', 'true, or the channels that recipients cannot turn off.'], ['defaults', 'Channels that are on or off before a recipient chooses.'], ['data', 'A JSON Schema for the data of sends.'], ['data_check', 'refuse or warn: what wrong data does.']],
  note: 'Sends of the type use its channels and template, unless they name their own. Recipients see its name in their preferences.',
};

const channelsOf = ({ channels }) => (channels?.length > 0 ? channels.map((one) => one.channel ?? one) : '');

const requiredOf = ({ required }) => (Array.isArray(required) ? required.map((channel) => CHANNEL_NAMES[channel]).join(', ') : required ? 'all channels' : '');

export const types = {
  path: '/v1/types', rows: 'types', link: (one) => path`/types/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: [
    { name: 'Type', kind: 'title', of: (one) => one.name ?? one.key }, { name: 'Key', kind: 'type', of: (one) => one.key, width: '10rem' }, { name: 'Channels', of: channelsOf, show: (channels) => html`<${Channels} of=${channels} />`, width: '10rem' },
    { name: 'Required', isLabeled: true, of: requiredOf, width: '8rem' }, { name: 'Template', of: (one) => one.template }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
  ],
  none: { text: 'No type is described. Each send has a type; a description gives it a name, channels and a template, and says what recipients may turn off.', command: 'bellcast type put booking.yaml', tools: (page) => newLink(page, KIND) },
};

export const EditType = ({ page }) => html`<${Edit} page=${page} kind=${KIND} />`;

export const NotificationType = ({ page }) => html`<${Definition} page=${page} kind=${KIND} facts=${(one) => [['Channels', channelsOf(one) ? html`<${Channels} of=${channelsOf(one)} />` : one.channels ? 'none' : 'those of the send'], ['Required', requiredOf(one) || 'recipients may turn it off'],
  ['Template', one.template && html`<a href=${page.url(path`/templates/${one.template}`)}>${one.template}</a>`], ['Used by', one.uses.length > 0 ? html`<${Uses} page=${page} of=${one} />` : 'nothing']]}>${(one, tag) => html`<${DataSchema} key=${tag} page=${page} kind=${KIND} one=${one} tag=${tag} /><nav class="links" aria-label="Of this type"><a href=${`${page.url('/notifications')}?${new URLSearchParams({ type: one.key })}`}>Notifications of this type</a></nav>`}<//>`;
