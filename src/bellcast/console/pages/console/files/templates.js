/**
 * The list of templates.
 */
import { Uses } from './definition.js';
import { newLink } from './edit.js';
import { searchOf } from './filters.js';
import { toneOf } from './format.js';
import { html } from './html.js';
import { Sign, VERSION, teaser } from './object-parts.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Icon } from './parts.js';
import { CONTENT } from './roles.js';
import { path } from './server.js';
import { languageName } from './template-model.js';
import { Picture } from './template-picture.js';
import { typeOf } from './workflow-model.js';

const PARTS = ['inbox', 'email', 'sms', 'push', 'chat'];

/** The channels as icons, as the list of workflows shows steps. */
export const Channels = ({ of: parts }) => html`<span class="chain" role="img" aria-label=${parts.map((part) => CHANNEL_NAMES[part]).join(', ')}>${parts.map((part) => html`<span key=${part} class=${`avatar tone-${typeOf({ type: part }).tone}`} title=${CHANNEL_NAMES[part]}><${Icon} name=${typeOf({ type: part }).icon} /></span>`)}</span>`;

/** A tenant's own template is below the one that it replaces. */
const byKey = (one, other) => one.key.localeCompare(other.key) || (one.tenant ?? '').localeCompare(other.tenant ?? '');

const KIND = { name: 'template', path: '/templates' };

export const templates = {
  path: '/v1/templates', rows: 'templates', fixed: { drafts: 'true' }, isTall: true, filters: [searchOf('templates')], order: byKey, link: (one) => path`/templates/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Template', kind: 'title', lead: (one) => (PARTS.some((part) => one[part]) ? html`<${Picture} of=${one} tone=${toneOf(one.key)} />` : html`<${Sign} icon="templates" tone=${toneOf(one.key)} />`), of: (one) => one.key, text: (one) => teaser(one.inbox?.title ?? one.email?.subject) }, { name: 'Channels', of: (one) => PARTS.some((part) => one[part]) && one, show: (one) => html`<${Channels} of=${PARTS.filter((part) => one[part])} />`, width: '7.25rem' },
    page.may(CONTENT) && { name: 'Translations', of: ({ translations = {} }) => Object.keys(translations).map(languageName).join(', '), show: (names) => html`<span class="value" title=${names}>${names}</span>`, width: '6.5rem' }, page.may(CONTENT) && { name: 'Used by', of: (one) => one.uses.length > 0 && html`<${Uses} page=${page} of=${one} isNamed />`, none: 'API only', width: '8rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all tenants', width: '6rem' }, VERSION, { name: 'Updated', kind: 'time', of: (one) => one.updated_at },
  ],
  none: { text: 'No templates yet. A template has the texts of a notification, by channel and language.', command: 'bellcast template put booking.yaml', tools: (page) => newLink(page, KIND) },
};
