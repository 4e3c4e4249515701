/**
 * The list of templates.
 */
import { Uses } from './definition.js';
import { newLink } from './edit.js';
import { html } from './html.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Icon, Tag } from './parts.js';
import { CONTENT } from './roles.js';
import { path } from './server.js';
import { typeOf } from './workflow-model.js';

const PARTS = ['inbox', 'email', 'sms', 'push', 'chat'];

/** The channels as icons, as the list of workflows shows steps. */
export const Channels = ({ of: parts }) => html`<span class="chain" role="img" aria-label=${parts.map((part) => CHANNEL_NAMES[part]).join(', ')}>${parts.map((part) => html`<span key=${part} class=${`avatar tone-${typeOf({ type: part }).tone}`} title=${CHANNEL_NAMES[part]}><${Icon} name=${typeOf({ type: part }).icon} /></span>`)}</span>`;

/** A text with its variables by their last names: `Tomorrow: {{ data.customer }}` has the tag “customer”. */
export const teaser = (text) => text?.split(/\{\{-?\s*(.*?)\s*-?\}\}|\{%.*?%\}/s).map((part, index) => (index % 2 === 0 ? part : part && html`<${Tag}>${part.split('|')[0].trim().split('.').pop()}<//>`));

const KIND = { name: 'template', path: '/templates' };

export const templates = {
  path: '/v1/templates', rows: 'templates', fixed: { drafts: 'true' }, link: (one) => path`/templates/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Template', kind: 'title', of: (one) => one.key, text: (one) => teaser(one.inbox?.title ?? one.email?.subject) }, { name: 'Channels', of: (one) => PARTS.some((part) => one[part]) && one, show: (one) => html`<${Channels} of=${PARTS.filter((part) => one[part])} />`, width: '8.5rem' },
    page.may(CONTENT) && { name: 'Languages', of: (one) => ['default', ...Object.keys(one.translations ?? {})].join(', '), width: '7rem' }, page.may(CONTENT) && { name: 'Used by', of: (one) => (one.uses.length > 0 ? html`<${Uses} page=${page} of=${one} isNamed />` : html`<span class="muted">sends that name it</span>`), width: '11rem' }, { name: 'Version', kind: 'number', of: (one) => (one.version === 0 ? 'draft' : `v${one.version}${one.draft ? ' + draft' : ''}`), width: '6rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '6rem' },
  ],
  none: { text: 'No template is stored. A template has the texts of a notification, by channel and language.', command: 'bellcast template put booking.json', tools: (page) => newLink(page, KIND) },
};
