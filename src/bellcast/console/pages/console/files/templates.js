/**
 * The list of templates.
 */
import { Uses } from './definition.js';
import { newLink } from './edit.js';
import { html } from './html.js';
import { CONTENT } from './roles.js';
import { path } from './server.js';

const PARTS = ['inbox', 'email', 'sms', 'push', 'chat'];

const KIND = { name: 'template', path: '/templates' };

export const templates = {
  path: '/v1/templates', rows: 'templates', fixed: { drafts: 'true' }, link: (one) => path`/templates/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Template', kind: 'title', of: (one) => one.key, text: (one) => one.inbox?.title ?? one.email?.subject }, { name: 'Channels', of: (one) => PARTS.filter((part) => one[part]).join(', '), width: '11rem' },
    page.may(CONTENT) && { name: 'Languages', of: (one) => Object.keys(one.translations ?? {}).join(', ') }, { name: 'Used by', of: (one) => one.uses.length > 0 && html`<${Uses} page=${page} of=${one} />`, width: '9rem' }, { name: 'Version', kind: 'number', of: (one) => (one.version === 0 ? 'draft' : `v${one.version}${one.draft ? ' + draft' : ''}`), width: '6rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '6rem' },
  ],
  none: { text: 'No template is stored. A template has the texts of a notification, by channel and language.', command: 'bellcast template put booking.json', tools: (page) => newLink(page, KIND) },
};
